"""Eye-size files for the contract of each reader: those of tests/data, and binary ones built here."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

DATA = Path(__file__).parents[1] / "data"
Found = tuple[list[Path], Path | None]
SAMPLES: dict[str, Callable[[Path], Found]] = {}


def sample(build: Callable[[Path], Found]) -> Callable[[Path], Found]:
    """Enter a function under its name: it gets an empty folder, and gives files and the folder to move."""
    SAMPLES[build.__name__] = build
    return build


def plain(name: str, *files: str, together: str | None = None) -> None:
    """Enter files of tests/data."""
    SAMPLES[name] = lambda folder: ([DATA / file for file in files], DATA / together if together else None)


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def opendc(folder: Path) -> tuple[Path, Path]:
    """Two VMs: b comes first, with 2 cores of 1,000 MHz; a half a minute later, with 1 of 1,000."""
    tasks = write_parquet(
        folder / "tasks.parquet",
        {
            "id": ["a", "b"],
            "submission_time": pa.array([1_030_000, 1_000_000], pa.timestamp("ms")),
            "duration": [90_000, 0],
            "cpu_count": pa.array([1, 2], pa.int32()),
            "cpu_capacity": [1000.0, 2000.0],
            "mem_capacity": [1025, 2048],
        },
    )
    fragments = write_parquet(
        folder / "fragments.parquet",
        {
            "id": ["b", "b", "a", "a", "a"],
            "duration": [30_000, 30_000, 20_000, 25_000, 45_000],
            "cpu_usage": [500.0, 2200.0, 300.0, 600.0, 0.0],
        },
    )
    return tasks, fragments


@sample
def opendc_tasks(folder: Path) -> Found:
    return [opendc(folder)[0]], None


@sample
def opendc_fragments(folder: Path) -> Found:
    return [opendc(folder)[1]], folder


def google_day(first: float) -> bytes:
    return b"".join(f"{first + i / 100:.2f} {50 + i}\n".encode() for i in range(288))


@sample
def google_2011_vms(folder: Path) -> Found:
    (folder / "days").mkdir()
    (folder / "days" / "vm_7_1").write_bytes(google_day(5))
    (folder / "days" / "vm_7_3").write_bytes(google_day(6))
    members = {"GCD_VMs/vm_7_1": google_day(5), "GCD_VMs/vm_12_2": google_day(7), "GCD_VMs/vm_7_2": google_day(6)}
    archive = write_tar(folder / "vms.tar.gz", members)
    return [archive, folder / "days", folder / "days" / "vm_7_1"], None


plain("opendc_topology", "opendc_topology.json")
plain("counts_per_second", "counts_per_second.txt")
plain("worldcup98", "worldcup98.csv")
plain("azure_llm", "azure_llm.csv")
plain("cluster_pools", "cluster_pools", "cluster_pools/pool-202408_0.csv")
plain("electricity_maps", "electricity_maps", "electricity_maps/A-B_2021_hourly.csv")
plain("electricity_price", "electricity_price", "electricity_price/A-B_electricity_prices_2021.csv")
plain("carbon_csv", "fr_ci.csv")
plain("aws_spot", "spot", "spot/us-east-1a-Linux-c3.xlarge.csv")
plain("spot_availability", "spot_availability.json")
plain("azure_v1_cpu", "azure_v1_cpu/two_avg.csv", together="azure_v1_cpu")
plain("google_2011_machines", "google_2011_machines.csv")
plain("google_2011_tasks", "google_2011_tasks.csv")
plain("alibaba_dlrm", "alibaba_dlrm.csv")
plain("alibaba_spot_nodes", "alibaba_spot_nodes.csv")


def hours(*number: int) -> pa.Array:
    return pa.array([1000 * 3600 * one for one in number], pa.timestamp("ms"))


@sample
def carbon_parquet(folder: Path) -> Found:
    """Spain: 1 at hour 0, 2 at hour 1, 5 at hour 4. France a quarter of an hour by another clock."""
    spain = write_parquet(
        folder / "entso-e-ES-2023.parquet", {"timestamp": hours(0, 1, 4), "carbon_intensity": [1.0, 2, 5]}
    )
    stamps = pa.array([900_000, 1_800_000], pa.timestamp("ms", tz="Europe/Paris"))
    write_parquet(folder / "2022_FR.parquet", {"timestamp": stamps, "carbon_intensity": [7.0, 8.0]})
    return [spain, folder], None


@sample
def alibaba_genai_metric(folder: Path) -> Found:
    """Unpacked, and as the archive that is published."""
    content = (DATA / "pod_gpu_duty_cycle_anon.csv").read_bytes()
    packed = write_tar(folder / "any-name.tar.gz", {"pod_gpu_duty_cycle_anon.csv": content})
    return [packed, DATA / "pod_gpu_duty_cycle_anon.csv"], None


plain("swf", "swf/tiny.swf")
plain("philly_jobs", "philly_jobs.csv")
plain("philly_nodes", "philly_nodes.csv")
plain("helios", "helios/vcA", "helios/vcA/cluster_sequence_vc.csv", together="helios")
plain("helios_capacity", "helios/Earth_gpu_number.csv")
plain("gaia_jobs", "gaia_jobs.csv")
plain("azure_packing", "azure_packing.txt")
plain("azure_totals_v1", "azure_totals_v1.csv")
plain("azure_totals_v2", "azure_totals_v2.csv")
plain("azure_vmtable", "azure_vmtable.csv")
plain("azure_cpu_readings", "azure_cpu_readings.csv")
plain("maro_vms", "maro_vms.csv")
plain("maro_readings", "maro_readings.csv")
plain("alibaba_2018_usage", "alibaba_2018/machine_usage.csv")
plain("alibaba_2018_machines", "alibaba_2018/machine_meta.csv")
plain("alibaba_2018_mean", "alibaba_2018/machine_usage_day_2_grouped_43200_seconds.csv")
plain("google_2019_usage", "google_2019/22-300000000-900000000.csv")
plain("google_2019_mean", "google_2019/mean.csv")
plain("bytedance", "bytedance.json")
plain("huawei_hosts", "huawei_hosts.csv")
plain("huawei_vms", "huawei_vms.csv")
plain("cloudwatch", "elb_request_count_x.csv")
plain("azure_functions_invocations", "azure_functions/invocations.csv", together="azure_functions")
plain("azure_functions_2021", "azure_functions_2021.csv")
plain("alibaba_genai_qps", "qps.csv")
plain("alibaba_genai_requests", "alibaba_genai_requests.csv")
