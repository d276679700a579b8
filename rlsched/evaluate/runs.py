"""One recipe trained from several seeds: ``runs`` of an entry, an axis of its own in every interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlsched.policies.policy_file import is_learned


def check_runs(policy: str, runs: Sequence[str], name: str, keys: tuple[str, str] = ("policy", "name")) -> None:
    """Refuse an entry that is neither one policy nor several runs of one recipe.

    Parameters
    ----------
    policy : str
    runs : sequence of str
    name : str
        By which tables call it.
    keys : (str, str)
        What cards of this kind call policy and name.

    Raises
    ------
    ValueError
        In the words a card's reader is told.
    """
    if bool(policy) == bool(runs):
        raise ValueError(f"give {keys[0]}, or runs (the same recipe trained from several seeds), one of them")
    if runs and not name:
        raise ValueError(f"runs need a {keys[1]}, by which tables call them all together")
    if len(set(runs)) != len(runs):
        raise ValueError("runs must differ: each is a training seed of its own")
    for one in runs:
        if not is_learned(one):
            raise ValueError(f"runs are trained agents, by name, folder or file: {one!r} is none")


def with_run(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows, all with a key ``run`` where any has one: None for a policy that is one alone."""
    if not any(row.get("run") is not None for row in rows):
        return [{key: value for key, value in row.items() if key != "run"} for row in rows]
    first = ("policy", "window", "seed")
    return [{**{key: row[key] for key in first}, "run": row.get("run"), **row} for row in rows]
