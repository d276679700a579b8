"""Observations: by hand, by law (ranges), by twin (plain numpy), and the shortlist against the heuristic."""

from __future__ import annotations

import numpy as np
import pytest
from placement_worlds import CPU_SETTINGS, GPU_SETTINGS, world

from rlsched.errors import SpecError
from rlsched.observe.alike import lowest_bit
from rlsched.observe.features import CANDIDATE_FEATURES, CANDIDATE_NAMES, GLOBAL_FEATURES, GLOBAL_NAMES
from rlsched.observe.placement import Observer, device_choice
from rlsched.observe.reference import candidates_of
from rlsched.observe.settings import ObservationSettings
from rlsched.policies.heuristic import Heuristic
from rlsched.sim import state as st
from rlsched.sim.options import PlacementOptions
from rlsched.sim.simulate import advance_all, decide_all, run_policy
from rlsched.sim.world import Window, World
from rlsched.traces.columns import Machines, Trace

PART = {"candidates": CANDIDATE_FEATURES, "globals": GLOBAL_FEATURES}


def column(out: np.ndarray, name: str) -> np.ndarray:
    return out[..., (CANDIDATE_NAMES if out.ndim == 3 else GLOBAL_NAMES).index(name)]


def play(built: World, settings: ObservationSettings, pick, n: int = 2, budget_mib: int = 256):
    """Run every copy to its end; yields after each observation."""
    state = built.start([built.whole] * n, list(range(n)))
    observer = Observer(built, n, settings, budget_mib=budget_mib)
    devices = device_choice(settings, built)
    draw = np.random.default_rng(0)
    while (advance_all(built, state) >= 0).any():
        out = observer.observe(state)
        yield state, out
        slots = np.array([pick(draw, int(mask.sum())) if mask.any() else 0 for mask in out.action_mask])
        decide_all(built, state, out.rows[np.arange(n), slots], devices)


def first(draw: np.random.Generator, n: int) -> int:
    return 0


def anyone(draw: np.random.Generator, n: int) -> int:
    return int(draw.integers(n))


@pytest.mark.parametrize("gpus", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lifetime": "unknown"},
        {"lifetime": "predicted"},
        {"admission": "queue", "cpu_ratio": 1.5},
        {"fragmentation": "none", "empty_machines": "on"},
        {"stay": True},
        {"calendar": True, "admission": "queue"},
    ],
)
def test_every_feature_stays_in_its_stated_range(gpus: bool, options: dict) -> None:
    built = world(gpus=gpus, **options)
    settings = GPU_SETTINGS if gpus else CPU_SETTINGS
    if options.get("fragmentation") == "none":
        settings = ObservationSettings(candidates=6, shortlist=("dot_product", "lifetime"))
    seen = 0
    for _, out in play(built, settings, anyone):
        for name, features in PART.items():
            values = getattr(out, name)
            assert np.isfinite(values).all()
            low = np.array([f.low for f in features], np.float32)
            high = np.array([f.high for f in features], np.float32)
            bad = np.argwhere((values < low) | (values > high))
            assert bad.size == 0, f"{features[bad[0][-1]].name} left its range: {values[tuple(bad[0])]}"
        seen += 1
    assert seen > 50


@pytest.mark.parametrize(
    ("gpus", "change"),
    [
        (True, {}),
        (False, {}),
        (True, {"prior": {"best_fit": 0.03, "cosine": 1.9, "fgd": 0.16, "fragmentation": 1.9}}),
        (True, {"prior": {"gpu_packing": 1.0}, "devices": "best"}),
        (False, {"prior": {"cosine": 2.0, "lifetime": 0.3, "fragmentation": 0.1}}),
        (False, {"prior": {"first_fit": 1.0}}),
    ],
)
def test_the_first_candidate_is_the_prior_heuristics_choice_at_every_decision(gpus: bool, change: dict) -> None:
    built = world(gpus=gpus)
    settings = (GPU_SETTINGS if gpus else CPU_SETTINGS).model_copy(update=change)
    state = [seen for seen, _ in play(built, settings, first)][-1]
    other = built.start([built.whole] * 2, [0, 1])
    run_policy(built, other, Heuristic("prior", settings.prior, devices=settings.devices).arrays())
    assert (state.arrays.task_i == other.arrays.task_i).all(), "every task is on the same machine and devices"


@pytest.mark.parametrize(
    ("gpus", "change", "options"),
    [
        (True, {}, {}),
        (True, {"prior": {"gpu_clustering": 1.0}, "shortlist": ({"fgd": 1.0}, {"lifetime": 2.0})}, {"stay": True}),
        (False, {}, {}),
        (False, {"best": 1}, {"lifetime": "unknown", "admission": "queue"}),
        (False, {"shortlist": ({"lifetime": 1.0, "best_fit": 0.1}, {"first_fit": 1.0})}, {"lifetime": "predicted"}),
        (False, {"candidates": "all"}, {}),
        # First fit by bits, beside kept lists.
        (False, {"prior": {"first_fit": 1.0}, "shortlist": ({"best_fit": 1.0}, {"lifetime": 1.0})}, {}),
        (True, {"shortlist": ({"first_fit": 1.0}, {"gpu_packing": 1.0})}, {"admission": "queue"}),
    ],
)
def test_candidates_are_those_of_the_slow_twin(gpus: bool, change: dict, options: dict) -> None:
    built = world(40, 150, gpus=gpus, **options)
    settings = (GPU_SETTINGS if gpus else CPU_SETTINGS).model_copy(update=change)
    state = built.start([built.whole] * 2, [0, 1])
    observer, devices = Observer(built, 2, settings), device_choice(settings, built)
    kept = observer.scratch.lists.cursor.shape[1] > 0
    assert kept == (settings.candidates != "all" and {"lifetime": 1.0, "best_fit": 0.1} not in settings.shortlist)
    draw = np.random.default_rng(3)
    while (advance_all(built, state, logs=observer.logs) >= 0).any():
        out = observer.observe(state, followed=True)
        for n in range(2):
            count = int(out.action_mask[n].sum())
            mine = list(zip(out.rows[n, :count].tolist(), out.equal[n, :count].tolist(), strict=True))
            assert mine == candidates_of(built, state, settings, n)
        slots = [anyone(draw, max(1, int(mask.sum()))) for mask in out.action_mask]
        decide_all(built, state, out.rows[np.arange(2), slots], devices, observer.logs)


def test_following_the_log_shows_what_looking_at_every_machine_shows() -> None:
    built = world(40, 200)
    state = built.start([built.whole] * 2, [0, 1])
    observer, devices = Observer(built, 2, GPU_SETTINGS), device_choice(GPU_SETTINGS, built)
    steps = 0
    while (advance_all(built, state, logs=observer.logs) >= 0).any():
        out = observer.observe(state, followed=True)
        for fresh in (Observer(built, 2, GPU_SETTINGS), Observer(built, 2, GPU_SETTINGS, budget_mib=0)):
            assert all((a == b).all() for a, b in zip(fresh.observe(state), out, strict=True))
        decide_all(built, state, out.rows[:, steps % 2], devices, observer.logs)
        steps += 1
    assert steps > 100


def test_a_copy_put_on_other_machines_is_seen_afresh() -> None:
    # Two lists that differ in the GPU model only; the tasks want model A.
    fleets = [
        Machines(
            machine_id=np.arange(3),
            cpu_mcore=np.full(3, 8000),
            mem_mib=np.full(3, 8000),
            gpu_count=np.full(3, 2),
            gpu_model=np.array(model),
            gpu_models=("A", "B"),
        )
        for model in ([0, 1, 1], [1, 1, 0])
    ]
    trace = Trace(
        task_id=np.arange(4),
        arrive_s=np.arange(4),
        depart_s=np.full(4, -1),
        cpu_mcore=np.full(4, 100),
        mem_mib=np.full(4, 100),
        gpu_count=np.full(4, 1),
        gpu_mgpu=np.full(4, 1000),
        gpu_model_mask=np.full(4, 1),
        gpu_models=("A", "B"),
    )
    built = World.build(trace, fleets)
    observer = Observer(built, 1, ObservationSettings(candidates=2))
    for fleet, row in ((0, 0), (1, 2)):
        state = built.start([Window(0, 4, fleet=fleet)])
        advance_all(built, state, logs=observer.logs)
        for followed in (True, False):  # even somebody who forgot to say so
            out = observer.observe(state, followed=followed)
            assert out.rows[0].tolist() == [row, -1]
            # One machine of three has model A, with two devices of six.
            assert column(out.candidates, "model_share")[0, 0] == pytest.approx(1 / 3)
            assert column(out.globals, "request_models")[0] == pytest.approx(1 / 3)
            assert column(out.globals, "request_choosy")[0] == 1
            assert [column(out.globals, name)[0] for name in ("day_sin", "day_cos", "week_sin", "week_cos")] == [0] * 4


def test_kept_scores_change_nothing() -> None:
    built = world(40)
    plenty = [out.candidates.copy() for _, out in play(built, GPU_SETTINGS, anyone)]
    none = [out.candidates.copy() for _, out in play(built, GPU_SETTINGS, anyone, budget_mib=0)]
    assert len(plenty) == len(none)
    assert all((a == b).all() for a, b in zip(plenty, none, strict=True))


def test_a_fresh_observer_sees_what_one_that_followed_from_the_beginning_sees() -> None:
    built = world()
    checked = 0
    for step, (state, out) in enumerate(play(built, GPU_SETTINGS, anyone)):
        if step % 20 == 0:
            fresh = Observer(built, state.n_copies, GPU_SETTINGS).observe(state)
            assert all((a == b).all() for a, b in zip(fresh, out, strict=True))
            checked += 1
    assert checked > 3


@pytest.mark.parametrize("gpus", [True, False])
def test_candidates_are_feasible_differ_in_state_and_cover_all_states_when_all_are_shown(gpus: bool) -> None:
    built = world(gpus=gpus)
    settings = (GPU_SETTINGS if gpus else CPU_SETTINGS).model_copy(update={"candidates": "all"})
    for state, out in play(built, settings, anyone, n=1):
        task = int(state.task[0])
        rows = out.rows[0][out.action_mask[0] > 0]
        if task < 0:
            assert rows.size == 0
            continue
        keys = [machine_key(built, state, row) for row in rows]
        assert len(set(keys)) == len(keys)
        able = [row for row in range(len(built.fleets[0])) if can_hold(built, state, row, task)]
        assert set(rows.tolist()) <= set(able)
        assert {machine_key(built, state, row) for row in able} == set(keys)
        assert out.equal[0].sum() == len(able)
        assert column(out.globals, "request_fits")[0] == pytest.approx(len(able) / len(built.fleets[0]))


def machine_key(built: World, state: st.State, row: int) -> tuple:
    fleet, arrays = built.fleets[0], state.arrays
    price = float(fleet.price_per_h[row])
    return (
        int(fleet.cpu_mcore[row]),
        int(fleet.mem_mib[row]),
        int(fleet.gpu_count[row]),
        int(fleet.gpu_model[row]),
        int(fleet.power_curve[row]),
        "?" if np.isnan(price) else price,
        *state.free[0, row].tolist(),
        *sorted(arrays.gpu[0, row].tolist()),
        float(arrays.machine_f[0, st.M_EXIT, row]),
    )


def can_hold(built: World, state: st.State, row: int, task: int) -> bool:
    trace, fleet, free = built.trace, built.fleets[0], state.free[0, row]
    if free[0] < trace.cpu_mcore[task] or free[1] < trace.mem_mib[task]:
        return False
    count = int(trace.gpu_count[task])
    if count == 0:
        return True
    model = int(fleet.gpu_model[row])
    if model < 0 or not (int(trace.gpu_model_mask[task]) >> model) & 1:
        return False
    return int((state.arrays.gpu[0, row] >= trace.gpu_mgpu[task]).sum()) >= count


MONDAY_6_S = 1_578_268_800 + 6 * 3600  # 2020-01-06, six in the morning


def two_machines(**options) -> tuple[World, st.State]:
    """m0: 10 cores, 20 GiB, 2 GPUs; m1: 20 cores, 10 GiB, 4 GPUs. One task of 4 cores and half a GPU is on m0."""
    fleet = Machines(
        machine_id=np.array(["m0", "m1"], dtype=object),
        cpu_mcore=np.array([10_000, 20_000]),
        mem_mib=np.array([20_480, 10_240]),
        gpu_count=np.array([2, 4]),
        gpu_model=np.array([0, 0]),
        gpu_models=("A",),
        price_per_h=np.array([1.0, 4.0]),
    )
    trace = Trace(
        task_id=np.array(["a", "b"], dtype=object),
        arrive_s=np.array([0, 100]),
        depart_s=np.array([400, 1000]),
        cpu_mcore=np.array([4000, 2000]),
        mem_mib=np.array([2048, 1024]),
        gpu_count=np.array([1, 1]),
        gpu_mgpu=np.array([500, 1000]),
        meta={"time_origin_s": MONDAY_6_S - 100},
    )
    built = World.build(trace, fleet, PlacementOptions(**options))
    state = built.start([built.whole])
    advance_all(built, state)
    decide_all(built, state, np.array([0]))
    advance_all(built, state)
    return built, state


def test_two_machines_by_hand() -> None:
    built, state = two_machines()
    out = Observer(built, 1, ObservationSettings(candidates=4, prior="best_fit", shortlist=["dot_product"])).observe(
        state
    )
    # best_fit: m0 leaves min(4/10, 17/20, 0.5/2) = 0.25, m1 leaves min(18/20, 9/10, 3/4) = 0.75: m0 first.
    assert out.rows[0].tolist() == [0, 1, -1, -1]
    assert out.action_mask[0].tolist() == [1, 1, 0, 0]
    want = {
        "cpu_free": [0.6, 1.0],
        "mem_free": [0.9, 1.0],
        "gpu_free": [0.75, 1.0],
        "cpu_left": [0.4, 0.9],
        "mem_left": [0.85, 0.9],
        "gpu_left": [0.25, 0.75],
        "cpu_size": [0.5, 1.0],
        "mem_size": [1.0, 0.5],
        "gpu_size": [0.5, 1.0],
        "whole_free": [0.5, 1.0],
        "whole_left": [0.0, 0.75],
        "device_left": [0.0, 0.0],
        "frag_before": [0.0, 0.0],
        "model_share": [1.0, 1.0],
        "best_fit": [-0.25, -0.75],
        # whole percents left: 40 and 85, 90 and 90
        "least_allocated": [0.62, 0.9],
        # used: 0.6 and 0.15, 0.1 and 0.1
        "balanced_allocation": [0.77, 1.0],
        # shares asked (0.2, 0.05, 0.5) x free (0.6, 0.9, 0.75) = 0.12 + 0.045 + 0.375; m1: 0.1 + 0.1 + 0.25
        "dot_product": [0.54 / 3, 0.45 / 3],
        # its 900 s against the 300 s left of the resident; nobody is on m1
        "lifetime_gap": [(900 - 300) / 1200, 1.0],
        "residents": [1 / 9, 0.0],
        "empty": [0.0, 1.0],
        "age": [100 / 3700, 0.0],
        "same_state": [0.5, 0.5],
        "price": [0.25, 1.0],
        "power_rise": [0.0, 0.0],
        # m1 is 0.5 behind: -0.5 / 1.5
        "prior": [0.0, -1 / 3],
    }
    for name, values in want.items():
        assert column(out.candidates, name)[0, :2] == pytest.approx(values, abs=1e-6), name
    assert (out.candidates[0, 2:] == 0).all()
    situation = {
        "request_cpu": 0.1,
        "request_mem": 0.05,
        "request_gpu": 0.25,
        "request_share": 1.0,
        "request_shared": 0.0,
        "request_life": 900 / 4500,
        "request_waited": 0.0,
        "request_choosy": 0.0,
        "request_models": 1.0,
        "request_fits": 1.0,
        "from_queue": 0.0,
        "used_cpu": 4 / 30,
        "used_mem": 2048 / 30_720,
        "used_gpu": 0.5 / 6,
        "active": 0.5,
        "running": 1 / 3,
        "waiting": 0.0,
        "arrived_cpu": 0.2 / 1.2,
        "arrived_gpu": 0.25 / 1.25,
        "day_sin": 1.0,
        "day_cos": 0.0,
        "week_sin": np.sin(2 * np.pi / 28),
        "week_cos": np.cos(2 * np.pi / 28),
    }
    for name, value in situation.items():
        assert column(out.globals, name)[0] == pytest.approx(value, abs=1e-6), name


def test_a_task_out_of_the_queue_has_waited_and_its_machine_begins_anew() -> None:
    """Task b needs all of the one machine, which task a holds until 400; c joins b."""
    fleet = Machines(machine_id=np.array(["m"], dtype=object), cpu_mcore=np.array([1000]), mem_mib=np.array([1000]))
    trace = Trace(
        task_id=np.array(["a", "b", "c"], dtype=object),
        arrive_s=np.array([0, 100, 500]),
        depart_s=np.array([400, 5000, 5000]),
        cpu_mcore=np.array([1000, 500, 500]),
        mem_mib=np.array([1, 1, 1]),
    )
    built = World.build(trace, fleet, PlacementOptions(admission="queue"))
    state, seen = built.start([built.whole]), []
    observer = Observer(built, 1, ObservationSettings(candidates=1))
    while advance_all(built, state)[0] >= 0:
        out = observer.observe(state)
        seen.append([float(column(out.globals, "request_waited")[0]), float(column(out.candidates, "age")[0, 0])])
        decide_all(built, state, out.rows[:, 0])
    assert seen == [pytest.approx(one) for one in ([0, 0], [300 / 3900, 0], [0, 100 / 3700])]


def test_power_rise_is_a_share_of_full_power() -> None:
    fleet = Machines(
        machine_id=np.array(["m"], dtype=object),
        cpu_mcore=np.array([10_000]),
        mem_mib=np.array([10_000]),
        power_curve=np.array([0]),
        power_curves=("hp_ml110_g4",),
    )
    trace = Trace(
        task_id=np.array(["a"], dtype=object),
        arrive_s=np.array([0]),
        depart_s=np.array([9]),
        cpu_mcore=np.array([5000]),
        mem_mib=np.array([1]),
    )
    built = World.build(trace, fleet)
    state = built.start([built.whole])
    advance_all(built, state)
    out = Observer(built, 1, ObservationSettings(candidates=1)).observe(state)
    # off to half load: 102 W of 117 W
    assert column(out.candidates, "power_rise")[0, 0] == pytest.approx(102 / 117)


def test_where_a_window_has_ended_nothing_is_allowed_and_the_end_is_described() -> None:
    built, state = two_machines()
    decide_all(built, state, np.array([1]))
    assert advance_all(built, state)[0] == -1
    out = Observer(built, 1, ObservationSettings(candidates=3)).observe(state)
    assert (out.candidates == 0).all()
    assert (out.action_mask == 0).all()
    assert (out.rows == -1).all()
    assert np.isfinite(out.globals).all()
    assert column(out.globals, "used_cpu")[0] == 0


def test_copies_that_are_not_asked_for_keep_their_observation() -> None:
    built = world()
    state = built.start([built.whole] * 3)
    observer = Observer(built, 3, GPU_SETTINGS)
    advance_all(built, state)
    before = observer.observe(state).candidates.copy()
    observer.out.candidates[1] = 7
    observer.observe(state, np.array([0, 2]))
    assert (observer.out.candidates[1] == 7).all()
    assert (observer.out.candidates[[0, 2]] == before[[0, 2]]).all()


def test_a_rule_that_needs_fragmentation_is_refused_where_it_is_not_measured() -> None:
    built = world(fragmentation="none")
    with pytest.raises(SpecError, match=r"rule 'fragmentation' measures fragmentation.*Set it to"):
        Observer(built, 1, ObservationSettings(prior={"fragmentation": 1.0}))
    with pytest.raises(SpecError, match="weight of best_fit must be finite"):
        Observer(built, 1, ObservationSettings(prior={"best_fit": float("inf")}))
    bare = World.build(built.trace, built.fleets[0], residents=False)
    with pytest.raises(SpecError, match="rule 'lifetime' needs the tasks on each machine"):
        Observer(bare, 1, ObservationSettings(shortlist=("lifetime",)))
    with pytest.raises(SpecError, match="devices='score' picks GPUs by fragmentation"):
        device_choice(ObservationSettings(devices="score"), built)


def test_the_lowest_bit_of_a_word_is_found_wherever_it_is() -> None:
    for bit in range(64):
        alone = np.int64(np.uint64(1 << bit).astype(np.int64))
        above = np.int64(np.uint64((2**64 - 1) << bit & (2**64 - 1)).astype(np.int64))
        assert lowest_bit(alone) == lowest_bit(above) == bit
