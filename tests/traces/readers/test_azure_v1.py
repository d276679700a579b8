import shutil
from pathlib import Path

import numpy as np
import pytest

from rlsched import read_trace
from rlsched.errors import MissingDataError, SpecError, TraceError
from rlsched.rng import stream


@pytest.fixture
def tiny(samples: Path, tmp_path: Path) -> Path:
    """Periods 300, 600, 900; the window ends at 1,200. On the trace's clock: 0, 300, 600; 900."""
    shutil.copytree(samples / "azure_v1", tmp_path / "azure")
    return tmp_path / "azure" / "traces" / "tiny.txt"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_arrivals_flavours_and_batches(tiny: Path) -> None:
    trace = read_trace(tiny)
    assert trace.arrive_s.tolist() == [0, 0, 0, 600]
    assert trace.cpu_mcore.tolist() == [1000, 2000, 1000, 4000]
    assert trace.mem_mib.tolist() == [768, 3584, 768, 7168]
    assert trace.group.tolist() == trace.tenant.tolist() == [0, 0, 1, 2]
    assert trace.task_id.tolist() == [0, 1, 2, 3]
    assert trace.meta["time_origin_s"] == 300


def test_the_lower_rule_takes_the_smallest_life_of_the_bin(tiny: Path) -> None:
    trace = read_trace(tiny, bin_rule="lower")
    assert trace.depart_s.tolist() == [0, -1, 300, -1]
    assert trace.last_seen_s.tolist() == [0, 900, 300, 900]


def test_the_middle_rule_takes_the_middle_of_the_bin(tiny: Path) -> None:
    assert read_trace(tiny, bin_rule="middle").depart_s.tolist() == [150, -1, 450, -1]


def test_the_uniform_rule_stays_in_the_bin_and_repeats_by_seed(tiny: Path) -> None:
    trace = read_trace(tiny, seed=7)
    assert 1 <= trace.depart_s[0] < 300
    assert 300 <= trace.depart_s[2] < 600
    assert trace.same_as(read_trace(tiny, seed=7))
    # The stream and the bounds are part of the promise: bins 0, 3 (running; not used), 1, 1.
    drawn = stream(7, "azure_v1_lifetimes").integers([1, 900, 300, 300], [300, 901, 600, 301])
    assert trace.depart_s[[0, 2]].tolist() == drawn[[0, 2]].tolist()


def test_a_bin_is_cut_at_the_end_of_the_window(tiny: Path) -> None:
    # Bin 3 holds 900 and 1,200 s, so [900, 1500); the VM ended inside a window of 1,000 s: [900, 1000).
    replace(tiny.with_name("tiny.c1200.txt"), "U1,|", "U3,|")
    tiny.with_name("tiny.c1200.txt").rename(tiny.with_name("tiny.c1300.txt"))
    replace(tiny.with_name("tiny.c1300.txt"), "C1", "U0")
    trace = read_trace(tiny, bin_rule="middle")
    assert trace.depart_s.tolist() == [150, -1, 950, 750]


def test_without_durations_no_end_is_known_and_the_report_says_so(tiny: Path) -> None:
    trace = read_trace(tiny, durations="none")
    assert trace.depart_s.tolist() == trace.last_seen_s.tolist() == [-1, -1, -1, -1]
    assert trace.report.lines()[1] == "4 rows kept with an unknown departure: there is no durations file"
    tiny.with_name("tiny.c1200.txt").unlink()
    assert read_trace(tiny).same_as(trace)


def test_several_durations_files_are_not_chosen_between(tiny: Path) -> None:
    shutil.copy(tiny.with_name("tiny.c1200.txt"), tiny.with_name("tiny.c900.txt"))
    with pytest.raises(SpecError, match=r"2 durations files lie beside .*tiny\.c1200\.txt, tiny\.c900\.txt"):
        read_trace(tiny)


def test_a_missing_map_is_named_with_the_option_that_gives_it(tiny: Path) -> None:
    (tiny.parent.parent / "maps" / "flav_map.txt").unlink()
    with pytest.raises(MissingDataError, match=r"need flav_map\.txt.*flavours="):
        read_trace(tiny)


def test_the_durations_file_itself_is_explained(tiny: Path) -> None:
    with pytest.raises(TraceError, match="the arrivals file is needed"):
        read_trace(tiny.with_name("tiny.c1200.txt"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("900 c", "900 cc", r"a flavour must be one letter: got 'cc' in line 3 of"),
        ("900 c", "900 z", r"a flavour must be in the flavour map: got 'z' in line 3 of .*Known: a, b, c"),
        ("900 c,|,", "900 c", r"a period must end with a closed batch, '\|': line 3"),
        ("900 c", "900 |,c", r"a batch must hold a VM: line 3"),
        ("900 c", "600 c", r"periods must ascend: got 600 after 600 in line 3"),
        ("900 c", "-900 c", r"a line must be '<seconds> a,b,\|,\.\.\.': got '-900 c,\|,' in line 3"),
        ("900 c", "nine c", r"a line must be '<seconds> .*line 3"),
    ],
)
def test_a_bad_arrival_line_is_named(tiny: Path, old: str, new: str, message: str) -> None:
    replace(tiny, old, new)
    with pytest.raises(TraceError, match=message):
        read_trace(tiny)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("U0,C3", "U0", r"durations must fit the arrivals: got second 300 with 4 entries .* has 300 with 5, in line 1"),
        ("U0,C3", "X0,C3", r"a duration must be U<bin> or C<bin>: got 'X0' in line 1"),
        ("U0,C3", "U9,C3", r"a bin must be in the interval map: got 9 .* has 0\.\.3"),
        ("U0,C3", "U0,C1", r"a lifetime must fit the window: got C with 300\.\.300 s .* second 300, 900 s before"),
        ("U0,C3,|,U1", "U0,|,C3,U1", r"batches must end where the arrivals' do|a duration must be"),
        ("900 C1,|,\n", "", r"durations must have a line for each period: .* has 2, .* 3"),
    ],
)
def test_bad_durations_are_named(tiny: Path, old: str, new: str, message: str) -> None:
    replace(tiny.with_name("tiny.c1200.txt"), old, new)
    with pytest.raises(TraceError, match=message):
        read_trace(tiny)


def test_the_dev_part_has_the_published_counts(real: Path) -> None:
    trace = read_trace(real / "azure_v1_vm_arrivals/traces/v1.dev.txt.gz")
    assert len(trace) == 259_159
    assert int(trace.group.max()) + 1 == 53_109
    censored = trace.depart_s == -1
    assert int(censored.sum()) == 14_317  # 5.5 %
    assert (trace.last_seen_s[censored] == 300_000).all()
    assert int(trace.depart_s.max()) <= 300_000
    assert trace.arrive_s[[0, -1]].tolist() == [0, 299_700]
    # The three rules agree on the 5-minute period of every bin that is one period wide.
    lower = read_trace(real / "azure_v1_vm_arrivals/traces/v1.dev.txt.gz", bin_rule="lower")
    life, low = trace.depart_s - trace.arrive_s, lower.depart_s - lower.arrive_s
    narrow = ~censored & (low <= 3600)
    assert (life[narrow] // 300 == low[narrow] // 300).all()
    assert float(np.median(low[~censored])) == 1500


def test_the_train_part_has_the_published_counts(real: Path) -> None:
    trace = read_trace(real / "azure_v1_vm_arrivals/traces/v1.train.txt.gz")
    assert len(trace) == 1_200_998
    assert int(trace.group.max()) + 1 == 316_846
    assert (trace.depart_s == -1).all()
    assert trace.meta["time_origin_s"] == 300
