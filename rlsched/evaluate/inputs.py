"""What a card's ``[data]`` and ``[machines]`` name → columns, with a record of where they came from."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlsched import assets
from rlsched.errors import SpecError
from rlsched.evaluate.experiment import HostType, MachinesSpec, PlacementExperiment, SplitsSpec
from rlsched.rng import stream
from rlsched.sim.power import PowerCurve, find_curve
from rlsched.traces.card import load_card
from rlsched.traces.columns import Columns, Machines, Trace
from rlsched.traces.datasets import read_dataset
from rlsched.traces.read import kind_of, read_any


@dataclass(frozen=True)
class Inputs:
    """Columns an experiment runs on.

    Parameters
    ----------
    trace : Trace
    machines : Machines
    splits : SplitsSpec
        Of the card, or of the dataset's.
    curves : dict of str to PowerCurve
        The card's own.
    sources : tuple of dict
        For provenance: role, name, part, SHA-256 by file name. No path of this machine.
    folder : Path
        Of the card; what it names relatively lies there.
    """

    trace: Trace
    machines: Machines
    splits: SplitsSpec
    curves: dict[str, PowerCurve]
    sources: tuple[dict[str, Any], ...]
    folder: Path = Path()

    @property
    def sha256(self) -> dict[str, str]:
        """SHA-256 of every file that was read, by name."""
        return {name: sha for source in self.sources for name, sha in source["files"].items()}


def read_inputs(spec: PlacementExperiment, folder: Path, data_root: str | Path | None = None) -> Inputs:
    """Read the trace and the machines of an experiment.

    Parameters
    ----------
    spec : PlacementExperiment
    folder : Path
        Of the card: a file it names is looked for there first.
    data_root : str or Path, optional
        Where datasets lie; see ``rlsched.traces.datasets``.

    Raises
    ------
    SpecError
        No splits in either card, an unknown power curve, a file of the wrong kind.
    TraceError, MissingDataError
        As the readers.
    """
    trace, trace_source = _read(spec.data.trace, spec.data.part, spec.data.options, folder, data_root, "trace")
    assert isinstance(trace, Trace)  # _read has checked the kind
    trace = _thinned(trace, spec.data.keep_share)
    machines, sources = read_machines(spec.machines, folder, data_root)
    curves = {name: PowerCurve.from_card(name, card) for name, card in spec.machines.curves.items()}
    for name in machines.power_curves:
        find_curve(name, curves)
    return Inputs(trace, machines, splits_of(spec), curves, (trace_source, *sources), folder)


def read_machines(
    spec: MachinesSpec, folder: Path, data_root: str | Path | None
) -> tuple[Machines, tuple[dict[str, Any], ...]]:
    """The machines a card states or names, unknown curves and prices filled with the card's defaults."""
    if spec.types:
        machines, sources = _build(spec.types, spec.scale), ()
    else:
        read, source = _read(spec.source, spec.part, spec.options, folder, data_root, "machines")
        assert isinstance(read, Machines)  # _read has checked the kind
        machines, sources = _repeated(read, int(spec.scale)), (source,)  # type: ignore[assignment]
    changes: dict[str, Any] = {}
    if spec.power_curve:
        names = tuple(dict.fromkeys((*machines.power_curves, spec.power_curve)))
        unknown = machines.power_curve < 0
        changes |= {
            "power_curve": np.where(unknown, names.index(spec.power_curve), machines.power_curve),
            "power_curves": names,
        }
    if spec.price_per_h is not None:
        price = machines.price_per_h
        changes["price_per_h"] = np.where(np.isnan(price), spec.price_per_h, price)
    return dataclasses.replace(machines, **changes), sources


def _thinned(trace: Trace, share: float) -> Trace:
    """That share of the tasks, the same ones every time."""
    if share == 1.0:
        return trace
    rows = np.flatnonzero(stream(0, "keep").random(len(trace)) < share)
    if not rows.size:
        raise SpecError(f"data.keep_share = {share:g} leaves none of the {len(trace)} tasks. Raise it.")
    return trace.take(rows)


def _repeated(machines: Machines, times: int) -> Machines:
    """Each machine so many times, one round of all after the other."""
    if times == 1:
        return machines
    out = machines.take(np.tile(np.arange(len(machines)), times))
    names = [f"{one}#{i // len(machines) + 1}" for i, one in enumerate(out.machine_id)]
    return dataclasses.replace(out, machine_id=np.array(names, dtype=object)).validate()


def _build(types: tuple[HostType, ...], scale: float = 1.0) -> Machines:
    def column(name: str, dtype: type = np.int64) -> Any:
        return np.repeat(np.array([getattr(one, name) for one in types], dtype=dtype), counts)

    counts = [round(one.count * scale) for one in types]
    models = tuple(dict.fromkeys(one.gpu_model for one in types if one.gpu_count))
    curves = tuple(dict.fromkeys(one.power_curve for one in types if one.power_curve))
    prices = [np.nan if one.price_per_h is None else one.price_per_h for one in types]
    return Machines(
        machine_id=np.array(
            [f"{one.name}-{i}" for one, n in zip(types, counts, strict=True) for i in range(n)], dtype=object
        ),
        cpu_mcore=column("cpu_mcore"),
        mem_mib=column("mem_mib"),
        gpu_count=column("gpu_count"),
        gpu_model=np.repeat([models.index(one.gpu_model) if one.gpu_count else -1 for one in types], counts),
        power_curve=np.repeat([curves.index(one.power_curve) if one.power_curve else -1 for one in types], counts),
        price_per_h=np.repeat(prices, counts),
        gpu_models=models,
        power_curves=curves,
        source="the card's [[machines.types]]",
    ).validate()


def _read(
    name: str, part: str | None, options: dict[str, Any], folder: Path, data_root: str | Path | None, kind: str
) -> tuple[Columns, dict[str, Any]]:
    if name in assets.list_assets("traces") and not (folder / name).exists():
        columns = read_dataset(name, part, data=data_root, **options)
        files = {Path(path).name: sha for path, sha in columns.meta.get("files", {}).items()}
        source = {"role": kind, "name": name, "part": columns.meta["part"], "files": files}
    else:
        if part is not None:
            raise SpecError(f"{kind}: part is for a dataset's name: {name!r} is a file's. Leave part out.")
        beside = folder / name
        path = beside if beside.is_file() else assets.find_asset("traces", name)
        columns = read_any(path, **options)
        sha = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        source = {"role": kind, "name": path.name, "part": None, "files": {path.name: sha} if sha else {}}
    found = kind_of(columns)
    if found != kind:
        raise SpecError(f"{kind}: {name!r} must hold {kind}: it holds {found}. Name another dataset part or file.")
    return columns, source


def splits_of(spec: PlacementExperiment) -> SplitsSpec:
    """The card's splits, or those of its dataset's card.

    Raises
    ------
    SpecError
        When neither states any.
    """
    if spec.splits is not None:
        return spec.splits
    name = spec.data.trace
    if name in assets.list_assets("traces"):
        card = load_card(name).spec
        part = spec.data.part or next(iter(card.parts), None)
        if card.splits is not None and card.splits.part == part and card.splits.by == "arrive_s":
            stretches: dict[str, Any] = {key: getattr(card.splits, key) for key in ("train", "validation", "test")}
            return SplitsSpec(**stretches)
    raise SpecError(
        f"splits is required: neither the experiment's card nor a dataset card states any for {name!r}. Add "
        "[splits] with train, validation and test = [from, to) in seconds."
    )
