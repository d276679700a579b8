from pathlib import Path

import numpy as np
import pytest

from rlsched import read_machines, read_trace
from rlsched.errors import SpecError, TraceError

END = 12_902_960


def edited(samples: Path, tmp_path: Path, old: str, new: str, name: str = "openb_pods.csv") -> Path:
    text = (samples / name).read_text()
    assert old in text
    path = tmp_path / name
    path.write_text(text.replace(old, new, 1))
    return path


def test_pods_come_out_by_arrival_with_their_requests(samples: Path) -> None:
    trace = read_trace(samples / "openb_pods.csv")
    assert trace.task_id.tolist() == ["p0", "p2", "p1", "p3", "p4"]
    assert trace.arrive_s.tolist() == [0, 40, 50, 70, 80]
    assert trace.cpu_mcore.tolist() == [12000, 4000, 6000, 8000, 1000]
    assert trace.gpu_count.tolist() == [1, 0, 1, 2, 1]
    assert trace.gpu_mgpu.tolist() == [1000, 0, 460, 1000, 500]
    assert trace.priority.tolist() == [2, 1, 0, 2, 2]  # LS, Burstable, BE, Guaranteed, LS


def test_gpu_models_are_bits_in_order_of_name(samples: Path) -> None:
    trace = read_trace(samples / "openb_pods.csv")
    assert trace.gpu_models == ("G2", "T4", "V100M32")
    assert trace.gpu_model_mask.tolist() == [-1, -1, 0b011, 0b001, 0b100]


@pytest.mark.parametrize(
    ("running", "depart"),
    [
        ("at_end", [-1, 100, 90, 75, 80]),
        ("censored", [-1, 100, 90, 75, -1]),
        ("departed", [END, 100, 90, 75, 80]),
    ],
)
def test_running_pods_end_as_the_option_says(samples: Path, running: str, depart: list[int]) -> None:
    trace = read_trace(samples / "openb_pods.csv", running=running)
    assert trace.depart_s.tolist() == depart
    assert trace.last_seen_s.tolist() == [END, 100, 90, 75, 80]


def test_pending_pods_can_be_left_out_and_are_counted(samples: Path) -> None:
    trace = read_trace(samples / "openb_pods.csv", pending="drop")
    assert "p3" not in trace.task_id.tolist()
    assert trace.report.rows_read == 5
    assert trace.report.rows_kept == 4
    assert "1 row dropped: Pending: the pod never started (row 4)" in trace.report.lines()


def test_the_report_tells_of_sorting_and_of_double_models(samples: Path) -> None:
    lines = read_trace(samples / "openb_pods.csv").report.lines()
    assert "1 row sorted into place: creation_time smaller than in an earlier row (row 3)" in lines
    assert "1 row counted once: gpu_spec names a model twice (row 4)" in lines


def test_a_list_without_times_gets_row_numbers_and_says_so(samples: Path) -> None:
    trace = read_trace(samples / "openb_pods_untimed.csv")
    assert trace.arrive_s.tolist() == [0, 1, 2]
    assert trace.depart_s.tolist() == [-1, -1, -1]
    assert "the list has no times" in trace.report.lines()[1]


def test_a_list_that_lost_one_time_column_is_refused_by_name(samples: Path, tmp_path: Path) -> None:
    path = edited(samples, tmp_path, ",deletion_time,", ",deleted,")
    with pytest.raises(TraceError, match=r"column 'deletion_time' is missing.*Did you mean 'deleted'"):
        read_trace(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("p1,6000", "p1,abc", r"cpu_milli must be a whole number: got 'abc' in row 2 \(line 3\) of .*Fix the row"),
        ("p1,6000", "p1,6000.5", r"cpu_milli must be a whole number: got '6000.5' in row 2"),
        ("p1,6000", "p1,NaN", r"cpu_milli must be a whole number: got 'NaN' in row 2"),
        ("p1,6000", "p1,", r"cpu_milli must not be empty: got '' in row 2"),
        ("p1,6000", "p1,-1", r"cpu_milli must be >= 0: got -1 in row 2"),
        ("p1,6000", "p1,1e30", r"cpu_milli must be at most 2\*\*53.*got '1e30' in row 2"),
        ("p1,6000,", "p1,", r"a row must have 11 fields: got 10 in row 2 \(line 3\)"),
        ("p1,6000", "p0,6000", r"name must be unique: got 'p0' in row 2"),
        ("1,460", "1,0", r"gpu_milli must be in 1..1000 where num_gpu > 0: got 0 in row 2"),
        ("1,460", "32,460", r"num_gpu must be in 0..31: got 32 in row 2"),
        ("0,0,,Burst", "0,7,,Burst", r"gpu_milli must be 0 where num_gpu is 0: got 7 in row 3"),
        ("4000,0,0", "0,0,0", r"cpu_milli must be > 0 in a row that asks for nothing else: got 0 in row 3"),
        ("BE,Failed", "LSR,Failed", r"qos must be one of LS, Guaranteed, Burstable, BE: got 'LSR' in row 2"),
        ("BE,Failed", "BE,Unknown", r"pod_phase must be one of .*got 'Unknown' in row 2"),
        ("50,90", "-50,90", r"creation_time must be >= 0: got -50 in row 2"),
        ("50,90", "50,49", r"deletion_time must be >= creation_time: got 49 in row 2"),
        ("T4|G2", "T4||G2", r"gpu_spec must be model names joined by '\|': got 'T4\|\|G2' in row 2"),
    ],
)
def test_a_bad_row_is_named_with_rule_value_and_place(
    samples: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        read_trace(edited(samples, tmp_path, old, new))


def test_bad_rows_can_be_skipped_and_are_counted(samples: Path, tmp_path: Path) -> None:
    trace = read_trace(edited(samples, tmp_path, "p1,6000", "p1,abc"), on_bad_row="skip")
    assert trace.task_id.tolist() == ["p0", "p2", "p3", "p4"]
    assert "1 row dropped: cpu_milli must be a whole number (row 2)" in trace.report.lines()


def test_an_unknown_value_of_an_option_is_refused(samples: Path) -> None:
    with pytest.raises(SpecError, match=r"running must have a known value: got 'cencored'. Did you mean 'censored'"):
        read_trace(samples / "openb_pods.csv", running="cencored")


def test_nodes_keep_the_order_of_the_file(samples: Path) -> None:
    machines = read_machines(samples / "openb_nodes.csv")
    assert machines.machine_id.tolist() == ["n0", "n1", "n2", "n3"]
    assert machines.gpu_count.tolist() == [0, 8, 2, 8]
    assert machines.gpu_models == ("G2", "T4")
    assert machines.gpu_model.tolist() == [-1, 0, 1, 0]
    assert np.isnan(machines.price_per_h).all()
    assert (machines.power_curve == -1).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("8,G2", "8,", r"model must be named where gpu > 0: got '' in row 2 \(line 3\)"),
        ("0,\n", "0,G2\n", r"model must be empty where gpu is 0: got 'G2' in row 1"),
        ("n1,96000", "n0,96000", r"sn must be unique: got 'n0' in row 2"),
    ],
)
def test_a_bad_node_is_named(samples: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        read_machines(edited(samples, tmp_path, old, new, "openb_nodes.csv"))


def test_the_default_list_has_the_published_composition(real: Path) -> None:
    trace = read_trace(real / "alibaba_gpu_v2023/csv/openb_pod_list_default.csv.gz")
    assert len(trace) == 8152
    one = trace.gpu_count == 1
    assert int((trace.gpu_count == 0).sum()) == 1088
    assert int((one & (trace.gpu_mgpu < 1000)).sum()) == 3078
    assert int((one & (trace.gpu_mgpu == 1000)).sum()) == 3911
    assert int((trace.gpu_count > 1).sum()) == 75
    assert int((trace.gpu_count * trace.gpu_mgpu).sum()) == 6_086_800
    assert int((trace.depart_s == -1).sum()) == 34
    assert int(trace.last_seen_s.max()) == END
    all_running = read_trace(real / "alibaba_gpu_v2023/csv/openb_pod_list_default.csv.gz", running="censored")
    assert int((all_running.depart_s == -1).sum()) == 5193


def test_every_published_list_can_be_read(real: Path) -> None:
    files = sorted((real / "alibaba_gpu_v2023/csv").glob("openb_pod_list_*.csv.gz"))
    assert len(files) == 20
    for file in files:
        trace = read_trace(file)
        assert trace.report.rows_kept == trace.report.rows_read == len(trace)


def test_the_node_lists_have_the_published_capacity(real: Path) -> None:
    everything = read_machines(real / "alibaba_gpu_v2023/csv/openb_node_list_all_node.csv.gz")
    with_gpu = read_machines(real / "alibaba_gpu_v2023/csv/openb_node_list_gpu_node.csv.gz")
    assert (len(everything), len(with_gpu)) == (1523, 1213)
    assert int(everything.gpu_count.sum()) == int(with_gpu.gpu_count.sum()) == 6212
    assert int(everything.cpu_mcore.sum()) == 125_514_000
    count = {
        name: int(everything.gpu_count[everything.gpu_model == i].sum()) for i, name in enumerate(everything.gpu_models)
    }
    assert count == {"G2": 4392, "T4": 842, "G3": 312, "P100": 265, "V100M32": 204, "V100M16": 195, "A10": 2}
