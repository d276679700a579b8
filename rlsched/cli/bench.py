"""``rlsched bench``: the speed figures, each the median of warm runs."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from rlsched.errors import SpecError, did_you_mean

app = typer.Typer(add_completion=False)


@app.command()
def bench(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Name of a bench, or the beginning of several; repeatable.")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=3, help="Warm runs of each; the median is reported.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document (docs/json.md).")] = False,
    names: Annotated[bool, typer.Option("--list", help="List the names and what they measure.")] = False,
) -> None:
    """Measure how fast this machine replays, reads, learns and decides.

    Examples:
      rlsched bench
      rlsched bench --only replay --json
    """
    from rlsched.cli.benches import BENCHES, machine, measure, occasion

    if names:
        for name, entry in BENCHES.items():
            print(f"{name:34} {entry.unit:12} {entry.what}")
        return
    chosen = [name for name in BENCHES if not only or any(name.startswith(part) for part in only)]
    for part in only or []:
        if not any(name.startswith(part) for name in BENCHES):
            raise SpecError(f"unknown bench {part!r}.{did_you_mean(part, BENCHES)}")
    began = occasion()
    results: list[dict[str, Any]] = []
    for name in chosen:
        if sys.stderr.isatty():
            print(f"{name} ...", file=sys.stderr, flush=True)
        results.append(measure(name, runs))
        if not as_json:
            print(_line(results[-1]), flush=True)
    if as_json:
        print(json.dumps({**began, "machine": machine(), "results": results}, indent=1))


def _line(result: dict[str, Any]) -> str:
    if result["value"] is None:
        return f"{result['name']:34} not measured: {result['note']}"
    spread = f"{result['min']:,.4g} .. {result['max']:,.4g}"
    return f"{result['name']:34} {result['value']:>14,.4g} {result['unit']:12} ({spread}; {result['runs']} runs)"
