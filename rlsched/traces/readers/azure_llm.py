"""Azure LLM inference, 2023: requests with their tokens, binned to a rate.

Columns ``TIMESTAMP``, ``ContextTokens``, ``GeneratedTokens``; one row a request. The zone of the
stamps is not stated; they are taken as UTC. A step without a request has the rate 0; steps before
a service's first request and after its last are missing where another service was seen then. The
first and the last step are only partly covered.

Source: Patel et al., "Splitwise", ISCA 2024.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlsched.traces.columns import Demand
from rlsched.traces.readers.slots import Slots, merge_reports, outside_missing
from rlsched.traces.readers.source import first_head, header_names, list_tree, plain_name
from rlsched.traces.readers.stream import CsvBlocks
from rlsched.traces.readers.table import Column, check_choice

MEASURES = {"requests": "requests/s", "context_tokens": "tokens/s", "generated_tokens": "tokens/s"}
COLUMNS = (Column("TIMESTAMP", "datetime"), Column("ContextTokens"), Column("GeneratedTokens"))


def sniff(head: bytes, path: Path) -> bool:
    """Whether the header, or that of a folder's first file, is that of the trace."""
    head = first_head(path) if path.is_dir() else head
    return {"TIMESTAMP", "ContextTokens", "GeneratedTokens"} <= set(header_names(head))


def read(path: Path, *, step_s: int = 1, measure: str = "requests", on_bad_row: str = "error") -> Demand:
    """Read one file, or a folder of them on one clock.

    Parameters
    ----------
    path : Path
    step_s : int
        Seconds a step.
    measure : {"requests", "context_tokens", "generated_tokens"}
        What is counted.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Demand
        A service a file, named as it; requests/s or tokens/s. The first step is 0
        (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    check_choice("measure", measure, list(MEASURES))
    slots = Slots(step_s, ("amount",))
    reports, hashes = [], {}
    paths = list_tree(path) if path.is_dir() else [path]
    for file in paths:
        blocks = CsvBlocks(file, COLUMNS, on_bad_row=on_bad_row)
        for table in blocks:
            for name in ("ContextTokens", "GeneratedTokens"):
                table.require(name, table[name] >= 0, ">= 0")
            amount = {
                "requests": np.ones(len(table)),
                "context_tokens": table["ContextTokens"],
                "generated_tokens": table["GeneratedTokens"],
            }[measure]
            slots.add(np.full(len(table), plain_name(file), object), table["TIMESTAMP"], {"amount": amount})
            reports.append(table.report())
        hashes[str(file)] = blocks.sha256
    grid = slots.dense(str(path), add_up=True, empty=0.0)
    rate, report = outside_missing(grid, grid.values["amount"] / step_s, merge_reports(reports, len(paths) > 1))
    return Demand(
        service_id=grid.ids,
        start_s=0,
        step_s=step_s,
        rate=rate,
        unit=MEASURES[measure],
        source=str(path),
        meta={"files": hashes, "time_origin_s": grid.start_s, "measure": measure},
        report=report,
    )
