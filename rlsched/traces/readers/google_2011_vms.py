"""Google 2011, derived VMs: CPU and memory of jobs, a day a file (Hieu et al.).

``GCD_VMs/vm_<job>_<day>``: 288 lines ``CPU % memory %``, 5-minute sums over the tasks of a job on
day 1 to 10. The days of a job are joined to one series that starts with its first day; a day
between two that is not there is missing. Both are percent of a VM the authors do not size, so the
request is unknown; memory passes 100 % (up to 215 %) and is kept. The authors kept values between
5 and 90 % of CPU only.

Source: Reiss, Wilkes, Hellerstein, 2011; Hieu, Di Francesco, Yla-Jaaski, IEEE TSC 2020.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.errors import SpecError, TraceError
from rlsched.traces.columns import F64, Drop, DropReport, Usage
from rlsched.traces.readers.slots import label_order
from rlsched.traces.readers.source import (
    first_head,
    first_line,
    is_tar,
    list_files,
    list_tree,
    quote,
    read_source,
    read_tar,
    tar_head,
)

STEP_S = 300
SAMPLES = 288
_FILE = re.compile(r"(?:.*/)?vm_(\d+)_(\d+)")
_LINE = re.compile(rb"\d+(\.\d*)?(e[+-]?\d+)?[ \t]+\d+(\.\d*)?(e[+-]?\d+)?\r?", re.IGNORECASE)


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is an archive or folder of such files, or has two numbers a line."""
    if path.is_dir():
        first = list_tree(path)[0]
        return bool(_FILE.fullmatch(first.name.removesuffix(".gz"))) and sniff(first_head(path), first)
    if is_tar(head):
        name, content = tar_head(head)
        return bool(_FILE.fullmatch(name)) and bool(_LINE.fullmatch(first_line(content).encode()))
    lines = head.split(b"\n")[:5]
    return len(lines) > 1 and all(_LINE.fullmatch(line) for line in lines if line.strip()) and bool(lines[0].strip())


def read(path: Path, *, days: str = "join") -> Usage:
    """Read the archive, a folder of files, or one file.

    Parameters
    ----------
    path : Path
    days : {"join", "apart"}
        One series a job over its days, or one series a file with ``start_s`` 0.

    Returns
    -------
    Usage
        ``step_s`` 300; ``series_id`` the job (``apart``: ``<job>_<day>``), ascending;
        ``start_s`` counts from the first second of day 1.

    Raises
    ------
    TraceError
        Not 288 lines of two numbers >= 0: names file and line.
    """
    if days not in ("join", "apart"):
        raise SpecError(f"days must be 'join' or 'apart': got {days!r}.")
    entries, files = _entries(path)
    of_job: dict[str, dict[int, F64]] = {}
    for name, where, data in entries:
        match = _FILE.fullmatch(name)
        job, day = (match[1], int(match[2])) if match else (name, 1)
        key = f"{job}_{day}" if days == "apart" and match else job
        if not 1 <= day <= 366:
            raise TraceError(
                f"a day must be in 1..366: got {day} in the name {quote(name)} of {where}. Rename the file."
            )
        if (day if days == "join" else 1) in of_job.setdefault(key, {}):
            raise TraceError(f"a job must have one file a day: {path} holds several for {quote(name)}. Keep one.")
        of_job[key][day if days == "join" else 1] = _samples(data, where)
    ids = sorted(of_job, key=label_order)
    series: list[F64] = []
    start: list[int] = []
    absent = 0
    for job in ids:
        own = of_job[job]
        first, last = min(own), max(own)
        gap = np.full((SAMPLES, 2), np.nan)
        series.append(np.concatenate([own.get(day, gap) for day in range(first, last + 1)]))
        start.append((first - 1) * SAMPLES * STEP_S)
        absent += last - first + 1 - len(own)
    values = np.concatenate(series) / 100
    n = SAMPLES * len(entries)
    drops = []
    if absent:
        drops.append(Drop("a day between two days of a job has no file", "added as missing (288 samples each)", absent))
    above = int((values[:, 1] > 1).sum())
    if above:
        drops.append(Drop("more memory than the VM has", "kept with a mem_share above 1", above))
    return Usage(
        series_id=np.array(ids, object),
        offset=np.concatenate([[0], np.cumsum([one.shape[0] for one in series])]),
        start_s=np.array(start, np.int64),
        step_s=STEP_S,
        cpu_share=values[:, 0],
        mem_share=values[:, 1],
        source=str(path),
        meta={"files": files},
        report=DropReport(n, n, tuple(drops)),
    )


def _entries(path: Path) -> tuple[list[tuple[str, str, bytes]], dict[str, str]]:
    """(name without .gz, place for messages, content) of every file, and their hashes."""
    if path.is_dir():
        sources = [read_source(file) for file in list_files(path)]
        entries = [(Path(one.name).name.removesuffix(".gz"), one.name, one.data) for one in sources]
        return entries, {one.name: one.sha256 for one in sources}
    source = read_source(path)
    if is_tar(source.data):
        entries = [(name, f"{path}:{name}", data) for name, data in read_tar(source)]
        wrong = next((name for name, _, _ in entries if not _FILE.fullmatch(name)), None)
        if wrong is not None or not entries:
            raise TraceError(
                f"an archive must hold vm_<job>_<day> only: got {quote(wrong or 'nothing')} in {path}. Repack it."
            )
        return entries, {source.name: source.sha256}
    return [(path.name.removesuffix(".gz"), source.name, source.data)], {source.name: source.sha256}


def _samples(data: bytes, where: str) -> F64:
    lines = data.rstrip(b"\r\n").split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not _LINE.fullmatch(line):
            text = quote(line.decode("utf-8", "replace"))
            raise TraceError(
                f"a line must be two numbers >= 0, CPU and memory in percent: got {text} in line {number} of {where}. "
                "Fix the line, or leave the file out."
            )
    if len(lines) != SAMPLES:
        raise TraceError(
            f"a day must have exactly {SAMPLES} lines (one per 5 minutes): got {len(lines)} in {where}. "
            "Complete the file, or leave it out."
        )
    return np.array(b" ".join(lines).split(), np.float64).reshape(SAMPLES, 2)
