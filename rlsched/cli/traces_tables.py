"""The facts of `rlsched.traces.describe` as tables for a person."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from rlsched.units import MCORE_PER_CORE, MGPU_PER_GPU, MIB_PER_GIB, format_duration

if TYPE_CHECKING:
    from rlsched.report.describe import Facts
    from rlsched.traces.columns import Columns

_SPREAD = ("mean", "p50", "p95", "p99", "max")


def tables(facts: dict[str, Any]) -> list[str | Table]:
    """Draw what :func:`rlsched.traces.describe.describe` returned.

    Returns
    -------
    list of str or Table
        A table of single facts first, then distributions, then what occurs most often, each
        under its title.
    """
    draw = {"trace": _trace, "machines": _machines, "usage": _usage, "demand": _demand, "signal": _signal}
    out: list[str | Table] = draw[facts["kind"]](facts)
    return out


def write_page(out: Path, columns: Columns, facts: dict[str, Any], title: str) -> None:
    """Write the tables and the pictures of columns as one HTML page.

    Parameters
    ----------
    out : Path
    columns : Trace, Machines, Usage, Demand or Signal
    facts : dict
        Of the same columns.
    title : str

    Raises
    ------
    MissingDataError
        Without the packages that draw.
    SpecError
        When the place cannot be written.
    """
    from rlsched.report.describe import render, write

    command = shlex.join(["rlsched", *sys.argv[1:]])
    account = columns.report.lines()
    text = render(columns, facts["kind"], title=title, facts=_plain(tables(facts)), account=account, command=command)
    write(text, out)


def _plain(drawn: list[str | Table]) -> list[Facts]:
    """Tables as text, each with the title that stands before it."""
    from rlsched.report.describe import Facts

    out, title = [], ""
    for one in drawn:
        if isinstance(one, str):
            title = one
            continue
        headings = [str(column.header) for column in one.columns] if one.show_header else []
        rows = list(zip(*([str(cell) for cell in column.cells] for column in one.columns), strict=True))
        out.append(Facts(title, headings, rows))
        title = ""
    return out


def _facts(rows: list[tuple[str, str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    for name, value in rows:
        table.add_row(name, value)
    return table


def _grid(title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str | Table]:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return [title, table]


def _short(value: float | None) -> str:
    """Three figures, so that a row of them fits a narrow terminal."""
    if value is None:
        return "–"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def _time(value: float | None) -> str:
    return "–" if value is None else format_duration(value)


def _share(count: int, whole: int) -> str:
    return f"{count:,} ({count / whole:.1%})" if whole else f"{count:,}"


def _missing(counts: dict[str, int], whole: int) -> list[tuple[str, str]]:
    some = [f"{name} {_share(count, whole)}" for name, count in counts.items() if 0 < count < whole]
    never = [name for name, count in counts.items() if count == whole]
    rows = [("missing", ", ".join(some) or "–")]
    return [*rows, ("not in the source", ", ".join(never))] if never else rows


def _spread(name: str, values: dict[str, float | None], show: Any = _short) -> tuple[str, ...]:
    return (name, *(show(values[key]) for key in _SPREAD))


def _trace(facts: dict[str, Any]) -> list[str | Table]:
    n, span, rate = facts["rows"], facts["span"], facts["arrivals_per_hour"]
    life, gpus, requests = facts["lifetimes"], facts["gpus"], facts["requests"]
    rows = [
        ("tasks", f"{n:,}"),
        ("arrivals", f"{_time(span['last_arrival_s'] - span['first_arrival_s'])} from the first to the last"),
        ("last event", f"{_time(span['last_event_s'])} after the start"),
        (
            "arrivals per hour",
            f"mean {_number(rate['mean'])}, p95 {_number(rate['p95'])}, max {_number(rate['max'])}, "
            f"burstiness {_number(rate['burstiness'])} (variance / mean; Poisson 1)",
        ),
        ("requested", f"{_number(requests['total_cores'])} cores, {_number(requests['total_gib'])} GiB in all"),
        ("ends known", _share(life["known"], n)),
        ("ends censored", _share(life["censored"], n)),
        ("ends unknown", _share(life["unknown"], n)),
        ("median life", f"{_time(life['kaplan_meier_median_s'])} (Kaplan–Meier, counts the censored)"),
        ("groups", f"{facts['groups']['count']:,}"),
        *_missing(facts["missing"], n),
    ]
    if gpus["cpu_only"] < n:
        rows += [
            ("no GPU", _share(gpus["cpu_only"], n)),
            ("share of one GPU", _share(gpus["sharing"], n)),
            ("one whole GPU", _share(gpus["one_whole"], n)),
            ("several GPUs", _share(gpus["several"], n)),
            ("GPUs requested", f"{gpus['gpus_requested']:,.1f}"),
            ("bound to models", _share(gpus["bound_to_models"], n)),
        ]
    spreads = [
        _spread("cores", requests["cpu_mcore"], lambda value: _short(_scaled(value, MCORE_PER_CORE))),
        _spread("memory GiB", requests["mem_mib"], lambda value: _short(_scaled(value, MIB_PER_GIB))),
    ]
    if life["known"]:
        spreads.append(_spread("known life", life["known_s"], _time))
    if facts["groups"]["count"]:
        spreads.append(_spread("group size", facts["groups"]["size"]))
    out: list[str | Table] = [_facts(rows), *_grid("per task", ("", *_SPREAD), spreads)]
    out += _shapes("most common requests", requests["most_common"])
    if gpus["models"]:
        models = [(name, f"{count:,}") for name, count in gpus["models"].items()]
        out += _grid("tasks bound to a GPU model", ("model", "tasks"), models)
    return out


def _machines(facts: dict[str, Any]) -> list[str | Table]:
    capacity, n = facts["capacity"], facts["rows"]
    rows = [
        ("machines", f"{n:,}"),
        ("cores", f"{capacity['cores']:,.0f}"),
        ("memory GiB", f"{capacity['mem_gib']:,.0f}"),
        ("GPUs", f"{capacity['gpus']:,} in {capacity['machines_with_gpu']:,} machines"),
        *_missing(facts["missing"], n),
    ]
    out: list[str | Table] = [_facts(rows), *_shapes("most common shapes", facts["shapes"])]
    if facts["gpu_models"]:
        models = [(name, f"{count:,}") for name, count in facts["gpu_models"].items()]
        out += _grid("GPUs", ("model", "devices"), models)
    return out


def _usage(facts: dict[str, Any]) -> list[str | Table]:
    span = facts["span"]
    rows = [
        ("series", f"{facts['rows']:,}"),
        ("samples", f"{facts['samples']:,}, one per {_time(facts['step_s'])}"),
        ("span", _time(span["last_s"] - span["first_s"])),
        ("samples a series", f"{_number(facts['length']['min'])} to {_number(facts['length']['max'])}"),
    ]
    return [_facts(rows), *_samples(facts["columns"])]


def _demand(facts: dict[str, Any]) -> list[str | Table]:
    span = facts["span"]
    rows = [
        ("services", f"{facts['rows']:,}"),
        ("steps", f"{facts['steps']:,}, one per {_time(facts['step_s'])}"),
        ("span", _time(span["last_s"] - span["first_s"])),
    ]
    return [_facts(rows), *_samples({facts["unit"]: facts["rate"]})]


def _signal(facts: dict[str, Any]) -> list[str | Table]:
    span, values = facts["span"], facts["values"]
    rows = [
        ("signals", f"{facts['rows']:,}"),
        ("values a signal", f"{_number(values['min'])} to {_number(values['max'])}"),
        ("span", _time(span["last_s"] - span["first_s"])),
        ("a value holds", f"{_time(facts['hold_s']['p50'])} (median), at most {_time(facts['hold_s']['max'])}"),
    ]
    return [_facts(rows), *_samples({facts["unit"]: facts["value"]})]


def _samples(columns: dict[str, Any]) -> list[str | Table]:
    body = [
        (*_spread(name, one), f"{one['missing_share'] or 0:.1%}", _short(one["lag1"])) for name, one in columns.items()
    ]
    return _grid("per sample", ("", *_SPREAD, "missing", "lag-1"), body)


def _shapes(title: str, shapes: list[dict[str, Any]]) -> list[str | Table]:
    with_gpu = any(shape.get("gpu_count") for shape in shapes)
    with_share = any(0 < shape.get("gpu_mgpu", 0) < MGPU_PER_GPU for shape in shapes)
    headings = ["cores", "memory GiB", *(["GPUs"] if with_gpu else []), *(["of each"] if with_share else [])]
    rows = []
    for shape in shapes:
        row = [_number(shape["cpu_mcore"] / MCORE_PER_CORE), _number(shape["mem_mib"] / MIB_PER_GIB)]
        if with_gpu:
            row.append(str(shape["gpu_count"]))
        if with_share:
            row.append(f"{shape['gpu_mgpu'] / MGPU_PER_GPU:.0%}" if shape["gpu_count"] else "–")
        rows.append((*row, f"{shape['count']:,}", f"{shape['share']:.1%}"))
    return _grid(title, (*headings, "number", "share"), rows)


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit
