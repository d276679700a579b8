"""Reading traces."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rlsched.rng import stream

CARD = """\
title = "a million rows"
reader = "generic"
[table]
cpu_unit = "cores"
mem_unit = "gib"
columns = { task_id = "vm", arrive_s = "start", depart_s = "end", cpu_mcore = "cores", mem_mib = "memory" }
"""


def openb() -> Callable[[], float]:
    """Seconds to read the default pod list of Alibaba GPU 2023, warm."""
    from rlsched.traces.datasets import locate
    from rlsched.traces.read import read_trace

    _, _, path = locate("alibaba-gpu-2023")

    def once() -> float:
        begin = time.perf_counter()
        read_trace(path)
        return time.perf_counter() - begin

    once()
    return once


def csv_1m(rows: int = 1_000_000) -> Callable[[], float]:
    """Seconds to read a CSV of a million rows through a card."""
    import pandas as pd

    from rlsched.traces.read import read_trace

    folder = tempfile.TemporaryDirectory()
    path, card = Path(folder.name) / "rows.csv", Path(folder.name) / "card.toml"
    rng = stream(0, "bench", "csv")
    start = np.sort(rng.integers(0, 10**6, rows))
    frame = {
        "vm": np.arange(rows),
        "start": start,
        "end": start + rng.integers(1, 10**5, rows),
        "cores": rng.integers(1, 65, rows),
        "memory": rng.integers(1, 257, rows),
    }
    pd.DataFrame(frame).to_csv(path, index=False)
    card.write_text(CARD)

    def once() -> float:
        begin = time.perf_counter()
        read_trace(Path(folder.name) / path.name, card=card)
        return time.perf_counter() - begin

    once()
    return once
