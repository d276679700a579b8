"""PlanetLab (CoMon), March and April 2011: a day of CPU load of each of about a thousand VMs.

One file is one VM and one day: 288 lines, each a whole number of percent, one per 5 minutes.
A day is a folder, or a folder inside ``planetlab.tar.gz``. Files are taken in ascending order of
the bytes of their names, the order CloudSim runs see on a sorted file system.

Nothing is repaired: a file with more or fewer than 288 samples, with text, or with a number
outside 0..100 is an error that names file and line.

Source: Park, Pai, "CoMon", SIGOPS OSR 40(1), 2006; Beloglazov, Buyya, CCPE 24(13), 2012.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.traces.columns import DropReport, Usage
from rlsched.traces.readers.source import first_head, list_files, quote, read_source, read_tar

SAMPLES = 288
STEP_S = 300
_DAY = re.compile(r"(?:.*/)?(\d{8})/([^/]+)")
_TAR_MAGIC = slice(257, 262)


def sniff(head: bytes, path: Path) -> bool:
    """Whether the content is an archive of day folders, a day folder, or one VM's day."""
    if path.is_dir():
        head = first_head(path)
    if head[_TAR_MAGIC] == b"ustar":
        name = head[:100].split(b"\0", 1)[0].decode("utf-8", "replace")
        return bool(re.match(r"(?:.*/)?\d{8}/", name))
    lines = head.split(b"\n")[:5]
    return bool(lines[0].strip()) and all(re.fullmatch(rb"\d{1,3}\r?|", line) for line in lines)


def read(path: Path, *, day: str | None = None) -> Usage:
    """Read one day, or one VM of a day.

    Parameters
    ----------
    path : Path
        ``planetlab.tar.gz``, a day's folder, or a single file.
    day : str, optional
        ``YYYYMMDD``; needed for an archive of several days, and only for an archive.

    Returns
    -------
    Usage
        288 samples a series, ``start_s`` 0, ``step_s`` 300; ``series_id`` is the file name.
        ``cpu_share`` is percent / 100; ``extra["cpu_pct"]`` holds the whole numbers of the file.

    Raises
    ------
    TraceError
        Not 288 samples, text, or a number outside 0..100: names file and line.
    SpecError
        A day that is not in the archive, or none where there are several.
    """
    day = None if day is None else str(day)
    if path.is_dir():
        _refuse_day(day, path, "a day's folder")
        stored = [read_source(file) for file in list_files(path)]
        entries = [(Path(one.name).name.removesuffix(".gz"), one.name, one.data) for one in stored]
        files = {one.name: one.sha256 for one in stored}
    else:
        source = read_source(path)
        files = {source.name: source.sha256}
        if source.data[_TAR_MAGIC] == b"ustar":
            entries, day = _members(read_tar(source), day, path)
        else:
            _refuse_day(day, path, "one VM's file")
            entries = [(path.name.removesuffix(".gz"), source.name, source.data)]
    entries.sort(key=lambda entry: os.fsencode(entry[0]))
    percent = np.stack([_samples(data, where) for _, where, data in entries])
    n = percent.size
    return Usage(
        series_id=np.array([name for name, _, _ in entries], object),
        offset=np.arange(len(entries) + 1) * SAMPLES,
        start_s=np.zeros(len(entries), np.int64),
        step_s=STEP_S,
        cpu_share=percent.ravel() / 100,
        extra={"cpu_pct": percent.ravel().astype(np.float64)},
        source=str(path),
        meta={"files": files, "day": day},
        report=DropReport(n, n),
    )


def _refuse_day(day: str | None, path: Path, what: str) -> None:
    if day is not None:
        raise SpecError(f"day chooses a folder of an archive: {path} is {what}. Leave the day out.")


def _members(
    members: Iterable[tuple[str, bytes]], day: str | None, path: Path
) -> tuple[list[tuple[str, str, bytes]], str]:
    days: dict[str, list[tuple[str, str, bytes]]] = {}
    for name, content in members:
        match = _DAY.fullmatch(name)
        if match is None:
            raise TraceError(
                f"an archive must hold YYYYMMDD/<VM> only: got {quote(name)} in {path}. Repack it, or unpack a day "
                "and read its folder."
            )
        days.setdefault(match[1], []).append((match[2], f"{path}:{name}", content))
    if not days:
        raise TraceError(f"an archive must hold files: {path} has none. Download it again.")
    if day is None and len(days) == 1:
        day = next(iter(days))
    if day is None:
        raise SpecError(f"{path} holds {len(days)} days. Choose one with day= (--day): {', '.join(sorted(days))}.")
    if day not in days:
        raise SpecError(f"no day {day!r} in {path}.{did_you_mean(day, days)}")
    return days[day], day


def _samples(data: bytes, where: str) -> npt.NDArray[np.int64]:
    lines = data.rstrip(b"\r\n").replace(b"\r\n", b"\n").split(b"\n") if data.strip() else []
    for number, line in enumerate(lines, start=1):
        if not (line.isdigit() and len(line) <= 3 and int(line) <= 100):
            text = quote(line.decode("utf-8", "replace"))
            raise TraceError(
                f"a sample must be a whole number of percent in 0..100: got {text} in line {number} of {where}. "
                "Fix the line, or leave the file out."
            )
    if len(lines) != SAMPLES:
        raise TraceError(
            f"a day must have exactly {SAMPLES} samples (one per 5 minutes): got {len(lines)} in {where}. "
            "Complete the file, or leave it out."
        )
    return np.array([int(line) for line in lines], np.int64)
