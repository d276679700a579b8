"""A scaling agent asked by itself says what it does in the simulator, and what it took for granted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rlsched.agents.export_scaling import export_scaling
from rlsched.agents.residual import ResidualNetwork
from rlsched.errors import PolicyError
from rlsched.observe.scaling_fields import ScalingObservation
from rlsched.policies.scaling import advise, find_scaling
from rlsched.policies.scaling.forecasts import PooledAr
from rlsched.policies.scaling.learned import LearnedScaling, load_scaling
from rlsched.policies.scaling.residual import Residual
from rlsched.sim.scaling import simulate
from rlsched.sim.scaling import state as st
from rlsched.sim.scaling.options import InstanceType, Service
from rlsched.sim.scaling.rules import memory
from rlsched.sim.scaling.world import Window, World
from rlsched.traces.columns import Demand

BAND = "band:alpha=0.4,beta=0.05,k_low=0.5,k_width=1.2,use_table={}"
LAGS = 12


def world(boot_s: float = 900) -> tuple[World, PooledAr]:
    draw = np.random.default_rng(3)
    wave = 10 + 4 * np.sin(np.arange(400) / 9)[None] + draw.normal(0, 1.0, (2, 400))
    demand = Demand(np.arange(2), 0, 300, np.maximum(wave, 0.0), "cores")
    kind = InstanceType(name="small", capacity=0.7, price_per_h=12, boot_s=boot_s, start_usd=3)
    made = World.build(demand, [kind], Service(min_instances=2, max_instances=40, unmet_usd_per_unit_h=120))
    forecaster = PooledAr.fit(made.demand, [(0, 0, 200), (1, 0, 200)], LAGS)
    return made.with_forecast(forecaster.values(made.demand)[:, :-1], forecaster.horizons, forecaster.quantiles), (
        forecaster
    )


def exported(path: Path, table: int = 1, boot_s: float = 900) -> tuple[LearnedScaling, World]:
    made, forecaster = world(boot_s)
    moves = Residual(find_scaling(BAND.format(table)), {"k_low": 1.0, "k_width": 0.8}, ScalingObservation())
    torch.manual_seed(1)
    network = ResidualNetwork(len(moves.fields(made)), 2, 8)
    torch.nn.init.normal_(network.act.weight, std=0.5)
    export_scaling(path, network, moves, made, {"name": "tiny"}, forecaster)
    return load_scaling(path), made


@pytest.mark.parametrize(("table", "boot_s"), [(1, 900), (0, 900), (1, 300), (1, 0)])
def test_asked_at_every_interval_it_says_what_it_did_in_the_simulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: int, boot_s: float
) -> None:
    policy, made = exported(tmp_path / "policy.onnx", table, boot_s)
    boots = made.types[0].boot_steps(made.step_s)
    seen: list[tuple[int, list[int], dict[str, float], int]] = []
    real = simulate.step

    def watching(w: World, state: st.State, decisions: np.ndarray, cost: np.ndarray | None = None) -> np.ndarray:
        code = state.code
        ages = code.alive[0, 0, 0]
        coming = [int(ages[boots - left]) if boots - left > 0 else 0 for left in range(1, boots)]
        names = ("backlog", "lost", "wait_quantile_s", "utilisation")
        last = {name: float(code.last[0, 0, st.LAST.index(name)]) for name in names}
        seen.append((int(ages[boots:].sum()), coming, last, int(decisions[0, 0, 1])))
        return real(w, state, decisions, cost)

    monkeypatch.setattr(simulate, "step", watching)
    shown: list[np.ndarray] = []
    real_actions = policy.actions
    monkeypatch.setattr(policy, "actions", lambda rows: (shown.append(rows.copy()), real_actions(rows))[1])
    policy.run(made, [Window((1,), LAGS, LAGS + 120, "one")], [0])
    changes = set()
    for i, (ready, coming, last, wanted) in enumerate(seen):
        t = LAGS + i
        asked = policy.scale(
            made.demand[1, :t],
            ready,
            booting=coming,
            backlog=last["backlog"],
            lost=last["lost"],
            wait_s=last["wait_quantile_s"],
            utilisation=last["utilisation"],
            time_s=float(made.start_s + t * made.step_s),
        )
        assert asked.replicas == wanted, f"interval {t}"
        assert shown[-1] == pytest.approx(shown[i], abs=1e-6), f"what it is shown at interval {t}"
        changes.add(asked.replicas)
    assert len(changes) > 3


def test_numbers_that_both_have_are_the_same() -> None:
    for name in ("RING", "FEW_ERRORS", "FIRST_SPREAD", "LONGEST"):
        assert getattr(advise, name) == getattr(memory, name)


def test_it_names_what_it_took_for_granted_and_what_it_moved(tmp_path: Path) -> None:
    policy, made = exported(tmp_path / "policy.onnx")
    advice = policy.scale(pd.Series(made.demand[0, :50]), 9)
    assert [one.split(" =")[0] for one in advice.assumed] == [
        "capacity", "limits", "booting", "backlog", "lost", "utilisation", "wait_s", "time_s",
    ]  # fmt: skip
    assert set(advice.moved) == {"k_low", "k_width"}
    assert abs(advice.moved["k_low"] - 0.5) <= 1.0
    assert advice.low <= advice.high
    full = policy.scale(made.demand[0, :50], 9, booting=[], backlog=0.0, lost=0.0, wait_s=0.0, time_s=0.0,
                        utilisation=min(1.0, made.demand[0, 49] / (9 * 0.7)), capacity=0.7, limits=(2, 40))  # fmt: skip
    assert full.assumed == ()
    assert full.replicas == advice.replicas


@pytest.mark.parametrize(
    ("history", "current", "more", "message"),
    [
        ([1.0] * 5, 3, {}, "at least 12 intervals"),
        ([[1.0] * 20], 3, {}, r"got shape \(1, 20\)"),
        (["much"] * 20, 3, {}, "history must be numbers"),
        ([1.0] * 19 + [-1.0], 3, {}, r"got -1.0 at position 19"),
        ([1.0] * 19 + [float("nan")], 3, {}, "got nan"),
        ([1.0] * 20, 2.5, {}, "current must be a whole number"),
        ([1.0] * 20, -1, {}, "current must be a whole number"),
        ([1.0] * 20, 3, {"booting": [1, 1, 1]}, "at most 2 as an order takes 3 intervals"),
        ([1.0] * 20, 3, {"capacity": 0.0}, "capacity must be a finite number > 0"),
        ([1.0] * 20, 3, {"backlog": -2.0}, "backlog must be a finite number >= 0"),
        ([1.0] * 20, 3, {"limits": (5, 2)}, "limits must be"),
        ([1.0] * 20, 3, {"limits": 5}, "limits must be"),
        ([1.0] * 20, 3, {"limits": ("a", "b")}, "limits must be a whole number"),
        ([1.0] * 20, 3, {"booting": 3}, "booting must be a list"),
        ([1.0] * 20, 3, {"time_s": "noon"}, "time_s must be a finite number"),
        ([1.0] * 20, 3, {"utilisation": 1.5}, r"utilisation must lie in \[0, 1\]"),
    ],
)
def test_what_cannot_be_is_one_clear_error(
    tmp_path: Path, history: object, current: int, more: dict, message: str
) -> None:
    policy, _ = exported(tmp_path / "policy.onnx")
    with pytest.raises(PolicyError, match=message):
        policy.scale(history, current, **more)


def test_asking_needs_no_compiler_and_no_torch(tmp_path: Path) -> None:
    exported(tmp_path / "policy.onnx")
    code = (
        "import sys\n"
        "for name in ('numba', 'torch', 'gymnasium', 'scipy', 'pyarrow'): sys.modules[name] = None\n"
        "import rlsched\n"
        f"policy = rlsched.load_policy({str(tmp_path / 'policy.onnx')!r})\n"
        "print(policy.scale([5.0] * 40, 7).replicas)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
