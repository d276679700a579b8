"""What one number of a file becomes, reader by reader: which column, in which unit, rounded how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.traces.columns import Columns


@dataclass(frozen=True)
class Law:
    """One field of a format and the column it ends in.

    Parameters
    ----------
    reader : str
    field : str or int
        Name in the header, or position.
    column : str
        Of the noun; ``extra.name`` for one of a usage's others.
    times, over : int
        The value of the column is the field's times ``times`` over ``over``.
    up : bool
        Rounded up to a whole number.
    sample : int
        Which of the reader's samples.
    rows : tuple of int
        Lines (from 0) whose number is a value of its own; every line where empty. The others are
        averaged into one, or replaced by a later line of the same machine.
    options : mapping
        Of the reader.
    """

    reader: str
    field: str | int
    column: str
    times: int = 1
    over: int = 1
    up: bool = False
    sample: int = 0
    rows: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def of(self, number: Fraction) -> float:
        """The value the column must have for a number in the file."""
        value = number * self.times / self.over
        return float(math.ceil(value) if self.up else value)

    def values(self, columns: Columns) -> npt.NDArray[np.float64]:
        """The known values of the column, ascending."""
        name = self.column.removeprefix("extra.")
        value = columns.extra[name] if self.column.startswith("extra.") else getattr(columns, name)  # type: ignore[union-attr]
        flat = np.asarray(value, np.float64).ravel()
        return np.sort(flat[~np.isnan(flat)])


CORES, GIB, HOUR, SHARES = 1000, 1024, 3600, 100_000
LAWS = (
    Law("openb_pods", "cpu_milli", "cpu_mcore"),
    Law("openb_pods", "memory_mib", "mem_mib"),
    Law("openb_pods", "num_gpu", "gpu_count"),
    Law("openb_pods", "gpu_milli", "gpu_mgpu"),
    Law("openb_pods", "creation_time", "arrive_s"),
    Law("openb_pods", "deletion_time", "last_seen_s"),
    Law("openb_nodes", "cpu_milli", "cpu_mcore"),
    Law("openb_nodes", "memory_mib", "mem_mib"),
    Law("openb_nodes", "gpu", "gpu_count"),
    Law("bitbrains", "CPU usage [MHZ]", "cpu_share", over=4000, rows=(5,)),
    Law("bitbrains", "Memory usage [KB]", "mem_share", over=2_097_153, rows=(5,)),
    Law("bitbrains", "Disk write throughput [KB/s]", "extra.disk_write_kib_s", rows=(5,)),
    Law("planetlab", 0, "extra.cpu_pct", sample=1),
    Law("google_2011_vms", 0, "cpu_share", over=100, sample=2),
    Law("google_2011_vms", 1, "mem_share", over=100, sample=2),
    Law("counts_per_second", 4, "rate"),
    Law("worldcup98", "count", "rate", over=60),
    Law("azure_llm", "ContextTokens", "rate", options={"measure": "context_tokens"}),
    Law("cluster_pools", 3, "rate", sample=1),
    Law("cluster_pools", 4, "rate", sample=1, options={"measure": "memory"}),
    Law("electricity_maps", 4, "value", sample=1),
    Law("electricity_price", "Price (USD/MWh)", "value", sample=1),
    Law("carbon_csv", "Carbon Intensity", "value"),
    Law("aws_spot", "spot_price_usd_per_hour", "value", sample=1),
    Law("azure_v1_cpu", 1, "cpu_share", over=100),
    Law("google_2011_machines", 4, "cpu_mcore", times=SHARES, up=True, rows=(0, 1, 2)),
    Law("google_2011_machines", 5, "mem_mib", times=SHARES, up=True, rows=(0, 1, 2)),
    Law("google_2011_tasks", 9, "cpu_mcore", times=SHARES, up=True, rows=(0, 4, 7)),
    Law("google_2011_tasks", 10, "mem_mib", times=SHARES, up=True, rows=(0, 4, 7)),
    Law("alibaba_dlrm", "cpu_request", "cpu_mcore", times=CORES, up=True),
    Law("alibaba_dlrm", "memory_request", "mem_mib", times=GIB, up=True),
    Law("alibaba_dlrm", "gpu_request", "gpu_count"),
    Law("alibaba_dlrm", "creation_time", "arrive_s"),
    Law("alibaba_dlrm", "deletion_time", "depart_s"),
    Law("alibaba_spot_nodes", "gpu_capacity_num", "gpu_count"),
    Law("alibaba_spot_nodes", "cpu_num", "cpu_mcore", times=CORES),
    Law("philly_jobs", "num_gpus", "gpu_count"),
    Law("philly_nodes", "active", "rate"),
    Law("gaia_jobs", "cpus", "cpu_mcore", times=CORES, up=True),
    Law("azure_packing", 3, "cpu_mcore", times=CORES),
    Law("azure_packing", 1, "arrive_s", times=60),
    Law("azure_packing", 2, "last_seen_s", times=60),
    Law("azure_totals_v1", "avg cpu", "rate"),
    Law("azure_totals_v2", "cpu_usage", "rate", over=100),
    Law("azure_vmtable", 9, "cpu_mcore", times=CORES, up=True),
    Law("azure_vmtable", 10, "mem_mib", times=GIB, up=True),
    Law("azure_vmtable", 3, "arrive_s"),
    Law("azure_vmtable", 4, "last_seen_s"),
    Law("azure_cpu_readings", 4, "cpu_share", over=100),
    Law("maro_vms", "vmcorecountbucket", "cpu_mcore", times=CORES),
    Law("maro_vms", "vmmemorybucket", "mem_mib", times=GIB),
    Law("maro_readings", "maxcpu", "cpu_share", over=100),
    Law("alibaba_2018_usage", 2, "cpu_share", over=100),
    Law("alibaba_2018_usage", 3, "mem_share", over=100),
    Law("alibaba_2018_machines", 4, "cpu_mcore", times=CORES, rows=(1, 2)),
    Law("alibaba_2018_mean", "cpu_util_percent", "cpu_share", over=100),
    Law("google_2019_mean", "avg_cpu", "cpu_share"),
    Law("huawei_vms", "flavor_vcpus", "cpu_mcore", times=CORES),
    Law("huawei_vms", "flavor_ram", "mem_mib", times=GIB),
    Law("cloudwatch", "value", "rate", over=300),
    Law("azure_functions_invocations", 4, "rate", over=60),
    Law("alibaba_genai_qps", "value", "rate"),
    Law("alibaba_genai_metric", "value", "extra.gpu_share", over=100, sample=1),
    Law("generic", "arrive_s", "arrive_s"),
    Law("generic", "cpu_mcore", "cpu_mcore"),
    Law("generic", "mem_mib", "mem_mib"),
    Law("generic", "price_per_h", "price_per_h", sample=1),
    Law("generic", "gpu_count", "gpu_count", sample=1),
)
