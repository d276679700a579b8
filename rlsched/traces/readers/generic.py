"""Any CSV (plain or gzip) or Parquet file, described by the ``[table]`` of a card.

Without a card the file must already use our column names and units (``task_id, arrive_s,
cpu_mcore, mem_mib, ...``, or ``machine_id, cpu_mcore, mem_mib, ...``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError
from rlsched.traces.advice import option
from rlsched.traces.card import ColumnMap, known_columns, load_card
from rlsched.traces.columns import ANY_MODEL, MAX_GPU_MODELS, MAX_GPUS, MAX_QUANTITY, UNKNOWN, Machines, Trace
from rlsched.traces.readers.parquet_table import parquet_names, read_parquet
from rlsched.traces.readers.source import hash_file, header_names, quote, read_head
from rlsched.traces.readers.stream import read_csv_file
from rlsched.traces.readers.table import Column, Table, codes
from rlsched.traces.readers.times import whole_times
from rlsched.traces.store import PARQUET_MAGIC, read_header

_OWN = {"trace": {"task_id", "arrive_s", "cpu_mcore"}, "machines": {"machine_id", "cpu_mcore", "mem_mib"}}
_TEXT = {"task_id", "machine_id", "tenant", "group", "gpu_models", "gpu_model", "power_curve", "site"}
_TIMES = ("arrive_s", "depart_s", "last_seen_s")
_MAY_BE_EMPTY = {
    "depart_s", "last_seen_s", "duration_s", "expected_s", "price_per_h", "gpu_mgpu", *_TEXT
} - {"task_id", "machine_id"}  # fmt: skip
_TIME_DIVISOR = {"s": 1, "ms": 1000, "us": 1_000_000, "datetime": 1}  # dividing keeps whole seconds whole
_UNIT_FACTOR = {
    "mcore": 1.0, "cores": 1000.0,
    "mib": 1.0, "gib": 1024.0, "kib": 1 / 1024, "bytes": 1 / 2**20,
    "mgpu": 1.0, "gpu": 1000.0,
}  # fmt: skip
_NOISE_ULPS = 4  # what a unit factor may leave behind (0.1 cores * 1000); one byte in a TiB is more
_ROUND: dict[str, Callable[..., Any]] = {"up": np.ceil, "down": np.floor, "nearest": np.rint}
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def sniff(head: bytes, path: Path) -> bool:
    """Whether the columns already have our names; anything else needs a card."""
    if path.is_dir():
        return False
    if head.startswith(PARQUET_MAGIC):
        names = set() if read_header(path) is not None else set(parquet_names(path))
    else:
        names = set(header_names(head))
    return any(needed <= names for needed in _OWN.values())


def read(path: Path, *, card: str | Path | ColumnMap | None = None, on_bad_row: str | None = None) -> Trace | Machines:
    """Read a trace or a machine list.

    Parameters
    ----------
    path : Path
        CSV, gzip of it, or Parquet; told apart by content.
    card : str, Path or ColumnMap, optional
        The card whose ``[table]`` names columns and units.
    on_bad_row : {"error", "skip"}, optional
        Over the card's.

    Returns
    -------
    Trace or Machines
        Times are int64 where every one is whole, otherwise float64. A column that is not mapped
        has its default, and the report says so where that is a guess (0 MiB, unknown
        departure, ids from row numbers).

    Raises
    ------
    TraceError
        The file breaks a rule.
    SpecError
        The card does.
    """
    is_parquet = read_head(path).startswith(PARQUET_MAGIC)
    table_map = _map(path, card, is_parquet)
    skip = on_bad_row if on_bad_row is not None else table_map.on_bad_row
    columns = [Column(theirs, _kind(ours, table_map), ours in _MAY_BE_EMPTY) for ours, theirs in _by_theirs(table_map)]
    if is_parquet:
        table = read_parquet(path, columns, on_bad_row=skip)
        sha256 = hash_file(path)
    else:
        table, sha256 = read_csv_file(
            path,
            columns,
            delimiter=table_map.delimiter,
            names=table_map.names or None,
            markers=table_map.missing,
            on_bad_row=skip,
        )
    meta: dict[str, Any] = {"files": {str(path): sha256}, "columns_ignored": list(table.ignored)}
    if isinstance(card, (str, Path)):
        meta["card"] = str(card)
    build = _Builder(table, table_map)
    return build.trace(str(path), meta) if table_map.kind == "trace" else build.machines(str(path), meta)


def _map(path: Path, card: str | Path | ColumnMap | None, is_parquet: bool) -> ColumnMap:
    if isinstance(card, ColumnMap):
        return card
    if card is not None:
        table = load_card(card).spec.table
        if table is None:
            raise SpecError(f"the generic reader needs a card with a [table]: {card} has none. Add it.")
        return table
    names = parquet_names(path) if is_parquet else header_names(read_head(path))
    for kind, needed in _OWN.items():
        if needed <= set(names):
            known = known_columns(kind)
            columns = {name: name for name in names if name in known}
            if "gpu_count" not in columns and {"gpu_mgpu", "gpu_models"} & set(columns):
                raise TraceError(
                    f"a file with gpu_mgpu or gpu_models needs gpu_count: {path} has none. Add the column."
                )
            if {"depart_s", "duration_s"} <= set(columns):
                raise TraceError(f"a file has depart_s or duration_s, not both: {path} does. Leave one out.")
            return ColumnMap(kind=kind, columns=columns)  # type: ignore[arg-type]
    raise TraceError(
        f"without a card, a file must use our column names ({', '.join(sorted(_OWN['trace']))}, ...): {path} has "
        f"{', '.join(quote(name, 30) for name in names[:12])}. Map them in a card and name it with {option('card')}."
    )


def _by_theirs(table_map: ColumnMap) -> list[tuple[str, str]]:
    """(ours, theirs), each of theirs once: two of ours may come from one column."""
    seen: dict[str, str] = {}
    for ours, theirs in table_map.columns.items():
        known = seen.setdefault(theirs, ours)
        if known != ours and _kind(known, table_map) != _kind(ours, table_map):
            raise SpecError(f"column {theirs!r} cannot be text for one and a number for another: {known}, {ours}.")
    return [(ours, theirs) for theirs, ours in seen.items()]


def _kind(ours: str, table_map: ColumnMap) -> Any:
    if ours in _TEXT:
        return "text"
    if ours in _TIMES and table_map.time_unit == "datetime":
        return "datetime"
    return "float"


class _Builder:
    """Turns a table's columns, in the file's names and units, into ours."""

    def __init__(self, table: Table, table_map: ColumnMap) -> None:
        self.table = table
        self.map = table_map

    def trace(self, source: str, meta: dict[str, Any]) -> Trace:
        table, columns = self.table, self.map.columns
        self._gpus()
        for name, unit in (("cpu_mcore", self.map.cpu_unit), ("mem_mib", self.map.mem_unit)):
            self._quantity(name, _UNIT_FACTOR[unit])
        for name in ("priority", "group_limit"):
            self._quantity(name, 1.0, negative=name == "priority")
        if "task_id" in columns:
            table.require_unique(columns["task_id"])
        if "expected_s" in columns:
            expected = table[columns["expected_s"]]
            table.require(columns["expected_s"], np.isnan(expected) | (expected > 0), "> 0, or empty for unknown")
        origin = self._times()
        if origin is not None:
            meta["time_origin_s"] = origin
        everything = np.ones(len(table), bool)
        for name, action in (
            ("mem_mib", "given 0 MiB: memory is not in the map"),
            ("task_id", "given their row number as task_id: it is not in the map"),
            ("depart_s", "given an unknown departure: neither depart_s nor duration_s is in the map"),
        ):
            if name not in columns and not (name == "depart_s" and "duration_s" in columns):
                table.note(everything, "column not mapped", action)
        mask, models = self._mask()
        given: dict[str, Any] = {
            name: table[f"ours.{name}"]
            for name in ("priority", "group_limit", "gpu_count", "gpu_mgpu")
            if self._has(name)
        }
        for name in ("tenant", "group"):
            if name in columns:
                given[name] = codes(table[columns[name]], table.missing[columns[name]])[0]
        if "expected_s" in columns:
            given["expected_s"] = table[columns["expected_s"]] / _TIME_DIVISOR[self.map.time_unit]
        arrive, depart, seen = self._whole_times()
        return Trace(
            task_id=table[columns["task_id"]] if "task_id" in columns else table.rows,
            arrive_s=arrive,
            depart_s=depart,
            last_seen_s=seen,
            cpu_mcore=table["ours.cpu_mcore"],
            mem_mib=table["ours.mem_mib"] if self._has("mem_mib") else np.zeros(len(table), np.int64),
            gpu_model_mask=mask,
            gpu_models=models,
            source=source,
            meta=meta,
            report=table.report(),
            **given,
        )

    def machines(self, source: str, meta: dict[str, Any]) -> Machines:
        table, columns = self.table, self.map.columns
        for name, unit in (("cpu_mcore", self.map.cpu_unit), ("mem_mib", self.map.mem_unit)):
            self._quantity(name, _UNIT_FACTOR[unit])
        self._quantity("gpu_count", 1.0, largest=MAX_GPUS)
        table.require_unique(columns["machine_id"])
        given: dict[str, Any] = {}
        for name, names in (("gpu_model", "gpu_models"), ("power_curve", "power_curves"), ("site", "sites")):
            if name in columns:
                given[name], given[names] = codes(table[columns[name]], table.missing[columns[name]])
        if "price_per_h" in columns:
            given["price_per_h"] = table[columns["price_per_h"]]
        if self._has("gpu_count"):
            given["gpu_count"] = table["ours.gpu_count"]
        return Machines(
            machine_id=table[columns["machine_id"]],
            cpu_mcore=table["ours.cpu_mcore"],
            mem_mib=table["ours.mem_mib"],
            source=source,
            meta=meta,
            report=table.report(),
            **given,
        )

    def _has(self, name: str) -> bool:
        return f"ours.{name}" in self.table.values

    def _quantity(self, name: str, factor: float, *, negative: bool = False, largest: int = MAX_QUANTITY) -> None:
        """Convert a mapped column into whole units, as ``ours.<name>`` of the table."""
        theirs = self.map.columns.get(name)
        if theirs is None:
            return
        table = self.table
        if not negative:
            table.require(theirs, ~(table[theirs] < 0), ">= 0")
        ours, unit = f"ours.{name}", name.rpartition("_")[2]
        value = np.where(table.missing[theirs], 0.0, table[theirs] * factor)
        nearest = np.rint(value)
        off = np.abs(value - nearest) > _NOISE_ULPS * np.spacing(np.maximum(np.abs(value), 1.0))
        if self.map.rounding == "error":
            table.add(ours, nearest)
            fix = 'Check the unit, or set rounding = "up" (or "down", "nearest") in the card.'
            table.require(theirs, ~off, f"a whole number of {unit} (value times {factor:g})", fix)
        else:
            table.note(off, f"{theirs} is not whole in {unit}", f"rounded {self.map.rounding}")
            table.add(ours, np.where(off, _ROUND[self.map.rounding](value), nearest))
        table.require(theirs, np.abs(table[ours]) <= largest, f"at most {largest:,} {unit}")
        table.add(ours, table[ours].astype(np.int64))
        if name in ("cpu_mcore", "mem_mib") and list(self.map.columns.values()).count(theirs) == 1:
            table.forget(theirs)  # every rule about it is behind us

    def _gpus(self) -> None:
        self._quantity("gpu_count", 1.0, largest=MAX_GPUS)
        if not self._has("gpu_count"):
            return
        table = self.table
        if "gpu_mgpu" in self.map.columns:
            self._quantity("gpu_mgpu", _UNIT_FACTOR[self.map.gpu_unit], largest=1000)
            wants = table["ours.gpu_count"] > 0
            share = table["ours.gpu_mgpu"]
            theirs = self.map.columns["gpu_mgpu"]
            table.require(theirs, ~wants | (share >= 1), "a share > 0 where GPUs are asked for")
            wants, share = table["ours.gpu_count"] > 0, table["ours.gpu_mgpu"]
            table.note(~wants & (share > 0), f"{theirs} > 0 in a row without GPUs", "given gpu_mgpu 0")
            table.add("ours.gpu_mgpu", np.where(wants, share, 0))
        else:
            table.add("ours.gpu_mgpu", np.where(table["ours.gpu_count"] > 0, 1000, 0))
            wants = table["ours.gpu_mgpu"] > 0
            table.note(wants, "gpu_mgpu not mapped", "given whole GPUs (gpu_mgpu 1000)")

    def _mask(self) -> tuple[I64, tuple[str, ...]]:
        theirs = self.map.columns.get("gpu_models")
        if theirs is None:
            return np.full(len(self.table), ANY_MODEL), ()
        import pandas as pd

        code, specs = pd.factorize(np.where(self.table.missing[theirs], "", self.table[theirs]))
        allowed = [{name.strip() for name in str(one).split("|")} - {""} for one in specs]
        models = tuple(sorted(set().union(*allowed)))
        if len(models) > MAX_GPU_MODELS:
            raise TraceError(
                f"{theirs} must name at most {MAX_GPU_MODELS} GPU models: {self.table.name} has {len(models)}. "
                "Leave gpu_models out of the map, or merge models."
            )
        masks = [sum(1 << models.index(name) for name in names) if names else ANY_MODEL for names in allowed]
        return np.array(masks, np.int64)[code], models

    def _times(self) -> float | None:
        """Convert the times to float seconds (``ours.*``), check them, sort, shift; return the origin."""
        table, columns = self.table, self.map.columns
        divisor = _TIME_DIVISOR[self.map.time_unit]
        arrive_name = columns["arrive_s"]
        table.add("ours.arrive_s", table[arrive_name] / divisor)
        end_name = columns.get("depart_s") or columns.get("duration_s")
        for ours in ("depart_s", "last_seen_s"):
            theirs = columns.get(ours)
            if theirs is not None:
                raw = table[theirs]
                unknown = np.isnan(raw) | ((raw == UNKNOWN) & (self.map.time_unit != "datetime"))
                table.add(f"ours.{ours}", np.where(unknown, np.nan, raw / divisor))
        if "duration_s" in columns:
            raw = table[columns["duration_s"]]
            unknown = np.isnan(raw) | (raw == UNKNOWN)
            table.require(columns["duration_s"], unknown | (raw >= 0), ">= 0, or -1 or empty for unknown")
            raw = table[columns["duration_s"]]
            life = np.where(np.isnan(raw) | (raw == UNKNOWN), np.nan, raw / divisor)
            table.add("ours.depart_s", table["ours.arrive_s"] + life)
        if self.map.time_origin == "as_is":
            table.require(arrive_name, table["ours.arrive_s"] >= 0, '>= 0, or time_origin "first" in the card')
        for ours, theirs in (("depart_s", end_name), ("last_seen_s", columns.get("last_seen_s"))):
            if theirs is not None:
                end = table[f"ours.{ours}"]
                table.require(theirs, np.isnan(end) | (end >= table["ours.arrive_s"]), f">= {arrive_name}, or empty")
        table.sort_by("ours.arrive_s", arrive_name)
        if self.map.time_origin == "as_is" or len(table) == 0:
            return None
        origin = float(table["ours.arrive_s"][0])
        for name in ("arrive_s", "depart_s", "last_seen_s"):
            if self._has(name):
                table.add(f"ours.{name}", table[f"ours.{name}"] - origin)
        return int(origin) if origin == int(origin) else origin

    def _whole_times(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        table = self.table
        arrive: F64 = table["ours.arrive_s"]
        nothing = np.full(len(table), np.nan)
        depart = table["ours.depart_s"] if self._has("depart_s") else nothing
        seen = table["ours.last_seen_s"] if self._has("last_seen_s") else nothing
        known = ~np.isnan(depart)
        differs = known & ~np.isnan(seen) & (seen != depart)
        table.note(differs, "last_seen_s differs from a known depart_s", "given depart_s as last_seen_s")
        seen = np.where(known, depart, seen)
        times = whole_times(arrive, np.where(known, depart, UNKNOWN), np.where(np.isnan(seen), UNKNOWN, seen))
        return times[0], times[1], times[2]
