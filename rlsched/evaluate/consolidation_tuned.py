"""``tuned.toml`` of a consolidation experiment: the tuned member of each family, as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsched import spec
from rlsched.errors import SpecError, did_you_mean
from rlsched.evaluate.consolidation_card import HINDSIGHT, TUNED, PolicyEntry
from rlsched.evaluate.contestants import TUNED_FILE
from rlsched.sim.consolidation.policy import ConsolidationPolicy

FIELDS = ("parameter", "placement_cap", "evacuate_below")


@dataclass(frozen=True)
class Tuned:
    """What ``rlsched tune`` left.

    Parameters
    ----------
    best : ConsolidationPolicy
        Of all families, the best on validation.
    families : dict of str to ConsolidationPolicy
    finalists : tuple of ConsolidationPolicy
    data_sha256 : dict of str to str
    problem_sha256 : str
        Of the card it was tuned for; empty where the file does not say.
    """

    best: ConsolidationPolicy
    families: dict[str, ConsolidationPolicy]
    finalists: tuple[ConsolidationPolicy, ...]
    data_sha256: dict[str, str]
    problem_sha256: str


def write_policy(policy: ConsolidationPolicy) -> str:
    """``lr_mmt:parameter=1.2,placement_cap=0.55,evacuate_below=1``."""
    numbers = ",".join(f"{name}={getattr(policy, name):g}" for name in FIELDS)
    return f"{policy.name}:{numbers}"


def parse_policy(text: str) -> ConsolidationPolicy:
    """Read what :func:`write_policy` wrote.

    Raises
    ------
    SpecError
        For anything else.
    """
    name, _, numbers = text.partition(":")
    values: dict[str, float] = {}
    for part in filter(None, numbers.split(",")):
        key, _, number = part.partition("=")
        if key not in FIELDS:
            raise SpecError(f"policy {text!r}: unknown number {key!r}.{did_you_mean(key, FIELDS)}")
        try:
            values[key] = float(number)
        except ValueError:
            raise SpecError(f"policy {text!r}: {key} must be a number: got {number!r}.") from None
    return ConsolidationPolicy(name, **values)


def load_tuned(folder: Path) -> Tuned:
    """Read ``tuned.toml`` of an experiment's folder.

    Raises
    ------
    SpecError
        When it is not there, or is not such a file.
    """
    path = folder / TUNED_FILE
    if not path.is_file():
        raise SpecError(
            f"there is no {TUNED_FILE} beside the experiment's card. Make it with 'rlsched tune {folder.name}'."
        )
    values: dict[str, Any] = spec.read_toml(path)
    for key in ("policy", "families", "finalists"):
        if key not in values:
            raise SpecError(f"{path} has no key {key}. Make it again with 'rlsched tune {folder.name}'.")
    families = [parse_policy(str(text).split(" ")[0]) for text in values["families"]]
    return Tuned(
        parse_policy(values["policy"]),
        {one.name: one for one in families},
        tuple(parse_policy(str(text).split(" ")[0]) for text in values["finalists"]),
        values.get("data_sha256", {}),
        str(values.get("problem_sha256", "")),
    )


def find_tuned(entry: PolicyEntry, tuned: Tuned) -> list[ConsolidationPolicy]:
    """The policies an entry that needs ``tuned.toml`` stands for: one, or all finalists for hindsight.

    Raises
    ------
    SpecError
        A family that was not tuned.
    """
    if entry.name == HINDSIGHT:
        return list(tuned.finalists)
    if entry.name == TUNED:
        return [tuned.best]
    if entry.family not in tuned.families:
        raise SpecError(f"{entry.family} was not tuned.{did_you_mean(entry.family, tuned.families)}")
    return [tuned.families[entry.family]]
