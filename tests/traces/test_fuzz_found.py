"""What fuzzing found, each as the smallest file that shows it: one clear error where there was something else."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from rlsched.errors import TraceError
from rlsched.traces.read import read_any

DATA = Path(__file__).parents[1] / "data"
DEEP = "[" * 100_000
FOUND = {
    # format: (content, message)
    "a header of one endless field": ("openb_nodes", "sn" * 100_000, r"must be well formed: line 1 of .*x is not"),
    "nested without end, a topology": ("opendc_topology", f'{{"clusters": {DEEP}', "must be JSON: .*x is not"),
    "a cluster that is none": ("opendc_topology", '{"clusters": [null]}', "hosts must be a list with entries: got No"),
    "a count without end": (
        "opendc_topology",
        (DATA / "opendc_topology.json").read_text().replace('"count": 2', '"count": 1e15'),
        "at most 10,000,000 hosts: got a count of 1000000000000000",
    ),
    "nested without end, a snapshot": ("bytedance", f'{{"cluster_list": {DEEP}', "must be JSON with cluster_list"),
    "nested without end, probes": ("spot_availability", f'{{"data": {DEEP}', "must be JSON with metadata and data"),
    "a map that lacks a column": (
        "generic", "task_id,arrive_s,cpu_mcore,gpu_mgpu\na,0,1,1\n", "needs gpu_count: .*x has none",
    ),
    "a life given twice": (
        "generic", "task_id,arrive_s,cpu_mcore,depart_s,duration_s\na,0,1,1,1\n", "depart_s or duration_s, not both",
    ),
    "names without end": ("generic", ",".join(f"name{i}" * 50 for i in range(99)), "must use our column names"),
    "a float beyond what is measured": (
        "worldcup98",
        "period,count\n1998-05-01 00:00:00,1e300\n",
        r"count must be at most 2\*\*53.*got '1e300' in row 1",
    ),
    "more memory than a machine": (
        "alibaba_dlrm",
        (DATA / "alibaba_dlrm.csv").read_text().replace("120.0", "9007199254740992", 1),
        r"memory_request must be in 0\.\.8796093022208: got 9.* in row 1",
    ),
    "hours beyond any clock": (
        "gaia_jobs", "arrival_time,length,cpus\n1e12,1,1\n", "at most 1,000,000,000 h: got 1000000000000",
    ),
    "more cores than are whole": ("gaia_jobs", "arrival_time,length,cpus\n1,1,1e15\n", "cpus must be > 0 and at most"),
    "a capacity of four hundred digits": (
        "azure_packing", f"1\t{'9' * 400}\t0\t0\n0\t0\t6\t33\n", r"a capacity must be in 1\.\.1,000,000,000",
    ),
    "a number as Python writes it": (
        "azure_vmtable",
        (DATA / "azure_vmtable.csv").read_text().replace(",1,1.75", ",1_0,1.75", 1),
        "cores must be a number > 0, or an open bucket.*got '1_0' in row 1",
    ),
    "a time that is no time": (
        "azure_cpu_readings",
        (DATA / "azure_cpu_readings.csv").read_text().replace("600,", "9007199254740992,", 1),
        "a time must be seconds: got 9007199254740992 in .*x, which is no time",
    ),
    "a VM that is no whole number": (
        "azure_v1_cpu", "row,7.0,8\n1,2,3\n", "columns must be row and numbers of VMs: got '7.0' in the header",
    ),
    "a VM whose number is too large": (
        "azure_v1_cpu", f"row,{'9' * 40},8\n1,2,3\n", "columns must be row and numbers of VMs: got '999",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", list(FOUND))
def test_what_fuzzing_found_is_one_clear_error(what: str, tmp_path: Path) -> None:
    format, content, message = FOUND[what]
    path = tmp_path / "x"
    path.write_text(content)
    with pytest.raises(TraceError, match=message) as raised:
        read_any(path, format=format)
    assert len(str(raised.value)) < 1500


def test_fragments_that_span_more_than_their_number_explains_are_refused(tmp_path: Path) -> None:
    tasks = {
        "id": ["a"], "submission_time": [0], "duration": [1], "cpu_count": [1], "cpu_capacity": [1.0],
        "mem_capacity": [1],
    }  # fmt: skip
    parquet.write_table(pa.table(tasks), tmp_path / "tasks.parquet")
    long = {"id": ["a", "a", "a"], "duration": [1000, 1000, 2**50], "cpu_usage": [1.0, 1.0, 1.0]}
    parquet.write_table(pa.table(long), tmp_path / "fragments.parquet")
    with pytest.raises(TraceError, match=r"spans 1,125,899,906,845 steps of 1 s with 3 fragments"):
        read_any(tmp_path / "fragments.parquet")


def test_a_saved_trace_that_is_spoilt_is_named_and_not_its_original(tmp_path: Path) -> None:
    from rlsched.traces.store import save

    path = tmp_path / "pods.parquet"
    save(read_any(DATA / "openb_pods.csv"), path)
    table = parquet.read_table(path)
    cpu = table.column_names.index("cpu_mcore")
    spoilt = table.set_column(cpu, "cpu_mcore", pa.array([-1] * table.num_rows))
    parquet.write_table(spoilt.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(TraceError, match=r"must be intact: .*pods\.parquet is not\. cpu_mcore must be in"):
        read_any(path)
    assert json.loads(table.schema.metadata[b"rlsched"])["source"].endswith("openb_pods.csv")


def test_the_date_of_a_capacity_table_may_stand_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("vcA,vcB,date,total\n8,4,2020-05-01,12\n")
    assert read_any(path, format="helios_capacity").rate.tolist() == [[8.0], [4.0]]  # type: ignore[union-attr]
