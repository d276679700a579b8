"""Alibaba cluster-trace-gpu-v2023 ("openb"), pod lists.

Columns ``name, cpu_milli, memory_mib, num_gpu, gpu_milli`` and, except in the ``multigpu*``
lists, ``gpu_spec, qos, pod_phase, creation_time, deletion_time, scheduled_time``.

**Life.** ``creation_time`` is the arrival, ``deletion_time`` the departure, whatever the phase:
the phase is the last one seen, and a service that is taken down is still ``Running`` then. The
deletions of Running pods lie all over the trace (median life 895 s), so to call every one of
them "still running" would turn 64 % of the lives into censored ones. What tells a pod that
really was alive at the end is a deletion at the last second of the collection,
12,902,960 s: 34 pods of the default list, all of them Running. Those have ``depart_s`` -1 and
``last_seen_s`` at that second. The option ``running`` offers the two other readings.

**Pending** pods never started (``scheduled_time`` empty): requests that were withdrawn at
``deletion_time``. They are kept, as the published experiments keep them; ``pending="drop"``
leaves them out.

**Priority** from ``qos``: LS and Guaranteed 2, Burstable 1, BE (best effort) 0.

Source: Q. Weng et al., "Beware of Fragmentation", USENIX ATC 2023.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.columns import ANY_MODEL, MAX_GPU_MODELS, MAX_GPUS, UNKNOWN, Trace
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, Table, check_choice, read_csv

COLLECTION_END_S = 12_902_960  # last deletion_time of the default list
PRIORITY = {"LS": 2, "Guaranteed": 2, "Burstable": 1, "BE": 0}
PHASES = ("Running", "Succeeded", "Failed", "Pending")

SIZE_COLUMNS = (
    Column("name", "text"),
    Column("cpu_milli"),
    Column("memory_mib"),
    Column("num_gpu"),
    Column("gpu_milli"),
)
TIME_COLUMNS = (
    Column("gpu_spec", "text", may_be_empty=True),
    Column("qos", "text"),
    Column("pod_phase", "text"),
    Column("creation_time"),
    Column("deletion_time"),
    Column("scheduled_time", may_be_empty=True),
)


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header is that of a pod list, with or without times."""
    return {"name", "cpu_milli", "num_gpu"} <= set(header_names(head))


def read(path: Path, *, running: str = "at_end", pending: str = "keep", on_bad_row: str = "error") -> Trace:
    """Read a pod list, plain or gzip.

    Parameters
    ----------
    path : Path
    running : {"at_end", "censored", "departed"}
        Which Running pods have no known end: those deleted at the collection's last second
        (default), all, or none.
    pending : {"keep", "drop"}
        What to do with pods that never started.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Trace
        Sorted by ``creation_time`` (ties in the order of the file); int64 seconds from the
        begin of the collection. A list without times has ``arrive_s`` = row number from 0 and
        unknown departures; the report says so.

    Raises
    ------
    TraceError
    """
    check_choice("running", running, ("at_end", "censored", "departed"))
    check_choice("pending", pending, ("keep", "drop"))
    source = read_source(path)
    # All six or none: a list that lost one of them is refused by name, not read as one without times.
    timed = bool({column.name for column in TIME_COLUMNS} & set(header_names(source.data[:4096])))
    table = read_csv(source, SIZE_COLUMNS + TIME_COLUMNS if timed else SIZE_COLUMNS, on_bad_row=on_bad_row)
    _check_sizes(table)
    more = _timed(table, running, pending) if timed else _untimed(table)
    return Trace(
        task_id=table["name"],
        cpu_mcore=table["cpu_milli"],
        mem_mib=table["memory_mib"],
        gpu_count=table["num_gpu"],
        gpu_mgpu=table["gpu_milli"],
        source=source.name,
        meta={"files": {source.name: source.sha256}},
        report=table.report(),
        **more,
    )


def _check_sizes(table: Table) -> None:
    table.require("cpu_milli", table["cpu_milli"] >= 0, ">= 0")
    table.require("memory_mib", table["memory_mib"] >= 0, ">= 0")
    table.require("num_gpu", (table["num_gpu"] >= 0) & (table["num_gpu"] <= MAX_GPUS), f"in 0..{MAX_GPUS}")
    share_ok = (table["num_gpu"] == 0) | ((table["gpu_milli"] >= 1) & (table["gpu_milli"] <= 1000))
    table.require("gpu_milli", share_ok, "in 1..1000 where num_gpu > 0")
    table.require("gpu_milli", (table["num_gpu"] > 0) | (table["gpu_milli"] == 0), "0 where num_gpu is 0")
    asks = (table["cpu_milli"] > 0) | (table["memory_mib"] > 0) | (table["num_gpu"] > 0)
    table.require("cpu_milli", asks, "> 0 in a row that asks for nothing else")
    table.require_unique("name")


def _untimed(table: Table) -> dict[str, Any]:
    everything = np.ones(len(table), bool)
    table.note(everything, "the list has no times", "given their row number (from 0) as arrive_s, and no departure")
    arrive = table.rows - 1
    return {"arrive_s": arrive, "depart_s": np.full(len(table), UNKNOWN)}


def _timed(table: Table, running: str, pending: str) -> dict[str, Any]:
    import pandas as pd

    known_qos = pd.Series(table["qos"]).isin(PRIORITY).to_numpy()
    table.require("qos", known_qos, f"one of {', '.join(PRIORITY)}")
    known_phase = pd.Series(table["pod_phase"]).isin(PHASES).to_numpy()
    table.require("pod_phase", known_phase, f"one of {', '.join(PHASES)}")
    table.require("creation_time", table["creation_time"] >= 0, ">= 0")
    table.require("deletion_time", table["deletion_time"] >= table["creation_time"], ">= creation_time")
    is_pending = table["pod_phase"] == "Pending"
    if pending == "drop":
        table.drop(is_pending, "Pending: the pod never started")
    else:
        table.note(is_pending, "Pending: the pod never started", "kept, leaving at deletion_time")
    table.sort_by("creation_time")

    end = table["deletion_time"]
    still = np.zeros(len(table), bool)
    if running != "departed":
        still = table["pod_phase"] == "Running"
        if running == "at_end":
            still &= end == COLLECTION_END_S
    table.note(still, "Running at the end of the collection", "kept with an unknown departure (censored)")
    mask, models = _models(table)
    return {
        "arrive_s": table["creation_time"],
        "depart_s": np.where(still, UNKNOWN, end),
        "last_seen_s": end,
        "priority": pd.Series(table["qos"]).map(PRIORITY).to_numpy(np.int64),
        "gpu_model_mask": mask,
        "gpu_models": models,
    }


def _models(table: Table) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Bits of the allowed models; the models ascending by name, so that lists agree."""
    import pandas as pd

    code, specs = pd.factorize(table["gpu_spec"])
    allowed = [[] if not spec else [name.strip() for name in str(spec).split("|")] for spec in specs]
    named = np.array([all(names) for names in allowed], bool)[code]
    table.require("gpu_spec", named, "model names joined by '|'", "Fix the row.")
    repeated = np.array([len(set(names)) < len(names) for names in allowed], bool)[code]
    table.note(repeated, "gpu_spec names a model twice", "counted once")
    models = tuple(sorted({name for names in allowed for name in names}))
    if len(models) > MAX_GPU_MODELS:
        raise TraceError(
            f"gpu_spec must name at most {MAX_GPU_MODELS} models in all: {table.name} has {len(models)}. "
            "Split the file."
        )
    bit = {name: 1 << i for i, name in enumerate(models)}
    masks = [sum({bit[name] for name in names}) if names else ANY_MODEL for names in allowed]
    return np.array(masks, np.int64)[code], models
