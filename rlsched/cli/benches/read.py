"""Reading, drawing and checking traces."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import OurBug
from rlsched.rng import stream
from rlsched.units import SECONDS_PER_DAY

_AZURE_A_DAY = 74_500  # VMs of the profile at scale 1
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
    from rlsched.traces.read import read_trace

    folder = tempfile.TemporaryDirectory()
    path, card = _csv(Path(folder.name), rows)

    def once() -> float:
        begin = time.perf_counter()
        read_trace(Path(folder.name) / path.name, card=card)
        return time.perf_counter() - begin

    once()
    return once


def check_rows(rows: int = 1_000_000) -> Callable[[], float]:
    """Rows a second that are read from a CSV and held to every rule."""
    from rlsched.traces.columns import Columns
    from rlsched.traces.lint import check_file
    from rlsched.traces.read import read_any

    folder = tempfile.TemporaryDirectory()
    path, card = _csv(Path(folder.name), rows)

    def read(**more: Any) -> Columns:
        return read_any(Path(folder.name) / path.name, card=card, **more)

    def once() -> float:
        begin = time.perf_counter()
        check_file(read, path)
        return rows / (time.perf_counter() - begin)

    once()
    return once


def parquet_10m(rows: int = 10_000_000) -> Callable[[], float]:
    """Seconds to read ten million tasks from the Parquet file that ``convert`` writes."""
    from rlsched.traces.columns import Trace
    from rlsched.traces.read import read_trace
    from rlsched.traces.store import save

    folder = tempfile.TemporaryDirectory()
    rng = stream(0, "bench", "parquet")
    arrive = np.sort(rng.integers(0, 10**7, rows))
    trace = Trace(
        task_id=np.arange(rows),
        arrive_s=arrive,
        depart_s=arrive + rng.integers(1, 10**5, rows),
        cpu_mcore=1000 * rng.integers(1, 65, rows),
        mem_mib=1024 * rng.integers(1, 257, rows),
    )
    save(trace, Path(folder.name) / "tasks.parquet")
    del trace, arrive

    def once() -> float:
        begin = time.perf_counter()
        read_trace(Path(folder.name) / "tasks.parquet")
        return time.perf_counter() - begin

    once()
    return once


def draw_1m(days: float = 5.0, scale: float = 2.75) -> Callable[[], float]:
    """Seconds to draw a million VMs of Azure V1 with loads of Bitbrains.

    Raises
    ------
    OurBug
        The profile has changed so much that the draw is no longer of a million VMs.
    """
    from rlsched.traces.synthetic.draw import draw_tasks, draw_usage_of
    from rlsched.traces.synthetic.profile import find_profile, load_profile

    tasks, load = load_profile(find_profile("azure-v1")), load_profile(find_profile("bitbrains"))

    def once() -> float:
        begin = time.perf_counter()
        trace = draw_tasks(tasks, days=days, scale=scale, seed=1)
        draw_usage_of(trace, load, until_s=round(days * SECONDS_PER_DAY), seed=1)
        took = time.perf_counter() - begin
        wanted = _AZURE_A_DAY * days * scale
        if not 0.9 < len(trace) / wanted < 1.2:
            raise OurBug(f"the draw must be of about {wanted:,.0f} VMs: got {len(trace):,}. Set its scale anew.")
        return took

    draw_tasks(tasks, days=0.1, scale=scale, seed=1)
    return once


def _csv(folder: Path, rows: int) -> tuple[Path, Path]:
    """A CSV of tasks in somebody's columns, and its card."""
    import pandas as pd

    path, card = folder / "rows.csv", folder / "card.toml"
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
    return path, card
