"""What an environment shows and takes, one row a number: the tables that ``rlsched show env`` prints.

The rows are the feature tables that the spaces are built from; a test compares them with the
spaces of the environment that the card opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsched.assets import find_asset
from rlsched.errors import SpecError, did_you_mean
from rlsched.reward.term import Term
from rlsched.spec import read_toml


@dataclass(frozen=True)
class Row:
    """One number, or one column of numbers.

    Parameters
    ----------
    part : str
        Key of a dict space; empty for a space that is one array.
    name : str
    shape : tuple of int
        Of this row alone: ``(K,)`` where there is one value a candidate.
    dtype : str
    low, high : float
        Both included.
    unit, meaning : str
    """

    part: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    low: float
    high: float
    unit: str
    meaning: str

    def texts(self) -> dict[str, str]:
        """The row as it is printed."""
        return {
            "part": self.part,
            "name": self.name,
            "shape": f"({', '.join(map(str, self.shape))}{',' if len(self.shape) == 1 else ''})",
            "dtype": self.dtype,
            "range": f"[{self.low:g}, {self.high:g}]",
            "unit": self.unit,
            "meaning": self.meaning,
        }


@dataclass(frozen=True)
class Tables:
    """An environment in tables.

    Parameters
    ----------
    id : str
        For ``gymnasium.make``.
    card : str
        Name or path.
    title : str
    observation, action : tuple of Row
    rewards : mapping of str to (weight, Term)
        The terms that the card weighs.
    """

    id: str
    card: str
    title: str
    observation: tuple[Row, ...]
    action: tuple[Row, ...]
    rewards: Mapping[str, tuple[float, Term]]


def describe_env(card: str | Path) -> Tables:
    """The tables of the environment that a card opens.

    Parameters
    ----------
    card : str or Path
        Name of ``envs/``, or a path.

    Raises
    ------
    SpecError
        No such card, or a kind of environment there is none of.
    MissingDataError
        Where the data that decides the tables is not there.
    """
    kind = kind_of_env(find_asset("envs", card))
    return KINDS[kind][1](str(card))


def kind_of_env(path: Path) -> str:
    """The ``kind`` of an environment card.

    Raises
    ------
    SpecError
    """
    kind = read_toml(path).get("kind")
    if kind not in KINDS:
        raise SpecError(f"{path}: unknown kind {kind!r} of environment.{did_you_mean(str(kind), KINDS)}")
    return str(kind)


def env_spec(path: Path, overrides: Iterable[str] = ()) -> Any:
    """An environment card with the origin of its values, as ``rlsched.spec.load`` gives it."""
    from importlib import import_module

    from rlsched import spec

    module, name = KINDS[kind_of_env(path)][0]
    return spec.load(getattr(import_module(module), name), path, list(overrides))


def _features(part: str, features: Iterable[Any], shape: tuple[int, ...] = ()) -> list[Row]:
    return [Row(part, f.name, shape, "float32", f.low, f.high, f.unit, f.meaning) for f in features]


def _placement(card: str) -> Tables:
    from rlsched.envs.card import build_problem, load_card
    from rlsched.observe.features import CANDIDATE_FEATURES, GLOBAL_FEATURES
    from rlsched.reward.compose import REWARDS

    spec, path = load_card(card)
    k = spec.placement.candidates
    if not isinstance(k, int):  # as many as there are machines in the largest window
        k = int(build_problem(spec, path).world.arrays.fleet_i.shape[2])
    return Tables(
        "rlsched/Placement-v0",
        card,
        spec.title,
        (
            *_features("candidates", CANDIDATE_FEATURES, (k,)),
            *_features("globals", GLOBAL_FEATURES),
            Row("action_mask", "action_mask", (k,), "int8", 0, 1, "0 or 1", "1: the candidate may be chosen"),
        ),
        (Row("", "candidate", (), "int64", 0, k - 1, "number", "where the waiting task goes; its mask must be 1"),),
        {name: (weight, REWARDS[name]) for name, weight in spec.placement.reward.items()},
    )


def _consolidation(card: str) -> Tables:
    from rlsched.envs.consolidation_card import build_problem, load_card
    from rlsched.envs.consolidation_spaces import global_features, n_candidates
    from rlsched.observe.consolidation_features import MOVE_FEATURES
    from rlsched.reward.consolidation import REWARDS

    spec, _ = load_card(card)
    settings = spec.consolidation
    problem = build_problem(spec)
    rewards = {name: (weight, REWARDS[name]) for name, weight in settings.reward.items()}
    seen = global_features(problem, settings)
    if settings.actions == "knobs":
        about = {
            "parameter": (f"of {settings.detection}", "overload threshold, in the detection's own terms"),
            "placement_cap": ("share of a machine's CPU", "a receiving machine is filled up to it"),
            "evacuate_below": (
                "share of a machine's CPU",
                "machines loaded less are emptied where all VMs find a place",
            ),
        }
        rows = [Row("", name, (), "float32", low, high, *about[name]) for name, (low, high) in settings.ranges.items()]
        return Tables("rlsched/Consolidation-v0", card, spec.title, tuple(_features("", seen)), tuple(rows), rewards)
    k = n_candidates(settings)
    return Tables(
        "rlsched/Consolidation-v0",
        card,
        spec.title,
        (
            *_features("globals", seen),
            *_features("candidates", MOVE_FEATURES, (k,)),
            Row("action_mask", "action_mask", (k + 1,), "int8", 0, 1, "0 or 1", "1: the action may be chosen"),
        ),
        (Row("", "move", (), "int64", 0, k, "number", "0: end the tick; k: the move in row k − 1 of candidates"),),
        rewards,
    )


def _scaling(card: str) -> Tables:
    from rlsched.envs.scaling_card import resolve_scaling
    from rlsched.envs.scaling_episodes import ScalingEpisodes
    from rlsched.reward.scaling import SCALING_REWARDS

    problem, settings = resolve_scaling(None, None, card)
    episodes = ScalingEpisodes(problem, settings, 1)
    low, high = problem.limits
    many, discrete = len(problem.world.types), settings.actions == "discrete"
    dtype = "int64" if discrete else "float32"
    types = ", ".join(f"{at} {one.name}" for at, one in enumerate(problem.world.types))
    about: dict[str, tuple[float, float, str, str]] = {
        "instances": (low, high, "instances", "wanted, booting ones included; rounded up"),
        "type": (0, many - 1, "number", types),
        "spot_share": (0, 1, "share of the instances", "wanted on the spot market"),
    }
    if discrete:
        about["instances"] = (0, high - low, f"instances − {low}", "wanted, booting ones included")
        about["spot_share"] = (0, settings.spot_steps, f"1/{settings.spot_steps}", "share wanted on the spot market")
    services = [f"service {at}" if problem.n_services > 1 else "" for at in range(problem.n_services)]
    return Tables(
        "rlsched/Scaling-v0",
        card,
        str(read_toml(find_asset("envs", card)).get("title", "")),
        tuple(row for service in services for row in _features(service, episodes.fields)),
        tuple(Row(service, name, (), dtype, *about[name]) for service in services for name in episodes.action_names),
        {name: (weight, SCALING_REWARDS[name]) for name, weight in settings.reward.items()},
    )


#: Kind of card → where its spec is, and how its tables are made.
KINDS: dict[str, tuple[tuple[str, str], Callable[[str], Tables]]] = {
    "placement": (("rlsched.envs.card", "PlacementCard"), _placement),
    "consolidation": (("rlsched.envs.consolidation_card", "ConsolidationCard"), _consolidation),
    "scaling": (("rlsched.envs.scaling_card", "ScalingCard"), _scaling),
}
