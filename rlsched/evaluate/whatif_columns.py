"""Whose column is whose: a map from a stranger's column names and units to ours, suggested or given.

A suggestion is made from names and the first rows alone, and is never used without having been
read by a person: it is printed as a ready ``--columns`` and as a card.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlsched import spec
from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.traces.card import ColumnMap, known_columns, load_card
from rlsched.traces.readers.parquet_table import parquet_names
from rlsched.traces.readers.source import first_line, quote, read_head
from rlsched.traces.store import PARQUET_MAGIC

SAMPLE_ROWS = 1000
NEAR = 0.78  # likeness of two names from which on one is taken for the other
#: Settings of a map that text may hold, besides columns.
SETTINGS = ("time_unit", "time_origin", "cpu_unit", "mem_unit", "gpu_unit", "rounding", "delimiter", "on_bad_row")
NEEDED = {"trace": ("arrive_s", "cpu_mcore"), "machines": ("machine_id", "cpu_mcore", "mem_mib")}
MEANING = {
    "arrive_s": "when a task arrives",
    "cpu_mcore": "CPU it asks for, or a machine has",
    "machine_id": "a machine's unique name",
    "mem_mib": "memory",
}
_TRACE_NAMES = {
    "task_id": "id task vm pod job container instance name workload uid uuid",
    "arrive_s": "arrive arrival arrived start started startedat begin created createdat creation creationtime submit "
    "submitted submittedat submission launch launched timestamp requested requestedat arrivaltime starttime time",
    "depart_s": "depart departure departed end ended endedat finish finished finishedat delete deleted deletedat "
    "deletion terminate terminated terminatedat stop stopped complete completed completedat endtime",
    "duration_s": "duration runtime lifetime elapsed life runseconds ttl",
    "cpu_mcore": "cpu cpus vcpu vcpus core cores ncpu ncpus millicores millicpu mcpu processors",
    "mem_mib": "mem memory ram",
    "gpu_count": "gpu gpus ngpu ngpus accelerators",
    "gpu_mgpu": "gpumilli gpushare gpufraction",
    "gpu_models": "gpumodel gpumodels gputype gpuspec",
    "priority": "priority prio",
    "tenant": "tenant user owner customer account subscription namespace project team",
    "group": "group deployment app application service jobgroup",
}
_MACHINE_NAMES = {
    "machine_id": "id machine node host hostname nodename server sn name instance",
    "cpu_mcore": _TRACE_NAMES["cpu_mcore"],
    "mem_mib": _TRACE_NAMES["mem_mib"],
    "gpu_count": _TRACE_NAMES["gpu_count"],
    "gpu_model": _TRACE_NAMES["gpu_models"],
    "power_curve": "powercurve powermodel",
    "site": "site region zone az datacenter",
    "price_per_h": "price pricehour priceperhour hourlyprice hourlycost costperhour usdperhour cost",
}
#: Words that say nothing about which column it is.
_NOISE = {
    "requested", "request", "requests", "req", "total", "num", "number", "of", "n", "the", "per", "at", "allocatable",
    "capacity", "size", "limit", "count",
}  # fmt: skip
#: A column of measured load is never a request.
_MEASURED = {
    "usage", "used", "util", "utilization", "utilisation", "avg", "mean", "max", "min", "p95", "p99", "percent", "pct",
    "load",
}  # fmt: skip
_CPU_WORDS = {
    "mcore": "mcore", "millicores": "mcore", "millicpu": "mcore", "mcpu": "mcore", "millis": "mcore",
    "core": "cores", "cores": "cores", "vcpu": "cores", "vcpus": "cores", "processors": "cores",
}  # fmt: skip
_MEM_WORDS = {"mib": "mib", "mb": "mib", "gib": "gib", "gb": "gib", "kib": "kib", "kb": "kib", "bytes": "bytes"}
_TIME_WORDS = {"s": "s", "sec": "s", "secs": "s", "seconds": "s", "ms": "ms", "millis": "ms", "us": "us"}
_UNITS = set(_MEM_WORDS) | set(_TIME_WORDS) | {"mcore", "usd", "dollars", "utc", "h", "hour"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?$")


@dataclass(frozen=True)
class Suggestion:
    """A map that looks right for a file.

    Parameters
    ----------
    path : Path
    kind : {"trace", "machines"}
    found : tuple of str
        Columns of the file.
    columns : dict of str to str
        Ours → theirs.
    settings : dict of str to str
        Units and the like, where they are not the defaults.
    reasons : tuple of str
        What was concluded from what, to be checked by a person.
    """

    path: Path
    kind: str
    found: tuple[str, ...]
    columns: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Columns of ours that are needed and that no column looks like."""
        return tuple(name for name in NEEDED[self.kind] if name not in self.columns)

    @property
    def option(self) -> str:
        """The command-line option that takes the map."""
        return "--columns" if self.kind == "trace" else "--machine-columns"

    @property
    def text(self) -> str:
        """The map as the option takes it; ``""`` where a name holds a comma, which only a card can."""
        pairs = {**self.columns, **dict.fromkeys(self.missing, "?"), **self.settings}
        if any("," in name for name in self.columns.values()):
            return ""
        return ",".join(f"{ours}={theirs}" for ours, theirs in pairs.items() if ours != "delimiter")

    @property
    def card(self) -> str:
        """The map as a card."""
        pairs = {**self.columns, **dict.fromkeys(self.missing, "?")}
        lines = ['reader = "generic"', "", "[table]", f'kind = "{self.kind}"']
        lines += [f"{name} = {_toml(value)}" for name, value in self.settings.items()]
        lines += ["", "[table.columns]", *(f"{ours} = {_toml(theirs)}" for ours, theirs in pairs.items())]
        return "\n".join(lines)

    def message(self) -> str:
        """What to say of a file whose columns are not known: found, nearest, and a ready map."""
        lines = [
            f"{self.path} must use known column names to be read as {'a trace' if self.kind == 'trace' else 'machines'}"
            f": it has {', '.join(quote(name, 30) for name in self.found[:20])}"
            f"{f' and {len(self.found) - 20} more' if len(self.found) > 20 else ''}.",
        ]
        if self.columns:
            nearest = ", ".join(f"{ours} = {theirs!r}" for ours, theirs in self.columns.items())
            lines.append(f"Nearest to ours: {nearest}.")
        for name in self.missing:
            lines.append(f"None looks like {name} ({MEANING[name]}): put its name in the place of the '?'.")
        lines += [f"Check: {reason}." for reason in self.reasons]
        if self.text and "delimiter" not in self.settings:
            lines.append(f"If this is right, add: {self.option} {shlex.quote(self.text)}")
            lines.append(f"or save the lines below as a file and add: {self.option} FILE.toml")
        else:
            lines.append(f"If this is right, save the lines below as a file and add: {self.option} FILE.toml")
        return "\n  ".join([*lines, "", *self.card.splitlines()])


def suggest(path: Path, kind: str) -> Suggestion:
    """Find the columns of a file that look like ours, and their units.

    Raises
    ------
    TraceError
        When the file cannot be read.
    """
    found, rows, delimiter = _peek(path)
    columns = _match(found, _TRACE_NAMES if kind == "trace" else _MACHINE_NAMES)
    if "depart_s" in columns:
        columns.pop("duration_s", None)
    if "gpu_count" not in columns:
        for name in ("gpu_mgpu", "gpu_models", "gpu_model"):
            columns.pop(name, None)
    columns = {name: columns[name] for name in known_columns(kind) if name in columns}
    values = {ours: [row.get(theirs, "") for row in rows] for ours, theirs in columns.items()}
    settings: dict[str, str] = {} if delimiter == "," else {"delimiter": delimiter}
    reasons: list[str] = []
    for ours, judge in (("arrive_s", _time), ("cpu_mcore", _cpu), ("mem_mib", _mem)):
        if ours in columns:
            said, reason = judge(columns[ours], values[ours])
            settings |= said
            reasons += [reason] if reason else []
    if "gpu_mgpu" in columns and any(0 < one <= 1 for one in _numbers(values["gpu_mgpu"])):
        settings["gpu_unit"] = "gpu"
    if _broken(values, settings):
        settings["rounding"] = "up"
        reasons.append("some requests are not whole in millicores or MiB; they are rounded up")
    return Suggestion(path, kind, found, columns, settings, tuple(reasons))


def read_map(text: str, kind: str) -> ColumnMap | Path:
    """What ``--columns`` was given: a card, or ``ours=theirs,...`` with units among them.

    Raises
    ------
    SpecError
        Not of that form, an unknown column or unit.
    """
    option = "--columns" if kind == "trace" else "--machine-columns"
    if "=" not in text or text.endswith(".toml"):
        path = Path(text)
        if not path.is_file():
            raise SpecError(
                f"{option} must be a card, or text such as 'arrive_s=created,cpu_mcore=vcpus,cpu_unit=cores': there is "
                f"no file {text!r}. Check the path."
            )
        table = load_card(path).spec.table
        if table is not None and table.kind != kind:
            raise SpecError(f"{option}: the [table] of {path} is of kind {table.kind!r}. Name a card for {kind}.")
        return path
    values: dict[str, Any] = {"kind": kind, "columns": {}}
    for pair in text.split(","):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not equals or not ours or not theirs:
            raise SpecError(f"{option} must be pairs ours=theirs with commas between: got {pair!r} in {text!r}.")
        if theirs == "?":
            raise SpecError(f"{option}: put the name of your column in the place of the '?' after {ours}=.")
        into = values if ours in SETTINGS else values["columns"]
        if ours in into:
            raise SpecError(f"{option}: {ours} is named twice, once as {into[ours]!r}. Leave one out.")
        if ours not in SETTINGS and ours not in known_columns(kind):
            known = [*known_columns(kind), *SETTINGS]
            raise SpecError(f"{option}: unknown column {ours!r} of a {kind}.{did_you_mean(ours, known)}")
        into[ours] = theirs
    return spec.validate(ColumnMap, values, option)


def check_names(table: ColumnMap, path: Path, kind: str) -> None:
    """Refuse a map that names columns the file does not have, all at once, each with the nearest.

    Raises
    ------
    SpecError
    """
    if table.names:
        return
    found = set(_peek(path, table.delimiter)[0])
    faults = [
        f"{ours}={theirs!r} is no column of {path}.{did_you_mean(theirs, found)}"
        for ours, theirs in table.columns.items()
        if theirs not in found
    ]
    if faults:
        option = "--columns" if kind == "trace" else "--machine-columns"
        raise SpecError("\n  ".join([f"{option}:", *faults]) if len(faults) > 1 else f"{option}: {faults[0]}")


def _peek(path: Path, delimiter: str | None = None) -> tuple[tuple[str, ...], list[dict[str, str]], str]:
    """Column names, the first rows as text, and the delimiter."""
    head = read_head(path)
    if head.startswith(PARQUET_MAGIC):
        names = parquet_names(path)
        return tuple(names), _parquet_rows(path), ","
    line = first_line(head)
    if not line.strip():
        raise TraceError(f"a file must begin with a line of column names: that of {path} is empty. Add it.")
    if delimiter is None:
        delimiter = max(",;\t|", key=line.count)
    text = head.decode("utf-8", "replace").removeprefix("\ufeff")
    whole = text if len(text) < 60_000 else text[: text.rfind("\n")]
    rows = list(csv.reader(io.StringIO(whole), delimiter=delimiter))[: SAMPLE_ROWS + 1]
    names = [name.strip() for name in rows[0]]
    return tuple(names), [dict(zip(names, row, strict=False)) for row in rows[1:]], delimiter


def _parquet_rows(path: Path) -> list[dict[str, str]]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=SAMPLE_ROWS):
            rows: list[Mapping[str, Any]] = batch.to_pylist()
            return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    return []


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]


def _likeness(ours: str, synonyms: Sequence[str], theirs: str) -> float:
    words = _words(theirs)
    joined, told = "".join(words), [word for word in words if word not in _UNITS]
    bare = "".join(word for word in told if word not in _NOISE)
    if joined == ours.replace("_", ""):
        return 1.1
    if _MEASURED & set(words):
        return 0.0
    if joined in synonyms:
        return 1.0
    if "".join(told) in synonyms or bare in synonyms:
        return 0.97
    hit = next((i for i, word in enumerate(told) if word in synonyms), None)
    if hit is not None:  # the head noun stands last: "vm created at", "cpu cores", "node name"
        return 0.85 + 0.05 * (hit + 1) / len(told)
    return 0.9 * max((difflib.SequenceMatcher(None, bare, one).ratio() for one in synonyms), default=0.0)


def _match(found: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Ours → theirs, the most alike first; each of theirs once."""
    scores = sorted(
        ((-_likeness(ours, synonyms.split(), theirs), i, j, ours, theirs)
         for i, (ours, synonyms) in enumerate(names.items()) for j, theirs in enumerate(found))
    )  # fmt: skip
    out: dict[str, str] = {}
    for score, _, _, ours, theirs in scores:
        if -score >= NEAR and ours not in out and theirs not in out.values():
            out[ours] = theirs
    return out


def _numbers(values: Sequence[str]) -> list[float]:
    out = []
    for value in values:
        try:
            out.append(float(value))
        except ValueError:
            continue
    return out


def _time(name: str, values: Sequence[str]) -> tuple[dict[str, str], str]:
    given = [value.strip() for value in values if value.strip()]
    if given and all(_DATE.match(value) for value in given):
        return {"time_unit": "datetime", "time_origin": "first"}, ""
    numbers = _numbers(given)
    if not numbers:
        odd = f"{name!r} is neither a number nor an ISO 8601 date (2026-03-01T00:04:33)" if given else ""
        return {}, f"{odd}: got {quote(given[0], 30)}; convert it first" if given else ""
    said = next((_TIME_WORDS[word] for word in reversed(_words(name)) if word in _TIME_WORDS), "")
    largest = max(numbers)
    unit = said or ("us" if largest > 1e14 else "ms" if largest > 1e11 else "s")
    since_1970 = largest > 1e8 * {"s": 1, "ms": 1e3, "us": 1e6}[unit]
    out = {} if unit == "s" else {"time_unit": unit}
    out |= {"time_origin": "first"} if since_1970 or min(numbers) < 0 else {}
    why = f"{name!r} is read in {unit}" if not said else ""
    return out, why


def _cpu(name: str, values: Sequence[str]) -> tuple[dict[str, str], str]:
    numbers = [one for one in _numbers(values) if one > 0]
    said = next((_CPU_WORDS[word] for word in _words(name) if word in _CPU_WORDS), "")
    seen = "cores" if numbers and sorted(numbers)[len(numbers) // 2] < 50 else "mcore"
    unit = said or seen
    where = f", e.g. {numbers[0]:g}" if numbers else ""
    why = f"{name!r} is read in {'cores' if unit == 'cores' else 'millicores'}{where}"
    if said and numbers and said != seen and (seen == "mcore") == (max(numbers) > 1024):
        why += ", as its name says; its values look like the other"
    return ({"cpu_unit": "cores"} if unit == "cores" else {}), why


def _mem(name: str, values: Sequence[str]) -> tuple[dict[str, str], str]:
    numbers = [one for one in _numbers(values) if one > 0]
    word = next((word for word in reversed(_words(name)) if word in _MEM_WORDS), "")
    middle = sorted(numbers)[len(numbers) // 2] if numbers else 0.0
    unit = _MEM_WORDS.get(word) or ("bytes" if middle > 2**24 else "mib" if middle >= 300 else "gib")
    where = f", e.g. {numbers[0]:g}" if numbers else ""
    label = {"mib": "MiB", "gib": "GiB", "kib": "KiB", "bytes": "bytes"}[unit]
    decimal = ", taken for the binary unit" if word in ("kb", "mb", "gb") else ""
    return ({} if unit == "mib" else {"mem_unit": unit}), f"{name!r} is read in {label}{where}{decimal}"


def _broken(values: Mapping[str, Sequence[str]], settings: Mapping[str, str]) -> bool:
    """True where a converted request is not whole."""
    cpu = 1000.0 if settings.get("cpu_unit") == "cores" else 1.0
    mem = {"gib": 1024.0, "kib": 1 / 1024, "bytes": 1 / 2**20}.get(settings.get("mem_unit", ""), 1.0)
    amounts = [cpu * one for one in _numbers(values.get("cpu_mcore", []))]
    amounts += [mem * one for one in _numbers(values.get("mem_mib", []))]
    return any(abs(one - round(one)) > 1e-9 * max(1.0, abs(one)) for one in amounts)


def _toml(text: str) -> str:
    import json

    return json.dumps(text)  # a JSON string is a TOML basic string
