"""Alibaba GenAI 2026 (GenTD26): one metric of containers or of the queue, every 57 s.

``timestamp_anon, value, container_ip`` in any order, in a ``.tar.gz`` of one file or unpacked. What is
measured is in the name of the file inside; ``metric`` names it otherwise. Each container is a series;
rows without a container are the series ``all`` (the queue), and of the memory 49 that cannot be told
apart are dropped. The clock is scaled by 0.95 (``meta["clock_scale"]``). Memory shares slightly below 0 are no
measurements: missing, and counted.

Source: Lin et al., "Understanding Diffusion Model Serving in Production", SoCC 2025.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rlsched.errors import TraceError
from rlsched.traces.columns import Usage
from rlsched.traces.readers.alibaba_genai_qps import CLOCK_SCALE, STEP_S
from rlsched.traces.readers.slots import Slots, gridded
from rlsched.traces.readers.source import header_names, is_tar, only_member, plain_name, read_source, tar_head
from rlsched.traces.readers.table import Column, check_choice, read_csv

_MARKS = {"timestamp_anon", "value", "container_ip"}
#: Metric → name of the column, and what the value is divided by.
METRICS = {
    "pod_gpu_duty_cycle": ("gpu_share", 100.0),
    "pod_memory_util": ("mem_share", 1.0),
    "pod_gpu_memory_used_bytes": ("gpu_mem_mib", float(2**20)),
    "queue_size": ("queued_requests", 1.0),
    "queue_rt": ("queue_ms", 1.0),
    "pipeline_inference": ("inference_ms", 1.0),
    "model_predict": ("predict_ms", 1.0),
    "controlnet_latency": ("controlnet_ms", 1.0),
    "pipeline_update_latency": ("pipeline_update_ms", 1.0),
    "basemodel_update_latency": ("basemodel_update_ms", 1.0),
    "lora_update_latency": ("lora_update_ms", 1.0),
}


def sniff(head: bytes, path: Path) -> bool:  # noqa: ARG001 - the signature is the table's
    """Whether the header, inside the archive or not, is that of a metric."""
    names = set(header_names(tar_head(head)[1] if is_tar(head) else head))
    return names >= _MARKS and "request_type" not in names


def read(path: Path, *, metric: str = "auto", step_s: int = STEP_S, on_bad_row: str = "error") -> Usage:
    """Read a metric.

    Parameters
    ----------
    path : Path
    metric : str
        A name in ``METRICS``; ``auto`` takes it from the name of the file.
    step_s : int
        Seconds a slot.
    on_bad_row : {"error", "skip"}

    Returns
    -------
    Usage
        The metric is in ``extra`` (``mem_share`` for ``pod_memory_util``); ``cpu_share`` is missing
        throughout. The earliest slot is 0 (``meta["time_origin_s"]``).

    Raises
    ------
    TraceError
    """
    check_choice("metric", metric, ["auto", *METRICS])
    source = read_source(path)
    if metric == "auto":
        name = tar_head(source.data)[0] if is_tar(source.data) else plain_name(path)
        metric = re.sub(r"(_raw)?(_data)?_anon(\.csv)?$", "", name.removeprefix("./").rsplit("/", 1)[-1])
        if metric not in METRICS:
            raise TraceError(
                f"what is measured must be known: the name {name!r} in {path} does not say. Give metric=, one of "
                f"{', '.join(METRICS)}."
            )
    ours, divisor = METRICS[metric]
    columns = (
        Column("timestamp_anon", "float"),
        Column("value", "float"),
        Column("container_ip", "text", may_be_empty=True),
    )
    table = read_csv(only_member(source), columns, on_bad_row=on_bad_row)
    unnamed = table.missing["container_ip"]
    if unnamed.any() and not unnamed.all():
        table.drop(unnamed, "no container named, where others are")
    negative = table["value"] < 0
    table.note(negative, "value below 0", "marked missing")
    value = np.where(negative, np.nan, table["value"] / divisor)
    series = np.where(table.missing["container_ip"], "all", table["container_ip"])
    slots = Slots(step_s, ("value",))
    slots.add(series, table["timestamp_anon"], {"value": value})
    grid = slots.ragged(source.name)
    origin = int(grid.start_s.min())
    values = grid.values["value"]
    return Usage(
        series_id=grid.ids,
        offset=grid.offset,
        start_s=grid.start_s - origin,
        step_s=step_s,
        cpu_share=np.full(values.size, np.nan),
        mem_share=values if ours == "mem_share" else np.full(values.size, np.nan),
        extra={} if ours == "mem_share" else {ours: values},
        source=source.name,
        meta={
            "files": {source.name: source.sha256},
            "time_origin_s": origin,
            "clock_scale": CLOCK_SCALE,
            "metric": metric,
        },
        report=gridded(table.report(), step_s, grid.merged, grid.gaps),
    )
