"""Policies as a library: what they answer, in which forms they are asked, and what they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import rlsched
from rlsched.policies import find_policy
from rlsched.policies.library.decide import Decision
from rlsched.traces.columns import Machines, Trace

SMALL = {"cpu_mcore": 2_000, "mem_mib": 1_024}
SHARE = {**SMALL, "gpu_count": 1, "gpu_mgpu": 500}


def frame(machines: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({name: list(values) for name, values in machines.items()})


def test_best_fit_takes_the_tightest_machine_that_is_up(machines: dict) -> None:
    # busy: min(4/16, 7/32) = 0.219 left; empty: 14/16. full has no room, down is down.
    decision = rlsched.load_policy("best_fit").place(SMALL, machines)
    assert decision
    assert (decision.machine_id, decision.row, decision.devices) == ("busy", 0, ())
    assert decision.score == pytest.approx(-7 / 32)
    assert decision.reason == ""


def test_a_share_of_a_gpu_gets_the_smallest_sufficient_device(machines: dict) -> None:
    decision = rlsched.load_policy("best_fit").place(SHARE, machines)
    assert (decision.machine_id, decision.devices) == ("busy", (1,))
    whole = rlsched.load_policy("best_fit").place({**SHARE, "gpu_count": 2, "gpu_mgpu": 1000}, machines)
    assert (whole.machine_id, whole.devices) == ("empty", (0, 1))
    choosy = rlsched.load_policy("worst_fit").place({**SHARE, "gpu_models": ["A", "C"]}, machines)
    assert choosy.machine_id == "busy"


@pytest.mark.parametrize("name", ["best_fit", "learned"])
def test_a_frame_a_dict_and_a_series_ask_the_same(name: str, machines: dict, policy_file: Path) -> None:
    policy = rlsched.load_policy(policy_file if name == "learned" else name)
    answers = [
        policy.place(SHARE, machines),
        policy.place(pd.Series(SHARE), frame(machines)),
        policy.place(SHARE, frame(machines).set_index("machine_id")),
    ]
    assert all(one == answers[0] for one in answers[1:])
    assert answers[0]


def test_a_machine_list_is_taken_as_empty(policy_file: Path) -> None:
    fleet = Machines(
        machine_id=np.array(["a", "b"], dtype=object),
        cpu_mcore=np.array([8_000, 4_000]),
        mem_mib=np.array([8_192, 8_192]),
        gpu_count=np.array([0, 1]),
        gpu_model=np.array([-1, 0]),
        gpu_models=("A",),
    )
    assert rlsched.load_policy("best_fit").place(SMALL, fleet).machine_id == "b"
    assert rlsched.load_policy(policy_file).place(SHARE, fleet).machine_id == "b"


@pytest.mark.parametrize("name", ["best_fit", "learned"])
def test_many_are_placed_one_after_the_other_in_the_room_that_is_left(
    name: str, machines: dict, policy_file: Path
) -> None:
    policy = rlsched.load_policy(policy_file if name == "learned" else name)
    before = {key: np.array(values, copy=True) for key, values in machines.items()}
    big = pd.DataFrame([{"cpu_mcore": 6_000, "mem_mib": 1_024, "gpu_count": 1, "gpu_mgpu": 700}] * 5)
    decisions = policy.place_many(big, machines)
    # busy has room for one (its CPU), empty for two (12 of 16 cores), full and down for none.
    assert sorted(str(one.machine_id) for one in decisions) == ["None", "None", "busy", "empty", "empty"]
    on_empty = [one.devices for one in decisions if one.machine_id == "empty"]
    assert sorted(on_empty) == [(0,), (1,)], "a device with 300 left cannot take another 700"
    assert "lack only CPU" in decisions[-1].reason
    for key, values in machines.items():
        assert np.array_equal(np.array(values), before[key]) or values.dtype.kind in "Of", (
            "the caller's stay as they were"
        )
    assert list(pd.DataFrame(decisions).columns)[:2] == ["machine_id", "row"]


def test_a_trace_is_placed_row_by_row(machines: dict) -> None:
    trace = Trace(
        task_id=np.array(["t1", "t2"], dtype=object),
        arrive_s=np.array([0, 1]),
        depart_s=np.array([10, -1]),
        cpu_mcore=np.array([2_000, 90_000]),
        mem_mib=np.array([1_024, 1_024]),
    )
    first, second = rlsched.load_policy("best_fit").place_many(trace, machines)
    assert first.machine_id == "busy"
    assert "too large: it asks for 90000 mcore" in second.reason


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (
            {"cpu_mcore": 20_000, "mem_mib": 1},
            "no room: of 4 machines, 2 lack only CPU, 1 lack several things, 1 are down",
        ),
        ({"cpu_mcore": 1_000, "mem_mib": 33_000}, "lack only memory"),
        ({**SMALL, "gpu_count": 8}, "too large: it asks for 2000 mcore, 1024 MiB, 8 GPUs"),
        (
            {**SMALL, "gpu_count": 1, "gpu_models": ["H100", "C", "C"]},
            "no such GPU model: it asks for H100 or C, and none of 4 machines has that (the models there are: A, B)",
        ),
        ({**SMALL, "gpu_count": 8, "gpu_models": ["A", "C"]}, "8 GPUs of its models"),
    ],
)
def test_a_request_that_fits_nowhere_is_told_why(
    request_: dict, reason: str, machines: dict, policy_file: Path
) -> None:
    for policy in (rlsched.load_policy("best_fit"), rlsched.load_policy(policy_file)):
        decision = policy.place(request_, machines)
        assert not decision
        assert (decision.machine_id, decision.row) == (None, -1)
        assert reason in decision.reason
        assert policy.place_many([request_], machines) == [decision]


def test_where_models_are_not_known_a_request_for_one_is_told_so(machines: dict) -> None:
    request = {**SMALL, "gpu_count": 1, "gpu_models": ["H100"]}
    policy = rlsched.load_policy("best_fit")
    plain = {name: values for name, values in machines.items() if name != "gpu_model"}
    assert "is known to have that (no model is known; of 3 with GPUs, column" in policy.place(request, plain).reason
    some = {**machines, "gpu_model": np.array(["A", None, None, "A"], dtype=object)}
    assert (
        "is known to have that (the models there are: A; of 1 with GPUs, column gpu_model"
        in policy.place(request, some).reason
    )
    none = {name: values for name, values in plain.items() if not name.startswith("gpu")}
    assert "has that (none has GPUs)" in policy.place(request, none).reason


def test_devices_of_each_machine_may_be_lists_of_unequal_length() -> None:
    machines = {name: np.array([8000, 8000]) for name in ("cpu_mcore", "mem_mib", "cpu_free_mcore", "mem_free_mib")}
    lists = {**machines, "gpu_count": [1, 2], "gpu_free_mgpu": [[300], [1000, 400]]}
    request = {"cpu_mcore": 10, "mem_mib": 10, "gpu_count": 1, "gpu_mgpu": 400}
    decision = rlsched.load_policy("best_fit").place(request, lists)
    assert (decision.row, decision.devices) == (1, (1,))


def test_what_was_assumed_is_said_where_it_matters(machines: dict, policy_file: Path) -> None:
    short = {name: machines[name] for name in ("cpu_mcore", "mem_mib", "cpu_free_mcore", "mem_free_mib")}
    assert rlsched.load_policy("best_fit").place(SMALL, short).assumed == ()
    assert rlsched.load_policy("nilas").place(SMALL, short).assumed == ("no column busy_for_s: its tasks end at once",)
    told = rlsched.load_policy(policy_file).place(SMALL, short).assumed
    assert "no column tasks: 1 where something is allocated, 0 elsewhere" in told
    assert "no waiting in the situation: nothing waits" in told
    assert "no time_s in the situation: no calendar" in told
    assert not [one for one in told if "waited_s" in one], "a request that arrives now has waited for nothing"
    everything = {"waiting": 0, "arrived_cpu_mcore": 5, "arrived_gpu_mgpu": 0, "time_s": 1.6e9}
    assert rlsched.load_policy(policy_file).place(SMALL, machines, situation=everything).assumed == ()
    waited = rlsched.load_policy(policy_file).place(SMALL, machines, situation={**everything, "from_queue": 1})
    assert waited.assumed == ("no waited_s in the situation: the request waited for no time",)


def test_an_explanation_names_the_heuristic_and_what_makes_the_difference(machines: dict, policy_file: Path) -> None:
    policy = rlsched.load_policy(policy_file)
    told = policy.explain(SHARE, machines, against="worst_fit")
    assert told.decision == policy.place(SHARE, machines)
    assert told.other.machine_id == rlsched.load_policy("worst_fit").place(SHARE, machines).machine_id
    assert told.candidates[0]["machine_id"] == told.decision.machine_id
    scores = [one["score"] for one in told.candidates]
    assert scores == sorted(scores, reverse=True)
    assert {"cpu_left", "frag_gain", "prior"} <= set(told.frame.columns)
    text = str(told)
    assert "worst_fit would choose" in text
    assert policy.explain(SHARE, machines).heuristic == "blend:best_fit=0.2,fragmentation=1,devices=score"


def test_where_policies_differ_the_parts_of_the_lead_are_named(machines: dict) -> None:
    told = rlsched.load_policy("best_fit").explain(SMALL, machines, against="worst_fit")
    assert not told.agree
    # busy leaves 7/32, empty 14/16
    assert told.why == ["best_fit: -0.2188 on busy, -0.875 on empty: +0.6562 for busy"]
    assert "busy" in str(told)


def test_features_that_make_a_network_differ_are_swapped_one_by_one(machines: dict, policy_file: Path) -> None:
    policy = rlsched.load_policy(policy_file)
    found = [policy.explain(SHARE, machines, against=name) for name in ("best_fit", "worst_fit")]
    differing = [one for one in found if not one.agree]
    assert differing, "of the two extremes at most one is the network's choice"
    assert "leads" in differing[0].why[0]
    assert any(" speaks for " in line or " speaks against " in line for line in differing[0].why[1:])


def test_heuristics_that_draw_or_go_on_are_told_how(machines: dict) -> None:
    drawn = {rlsched.load_policy("random").place(SMALL, machines, seed=seed).machine_id for seed in range(20)}
    assert drawn == {"busy", "empty"}
    turn = rlsched.load_policy("round_robin")
    assert [turn.place(SMALL, machines, last=last).machine_id for last in (-1, 0, 1)] == ["busy", "empty", "busy"]
    stay = rlsched.load_policy("next_fit")
    assert [stay.place(SMALL, machines, last=last).machine_id for last in (0, 1, 2)] == ["busy", "empty", "busy"]
    many = turn.place_many([SMALL] * 3, machines, last=-1)
    assert [one.machine_id for one in many] == ["busy", "empty", "busy"]


def test_it_is_what_evaluate_and_find_policy_take(policy_file: Path) -> None:
    from placement_worlds import machines as make_machines
    from placement_worlds import tasks

    results = rlsched.evaluate(
        tasks(120, gpus=True),
        make_machines(12, gpus=True),
        [rlsched.load_policy(policy_file), rlsched.load_policy("best_fit")],
    )
    assert set(results.rows["policy"]) == {"toy", "best_fit"}
    assert type(find_policy(str(policy_file))) is type(rlsched.load_policy(policy_file))


def test_placing_needs_numpy_pandas_and_onnxruntime_only(policy_file: Path) -> None:
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"numba", "torch", "gymnasium", "pyarrow", "stable_baselines3", "scipy", "onnx"}}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Refuse())
import pandas as pd, rlsched
frame = pd.DataFrame(dict(cpu_mcore=[8000, 9000], mem_mib=[100, 100], cpu_free_mcore=[8000, 4000],
    mem_free_mib=[100, 100], gpu_count=[1, 2], gpu_free_mgpu=[[1000], [500, 1000]], gpu_model=["A", "B"]),
    index=["a", "b"])
request = dict(cpu_mcore=1000, mem_mib=10, gpu_count=1, gpu_mgpu=300)
for name in ("best_fit", "nilas", "kubernetes", {str(policy_file)!r}):
    policy = rlsched.load_policy(name)
    print(policy.place(request, frame).machine_id, len(policy.place_many([request] * 3, frame)))
    str(policy.explain(request, frame))
print(sorted(name for name in ("numba", "torch", "gymnasium") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    assert lines[0] == "b 3"
    assert len(lines[:-2]) == 4
    assert lines[-2] == "[]"


def test_a_decision_is_a_plain_value() -> None:
    assert not Decision(None, -1, reason="x")
    assert Decision("m", 0)
