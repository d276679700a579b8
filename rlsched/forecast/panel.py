"""Series side by side on one clock, cut by time and by machine: what forecasters learn from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.forecast.card import ForecastSpec, SourceSpec
from rlsched.traces.card import load_card
from rlsched.traces.columns import Demand, Usage
from rlsched.traces.datasets import read_dataset

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Panel:
    """Series of one source on one regular clock.

    Parameters
    ----------
    name : str
        Of the source.
    ids : (S,) object of str
    values : (S, T, R) float32
        NaN where missing, or before a series began or after it ended.
    resources : tuple of str
    first : (S,) int64
        Tick of each series' first sample.
    size : (S,) float32
        Cores requested; NaN where not known.
    start_s, step_s : int
        Of tick 0, on the clock ``time of day`` is read from.
    ranges : dict of str to (int, int)
        Split → ticks ``[from, to)`` its targets lie in; a split that is not there has none.
    role : (S,) object of str
        The split each machine belongs to.
    facts : dict
        Provenance and counts, for the record.
    """

    name: str
    ids: npt.NDArray[Any]
    values: F32
    resources: tuple[str, ...]
    first: I64
    size: F32
    start_s: int
    step_s: int
    ranges: dict[str, tuple[int, int]]
    role: npt.NDArray[Any]
    facts: dict[str, Any] = field(default_factory=dict)


def read_panels(spec: ForecastSpec, data: str | Path | None = None) -> list[Panel]:
    """Read every source of a card.

    Raises
    ------
    MissingDataError
        A dataset is not on this machine.
    SpecError, TraceError
        The card does not fit the data, or a file breaks a rule.
    """
    panels: list[Panel] = []
    for source in spec.data:
        panels += _read_source(spec, source, data)
    return panels


def _read_source(spec: ForecastSpec, source: SourceSpec, data: str | Path | None) -> list[Panel]:
    card = load_card(source.dataset).spec
    split = card.splits
    if split is not None and split.by in ("day", "part"):
        out = []
        for name in SPLITS:
            for part in getattr(split, name):
                panel = panel_of(
                    read_dataset(source.dataset, part, data=data), spec, source, f"{source.dataset}/{part}"
                )
                out.append((name, panel))
        # A machine keeps its role on every day it appears.
        names = sorted({str(one) for _, panel in out for one in panel.ids})
        roles = dict(zip(names, roles_of(names, spec), strict=True))
        return [
            _with(panel, {name: (0, panel.values.shape[1])}, np.array([roles[str(one)] for one in panel.ids], object))
            for name, panel in out
        ]
    ends = _ends(source, split)
    panels = []
    for part in source.parts or (next(iter(card.parts)),):
        panel = panel_of(read_dataset(source.dataset, part, data=data), spec, source, f"{source.dataset}/{part}")
        t = panel.values.shape[1]
        base = int(panel.facts["first_s"])
        cut = [min(max((end - base) // panel.step_s, 0), t) for end in ends]
        ranges = {"train": (0, cut[0]), "validation": (cut[0], cut[1]), "test": (cut[1], t)}
        panels.append(_with(panel, ranges, np.array(roles_of([str(one) for one in panel.ids], spec), object)))
    return panels


def _ends(source: SourceSpec, split: Any) -> tuple[int, int]:
    if source.train_until_s is not None and source.validation_until_s is not None:
        return source.train_until_s, source.validation_until_s
    if split is None or split.by != "time_s":
        raise SpecError(
            f"data: dataset {source.dataset!r} has no split by time. Give train_until_s and validation_until_s."
        )
    return int(split.validation[0]), int(split.test[0])


def _with(panel: Panel, ranges: dict[str, tuple[int, int]], role: npt.NDArray[Any]) -> Panel:
    import dataclasses

    counts = {name: int((role == name).sum()) for name in SPLITS}
    values = panel.values
    if panel.resources == ("rate",):
        # Services differ by orders of magnitude; their unit becomes the mean of their training time.
        end = ranges["train"][1] if "train" in ranges else values.shape[1]
        with np.errstate(invalid="ignore"):
            sums, known = np.nansum(values[:, :end], axis=1), np.isfinite(values[:, :end]).sum(axis=1)
        mean = sums / np.maximum(known, 1)  # (S, 1)
        keep = mean[:, 0] > 0
        values = values[keep] / mean[keep, None].astype(np.float32)
        panel = dataclasses.replace(
            panel, ids=panel.ids[keep], first=panel.first[keep], size=panel.size[keep],
            facts={**panel.facts, "left_out_no_load_in_training": int((~keep).sum())},
        )  # fmt: skip
        role = role[keep]
    return dataclasses.replace(
        panel, values=values, ranges=ranges, role=role, facts={**panel.facts, "machines": counts}
    )


def panel_of(columns: Any, spec: ForecastSpec, source: SourceSpec, name: str) -> Panel:
    """Columns of a reader → a panel without ranges and roles."""
    facts: dict[str, Any] = {"source": name, "files": _hashes(columns)}
    if isinstance(columns, Demand):
        if spec.resources != ("rate",):
            raise SpecError(f"resources: {name} is demand and has only 'rate': got {list(spec.resources)}.")
        values = columns.rate[:, :, None].astype(np.float32)
        ids = np.array([str(one) for one in columns.service_id], object)
        first = np.array([_first(row) for row in values[:, :, 0]], np.int64)
        size = np.full(len(ids), np.nan, np.float32)
        start, step = columns.start_s, columns.step_s
    elif isinstance(columns, Usage):
        values, first, start = dense(columns, spec.resources, name)
        ids = np.array([str(one) for one in columns.series_id], object)
        size = np.where(columns.cpu_mcore > 0, columns.cpu_mcore / 1000.0, np.nan).astype(np.float32)
        step = columns.step_s
    else:
        raise SpecError(f"data: {name} must hold usage or demand: it holds {type(columns).__name__}.")
    for resource, limit in source.missing_above.items():
        if resource not in spec.resources:
            raise SpecError(f"missing_above: no resource {resource!r}.{did_you_mean(resource, spec.resources)}")
        column = values[..., spec.resources.index(resource)]
        above = column > limit
        facts.setdefault("taken_as_missing", {})[f"{resource} > {limit:g}"] = int(above.sum())
        column[above] = np.nan
    if source.step_s is not None and source.step_s != step:
        values, first = coarser(values, first, source.step_s, step, name)
        step = source.step_s
    if source.at_most is not None and len(ids) > source.at_most:
        keep = np.sort(np.argsort([_hash(one) for one in ids])[: source.at_most])
        facts["series_left_out"] = len(ids) - keep.size
        ids, values, first, size = ids[keep], values[keep], first[keep], size[keep]
    facts |= {"first_s": start, "series": len(ids), "ticks": int(values.shape[1]), "step_s": step}
    clock = start + int(columns.meta.get("time_origin_s") or 0)
    return Panel(name, ids, values, spec.resources, first, size, clock, step, {}, np.array([], object), facts)


def dense(usage: Usage, resources: tuple[str, ...], name: str) -> tuple[F32, I64, int]:
    """Ragged usage → (S, T, R) with NaN around each series, the first ticks, and the second of tick 0."""
    known = {"cpu_share": usage.cpu_share, "mem_share": usage.mem_share, **usage.extra}
    for resource in resources:
        if resource not in known:
            raise SpecError(f"resources: {name} has no {resource!r}.{did_you_mean(resource, known)}")
    start = int(usage.start_s.min())
    first, rest = np.divmod(usage.start_s - start, usage.step_s)
    if rest.any():
        row = int(np.flatnonzero(rest)[0])
        raise TraceError(
            f"series must start on one grid of {usage.step_s} s: series {str(usage.series_id[row])!r} of {name} is "
            f"{rest[row]} s off. Put the readings on a grid first."
        )
    length = np.diff(usage.offset)
    values = np.full((len(usage), int((first + length).max()), len(resources)), np.nan, np.float32)
    for s in range(len(usage)):
        for r, resource in enumerate(resources):
            values[s, first[s] : first[s] + length[s], r] = known[resource][usage.offset[s] : usage.offset[s + 1]]
    return values, first.astype(np.int64), start


def coarser(values: F32, first: I64, wanted_s: int, step_s: int, name: str) -> tuple[F32, I64]:
    """Mean of the measured samples of every coarser step; missing where none was measured."""
    if wanted_s % step_s:
        raise SpecError(f"step_s must be a multiple of the {step_s} s of {name}: got {wanted_s}.")
    k = wanted_s // step_s
    s, t, r = values.shape
    blocks = values[:, : t // k * k].reshape(s, t // k, k, r)
    known = np.isfinite(blocks).sum(axis=2)
    total = np.where(np.isfinite(blocks), blocks, 0).sum(axis=2, dtype=np.float64)
    return np.where(known > 0, total / np.maximum(known, 1), np.nan).astype(np.float32), first // k


def roles_of(ids: list[str], spec: ForecastSpec) -> list[str]:
    """The split of every machine: ranked by a hash of its name, so no order of files matters."""
    order = sorted(range(len(ids)), key=lambda i: _hash(ids[i]))
    n_test = max(1, round(spec.hold_out * len(ids)))
    n_validation = max(1, round(spec.validate_on * len(ids)))
    if len(ids) < 3:
        return ["all"] * len(ids)  # too few to hold one out: time alone divides them
    roles = ["train"] * len(ids)
    for rank, i in enumerate(order):
        roles[i] = "test" if rank < n_test else "validation" if rank < n_test + n_validation else "train"
    return roles


def _hash(name: Any) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def _first(row: F32) -> int:
    known = np.flatnonzero(np.isfinite(row))
    return int(known[0]) if known.size else row.size


def _hashes(columns: Any) -> dict[str, Any]:
    files = columns.meta.get("files", {})
    digest = hashlib.sha256("".join(sorted(files.values())).encode()).hexdigest()
    return {"count": len(files), "sha256": digest}
