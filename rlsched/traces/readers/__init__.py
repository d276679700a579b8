"""One public trace format per file; the table is ``READERS``.

To add a format, write one module with two functions and put one line into the table::

    def sniff(head: bytes, path: Path) -> bool   # is this file, by its content, of my format?
    def read(path: Path, *, option=default, ...) -> Trace | Machines | Usage | Demand | Signal

``head`` holds the first unpacked bytes (empty for a directory). ``read`` states in the result's
``report`` whatever it dropped, merged, filled or changed. `rlsched.testing.readers` checks the
rest; ``source.py`` (bytes) and ``table.py`` (CSV with row-numbered errors) are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rlsched.traces.columns import Columns


@dataclass(frozen=True)
class Reader:
    """One line of the table.

    Parameters
    ----------
    name : str
        What ``--format`` and cards call it.
    kind : {"trace", "machines", "usage", "demand", "signal", "any"}
        What comes out; ``any`` where the file or its card decides.
    title : str
        For people.
    module : str
        Imported when the reader is first used.
    """

    name: str
    kind: str
    title: str
    module: str

    def sniff(self, head: bytes, path: Any) -> bool:
        """Whether the content is of this format."""
        return bool(import_module(self.module).sniff(head, path))

    @property
    def read(self) -> Callable[..., Columns]:
        """The module's ``read(path, **options)``."""
        function: Callable[..., Columns] = import_module(self.module).read
        return function


def _table(*readers: tuple[str, str, str]) -> dict[str, Reader]:
    return {name: Reader(name, kind, title, f"{__name__}.{name}") for name, kind, title in readers}


#: Name → reader, in the order in which content is matched.
READERS: dict[str, Reader] = _table(
    ("openb_pods", "trace", "Alibaba GPU 2023 (openb): pods"),
    ("openb_nodes", "machines", "Alibaba GPU 2023 (openb): nodes"),
    ("azure_v1", "trace", "Azure V1 (2017): VM arrivals with flavours and binned lifetimes"),
    ("bitbrains", "usage", "Bitbrains GWA-T-12: 5-minute load of VMs"),
    ("planetlab", "usage", "PlanetLab 2011: a day of 5-minute CPU load of VMs"),
    ("opendc_tasks", "trace", "OpenDC Parquet: tasks (Bitbrains VMs, SURF jobs)"),
    ("opendc_fragments", "usage", "OpenDC Parquet: CPU load of tasks"),
    ("opendc_topology", "machines", "OpenDC JSON: hosts by cluster"),
    ("google_2011_vms", "usage", "Google 2011: derived VMs, CPU and memory of jobs by day"),
    ("counts_per_second", "demand", "requests per second on one line (NASA 1995, Twitter 2021)"),
    ("worldcup98", "demand", "World Cup 1998: requests per minute"),
    ("azure_llm", "demand", "Azure LLM inference 2023: requests with tokens"),
    ("cluster_pools", "demand", "Cloud Cluster Capacity 2024: CPU and memory of pools, 30 s"),
    ("electricity_maps", "signal", "carbon intensity of zones by the hour (Electricity Maps)"),
    ("electricity_price", "signal", "electricity price of zones by the hour (SustainCluster)"),
    ("carbon_csv", "signal", "carbon intensity 2020: Germany, Great Britain, France (CSV)"),
    ("carbon_parquet", "signal", "carbon intensity in OpenDC's Parquet"),
    ("aws_spot", "signal", "AWS spot prices 2015"),
    ("spot_availability", "signal", "availability of spot instances (SkyPilot)"),
    ("azure_v1_cpu", "usage", "Azure V1 (2017): CPU of long-lived VMs, a column a VM"),
    ("google_2011_machines", "machines", "Google 2011: machine events"),
    ("google_2011_tasks", "trace", "Google 2011: task events, one task a submission"),
    ("alibaba_dlrm", "trace", "Alibaba GPU 2025: instances of recommendation serving"),
    ("alibaba_spot_nodes", "machines", "Alibaba spot GPU 2026: nodes"),
    ("swf", "trace", "Standard Workload Format: parallel jobs"),
    ("philly_jobs", "trace", "Microsoft Philly 2017: training jobs"),
    ("philly_nodes", "demand", "Microsoft Philly 2017: active nodes by the minute"),
    ("helios", "demand", "SenseTime Helios 2020: GPUs of virtual clusters by the minute"),
    ("gaia_jobs", "trace", "GAIA: batch jobs of a year from Azure and Alibaba PAI"),
    ("azure_packing", "trace", "Azure packing 2020: VMs as bin-packing instances"),
    ("azure_totals_v1", "demand", "Azure V1 (2017): region total of CPU"),
    ("azure_totals_v2", "demand", "Azure V2 (2019): region total of CPU and memory"),
    ("azure_vmtable", "trace", "Azure V1 and V2: the original VM table"),
    ("azure_cpu_readings", "usage", "Azure V1 and V2: the original CPU readings"),
    ("maro_vms", "trace", "MARO: VM tables in the shape of Azure 2019"),
    ("maro_readings", "usage", "MARO: CPU readings in the shape of Azure 2019"),
    ("alibaba_2018_usage", "usage", "Alibaba 2018: load of machines"),
    ("alibaba_2018_machines", "machines", "Alibaba 2018: machines"),
    ("alibaba_2018_mean", "usage", "Alibaba 2018: mean over all machines, by day"),
    ("google_2019_usage", "usage", "Google 2019: load of single tasks"),
    ("google_2019_mean", "usage", "Google 2019: mean of a cell"),
    ("bytedance", "any", "ByteDance VM rescheduling: VMs or hosts of a snapshot"),
    ("huawei_hosts", "machines", "Huawei topology placement: free servers"),
    ("huawei_vms", "trace", "Huawei topology placement: requests for VMs"),
    ("cloudwatch", "demand", "AWS CloudWatch metrics (Numenta Anomaly Benchmark)"),
    ("azure_functions_invocations", "demand", "Azure Functions 2019: invocations by the minute"),
    ("azure_functions_2021", "demand", "Azure Functions 2021: single invocations"),
    ("alibaba_genai_qps", "demand", "Alibaba GenAI 2026: requests a second"),
    ("alibaba_genai_metric", "usage", "Alibaba GenAI 2026: a metric of containers"),
    ("alibaba_genai_requests", "demand", "Alibaba GenAI 2026: user requests"),
    ("helios_capacity", "demand", "SenseTime Helios 2020: GPUs of virtual clusters by the day"),
    ("rlsched", "any", "Parquet written by rlsched"),
    ("generic", "any", "any CSV or Parquet, described by a card"),
)
