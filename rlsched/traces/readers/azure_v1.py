"""Azure V1 (2017): VM arrivals in 5-minute periods, with flavours and binned lifetimes.

Three files belong together: the arrivals (one line a period: ``<seconds> a,b,|,c,|``; a letter
is a flavour, ``|`` closes a batch: same tenant, same period), the durations in the same shape
(``U<bin>`` ended inside the window, ``C<bin>`` still running at its end), and two maps: letter →
``vCPU,GB`` and lifetime → bin. Durations and maps are found beside the arrivals.

**Seconds from bins.** A bin holds the lifetimes ``lo..hi`` of the interval map, which are
multiples of 300 s, each standing for the 300 s that begin there: the bin is
``[lo, hi + 300)``. A VM that ended inside the window cannot have lived past it, so the interval
is cut at ``window end - arrival``. In it, ``bin_rule`` takes

- ``uniform``: a whole second drawn uniformly (at least 1 s), from the stream
  ``azure_v1_lifetimes`` of ``seed``; the 5-minute period in which the VM ended stays possible;
- ``middle``: the middle, rounded down to a whole second;
- ``lower``: ``lo`` (so VMs of bin 0 leave the moment they come).

All VMs of a period carry the period's second. Times are shifted so that the first period is 0;
``meta["time_origin_s"]`` keeps the original second. GB are taken as GiB (1.75 GB = 1,792 MiB).

Source: Cortez et al., SOSP 2017; files of Bergsma et al., SOSP 2021.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rlsched.errors import MissingDataError, SpecError, TraceError
from rlsched.rng import stream
from rlsched.traces.advice import option
from rlsched.traces.columns import UNKNOWN, Drop, DropReport, Trace
from rlsched.traces.readers.source import Source, quote, read_source
from rlsched.traces.readers.table import check_choice
from rlsched.units import MCORE_PER_CORE, MIB_PER_GIB, whole

PERIOD_S = 300
I64 = npt.NDArray[np.int64]

_ARRIVAL_LINE = re.compile(rb"\d+ (?:(?:[a-z]|\|),)*(?:[a-z]|\|),?\r?")
_DURATION_LINE = re.compile(rb"\d+ (?:(?:[UC]\d+|\|),)*(?:[UC]\d+|\|)?,?\r?")
_CLOSE = ord("|")


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the first line is a period of arrivals (or of durations, which ``read`` explains)."""
    line, newline, _ = head.partition(b"\n")
    if not newline:
        line = line.rpartition(b",")[0]  # the head ends inside a long period
    return bool(_ARRIVAL_LINE.fullmatch(line) or _DURATION_LINE.fullmatch(line))


def read(
    path: Path,
    *,
    bin_rule: str = "uniform",
    seed: int = 0,
    durations: str = "auto",
    flavours: str = "auto",
    interval_map: str = "auto",
    window_end_s: int | None = None,
) -> Trace:
    """Read an arrivals file, with its durations where they exist.

    Parameters
    ----------
    path : Path
        The arrivals, plain or gzip.
    bin_rule : {"uniform", "middle", "lower"}
        How a lifetime bin becomes seconds; see the module.
    seed : int
        Root seed of the uniform rule.
    durations : str
        The durations file; ``"auto"`` takes ``<arrivals>.c<end>.txt[.gz]`` beside it, if there
        is one; ``"none"`` reads arrivals only.
    flavours, interval_map : str
        The maps; ``"auto"`` looks beside the arrivals and in ``../maps``.
    window_end_s : int, optional
        When the observation ended, on the file's clock; from the durations' name by default.

    Returns
    -------
    Trace
        int64 seconds; ``group`` and ``tenant`` are the batch; ``task_id`` the position in the
        file. A VM still running has ``depart_s`` -1 and ``last_seen_s`` at the window's end;
        without durations both are -1, and the report says so.

    Raises
    ------
    TraceError
        A line that is not of the format, durations that do not fit the arrivals.
    MissingDataError
        A map that cannot be found.
    """
    check_choice("bin_rule", bin_rule, ("uniform", "middle", "lower"))
    source = read_source(path)
    lines = _lines(source)
    if _DURATION_LINE.fullmatch(lines[0]) and not _ARRIVAL_LINE.fullmatch(lines[0]):
        raise TraceError(
            f"the arrivals file is needed: {path} holds the durations (U/C bins). Name the file of letters beside it."
        )
    flavour_source = read_source(_find(path, flavours, "flav_map.txt", "flavours"))
    sizes = _flavours(flavour_source)
    periods, letters, period_of, batch = _arrivals(source, lines)
    cpu, mem = _sizes(source, periods, period_of, letters, sizes)
    origin = int(periods[0])
    arrive = periods[period_of] - origin
    n = int(arrive.shape[0])
    files = {source.name: source.sha256, flavour_source.name: flavour_source.sha256}
    drops: list[Drop] = []
    depart = last_seen = np.full(n, UNKNOWN)
    duration_path = _find_durations(path, durations)
    if duration_path is None:
        drops.append(Drop("there is no durations file", "kept with an unknown departure", n))
    else:
        duration_source = read_source(duration_path)
        map_source = read_source(_find(path, interval_map, "v1.interval_map.txt", "interval_map"))
        files |= {one.name: one.sha256 for one in (duration_source, map_source)}
        end = _window_end(duration_path, window_end_s) - origin
        ended, bins = _durations(duration_source, source, lines)
        lo, hi = _interval_of_bins(map_source, duration_source, bins)
        _check_ages(duration_source, ended, lo, hi, end - arrive, arrive + origin)
        life = _lives(lo, np.minimum(hi + PERIOD_S, end - arrive), bin_rule, seed)
        depart = np.where(ended, arrive + life, UNKNOWN)
        last_seen = np.where(ended, depart, end)
        n_censored = int((~ended).sum())
        if n_censored:
            drops.append(
                Drop("still running at the end of the window", "kept with an unknown departure (censored)", n_censored)
            )
        if n - n_censored:
            drops.append(Drop("lifetime known as a bin", f"given seconds by the rule {bin_rule!r}", n - n_censored))
    return Trace(
        task_id=np.arange(n),
        arrive_s=arrive,
        depart_s=depart,
        last_seen_s=last_seen,
        cpu_mcore=cpu,
        mem_mib=mem,
        tenant=batch,
        group=batch,
        source=source.name,
        meta={"files": files, "time_origin_s": origin, "memory_unit": "1 GB of the source is 1 GiB"},
        report=DropReport(n, n, tuple(drops)),
    )


@dataclass(frozen=True)
class _Flavour:
    cpu_mcore: int
    mem_mib: int


def _lines(source: Source) -> list[bytes]:
    return [line.rstrip(b"\r") for line in source.data.rstrip(b"\r\n").split(b"\n")]


def _payload(line: bytes, number: int, name: str) -> tuple[int, bytes]:
    second, blank, rest = line.partition(b" ")
    if not blank or not second.isdigit():
        raise TraceError(
            f"a line must be '<seconds> a,b,|,...': got {quote(line[:40].decode('utf-8', 'replace'))} in line {number} "
            f"of {name}. Fix the line, or name another {option('format')}."
        )
    return int(second), rest.rstrip(b",")


def _arrivals(source: Source, lines: Sequence[bytes]) -> tuple[I64, npt.NDArray[np.uint8], I64, I64]:
    """Return (periods (P,), flavour letter of each VM (K,), its period row (K,), its batch (K,))."""
    seconds: list[int] = []
    payloads: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        second, payload = _payload(line, number, source.name)
        if seconds and second <= seconds[-1]:
            raise TraceError(
                f"periods must ascend: got {second} after {seconds[-1]} in line {number} of {source.name}. Sort them."
            )
        where = f"line {number} of {source.name}"
        if payload and not payload.endswith(b"|"):
            raise TraceError(f"a period must end with a closed batch, '|': {where} ends with {quote(payload[-8:])}.")
        if payload.startswith(b"|") or b"|,|" in payload:
            raise TraceError(f"a batch must hold a VM: {where} has an empty one. Remove the extra '|'.")
        if payload and (len(payload) % 2 == 0 or payload[1::2].strip(b",")):
            token = next(token for token in payload.split(b",") if len(token) != 1)
            raise TraceError(
                f"a flavour must be one letter: got {quote(token.decode('utf-8', 'replace'))} in {where}. "
                f"Fix the line, or name another {option('format')}."
            )
        seconds.append(second)
        payloads.append(payload + b"," if payload else b"")
    tokens = np.frombuffer(b"".join(payloads), np.uint8)[0::2]
    period_of_token = np.repeat(np.arange(len(payloads)), [len(payload) // 2 for payload in payloads])
    closes = tokens == _CLOSE
    vm = ~closes
    batch_of_token = np.cumsum(closes) - closes
    return np.array(seconds, np.int64), tokens[vm], period_of_token[vm], batch_of_token[vm].astype(np.int64)


def _sizes(
    source: Source, periods: I64, period_of: I64, letters: npt.NDArray[np.uint8], flavours: dict[int, _Flavour]
) -> tuple[I64, I64]:
    if letters.size == 0:
        raise TraceError(f"a trace must have at least one VM: all {periods.size} periods of {source.name} are empty.")
    cpu, mem = np.full(256, -1), np.full(256, -1)
    for letter, flavour in flavours.items():
        cpu[letter], mem[letter] = flavour.cpu_mcore, flavour.mem_mib
    unknown = np.flatnonzero(cpu[letters] < 0)
    if unknown.size:
        strange = chr(letters[unknown[0]])
        raise TraceError(
            f"a flavour must be in the flavour map: got {strange!r} in line {period_of[unknown[0]] + 1} of "
            f"{source.name} (and {unknown.size - 1} more). Known: {', '.join(map(chr, sorted(flavours)))}."
        )
    return cpu[letters], mem[letters]


def _flavours(source: Source) -> dict[int, _Flavour]:
    out: dict[int, _Flavour] = {}
    for number, line in enumerate(_lines(source), start=1):
        match = re.fullmatch(rb"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?) ([a-z])", line.strip())
        try:
            if match is None:
                raise ValueError("expected 'vCPU,GB letter'")
            out[match[3][0]] = _Flavour(
                whole(float(match[1]) * MCORE_PER_CORE, "millicores"), whole(float(match[2]) * MIB_PER_GIB, "MiB")
            )
        except ValueError as error:
            text = quote(line.decode("utf-8", "replace"))
            raise TraceError(
                f"a flavour map line is wrong: {error}: {text} in line {number} of {source.name}."
            ) from None
    return out


def _durations(source: Source, arrivals: Source, arrival_lines: Sequence[bytes]) -> tuple[npt.NDArray[np.bool_], I64]:
    """Return (ended inside the window (K,), bin (K,)); the shape must be that of the arrivals."""
    lines = _lines(source)
    if len(lines) != len(arrival_lines):
        raise TraceError(
            f"durations must have a line for each period: {source.name} has {len(lines)}, {arrivals.name} "
            f'{len(arrival_lines)}. Name the right file with durations=, or read with durations="none".'
        )
    ended: list[bool] = []
    bins: list[int] = []
    for number, (line, arrival_line) in enumerate(zip(lines, arrival_lines, strict=True), start=1):
        where = f"line {number} of {source.name}"
        second, payload = _payload(line, number, source.name)
        expected, arrival_payload = _payload(arrival_line, number, arrivals.name)
        tokens, letters = payload.split(b","), arrival_payload.split(b",")
        if second != expected or len(tokens) != len(letters):
            raise TraceError(
                f"durations must fit the arrivals: got second {second} with {len(tokens)} entries where "
                f"{arrivals.name} has {expected} with {len(letters)}, in {where}. Name the right file with durations=."
            )
        for token, letter in zip(tokens, letters, strict=True):
            if letter in (b"|", b""):
                if token != letter:
                    raise TraceError(
                        f"batches must end where the arrivals' do: got {quote(token.decode())} in {where}."
                    )
                continue
            if token[:1] not in (b"U", b"C") or not token[1:].isdigit():
                text = quote(token.decode("utf-8", "replace"))
                raise TraceError(f"a duration must be U<bin> or C<bin>: got {text} in {where}. Fix the entry.")
            ended.append(token[:1] == b"U")
            bins.append(int(token[1:]))
    return np.array(ended, bool), np.array(bins, np.int64)


def _interval_of_bins(map_source: Source, duration_source: Source, bins: I64) -> tuple[I64, I64]:
    """Smallest and largest lifetime of the bin of each VM, seconds."""
    pairs = []
    for number, line in enumerate(_lines(map_source), start=1):
        fields = line.split()
        if len(fields) != 2 or not all(field.isdigit() for field in fields):
            text = quote(line.decode("utf-8", "replace"))
            raise TraceError(
                f"an interval map line must be '<seconds> <bin>': got {text} in line {number} of {map_source.name}."
            )
        pairs.append((int(fields[1]), int(fields[0])))
    lo: dict[int, int] = {}
    hi: dict[int, int] = {}
    for bin_, second in pairs:
        lo[bin_] = min(second, lo.get(bin_, second))
        hi[bin_] = max(second, hi.get(bin_, second))
    strange = sorted(set(np.unique(bins).tolist()) - set(lo))
    if strange:
        raise TraceError(
            f"a bin must be in the interval map: got {strange[0]} in {duration_source.name}; {map_source.name} has "
            f"{min(lo)}..{max(lo)}. Name the right map with interval_map=."
        )
    codes, inverse = np.unique(bins, return_inverse=True)
    return (
        np.array([lo[int(code)] for code in codes], np.int64)[inverse],
        np.array([hi[int(code)] for code in codes], np.int64)[inverse],
    )


def _check_ages(source: Source, ended: npt.NDArray[np.bool_], lo: I64, hi: I64, left: I64, arrival_clock: I64) -> None:
    """A VM that ended did so inside the window; one that did not has just the age of its bin."""
    wrong = np.flatnonzero(np.where(ended, lo > left, (left < lo) | (left >= hi + PERIOD_S)))
    if wrong.size:
        at = wrong[0]
        kind = "U" if ended[at] else "C"
        raise TraceError(
            f"a lifetime must fit the window: got {kind} with {lo[at]}..{hi[at]} s for a VM that arrived at second "
            f"{arrival_clock[at]}, {left[at]} s before the end, in {source.name} (and {wrong.size - 1} more). "
            "Check window_end_s and the interval map."
        )


def _lives(lo: I64, until: I64, bin_rule: str, seed: int) -> I64:
    """Whole seconds in ``[lo, until)`` by the rule; ``lo`` where that is empty."""
    until = np.maximum(until, lo + 1)
    if bin_rule == "lower":
        return lo
    if bin_rule == "middle":
        return (lo + until) // 2
    first = np.maximum(lo, 1)
    drawn: I64 = stream(seed, "azure_v1_lifetimes").integers(first, np.maximum(until, first + 1))
    return drawn


def _beside(path: Path, names: Sequence[str]) -> Path | None:
    folders = (path.parent, path.parent.parent / "maps", path.parent / "maps")
    return next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)


def _find(path: Path, given: str, name: str, option: str) -> Path:
    if given != "auto":
        return Path(given)
    found = _beside(path, (name, f"{name}.gz"))
    if found is None:
        raise MissingDataError(
            f"Azure V1 arrivals need {name}: it is neither beside {path} nor in ../maps. Copy it there, or name it "
            f"with {option}=."
        )
    return found


def _find_durations(path: Path, given: str) -> Path | None:
    if given == "none":
        return None
    if given != "auto":
        return Path(given)
    stem = path.name.removesuffix(".gz").removesuffix(".txt")
    pattern = re.compile(re.escape(stem) + r"\.c\d+\.txt(\.gz)?")
    found = sorted(entry for entry in path.parent.iterdir() if pattern.fullmatch(entry.name))
    if len(found) > 1:
        raise SpecError(
            f"{len(found)} durations files lie beside {path}: {', '.join(entry.name for entry in found)}. "
            "Name one with durations=."
        )
    return found[0] if found else None


def _window_end(path: Path, given: int | None) -> int:
    if given is not None:
        return given
    match = re.search(r"\.c(\d+)\.", path.name)
    if match is None:
        raise SpecError(
            f"the end of the window is not known: {path.name} is not named '<arrivals>.c<end>.txt'. "
            "Give it with window_end_s=."
        )
    return int(match[1])
