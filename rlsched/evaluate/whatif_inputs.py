"""A user's own two files → trace and machines, with units looked at before anything is computed."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError
from rlsched.evaluate.whatif_columns import check_names, read_map, suggest
from rlsched.sim.power import find_curve
from rlsched.traces.card import ColumnMap, load_card
from rlsched.traces.columns import UNKNOWN, Machines, Trace
from rlsched.traces.read import kind_of, read_any, recognise
from rlsched.traces.readers import READERS
from rlsched.traces.readers.source import read_head

F64 = npt.NDArray[np.float64]
MOSTLY = 0.5  # more tasks than this that no machine could hold: units, not a tight cluster
LITTLE = 0.01  # a peak load below this share of the machines is worth a word

#: What a wrong unit looks like, in words → how many times too large CPU and memory are.
_SLIPS = {
    "CPU 1,000 times": (1000, 1),
    "memory 1,024 times": (1, 1024),
    "CPU 1,000 and memory 1,024 times": (1000, 1024),
    "memory 1,048,576 times": (1, 2**20),
    "CPU 1,000 and memory 1,048,576 times": (1000, 2**20),
}


@dataclass(frozen=True)
class Given:
    """What was read from a user's files.

    Parameters
    ----------
    trace : Trace
    machines : Machines
    sources : tuple of dict
        For provenance: role, name, part, SHA-256 by file name.
    notes : tuple of str
        What a person should know before believing a number.
    """

    trace: Trace
    machines: Machines
    sources: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def read_files(
    trace: Path,
    machines: Path,
    *,
    columns: str | None = None,
    machine_columns: str | None = None,
    price_per_h: float | None = None,
    power_curve: str | None = None,
) -> Given:
    """Read a trace and machines of any known format, or with a map of columns.

    Parameters
    ----------
    trace, machines : Path
    columns, machine_columns : str, optional
        A card, or ``ours=theirs,...``; needed where the content is of no known format.
    price_per_h : float, optional
        US dollars an hour, for machines without a price.
    power_curve : str, optional
        For machines without one.

    Raises
    ------
    UserError
        A file that cannot be read; names that are not known, with the nearest and a ready map,
        for both files at once; requests that no machine could hold.
    """
    unknown = [
        message
        for path, kind, given in ((trace, "trace", columns), (machines, "machines", machine_columns))
        if given is None and (message := _unrecognised(path, kind))
    ]
    if unknown:
        raise TraceError("\n\n".join(unknown))
    tasks, task_source = _read(trace, "trace", columns)
    nodes, node_source = _read(machines, "machines", machine_columns)
    assert isinstance(tasks, Trace)  # _read has checked the kind
    assert isinstance(nodes, Machines)
    nodes = _with_defaults(nodes, price_per_h, power_curve)
    notes = [*_changed(tasks, trace), *_changed(nodes, machines), *check_units(tasks, nodes)]
    return Given(tasks, nodes, (task_source, node_source), tuple(notes))


def check_units(trace: Trace, machines: Machines) -> list[str]:
    """Hold what tasks ask for against what machines have.

    Returns
    -------
    list of str
        Tasks that no machine could hold even empty, or that never end; a load that is next to
        nothing.

    Raises
    ------
    TraceError
        When most tasks fit on no machine, with the unit that would explain it.
    """
    asked = np.stack([trace.cpu_mcore, trace.mem_mib, trace.gpu_count], axis=1)
    offered = np.unique(np.stack([machines.cpu_mcore, machines.mem_mib, machines.gpu_count], axis=1), axis=0)
    never = _never(asked, offered)
    share = never / len(trace)
    out = []
    if share > MOSTLY:
        # Which of the two files is read in the wrong unit cannot be told from here.
        hint = next(
            (
                f": they would fit were the tasks' {words} smaller, or the machines' larger"
                for words, factor in _SLIPS.items()
                if _never(asked / np.array((*factor, 1)), offered) < share * len(trace) / 10
            ),
            "",
        )
        row = int(np.argmax(asked[:, 0] / max(1, offered[:, 0].max()) + asked[:, 1] / max(1, offered[:, 1].max())))
        raise TraceError(
            f"machines must be able to hold most tasks: {never:,} of {len(trace):,} of {trace.source} fit on no "
            f"machine of {machines.source}, even an empty one, e.g. {str(trace.task_id[row])!r}, which asks for "
            f"{asked[row, 0]} mcore, {asked[row, 1]} MiB and {asked[row, 2]} GPUs; the largest machine has "
            f"{offered[:, 0].max()} mcore, {offered[:, 1].max()} MiB and {offered[:, 2].max()} GPUs. "
            f"Check cpu_unit and mem_unit of both files{hint}."
        )
    if never:
        out.append(
            f"{never:,} of {len(trace):,} tasks fit on no machine, even an empty one: every policy rejects them."
        )
    endless = int((trace.depart_s == UNKNOWN).sum())
    if endless:
        out.append(f"{endless:,} of {len(trace):,} tasks have no known end: they stay to the end.")
    for what, amount, capacity, unit in (
        ("CPU", trace.cpu_mcore, machines.cpu_mcore, "cpu_unit"),
        ("memory", trace.mem_mib, machines.mem_mib, "mem_unit"),
    ):
        peak = _peak(trace, amount) / max(1, int(capacity.sum()))
        if 0 < peak < LITTLE:
            out.append(
                f"At its peak the trace asks for {100 * peak:.2g} % of the {what} of these machines: if that is too "
                f"little to be true, check {unit} of both files."
            )
    return out


def _never(asked: npt.NDArray[Any], offered: npt.NDArray[Any]) -> int:
    """Tasks that no machine could hold."""
    kinds, count = np.unique(asked, axis=0, return_counts=True)
    fits = np.zeros(len(kinds), bool)
    for shape in offered:
        fits |= (kinds <= shape).all(axis=1)
    return int(count[~fits].sum())


def _peak(trace: Trace, amount: npt.NDArray[np.int64]) -> int:
    """Most that is asked for at one moment, were nothing ever rejected."""
    ends = trace.depart_s != UNKNOWN
    times = np.concatenate([trace.arrive_s, trace.depart_s[ends]])
    change = np.concatenate([amount, -amount[ends]])
    order = np.lexsort((change, times))
    return int(np.cumsum(change[order]).max())


def _unrecognised(path: Path, kind: str) -> str:
    """What to say of a file of no known format; ``""`` where it is of one."""
    if path.is_dir():
        return ""
    head = read_head(path)
    try:
        recognise(path)
    except TraceError:
        if not head.strip() or b"\0" in head[:1000]:
            raise  # empty, or no text: there are no column names to go by
        return suggest(path, kind).message()
    return ""


def _read(path: Path, kind: str, columns: str | None) -> tuple[Trace | Machines, dict[str, Any]]:
    if columns is None:
        read: Any = read_any(path)
    else:
        given = read_map(columns, kind)
        table = given if isinstance(given, ColumnMap) else load_card(given).spec.table
        if table is not None:
            check_names(table, path, kind)
        if isinstance(given, ColumnMap):
            found = READERS["generic"].read(path, card=given)
            read = dataclasses.replace(found, meta={"reader": "generic", **found.meta}).validate()
        else:
            read = read_any(path, card=given)
    found_kind = kind_of(read)
    if found_kind != kind:
        option = "--trace" if kind == "trace" else "--machines"
        raise SpecError(f"{option} must name {kind}: {path} holds {found_kind}. Name another file.")
    sha = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else {}
    return read, {"role": kind, "name": path.name, "part": None, "files": sha}


def _with_defaults(machines: Machines, price: float | None, curve: str | None) -> Machines:
    changes: dict[str, Any] = {}
    if price is not None:
        if not (math.isfinite(price) and price >= 0):
            raise SpecError(f"--price must be >= 0 US dollars an hour: got {price}.")
        changes["price_per_h"] = np.where(np.isnan(machines.price_per_h), price, machines.price_per_h)
    if curve is not None:
        find_curve(curve)
        names = tuple(dict.fromkeys((*machines.power_curves, curve)))
        changes |= {
            "power_curve": np.where(machines.power_curve < 0, names.index(curve), machines.power_curve),
            "power_curves": names,
        }
    for name in machines.power_curves:
        find_curve(name)
    return dataclasses.replace(machines, **changes)


def _changed(columns: Trace | Machines, path: Path) -> list[str]:
    """What the reader dropped or changed, in its own words."""
    return [f"{path.name}: {drop.count:,} rows {drop.action} ({drop.rule})." for drop in columns.report.drops]
