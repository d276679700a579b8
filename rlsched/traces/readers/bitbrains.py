"""Bitbrains GWA-T-12 ("fastStorage", "rnd"): 5-minute load of business-critical VMs.

One file is one VM, ``<VM id>.csv``; separator ``;`` or ``;`` and a tab. The header says
``Timestamp [ms]`` and means seconds since 1970. Samples repeat, interleave and are missing, so
each series is put on a 300 s grid: the time is floored to 5 minutes, the samples of one slot are
averaged, a slot without a sample is NaN. Where the provisioned CPU is 0 MHz the VM is off, and
its CPU share is missing, not 0; likewise memory. Everything is counted in the report.

``cpu_share`` is used over provisioned MHz, ``mem_share`` active over provisioned memory (each
sample's own provisioning); both may pass 1, memory by far (up to 2,048) in single samples as a
VM starts. ``cpu_mcore`` and ``mem_mib`` are the largest provisioning of the file, -1 where that
is 0. KB are taken as KiB (``6.7108864E7`` KB are 64 GiB).

Times are shifted so that the earliest slot of what was read is 0; ``meta["time_origin_s"]``
keeps its second since 1970.

Source: Shen, van Beek, Iosup, "Statistical Characterization of Business-Critical Workloads
Hosted in Cloud Datacenters", CCGrid 2015.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.columns import UNKNOWN, Drop, DropReport, Usage
from rlsched.traces.readers.slots import merge_reports
from rlsched.traces.readers.source import first_head, header_names, list_files, read_source
from rlsched.traces.readers.table import Column, read_csv
from rlsched.units import MCORE_PER_CORE

STEP_S = 300
KIB_PER_MIB = 1024

_TIME = "Timestamp [ms]"
_CORES = "CPU cores"
_CPU_CAPACITY = "CPU capacity provisioned [MHZ]"
_CPU_USED = "CPU usage [MHZ]"
_MEM_CAPACITY = "Memory capacity provisioned [KB]"
_MEM_USED = "Memory usage [KB]"
EXTRA = {
    "disk_read_kib_s": "Disk read throughput [KB/s]",
    "disk_write_kib_s": "Disk write throughput [KB/s]",
    "net_in_kib_s": "Network received throughput [KB/s]",
    "net_out_kib_s": "Network transmitted throughput [KB/s]",
}
COLUMNS = (
    Column(_TIME),
    Column(_CORES),
    *(Column(name, "float") for name in (_CPU_CAPACITY, _CPU_USED, _MEM_CAPACITY, _MEM_USED, *EXTRA.values())),
)

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of a directory's first file, is Bitbrains'."""
    if path.is_dir():
        head = first_head(path)
    return {_TIME, _CORES, _CPU_CAPACITY} <= set(header_names(head))


def read(path: Path, *, on_bad_row: str = "error") -> Usage:
    """Read one VM's file, or a directory of them.

    Parameters
    ----------
    path : Path
        A file, or a directory that holds nothing but VM files (``2013-8``).
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Usage
        ``step_s`` 300; a series a file, ``series_id`` the VM id, ascending by number; ``extra``
        has ``disk_read_kib_s, disk_write_kib_s, net_in_kib_s, net_out_kib_s``.

    Raises
    ------
    TraceError
    """
    files = list_files(path) if path.is_dir() else [path]
    series = sorted((_read_vm(file, on_bad_row) for file in files), key=lambda vm: vm.order)
    ids = [vm.series_id for vm in series]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise TraceError(f"a VM must have one file: {path} holds several for {twice!r}. Keep one of them.")
    origin = min(vm.start_s for vm in series)
    return Usage(
        series_id=np.array(ids, object),
        offset=np.concatenate([[0], np.cumsum([vm.cpu_share.size for vm in series])]),
        start_s=np.array([vm.start_s - origin for vm in series]),
        step_s=STEP_S,
        cpu_share=np.concatenate([vm.cpu_share for vm in series]),
        mem_share=np.concatenate([vm.mem_share for vm in series]),
        extra={name: np.concatenate([vm.extra[name] for vm in series]) for name in EXTRA},
        cpu_mcore=np.array([vm.cpu_mcore for vm in series]),
        mem_mib=np.array([vm.mem_mib for vm in series]),
        source=str(path),
        meta={
            "files": {vm.file: vm.sha256 for vm in series},
            "time_origin_s": origin,
            "memory_unit": "1 KB of the source is 1 KiB",
        },
        report=merge_reports([vm.report for vm in series], len(files) > 1),
    )


@dataclass(frozen=True)
class _Vm:
    file: str
    sha256: str
    series_id: str
    start_s: int
    cpu_share: F64
    mem_share: F64
    extra: dict[str, F64]
    cpu_mcore: int
    mem_mib: int
    report: DropReport

    @property
    def order(self) -> tuple[int, int, bytes]:
        """Numbers before names, numbers by value."""
        number = self.series_id.isdigit()
        return (0 if number else 1, int(self.series_id) if number else 0, os.fsencode(self.series_id))


def _read_vm(path: Path, on_bad_row: str) -> _Vm:
    source = read_source(path)
    # The tab after each semicolon is part of the separator, not of the names.
    source = dataclasses.replace(source, data=source.data.replace(b";\t", b";"))
    table = read_csv(source, COLUMNS, delimiter=";", on_bad_row=on_bad_row)
    for column in COLUMNS:
        table.require(column.name, table[column.name] >= 0, ">= 0")
    if len(table) == 0:
        raise TraceError(f"a VM must have at least one good row: {path} has none. See the rows' faults without skip.")
    table.sort_by(_TIME)
    time = table[_TIME]
    again = np.concatenate([[False], time[1:] == time[:-1]])
    slot_of_row = time // STEP_S
    start = int(slot_of_row[0])
    row = (slot_of_row - start).astype(np.intp)
    n = int(row[-1]) + 1
    if n > 100 * len(table) + 105_120:  # a year of slots more than samples explain: a broken clock, not a gap
        raise TraceError(
            f"{_TIME} must be seconds since 1970 of one measurement: {path} spans {n:,} slots of 5 minutes with "
            f"{len(table):,} rows. Check the unit of the time column."
        )
    cpu_off, mem_off = table[_CPU_CAPACITY] == 0, table[_MEM_CAPACITY] == 0
    same_slot = np.concatenate([[False], row[1:] == row[:-1]])
    table.note(again, "the time stamp of another row", "merged: averaged into its 5-minute slot")
    table.note(same_slot & ~again, "in the 5-minute slot of another row", "merged: averaged into it")
    table.note(cpu_off, "0 MHz provisioned (VM off)", "given a missing cpu_share")
    table.note(mem_off, "no memory provisioned", "given a missing mem_share")
    for used, capacity, share in ((_CPU_USED, _CPU_CAPACITY, "cpu_share"), (_MEM_USED, _MEM_CAPACITY, "mem_share")):
        above = (table[capacity] > 0) & (table[used] > table[capacity])
        table.note(above, "more used than provisioned", f"kept with a {share} above 1")
    cores = int(table[_CORES].max())
    fewer = (table[_CORES] > 0) & (table[_CORES] < cores)
    table.note(fewer, "fewer CPU cores than the VM has at other times", "kept: cpu_mcore is the most it has")
    filled = int(np.unique(row).size)
    report = _with_gaps(table.report(), n - filled, int((again | same_slot).sum()))
    mem_kib = float(table[_MEM_CAPACITY].max())
    mem_mib = int(np.ceil(mem_kib / KIB_PER_MIB))
    if mem_mib * KIB_PER_MIB != mem_kib:
        rounded = Drop("the largest provisioned memory of a VM is not whole MiB", "with mem_mib rounded up", 1)
        report = dataclasses.replace(report, drops=(*report.drops, rounded))
    return _Vm(
        file=source.name,
        sha256=source.sha256,
        series_id=path.name.removesuffix(".gz").removesuffix(".csv"),
        start_s=start * STEP_S,
        cpu_share=_slot_mean(row, _share(table[_CPU_USED], table[_CPU_CAPACITY]), n),
        mem_share=_slot_mean(row, _share(table[_MEM_USED], table[_MEM_CAPACITY]), n),
        extra={name: _slot_mean(row, table[column], n) for name, column in EXTRA.items()},
        cpu_mcore=cores * MCORE_PER_CORE if cores else UNKNOWN,
        mem_mib=mem_mib if mem_mib else UNKNOWN,
        report=report,
    )


def _with_gaps(report: DropReport, gaps: int, merged: int) -> DropReport:
    drops = report.drops
    if gaps:
        drops = (*drops, Drop("5-minute slot without a sample", "added as missing", gaps))
    return DropReport(report.rows_read, report.rows_kept - merged, drops)


def _share(used: F64, capacity: F64) -> F64:
    out = np.full(used.shape[0], np.nan)
    np.divide(used, capacity, out=out, where=capacity > 0)
    return out


def _slot_mean(slot: npt.NDArray[np.intp], value: F64, n: int) -> F64:
    """Mean of the values of each slot, ``(n,)``; NaN values do not count, NaN where none is left."""
    known = ~np.isnan(value)
    count = np.bincount(slot[known], minlength=n)
    total = np.bincount(slot[known], weights=value[known], minlength=n)
    out = np.full(n, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out
