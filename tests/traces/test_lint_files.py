"""The linter on files: what a reader refuses, the command line, draws, and the real traces with their known quirks."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "testing"))
from test_readers import good_files

from rlsched.errors import TraceError
from rlsched.traces.columns import Columns, Machines, Trace
from rlsched.traces.datasets import read_dataset
from rlsched.traces.lint import Report, check, check_file
from rlsched.traces.lint.account import UNKNOWN_ENTRY
from rlsched.traces.lint.every import Checked, check_every, lines_of, without_card
from rlsched.traces.lint.head import read_csv_head
from rlsched.traces.read import read_any
from rlsched.traces.readers import READERS
from rlsched.traces.synthetic.draw import draw_tasks, draw_usage
from rlsched.traces.synthetic.profile import list_profiles, load_profile

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")
DATA = Path(__file__).parents[1] / "data"
SAMPLE = Path(__file__).parents[2] / "traces" / "sample"
DOCS = Path(__file__).parents[2] / "docs" / "datasets.md"

PODS = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
a,1000,2048,0,0,,LS,Succeeded,0,100,1
b,-5,2048,0,0,,LS,Succeeded,1,100,2
c,1000,2048,0,0,,LS,Succeeded,90,80,91
a,1000,2048,0,0,,LS,Succeeded,3,100,4
d,x,2048,0,0,,LS,Succeeded,4,100,5
e,1000,2048,0,0,,LS,Succeeded,5,100,6
"""


def main(argv: list[str]) -> int:
    from rlsched.cli.main import main

    return main(["traces", "check", *argv])


def rules(report: Report) -> list[str]:
    return [one.rule for one in report.findings]


def reading(path: Path, **options: object) -> Callable[..., Columns]:
    return lambda **more: read_any(path, **{**options, **more})  # type: ignore[arg-type]


def test_a_refused_file_is_a_finding_and_the_rest_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "pods.csv"
    path.write_text(PODS)
    report = check_file(reading(path), path)
    assert rules(report) == [
        "refused", "unreadable-row", "negative-value", "duplicate-id", "departs-before-arrival",
    ]  # fmt: skip
    by_rule = {one.rule: one for one in report.findings}
    assert "cpu_milli must be a whole number: got 'x' in row 5" in by_rule["refused"].found
    assert {rule: one.rows for rule, one in by_rule.items() if one.rows} == {
        "unreadable-row": (5,), "negative-value": (2,), "duplicate-id": (4,), "departs-before-arrival": (3,),
    }  # fmt: skip
    assert report.changes_results


def test_a_file_of_which_nothing_can_be_read_is_the_readers_own_error(tmp_path: Path) -> None:
    path = tmp_path / "pods.csv"
    path.write_text("\n".join([*PODS.splitlines()[:1], PODS.splitlines()[5]]) + "\n")
    with pytest.raises(TraceError, match=r"cpu_milli must be a whole number: got 'x' in row 1"):
        check_file(reading(path), path)
    vm = tmp_path / "vm"
    vm.write_text("5\n" * 287)
    with pytest.raises(TraceError, match="exactly 288 samples"):  # this reader cannot leave rows out
        check_file(reading(vm, format="planetlab"), vm)


def test_seconds_taken_for_milliseconds_are_found_by_the_clock_and_the_header(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    lines = [f"{i},{1_376_314_846 + 300 * i},{1_376_315_146 + 300 * i},2,4" for i in range(30)]
    path.write_text("\n".join(["job,start_time [ms],end,cores,gib", *lines]) + "\n")
    card = tmp_path / "jobs.toml"
    card.write_text(
        'reader = "generic"\n[table]\ntime_unit = "ms"\ntime_origin = "first"\ncpu_unit = "cores"\nmem_unit = "gib"\n'
        '[table.columns]\ntask_id = "job"\narrive_s = "start_time [ms]"\ndepart_s = "end"\ncpu_mcore = "cores"\n'
        'mem_mib = "gib"\n'
    )
    found = {one.rule: one for one in check_file(reading(path, card=card), path).findings}
    assert list(found) == ["time-unit", "clock-unit", "unit-label"]
    assert "time 0 is 1376315 s (15d22h) after 1970 began: seconds taken for milliseconds?" in found["clock-unit"].found
    assert "half of the tasks live 0.3 s or less" in found["time-unit"].found
    assert "steps of 300 would be 0.3 s" in found["unit-label"].found
    card.write_text(card.read_text().replace('"ms"', '"s"'))
    assert rules(check_file(reading(path, card=card), path)) == ["unit-label"]


def test_the_head_of_a_file_is_its_header_and_whole_rows(tmp_path: Path) -> None:
    head = read_csv_head(DATA / "bitbrains")
    assert head is not None
    assert head.names[:2] == ("Timestamp [ms]", "CPU cores")
    assert head.numbers(0)[:2] == [1_000_000_200, 1_000_000_200]
    long = tmp_path / "long.csv"
    long.write_text("a,b\n" + "1,2\n" * 30_000)
    found = read_csv_head(long)
    assert found is not None
    assert set(found.rows) == {("1", "2")}
    assert read_csv_head(SAMPLE / "vms.parquet") is None
    assert read_csv_head(tmp_path / "nothing.csv") is None


def test_exit_codes_say_whether_results_would_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machines = ["--machines", str(SAMPLE / "machines.parquet")]
    assert main([str(SAMPLE / "vms.parquet"), *machines]) == 0
    assert "Nothing found." in capsys.readouterr().out
    bad = tmp_path / "pods.csv"
    bad.write_text(PODS)
    assert main([str(bad)]) == 1
    shown = capsys.readouterr().out
    assert "departs-before-arrival (changes results): 1 row dropped" in shown
    assert "    where   row 3 of the file" in shown
    assert "    replay  does not see them" in shown
    assert "5 findings would change results, 0 would not." in shown
    bad.write_bytes(b"\x1f\x8b\x08nothing")
    assert main([str(bad)]) == 2
    assert main([str(tmp_path / "absent.csv")]) == 2
    assert "no file at" in capsys.readouterr().err


def test_a_notice_alone_is_exit_code_0(tmp_path: Path) -> None:
    path = tmp_path / "pods.csv"
    header, row = PODS.splitlines()[:2]
    path.write_text("\n".join([header, row.replace("a,1000", "a,0"), row.replace("a,", "b,")]) + "\n")
    assert rules(check_file(reading(path), path)) == ["zero-request"]
    assert main([str(path)]) == 0


def test_requests_are_held_against_the_machines_that_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    pods = str(DATA / "openb_pods.csv")
    assert main([pods, "--machines", str(DATA / "openb_nodes.csv"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    too_large = next(one for one in report["findings"] if one["rule"] == "too-large")
    assert too_large["count"] == 1
    assert too_large["ids"] == ["p4"]
    assert set(report) == {"source", "kind", "rows_read", "changes_results", "findings"}
    assert set(too_large) == {"rule", "severity", "count", "found", "replay", "fix", "rows", "rows_of", "ids"}
    assert main([pods, "--machines", pods]) == 2
    assert "--machines must name machines" in capsys.readouterr().err
    assert main([pods, "--machines-part", "nodes"]) == 2


def test_one_thing_is_checked_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main([str(DATA / "openb_pods.csv"), "--all"]) == 2
    assert "name one thing to check" in capsys.readouterr().err


def test_the_rules_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rules"]) == 0
    shown = capsys.readouterr().out
    assert "| **too-large** | trace |" in shown
    assert main(["--rules", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)
    assert len({(line["rule"], line["about"]) for line in lines}) == len(lines)


def test_all_datasets_are_listed_even_where_none_is_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stray").mkdir()
    assert main(["--all", "--data", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Not on this machine: alibaba" in shown
    assert "Folders without a card: stray." in shown
    assert main(["--all", "--data", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["without_card"] == ["stray"]
    assert all(one["report"] is None for one in document["parts"])


@pytest.mark.parametrize("name", list(READERS))
def test_whatever_a_reader_does_to_its_sample_has_a_name(name: str, tmp_path: Path) -> None:
    for path in good_files(name, tmp_path)[0]:
        report = check(read_any(path, format=name))
        assert UNKNOWN_ENTRY not in rules(report), report.findings


def test_nothing_is_found_in_the_sample_that_is_shipped() -> None:
    machines = read_any(SAMPLE / "machines.parquet")
    assert isinstance(machines, Machines)
    assert check(machines).findings == ()
    assert check(read_any(SAMPLE / "vms.parquet"), machines=machines).findings == ()


#: What a draw takes over from the trace its profile was fitted to; every other draw is clean.
INHERITED = {
    "above-capacity": {"bitbrains", "google-2011"},  # bursts above the request
    "constant-series": {"surf-lisa-week"},  # jobs at one load
    "memory-unit": {"surf-lisa-month", "surf-lisa-week"},  # a constant 98 MiB
    "zero-life": {"surf-lisa-week"},  # jobs of 0 s
}


def inherits(rule: str, profile: str, drawn: Trace | None) -> bool:
    """Whether a finding is what the profile says, and not an invention of the draw."""
    if rule in ("no-end", "no-memory", "zero-request"):  # the profile has no lives, no memory, or tasks of 0
        return (
            drawn is not None
            and {
                "no-end": bool((drawn.depart_s < 0).all()),
                "no-memory": bool((drawn.mem_mib == 0).all()),
                "zero-request": bool(((drawn.cpu_mcore == 0) | (drawn.mem_mib == 0)).any()),
            }[rule]
        )
    return profile in INHERITED.get(rule, set())


@pytest.mark.parametrize("name", list(list_profiles()))
def test_nothing_is_found_in_a_draw_but_what_its_source_has(name: str) -> None:
    profile = load_profile(list_profiles()[name])
    for seed in range(2):
        drawn = []
        if profile.streams:
            drawn += [draw_tasks(profile, 1.5, 0.3, seed, warm_days=warm) for warm in (0.0, 1.0)]
        if profile.usage is not None:
            drawn.append(draw_usage(profile, 1.0, 0.1, seed))  # type: ignore[arg-type]
        for columns in drawn:
            strange = [
                one
                for one in check(columns).findings
                if not inherits(one.rule, name, columns if isinstance(columns, Trace) else None)
            ]
            assert strange == []


def test_one_line_a_rule_and_dataset_shows_the_part_with_most(tmp_path: Path) -> None:
    path = tmp_path / "pods.csv"
    path.write_text(PODS)
    small = check_file(reading(path), path)
    path.write_text(PODS + "\n".join(line.replace("b,", "f,") for line in PODS.splitlines()[2:3]) + "\n")
    large = check_file(reading(path), path)
    lines = lines_of([Checked("d", "one", small), Checked("d", "two", large), Checked("e", "", None, error="no")])
    negative = next(line for line in lines if line.finding.rule == "negative-value")
    assert (negative.parts, negative.part, negative.finding.count) == (("one", "two"), "two", 2)


#: (dataset, part) -> findings that its README calls quirks.
QUIRKS = {
    ("bitbrains-faststorage", None): {
        "unit-label", "duplicate-sample", "gap", "off", "above-capacity", "samples-differ", "kept",
    },
    ("planetlab-2011", "20110303"): {"blank-in-id"},
    ("opendc-bitbrains", "usage"): {"gap-bridged", "regridded", "unsorted"},
    ("surf-lisa-week", "jobs"): {"zero-life", "says-nothing", "memory-unit", "too-large"},
    ("surf-lisa-month", None): {"memory-unit", "says-nothing"},
    ("azure-v1-2017", "dev"): {"censored", "drawn-life"},
    ("azure-v1-2017", "train"): {"no-end"},
    ("alibaba-gpu-2023", "pods"): {"censored", "never-started"},
    ("alibaba-gpu-2023", "cpu037"): {"unsorted"},
    ("alibaba-gpu-2023", "multigpu20"): {"invented-times", "no-end"},
    ("alibaba-dlrm-2025", None): {"there-at-start", "censored"},
    ("alibaba-spot-2026", None): {"no-capacity"},
    ("google-2011", "tasks"): {"there-at-start", "censored", "filled-in", "rows-dropped"},
    ("google-2011-vms", "usage"): {"gap", "above-capacity"},
    ("worldcup-98", None): {"gap"},
    ("cluster-pools-2024", "memory"): {"gap", "forward-filled"},
    ("carbon-2020", None): {"step-change", "odd-step"},
    ("carbon-entsoe-2023", None): {"carbon-level"},
    ("spot-availability", "v100_16_2023_08"): {"samples-differ"},
    ("sustain-cluster", "carbon"): {"estimated"},
    ("alibaba-2018", "usage"): {"gap", "duplicate-sample"},
    ("alibaba-2018", "mean"): {"clock-guessed"},
    ("google-2019", "usage"): {"gap", "duplicate-sample"},
    ("philly-2017", "jobs"): {"unsorted", "no-memory"},
    ("hpc-swf", "hpc2n"): {"no-end"},
    ("azure-packing-2020", "10000_4_3"): {"there-at-start", "no-memory"},
    ("huawei-topology", "c1"): {"invented-times", "no-end"},
    ("bytedance-rescheduling", "vms"): {"snapshot", "there-at-start", "no-end"},
    ("cloudwatch-nab", "ec2_disk_write_bytes_1ef3de"): {"duplicate-sample"},
    ("cloudwatch-nab", "ec2_request_latency_system_failure"): {"gap"},
    ("sustain-cluster", "price"): {"negative-price", "constant-run"},
    ("alibaba-genai-2026", "qps"): {"gap"},
    ("alibaba-genai-2026", "pod_memory_util"): {"negative-value", "gap", "rows-dropped", "duplicate-sample"},
    ("azure-v1-format-sample", "vms"): {"there-at-start", "censored", "corrected"},
    ("gaia-jobs", "pai"): {"no-memory"},
    ("google-2011", "machines"): {"rows-dropped"},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("where", list(QUIRKS), ids=str)
def test_the_known_quirks_of_a_dataset_are_among_the_findings(where: tuple[str, str | None], real: Path) -> None:
    from rlsched.traces.datasets import locate

    name, part = where
    path = locate(name, part, real)[2]
    machines = read_dataset(name, "hosts", data=real) if part == "jobs" and name == "surf-lisa-week" else None
    assert machines is None or isinstance(machines, Machines)
    report = check_file(lambda **more: read_dataset(name, part, data=real, **more), path, machines=machines)
    assert QUIRKS[where] <= set(rules(report))


@pytest.mark.slow
def test_nasas_glued_logs_and_its_hurricane_are_found_without_being_told(real: Path) -> None:
    path = real / "web_requests" / "nasa_1995" / "workload.txt.gz"
    found = {one.rule: one for one in check_file(reading(path), path).findings}
    assert set(found) == {"outage", "clock-step"}
    assert "135,851 samples" in found["outage"].found
    assert found["outage"].rows == (2_435_065,)
    day = re.search(r"about day (\d+)", found["clock-step"].found)
    assert day is not None
    assert int(day[1]) == 2_381_544 // 86_400  # where the second log is glued on


@pytest.mark.slow
def test_the_table_of_findings_in_the_docs_is_what_the_command_prints(
    real: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--all", "--data", str(real)]) == 1
    shown = capsys.readouterr().out.strip()
    documented = DOCS.read_text(encoding="utf-8")
    assert shown in documented, "run rlsched traces check --all, read it, and put it into docs/datasets.md"


@pytest.mark.slow
def test_every_dataset_can_be_read_and_has_a_card(real: Path) -> None:
    checked = list(check_every(real))
    assert [one for one in checked if one.error] == []
    assert without_card(real) == ["edge_eua"]  # positions of antennas: nothing to replay
    assert np.sum([one.report.rows_read for one in checked if one.report is not None]) > 20_000_000
