"""A map of a stranger's columns: suggested, printed, read back."""

from __future__ import annotations

from pathlib import Path

import pytest
from whatif_worlds import odd_files

from rlsched.errors import SpecError
from rlsched.evaluate.whatif_columns import check_names, read_map, suggest
from rlsched.traces.card import ColumnMap, load_card


def test_odd_names_and_units_of_a_trace_are_recognised(tmp_path: Path) -> None:
    found = suggest(odd_files(tmp_path)[0], "trace")
    assert found.columns == {
        "task_id": "VM Name",
        "arrive_s": "Created At",
        "depart_s": "deletedAt",
        "cpu_mcore": "vCPUs",
        "mem_mib": "Memory (GiB)",
    }
    assert found.settings == {
        "time_unit": "datetime",
        "time_origin": "first",
        "cpu_unit": "cores",
        "mem_unit": "gib",
    }


@pytest.mark.parametrize(
    ("header", "row", "columns", "settings"),
    [
        ("job_id,submit_time,run_time,ncpus,mem_mb", "1,5,9,4000,2048",
         "task_id,arrive_s,duration_s,cpu_mcore,mem_mib", {}),
        ("pod;start_ms;cpu_millicores;memory_bytes", "p;1772000000000;250;2147483648",
         "task_id,arrive_s,cpu_mcore,mem_mib",
         {"delimiter": ";", "time_unit": "ms", "time_origin": "first", "mem_unit": "bytes"}),
        ("instance,created,cores,cpu_usage_avg,ram", "a,0,0.3333,0.5,2.5",
         "task_id,arrive_s,cpu_mcore,mem_mib", {"cpu_unit": "cores", "mem_unit": "gib", "rounding": "up"}),
        ("id,arrival,end,requested_cores,gpus,gpu_milli", "1,0,5,2,1,500",
         "task_id,arrive_s,depart_s,cpu_mcore,gpu_count,gpu_mgpu", {"cpu_unit": "cores"}),
    ],
)  # fmt: skip
def test_names_of_other_systems_are_recognised(
    tmp_path: Path, header: str, row: str, columns: str, settings: dict[str, str]
) -> None:
    path = tmp_path / "other.csv"
    path.write_text(f"{header}\n{row}\n")
    found = suggest(path, "trace")
    assert sorted(found.columns) == sorted(columns.split(","))
    assert found.settings == settings
    assert "cpu_usage_avg" not in found.columns.values()  # measured load is no request


def test_the_message_holds_a_map_that_can_be_used_as_it_stands(tmp_path: Path) -> None:
    for path, kind in zip(odd_files(tmp_path), ("trace", "machines"), strict=True):
        found = suggest(path, kind)
        assert found.text in found.message().replace("'", "")
        assert found.card.splitlines()[-1] in found.message()
        table = read_map(found.text, kind)
        assert isinstance(table, ColumnMap)
        (tmp_path / "map.toml").write_text(found.card)
        assert load_card(tmp_path / "map.toml").spec.table == table
        check_names(table, path, kind)


def test_what_is_missing_is_a_question_mark_that_must_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "no.csv"
    path.write_text("colour,begin\nred,5\n")
    found = suggest(path, "trace")
    assert found.missing == ("cpu_mcore",)
    assert "cpu_mcore=?" in found.text
    assert "None looks like cpu_mcore" in found.message()
    with pytest.raises(SpecError, match=r"in the place of the '\?' after cpu_mcore="):
        read_map(found.text, "trace")


def test_a_name_with_a_comma_can_only_stand_in_a_card(tmp_path: Path) -> None:
    path = tmp_path / "comma.csv"
    path.write_text('"cpu, cores",start\n2,5\n')
    found = suggest(path, "trace")
    assert found.columns["cpu_mcore"] == "cpu, cores"
    assert found.text == ""
    assert "add: --columns FILE.toml" in found.message()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("arrive_s=a,cpu=b", "unknown column 'cpu' of a trace"),
        ("arrive_s=a,cpu_mcore", "pairs ours=theirs"),
        ("arrive_s=a,arrive_s=b,cpu_mcore=c", "arrive_s is named twice"),
        ("arrive_s=a,cpu_mcore=b,cpu_unit=cpus", "cpu_unit"),
        ("nowhere.toml", "there is no file 'nowhere.toml'"),
        ("cpu_mcore=b,cpu_unit=cores", "must name the file's column for arrive_s"),
    ],
)
def test_a_map_that_breaks_a_rule_is_one_clear_error(text: str, says: str) -> None:
    with pytest.raises(SpecError, match="--columns") as error:
        read_map(text, "trace")
    assert says in str(error.value)


def test_a_map_of_columns_the_file_lacks_names_the_nearest(tmp_path: Path) -> None:
    path = odd_files(tmp_path)[0]
    table = read_map("arrive_s=Created,cpu_mcore=vCPU", "trace")
    assert isinstance(table, ColumnMap)
    with pytest.raises(SpecError) as error:
        check_names(table, path, "trace")
    assert "Did you mean 'Created At'?" in str(error.value)
    assert "Did you mean 'vCPUs'?" in str(error.value)
