"""Who takes part in a placement experiment: policies under the names they have in tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlsched import spec as cards
from rlsched.errors import SpecError, UserError
from rlsched.evaluate.experiment import PlacementExperiment, PolicyEntry
from rlsched.evaluate.inputs import Inputs
from rlsched.evaluate.other_problem import not_of
from rlsched.evaluate.results import plain
from rlsched.policies import Heuristic, find_policy, parse_blend
from rlsched.sim.options import PlacementOptions

TUNED = "tuned_blend"
TUNED_FILE = "tuned.toml"
HINDSIGHT = "hindsight_blend"


@dataclass(frozen=True)
class Contestant:
    """A policy under the name it has in tables.

    Parameters
    ----------
    name : str
    policy : Heuristic, or a learned policy
        A learned one has ``run(world, state, progress=None)``, which brings every copy of the
        state to the end of its window, and ``stochastic``.
    lifetime, unknown_lifetime_s
        What it may see of life spans, where that differs from the experiment's.
    tuned : dict
        What ``tuned.toml`` says of the blend, for one that was tuned.
    runs : tuple
        The same recipe trained from several seeds, ``policy`` the first; empty for one alone.
    finalists : tuple
        Of a control: the constants among which the best in hindsight is taken.
    """

    name: str
    policy: Any
    lifetime: str | None = None
    unknown_lifetime_s: float | None = None
    tuned: dict[str, Any] = field(default_factory=dict)
    runs: tuple[Any, ...] = ()
    finalists: tuple[Heuristic, ...] = ()

    def members(self, seeds: Sequence[int]) -> list[tuple[int | None, Any]]:
        """Seed and policy of every run: training seeds 0, 1, ..., or those given, or one without."""
        if self.runs:
            return list(enumerate(self.runs))
        return [(seed, self.policy) for seed in (seeds if self.stochastic else (None,))]

    @property
    def control(self) -> str:
        """What it saw that no policy may see; empty for one that takes part."""
        n = len(self.finalists)
        return f"the best on these very windows of the {n} finalists of tuning" if n else ""

    def each_finalist(self) -> list[Contestant]:
        """One contestant a finalist, under this one's name."""
        return [dataclasses.replace(self, policy=one, finalists=()) for one in self.finalists]

    @property
    def stochastic(self) -> bool:
        """True when it draws random numbers, so that seeds matter."""
        if isinstance(self.policy, Heuristic):
            return self.policy.choice == "random" or self.policy.devices == "random"
        return bool(getattr(self.policy, "stochastic", False))

    @property
    def needs_typical(self) -> bool:
        """True when it measures fragmentation."""
        return bool(getattr(self.policy, "needs_typical", False))

    @property
    def needs_residents(self) -> bool:
        """True when it looks at the tasks already on a machine."""
        return bool(getattr(self.policy, "needs_residents", True))

    def options(self, base: PlacementOptions) -> PlacementOptions:
        """The experiment's options, with what this policy may see."""
        seen = {"lifetime": self.lifetime, "unknown_lifetime_s": self.unknown_lifetime_s}
        changes: dict[str, Any] = {key: value for key, value in seen.items() if value is not None}
        return dataclasses.replace(base, **changes)


def find_contestants(entries: Sequence[PolicyEntry], folder: Path) -> list[Contestant]:
    """Look every policy up; ``tuned_blend`` is the one in the experiment's folder.

    Raises
    ------
    SpecError
        Every unknown policy at once.
    """
    out: list[Contestant] = []
    faults: list[UserError] = []
    for entry in entries:
        seen = entry.lifetime, entry.unknown_lifetime_s
        try:
            if entry.policy in (TUNED, HINDSIGHT):
                policy, tuned = load_tuned(folder / TUNED_FILE)
                last = load_finalists(folder / TUNED_FILE, tuned) if entry.policy == HINDSIGHT else ()
                out.append(Contestant(entry.label, policy, *seen, tuned=tuned, finalists=last))
            else:
                found = tuple(find_policy(one) for one in entry.runs or (entry.policy,))
                out.append(Contestant(entry.label, found[0], *seen, runs=found if entry.runs else ()))
        except UserError as error:
            faults.append(_of_another_problem(entry, error))
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise SpecError("\n  ".join([f"{len(faults)} problems with policies:", *map(str, faults)]))
    return out


def _of_another_problem(entry: PolicyEntry, error: UserError) -> UserError:
    """The same error, or a clearer one where a name is known, but not for placement."""
    words = next((words for name in entry.runs or (entry.policy,) if (words := not_of(name, "placement"))), "")
    return SpecError(words) if words else error


def load_tuned(path: Path) -> tuple[Heuristic, dict[str, Any]]:
    """The blend that ``rlsched tune`` left in an experiment's folder.

    Returns
    -------
    (Heuristic, dict)
        The blend, and everything the file says of it.

    Raises
    ------
    SpecError
        When it is not there, or is not such a file.
    """
    if not path.is_file():
        raise SpecError(
            f"policy {TUNED!r}: there is no {TUNED_FILE} beside the experiment's card. Make it with "
            f"'rlsched tune {path.parent.name}'."
        )
    tuned = cards.read_toml(path)
    text = tuned.get("policy")
    if not isinstance(text, str):
        raise SpecError(f"policy {TUNED!r}: {path} has no key policy. Make it again with 'rlsched tune'.")
    return dataclasses.replace(parse_blend(text), name=TUNED), tuned


def load_finalists(path: Path, tuned: dict[str, Any]) -> tuple[Heuristic, ...]:
    """The blends a search ended with, from what ``tuned.toml`` says.

    Raises
    ------
    SpecError
        When it lists none.
    """
    listed = tuned.get("finalists")
    if not isinstance(listed, list) or not listed or not all(isinstance(one, str) for one in listed):
        raise SpecError(f"policy {HINDSIGHT!r}: {path} lists no finalists. Make it again with 'rlsched tune'.")
    return tuple(parse_blend(one.split(" ")[0]) for one in listed)  # "blend:... score"


def tuned_elsewhere(contestant: Contestant, inputs: Inputs, spec: PlacementExperiment) -> bool:
    """True for a tuned blend whose data or whose problem were not those of this experiment."""
    if not contestant.tuned:
        return False
    same_data = contestant.tuned.get("data_sha256", {}) == inputs.sha256
    return not same_data or contestant.tuned.get("problem_sha256") != spec.problem_sha256


def check_contestants(contestants: Sequence[Contestant], options: PlacementOptions) -> None:
    """Refuse policies that the simulation cannot run.

    Raises
    ------
    SpecError
        When a policy measures fragmentation and the simulation does not, or measures it in
        something else.
    """
    for one, policy in ((each, run) for each in contestants for run in each.runs or (each.policy,)):
        wanted = getattr(policy, "fragmentation", options.fragmentation)
        if wanted != options.fragmentation:
            raise SpecError(
                f"policy {one.name!r} was trained with fragmentation = {wanted!r}: simulation.fragmentation is "
                f"{options.fragmentation!r}. Set it to {wanted!r}."
            )
    blind = [one.name for one in contestants if one.needs_typical] if options.fragmentation == "none" else []
    if blind:
        raise SpecError(
            f'policy {blind[0]!r} scores by fragmentation, which simulation.fragmentation = "none" does not measure. '
            'Set it to "gpu" or "cpu".'
        )


def describe(contestant: Contestant) -> dict[str, Any]:
    """A contestant for provenance: what it is, and where it is from."""
    policy = contestant.policy
    out: dict[str, Any] = {"name": contestant.name, "policy": getattr(policy, "name", contestant.name)}
    if isinstance(policy, Heuristic):
        out |= {"weights": dict(policy.weights), "choice": policy.choice, "devices": policy.devices}
    out |= {"doc": getattr(policy, "doc", ""), "source": getattr(policy, "source", "")}
    metadata = getattr(policy, "metadata", None)
    if isinstance(metadata, dict):
        out["metadata"] = plain(metadata)
    if contestant.runs:
        out["runs"] = [plain(getattr(one, "metadata", {"name": one.name})) for one in contestant.runs]
    if contestant.control:
        out = {"name": contestant.name, "policy": HINDSIGHT, "doc": f"Control: {contestant.control}.", "source": ""}
        out["finalists"] = [one.name for one in contestant.finalists]
    if contestant.tuned:
        out["tuned"] = plain(contestant.tuned)
    seen = {"lifetime": contestant.lifetime, "unknown_lifetime_s": contestant.unknown_lifetime_s}
    return {**out, **{key: value for key, value in seen.items() if value is not None}}
