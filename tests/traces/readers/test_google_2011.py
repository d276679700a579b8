"""Machine and task events."""

from pathlib import Path

import numpy as np
import pytest

from rlsched import read_machines, read_trace
from rlsched.errors import SpecError, TraceError


def test_the_machines_of_a_moment_have_their_latest_size(samples: Path) -> None:
    first = read_machines(samples / "google_2011_machines.csv")
    assert first.machine_id.tolist() == [5, 6, 9]
    assert first.cpu_mcore.tolist() == [100_000, 50_000, 50_000]
    assert first.mem_mib.tolist() == [100_000, 49_950, 24_930]
    assert "4 rows dropped: an event after 0 s (rows 4, 5, 6, 7)" in first.report.lines()
    later = read_machines(samples / "google_2011_machines.csv", at_s=1000.0)
    assert later.machine_id.tolist() == [5, 7, 9]  # 6 was removed
    assert later.mem_mib.tolist() == [50_000, 12_410, 24_930]
    assert later.report.lines()[1:] == [
        "1 row given those of the machine's earlier event: an event without sizes (row 7)",
        "3 rows merged into its last: an earlier event of a machine (rows 1, 2, 3)",
        "1 row dropped: a machine that was removed (row 4)",
    ]


def test_the_reference_says_what_a_share_stands_for(samples: Path) -> None:
    machines = read_machines(samples / "google_2011_machines.csv", machine_cpu_mcore=64_000, machine_mem_mib=100)
    assert machines.cpu_mcore.tolist() == [64_000, 32_000, 32_000]
    assert machines.mem_mib.tolist() == [100, 50, 25]  # 49.95 and 24.93, rounded up
    assert machines.meta["reference"] == {"machine_cpu_mcore": 64_000, "machine_mem_mib": 100}
    with pytest.raises(SpecError, match=r"machine_cpu_mcore must be a whole number > 0.*got 0.5"):
        read_machines(samples / "google_2011_machines.csv", machine_cpu_mcore=0.5)


def test_each_submission_is_a_task_that_ends_with_its_next_end(samples: Path) -> None:
    trace = read_trace(samples / "google_2011_tasks.csv")
    assert trace.task_id.tolist() == ["10-0-0", "10-1-0", "11-0-0", "11-0-1"]
    np.testing.assert_allclose(trace.arrive_s, [0, 0, 650, 700.000003])
    np.testing.assert_allclose(trace.depart_s, [800, -1, 700, -1])
    np.testing.assert_allclose(trace.last_seen_s, [800, 900, 700, 900])
    assert trace.cpu_mcore.tolist() == [12_500, 50_000, 3_125, 3_125]
    assert trace.mem_mib.tolist() == [7_450, 25_000, 1_000, 1_000]
    assert trace.priority.tolist() == [9, 9, 2, 2]
    assert trace.group.tolist() == [0, 0, 1, 1]
    assert trace.tenant.tolist() == [0, 0, 1, 1]
    assert trace.group_limit.tolist() == [0, 0, 1, 1]


def test_the_report_accounts_for_every_event(samples: Path) -> None:
    assert read_trace(samples / "google_2011_tasks.csv").report.lines() == [
        "11 rows read, 4 kept",
        "1 row dropped: an event of a task that was not submitted here",
        "5 rows merged into its submission: a later event of an attempt",
        "1 row kept with the request submitted: a later event of the attempt asks for something else",
        "1 row given that of a later event of the attempt: a submission without a request",
        "1 row dropped: an attempt that asks for nothing",
        "2 rows kept with an unknown departure (censored): still there at the last event",
        "2 rows kept, arriving at 0: there before the trace",
    ]


def test_the_arrival_can_be_the_moment_of_placement(samples: Path) -> None:
    trace = read_trace(samples / "google_2011_tasks.csv", arrival="schedule")
    assert trace.task_id.tolist() == ["10-0-0", "10-1-0", "11-0-0"]
    assert trace.arrive_s.tolist() == [0, 0, 651.5]
    assert "1 row dropped: an attempt that was never scheduled" in trace.report.lines()


def test_parts_of_a_folder_are_one_trace(samples: Path, tmp_path: Path) -> None:
    lines = (samples / "google_2011_tasks.csv").read_text().splitlines(keepends=True)
    (tmp_path / "part-00000.csv").write_text("".join(lines[:6]))
    (tmp_path / "part-00001.csv").write_text("".join(lines[6:]))
    assert read_trace(tmp_path).same_as(read_trace(samples / "google_2011_tasks.csv"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("700000000,,11,0,77,5", "700000000,,11,0,77,9", r"event must be in 0..8: got 9 in row 7"),
        ("0.0745,0.0004,0\n0,,10,0,77", "1.5,0.0004,0\n0,,10,0,77", r"memory must be in 0..1: got 1.5 in row 1"),
        (",0.01,0,1", ",0.01,0,2", r"different_machine must be 0 or 1: got 2 in row 5"),
    ],
)
def test_a_bad_event_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (samples / "google_2011_tasks.csv").read_text()
    assert old in text
    (tmp_path / "x.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(TraceError, match=message):
        read_trace(tmp_path / "x.csv", format="google_2011_tasks")


def test_events_out_of_order_and_after_the_trace_are_counted(samples: Path, tmp_path: Path) -> None:
    text = (samples / "google_2011_tasks.csv").read_text()
    lines = text.splitlines(keepends=True)
    late = "9223372036854775807,,10,1,78,4,userA=,3,9,0.5,0.25,0.0004,0\n"
    (tmp_path / "x.csv").write_text("".join([*lines[:6], lines[9], *lines[6:9], lines[10], late]))
    trace = read_trace(tmp_path / "x.csv")
    assert trace.same_as(read_trace(samples / "google_2011_tasks.csv"))
    assert "3 rows sorted into place: time smaller than in an earlier row" in trace.report.lines()
    assert any("dropped: after the trace (time 2**63 - 1)" in line for line in trace.report.lines())


def test_the_machine_table_has_the_published_shapes(real: Path) -> None:
    machines = read_machines(real / "google_2011/machine_events/part-00000-of-00001.csv.gz")
    assert machines.report.rows_read == 37_780
    assert len(machines) == 12_477
    shapes = np.stack([machines.cpu_mcore, machines.mem_mib], axis=1)
    known, counts = np.unique(shapes, axis=0, return_counts=True)
    found = {tuple(shape): int(count) for shape, count in zip(known.tolist(), counts, strict=True)}
    assert found[50_000, 49_950] == 6672
    assert found[50_000, 24_930] == 3835
    assert found[50_000, 74_900] == 992
    assert found[100_000, 100_000] == 788


def test_the_first_part_of_the_tasks_has_the_published_counts(real: Path) -> None:
    trace = read_trace(real / "google_2011/task_events/part-00000-of-00500.csv.gz")
    count = {(drop.rule, drop.action): drop.count for drop in trace.report.drops}
    assert trace.report.rows_read == 450_146
    nothing = count["an attempt that asks for nothing", "dropped"]
    assert len(trace) + nothing == 144_339 + 57_152
    # A task is what its job and index name, however often it was submitted.
    new: dict[str, list[tuple[float, float]]] = {}
    for name, arrive, depart in zip(trace.task_id.tolist(), trace.arrive_s, trace.depart_s, strict=True):
        new.setdefault(name.rsplit("-", 1)[0], []).append((arrive, depart))
    ended = [own for own in new.values() if own[0][0] > 0 and any(depart >= 0 for _, depart in own)]
    assert len(ended) == 42_684
    assert round(np.median([max(depart for _, depart in own) - own[0][0] for own in ended])) == 380
