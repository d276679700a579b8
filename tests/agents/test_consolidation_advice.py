"""A consolidation agent asked by itself says what it does in the simulator, and what it took for granted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from consolidation_problems import problem

from rlsched.agents.export_consolidation import export_consolidation
from rlsched.agents.residual import ResidualNetwork
from rlsched.errors import PolicyError
from rlsched.policies.consolidation import advise
from rlsched.policies.consolidation.learned import LearnedConsolidation, load_consolidation
from rlsched.policies.consolidation.residual import FIELDS, NUMBERS, ConsolidationResidual
from rlsched.sim.consolidation import state as st
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.consolidation.simulate import Simulator

REACH = {"parameter": (0.8, 3.0), "placement_cap": (0.2, 1.0), "evacuate_below": (0.0, 1.0)}


@pytest.fixture
def policy(tmp_path: Path) -> LearnedConsolidation:
    torch.manual_seed(3)
    network = ResidualNetwork(len(FIELDS), 3, 16)
    torch.nn.init.normal_(network.act.weight, std=1.0)
    moves = ConsolidationResidual(ConsolidationPolicy("lr_mmt", 1.3, 0.6, 0.5), REACH)
    export_consolidation(tmp_path / "policy.onnx", network, moves, 300, {"name": "tiny"})
    return load_consolidation(tmp_path / "policy.onnx")


def machines(n: int = 3, **changes: Any) -> dict[str, Any]:
    frame = {
        "cpu_mcore": np.full(n, 4000),
        "mem_mib": np.full(n, 8192),
        "on": np.array([True] * (n - 1) + [False]),
        "asked_mcore": np.array([1500.0] * (n - 1) + [0.0]),
        "mem_used_mib": np.array([2048] * (n - 1) + [0]),
        "full_w": np.full(n, 120.0),
    }
    return {**frame, **changes}


def ticks(n: int = 12, **changes: Any) -> pd.DataFrame:
    frame = {
        "asked_mcore": np.linspace(2000, 3000, n),
        "requested_mcore_s": np.linspace(2000, 3000, n) * 300,
        "unmet_mcore_s": np.linspace(0, 900, n),
        "on_machine_s": np.full(n, 600.0),
        "short_machine_s": np.full(n, 10.0),
        "moves": np.arange(n),
        "switched": np.ones(n, np.int64),
        "energy_kwh": np.full(n, 0.015),
    }
    return pd.DataFrame({**frame, **changes})


def test_asked_at_every_tick_it_says_what_it_did_in_the_simulator(policy: LearnedConsolidation) -> None:
    given = problem(ticks=60)
    world, semantics = given.worlds[0], given.semantics
    simulator = Simulator([world], semantics)
    seen: list[np.ndarray] = []
    states: list[tuple[float, dict[str, np.ndarray], list[float]]] = []

    # The simulator is followed from outside: what it is asked about is read off its state by name.
    held: dict[str, Any] = {}

    def choose(observation: np.ndarray) -> np.ndarray:
        s = held["state"].code
        full = np.array([world.curves[row].points[-1] for row in world.host_curve])
        frame = {
            "cpu_mcore": world.host_cpu.copy(),
            "mem_mib": world.host_mem.copy(),
            "on": s.host_on[0].copy(),
            "asked_mcore": s.host_asked[0].copy(),
            "given_mcore": np.minimum(s.host_used[0], s.host_asked[0]),
            "mem_used_mib": np.array(
                [world.vm_mem[s.vm_host[0] == host].sum() for host in range(world.n_hosts)], np.int64
            ),
            "full_w": full,
        }
        sums = [float(s.sums[0, one]) for one in (st.REQUESTED, st.SHORT, st.ACTIVE, st.VIOLATION, st.ENERGY)]
        counts = [float(s.counts[0, st.MIGRATIONS]), float(s.counts[0, st.SHUTDOWNS] + s.counts[0, st.WAKES])]
        asked = float(s.vm_request[0][s.vm_host[0] != st.NONE].sum())
        seen.append(policy.actions(observation)[0])
        states.append((float(s.now_s[0]), frame, [*sums, *counts, asked]))
        return policy.actions(observation)

    real = st.State.new

    def remember(*args: Any, **options: Any) -> Any:
        held["state"] = real(*args, **options)
        return held["state"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(st.State, "new", remember)
        policy.residual.run(simulator, [0], choose)
    assert len(states) > 20

    columns = ("requested_mcore_s", "unmet_mcore_s", "on_machine_s", "short_machine_s")
    told: list[dict[str, float]] = []
    moved = 0
    for at, (time_s, frame, meters) in enumerate(states):
        if at:
            gone = np.subtract(meters[:7], states[at - 1][2][:7])
            row = dict(zip(columns, gone[:4].tolist(), strict=True))
            row |= {"energy_kwh": gone[4] / 3.6e6, "moves": gone[5], "switched": gone[6], "asked_mcore": meters[7]}
            told.append({key: max(value, 0.0) for key, value in row.items()})
        history = pd.DataFrame(told[-11:], columns=list(advise.TICK_COLUMNS))
        if at < 11:
            continue  # before ten samples the simulator's line has only those it has
        answer = policy.thresholds(frame, history, vms=world.n_vms, time_s=time_s)
        wanted = policy.residual.numbers(seen[at][None])[0]
        assert [answer.parameter, answer.placement_cap, answer.evacuate_below] == pytest.approx(wanted, abs=2e-5)
        assert answer.assumed == ()
        moved += any(abs(getattr(answer, name) - answer.base[name]) > 1e-3 for name in NUMBERS)
    assert moved > 5


def test_frames_and_dicts_are_the_same_and_defaults_are_told(policy: LearnedConsolidation) -> None:
    frame = machines()
    one = policy.thresholds(frame, ticks(), vms=10)
    two = policy.thresholds(pd.DataFrame(frame), ticks().to_dict("list"), vms=10, time_s=86_400.0)
    assert one.assumed == ("time_s = 0 (midnight)", "given_mcore = min(asked_mcore, cpu_mcore)")
    assert two.assumed == one.assumed[1:]
    assert (one.parameter, one.placement_cap, one.evacuate_below) == (
        two.parameter, two.placement_cap, two.evacuate_below
    )  # fmt: skip
    assert (one.detection, one.selection) == ("lr", "mmt")
    assert one.base == {"parameter": 1.3, "placement_cap": 0.6, "evacuate_below": 0.5}
    none = policy.thresholds(frame, ticks(0), vms=10, time_s=0.0)
    assert "of 0 ticks" in none.assumed[-1]


@pytest.mark.parametrize(
    ("frame", "history", "options", "says"),
    [
        (machines(asked_mcore=np.array([1.0, 2.0, 3.0])), ticks(), {}, r"asked_mcore of the machines "
         r"must be 0 where the machine is off: got 3.0 in row 2"),
        (machines(full_w=np.zeros(3)), ticks(), {}, r"full_w of the machines must be finite and > 0: got 0.0 in row 0 "
         r"\(and 2 more\)"),
        (machines(on=np.ones(3)), ticks(), {}, "on of the machines must be True or False: got float64"),
        (machines(mem_mib=np.array(["8 GiB"] * 3)), ticks(), {}, "mem_mib of the machines must be numbers"),
        (machines(mem_mib=np.full(2, 8192)), ticks(), {}, "mem_mib of the machines has 2 rows, the columns before"),
        ({key: value for key, value in machines().items() if key != "full_w"}, ticks(), {}, "have no column full_w "),
        (machines(given_mcore=np.full(3, 9e9)), ticks(), {}, "given_mcore of the machines must be at most"),
        ({key: value[:0] for key, value in machines().items()}, ticks(), {}, "there is no machine: got 0 rows"),
        ([1, 2], ticks(), {}, "machines must be a pandas DataFrame or a dict of arrays: got list"),
        (machines(), ticks(moves=np.full(12, -1)), {}, "moves of the ticks must be finite and >= 0: got -1 in row 0"),
        (machines(), ticks(energy_kwh=np.full(12, np.nan)), {}, "energy_kwh of the ticks must be finite and >= 0"),
        (machines(), ticks(on_machine_s=np.full(12, 1e6)), {}, "on_machine_s of the ticks must be at most 3 machines"),
        (machines(), ticks(unmet_mcore_s=np.full(12, 1e9)), {}, "unmet_mcore_s of the ticks must be at most requested"),
        (machines(), ticks().rename(columns={"energy_kwh": "energy_kWh"}), {}, "Rename 'energy_kWh', if it is that"),
        (machines(), ticks(), {"vms": 0}, "vms must be the number of VMs in the cluster, a whole number >= 1: got 0"),
        (machines(), ticks(), {"time_s": float("inf")}, "time_s must be finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_clear_error(
    policy: LearnedConsolidation, frame: Any, history: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(PolicyError, match=says):
        policy.thresholds(frame, history, **{"vms": 10, **options})


def test_asking_needs_no_compiler_and_no_torch(policy: LearnedConsolidation, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, rlsched\n"
        f"policy = rlsched.load_policy({str(tmp_path / 'policy.onnx')!r})\n"
        "m = {'cpu_mcore': [4000], 'mem_mib': [8192], 'on': np.array([True]), 'asked_mcore': [100.0], "
        "'mem_used_mib': [10], 'full_w': [100.0]}\n"
        f"t = {{name: [] for name in {list(advise.TICK_COLUMNS)!r}}}\n"
        "t = {name: np.zeros(0) for name in t}\n"
        "print(policy.thresholds(m, t, vms=2).placement_cap)\n"
        "assert not {'torch', 'numba', 'gymnasium'} & set(sys.modules), set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.2 <= float(done.stdout) <= 1.0
