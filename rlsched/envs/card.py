"""Environment cards: data + machines + options + windows + what is seen, done and rewarded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from rlsched.assets import asset_roots, find_asset
from rlsched.envs.card_kind import check_kind
from rlsched.envs.problem import PlacementProblem, PlacementSettings
from rlsched.errors import SpecError
from rlsched.sim.options import PlacementOptions
from rlsched.spec import Spec, load
from rlsched.traces.columns import Machines, Trace


class TraceSpec(Spec):
    """Trace and machines: a dataset and part, or a file (below ``traces/``, beside the card, or any path)."""

    trace: str
    part: str | None = None
    machines: str
    machines_part: str | None = None
    until_s: float | None = Field(default=None, gt=0)


class WindowSpec(Spec):
    """Episodes: ``fill`` a sampled cluster, or a stretch of ``time``; see ``rlsched.envs.windows``."""

    kind: Literal["fill", "time"]
    count: int = Field(default=64, ge=1)
    machines: tuple[int, int] | None = None
    target_pct: float | None = Field(default=None, gt=0, le=1000)
    length_s: float | None = Field(default=None, gt=0)
    warmup_s: float | None = Field(default=None, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fit_the_kind(self) -> WindowSpec:
        mine = {"fill": ("machines", "target_pct"), "time": ("length_s", "warmup_s")}
        other = ("length_s", "warmup_s") if self.kind == "fill" else ("target_pct",)
        absent = [name for name in mine[self.kind] if getattr(self, name) is None]
        extra = [name for name in other if getattr(self, name) is not None]
        if absent or extra:
            parts = [f"needs {', '.join(absent)}"] * bool(absent) + [f"has no {', '.join(extra)}"] * bool(extra)
            raise ValueError(f'kind = "{self.kind}" {" and ".join(parts)}')
        return self


class PlacementCard(Spec):
    """An environment card of kind ``placement``.

    Parameters
    ----------
    kind : "placement"
    title : str
    data, windows
        See their classes.
    simulation : table
        Fields of ``PlacementOptions``.
    placement : PlacementSettings
    typical_share : float
        Typical requests cover this share of the trace up to ``data.until_s``.
    """

    kind: Literal["placement"]
    title: str = ""
    data: TraceSpec
    windows: WindowSpec
    simulation: dict[str, str | float] = Field(default_factory=dict)
    placement: PlacementSettings = Field(default_factory=PlacementSettings)
    typical_share: float = Field(default=0.95, gt=0, le=1)


def resolve(
    problem: PlacementProblem | None, settings: PlacementSettings | None, card: str
) -> tuple[PlacementProblem, PlacementSettings]:
    """Fill what is not given from a card."""
    if problem is not None and settings is not None:
        return problem, settings
    spec, path = load_card(card)
    return problem or build_problem(spec, path), settings or spec.placement


def load_card(card: str | Path) -> tuple[PlacementCard, Path]:
    """Read an environment card by name or path.

    Raises
    ------
    SpecError
        Unknown name, a card of another kind, or one that breaks a rule.
    """
    path = find_asset("envs", card)
    check_kind(card, path, "placement")
    return load(PlacementCard, path).spec, path


def build_problem(spec: PlacementCard, path: Path) -> PlacementProblem:
    """Read the data of a card and draw its windows."""
    from rlsched.envs.windows import fill_problem, time_problem
    from rlsched.sim.fragmentation import typical_requests

    try:
        options = PlacementOptions(**spec.simulation)  # type: ignore[arg-type]
    except TypeError as error:
        raise SpecError(f"{path}: [simulation] {error}. Known options: docs of PlacementOptions.") from None
    trace = read_columns(spec.data.trace, spec.data.part, path, Trace)
    machines = read_columns(spec.data.machines, spec.data.machines_part, path, Machines)
    if spec.data.until_s is not None:
        trace = trace.take(np.flatnonzero(trace.arrive_s < spec.data.until_s))
    typical = None if options.fragmentation == "none" else typical_requests(trace, spec.typical_share)
    w = spec.windows
    if w.kind == "fill" and w.machines is not None and w.target_pct is not None:
        return fill_problem(
            trace,
            machines,
            options,
            typical,
            n_windows=w.count,
            n_machines=w.machines,
            target_pct=w.target_pct,
            seed=w.seed,
        )
    until = spec.data.until_s if spec.data.until_s is not None else float(trace.arrive_s[-1])
    return time_problem(
        trace,
        machines,
        options,
        typical,
        length_s=w.length_s or 0.0,
        warmup_s=w.warmup_s or 0.0,
        until_s=until,
        n_windows=w.count,
        seed=w.seed,
        n_machines=w.machines,
    )


def read_columns(name: str, part: str | None, card: Path, kind: type[Any]) -> Any:
    """Read a dataset of a card: beside it, below ``traces/``, a packaged dataset, or a path.

    Raises
    ------
    SpecError
        When it holds something else than asked for.
    """
    from rlsched.traces.datasets import read_dataset
    from rlsched.traces.read import read_any

    places = [card.parent / name, *(root / name for root in asset_roots("traces")), Path(name)]
    file = next((place for place in places if place.is_file()), None)
    found = read_any(file) if file is not None else read_dataset(name, part)
    if not isinstance(found, kind):
        raise SpecError(f"{card}: {name!r} must hold {kind.__name__}: it holds {type(found).__name__}.")
    return found
