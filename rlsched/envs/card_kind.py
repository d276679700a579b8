"""Which environment a card is for: a card of another kind is one error, not a list of its keys."""

from __future__ import annotations

from pathlib import Path

from rlsched.errors import SpecError
from rlsched.spec import read_toml

#: Kind of a card → the environment that it makes.
IDS_BY_KIND = {
    "placement": "rlsched/Placement-v0",
    "scaling": "rlsched/Scaling-v0",
    "consolidation": "rlsched/Consolidation-v0",
}


def check_kind(card: str | Path, path: Path, kind: str) -> None:
    """Refuse a card that is for another environment.

    Parameters
    ----------
    card : str or Path
        As it was named.
    path : Path
        Where it is.
    kind : str
        What is wanted, a key of :data:`IDS_BY_KIND`.

    Raises
    ------
    SpecError
        A card of another known kind. One of no known kind is left to the validation of the card.
    """
    found = read_toml(path).get("kind")
    if isinstance(found, str) and found != kind and found in IDS_BY_KIND:
        raise SpecError(f"{card} is a card of kind {found}: make it with {IDS_BY_KIND[found]}, or name a {kind} card.")
