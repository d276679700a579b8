"""The table of heuristics, and what their formulas give on machines small enough to check by hand."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import rlsched.policies as policies
from rlsched.errors import MissingDataError, PolicyError, SpecError
from rlsched.policies import POLICIES, Heuristic, blend, find_heuristic, find_policy, parse_blend
from rlsched.policies.blend import FAMILY
from rlsched.sim import state as st
from rlsched.sim.options import PlacementOptions
from rlsched.sim.rules import RULES
from rlsched.sim.simulate import run_policy
from rlsched.sim.world import Typical, World
from rlsched.testing.policies import fresh_scores
from rlsched.traces.columns import Machines, Trace

HERE = Path(policies.__file__).parent


def test_importing_rlsched_loads_no_policy_and_naming_one_loads_no_compiler() -> None:
    code = (
        "import sys, rlsched; assert 'rlsched.policies' not in sys.modules;"
        "import rlsched.policies as p; p.find_policy('blend:fgd=1'); assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_heuristic_has_a_file_of_its_name_with_formula_ties_and_source() -> None:
    for name, policy in POLICIES.items():
        module = import_module(f"rlsched.policies.{name}")
        constants = [value for value in vars(module).values() if isinstance(value, Heuristic)]
        assert constants == [policy], name
        for heading in ("**Formula.**", "**Ties.**", "**Source.**"):
            assert heading in (module.__doc__ or ""), (name, heading)
        assert policy.doc
        assert policy.source


def test_no_file_is_left_out_of_the_table() -> None:
    others = {"__init__", "blend", "heuristic", "learned"}
    files = {path.stem for path in HERE.glob("*.py")}
    in_table = {name for name in files if any(isinstance(v, Heuristic) for v in vars(_module(name)).values())}
    assert set(POLICIES) <= in_table | others
    assert {path.stem for path in HERE.glob("*.py") if _defines_one(path)} == set(POLICIES)


def _module(name: str) -> object:
    return policies if name == "__init__" else import_module(f"rlsched.policies.{name}")


def _defines_one(path: Path) -> bool:
    return " = Heuristic(\n" in path.read_text()


def test_every_rule_is_reached_by_a_heuristic() -> None:
    assert {rule for policy in POLICIES.values() for rule in policy.weights} == set(RULES)


def test_the_page_lists_every_heuristic_with_its_line() -> None:
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    for name, policy in POLICIES.items():
        assert f"`{name}`" in page, name
        assert policy.doc in page, name


# --- names -------------------------------------------------------------------------------------------


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(PolicyError, match="Did you mean 'best_fit'"):
        find_policy("bestfit")
    with pytest.raises(PolicyError, match="Did you mean 'fgd'"):
        find_heuristic("fdg")


def test_a_path_is_a_learned_policy_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rlsched.policies.learned", None)
    with pytest.raises(MissingDataError, match="cannot load those"):
        find_policy("agents/mine/policy.onnx")


def test_a_blend_reads_back_what_it_is_called() -> None:
    made = blend({"fragmentation": 12.5, "best_fit": 2, "cosine": 0.0}, devices="score")
    assert made.name == "blend:best_fit=2,fragmentation=12.5,devices=score"
    assert parse_blend(made.name) == made
    assert find_policy("blend: fragmentation = 12.5, best_fit=2, devices=score") == made


def test_the_order_of_a_blend_does_not_matter() -> None:
    assert parse_blend("blend:cosine=0.1,best_fit=0.3") == parse_blend("blend:best_fit=0.3,cosine=0.1")


def test_the_family_is_made_of_rules() -> None:
    assert set(FAMILY) <= set(RULES)
    assert len(set(FAMILY)) == len(FAMILY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blend:", "each part must be RULE=WEIGHT"),
        ("blend:best_fit", "each part must be RULE=WEIGHT"),
        ("blend:best_fit=", "each part must be RULE=WEIGHT"),
        ("blend:bestfit=1", "unknown rule 'bestfit'. Did you mean 'best_fit'"),
        ("blend:best_fit=two", "the weight of best_fit must be a number"),
        ("blend:best_fit=nan", "weight of best_fit must be finite"),
        ("blend:best_fit=inf", "weight of best_fit must be finite"),
        ("blend:best_fit=0", "at least one weight must not be 0"),
        ("blend:best_fit=1,best_fit=2", "best_fit is given twice"),
        ("blend:best_fit=1,devices=scor", "unknown devices 'scor'. Did you mean 'score'"),
        ("blend:best_fit=1,devices=score", "add fgd or fragmentation"),
    ],
)
def test_a_wrong_blend_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        find_policy(text)


def test_a_heuristic_refuses_what_it_does_not_know() -> None:
    with pytest.raises(SpecError, match="unknown rule 'bestfit'"):
        Heuristic("mine", {"bestfit": 1.0})
    with pytest.raises(SpecError, match="unknown choice 'scores'"):
        Heuristic("mine", choice="scores")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="unknown devices 'worst'"):
        Heuristic("mine", devices="worst")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="ascending percents"):
        Heuristic("mine", shape=((50.0, 0.0), (50.0, 1.0)))


# --- by hand -----------------------------------------------------------------------------------------
#
# Task 0 is already on its machine when task 1 asks. Machines: cpu mcore / MiB / GPUs.


def two_step(machines: Machines, tasks: list[tuple[int, int, int, int]], **options: object) -> World:
    """Tasks ``(cpu, mem, gpus, share)`` that arrive a second apart and stay."""
    n = len(tasks)
    columns = np.array(tasks, dtype=np.int64)
    trace = Trace(
        task_id=np.arange(n),
        arrive_s=np.arange(n),
        depart_s=np.full(n, -1),
        cpu_mcore=columns[:, 0],
        mem_mib=columns[:, 1],
        gpu_count=columns[:, 2],
        gpu_mgpu=columns[:, 3],
    )
    typical = options.pop("typical", None)
    return World.build(trace, machines, PlacementOptions(**options), typical=typical)  # type: ignore[arg-type]


def fleet(cpu: list[int], mem: list[int], gpus: list[int] | None = None) -> Machines:
    gpus = gpus or [0] * len(cpu)
    return Machines(
        machine_id=np.arange(len(cpu)),
        cpu_mcore=np.array(cpu),
        mem_mib=np.array(mem),
        gpu_count=np.array(gpus),
        gpu_model=np.where(np.array(gpus) > 0, 0, -1),
        gpu_models=("A",) if any(gpus) else (),
    )


def scores(name: str, world: World) -> list[float]:
    """Scores of the first task on empty machines."""
    return fresh_scores(find_heuristic(name).arrays(), world, world.start([world.whole]), 0).tolist()


def chosen(name: str, world: World, seed: int = 0) -> list[int]:
    state = world.start([world.whole], [seed])
    run_policy(world, state, find_heuristic(name).arrays())
    return [int(row) for row in state.arrays.task_i[0, :, st.K_MACHINE]]


TWO = fleet([4000, 8000], [8000, 8000])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Task 1000/2000. Machine 0 keeps 3/4 and 3/4, machine 1 keeps 7/8 and 3/4.
        ("first_fit", [0.0, 0.0]),
        ("best_fit", [-0.75, -0.75]),
        ("worst_fit", [0.75, 0.75]),
        ("dot_product", [0.25 + 0.25, 0.125 + 0.25]),
        ("norm_l2", [-(0.75**2 + 0.75**2), -(0.875**2 + 0.75**2)]),
        # (1/4, 1/4).(1, 1) is parallel; (1/8, 1/4).(1, 1) = 3/8 over sqrt(5/64) sqrt(2).
        ("cosine", [1.0, 0.375 / np.sqrt(5 / 64 * 2)]),
        # (75 + 75) // 2 and (87 + 75) // 2.
        ("least_allocated", [75.0, 81.0]),
        # (25 + 25) // 2 and (12 + 25) // 2.
        ("most_allocated", [25.0, 18.0]),
        # (25 + 25) / 2 and (12 + 25) / 2 = 18.5, half up.
        ("requested_to_capacity", [25.0, 19.0]),
        # Even; and |1/8 - 1/4| / 2 = 1/16: 93.75.
        ("balanced_allocation", [100.0, 93.0]),
        ("kubernetes", [175.0, 174.0]),
    ],
)
def test_scores_of_cpu_rules_by_hand(name: str, expected: list[float]) -> None:
    assert scores(name, two_step(TWO, [(1000, 2000, 0, 0)])) == pytest.approx(expected, abs=1e-12)


def test_a_machine_that_is_too_small_is_minus_infinity() -> None:
    assert scores("least_allocated", two_step(TWO, [(5000, 1, 0, 0)]))[0] == -np.inf


def test_a_rule_without_what_it_measures_is_refused() -> None:
    world = two_step(TWO, [(1000, 2000, 0, 0)])
    with pytest.raises(PolicyError, match="rule fgd needs typical requests"):
        chosen("fgd", world)
    world = World.build(world.trace, TWO, residents=False)
    with pytest.raises(PolicyError, match="rule lifetime needs the tasks on each machine"):
        chosen("nilas", world)


def test_the_lowest_row_wins_ties() -> None:
    world = two_step(fleet([4000] * 5, [8000] * 5), [(1000, 1000, 0, 0)] * 3)
    assert chosen("first_fit", world) == [0, 0, 0]
    assert chosen("best_fit", world) == [0, 0, 0]  # fills the machine it began
    assert chosen("worst_fit", world) == [0, 1, 2]  # the emptiest, lowest row


def test_round_robin_goes_round_and_next_fit_stays() -> None:
    world = two_step(fleet([2000] * 3, [8000] * 3), [(1000, 1, 0, 0)] * 5)
    assert chosen("round_robin", world) == [0, 1, 2, 0, 1]
    assert chosen("next_fit", world) == [0, 0, 1, 1, 2]


def test_random_depends_on_its_seed_and_covers_the_machines() -> None:
    world = two_step(fleet([64000] * 4, [64000] * 4), [(1000, 1, 0, 0)] * 40)
    assert chosen("random", world, 1) == chosen("random", world, 1)
    assert chosen("random", world, 1) != chosen("random", world, 2)
    assert set(chosen("random", world, 1)) == {0, 1, 2, 3}


GPUS = fleet([128000, 128000], [8000, 8000], [2, 8])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Half a GPU on empty machines of 2 and of 8: 33 - 2 and 33 - 8.
        ("gpu_packing", [31.0, 25.0]),
        # No resident: 25 + floor(25 (8000 - F) / 8000) = 25 + 18 and 25 + 0.
        ("gpu_clustering", [43.0, 25.0]),
        # s = 0.5 * 112/128 + 0.5 * 1500/8000 = 0.53125: 46; 0.5 * 112/128 + 0.5 * 7500/8000 = 0.90625: 9.
        ("fgd_best_fit", [46.0, 9.0]),
        # v = 16/128 + 2000/8000 * 500/8000 = 0.140625: 92; 16/128 + 500/8000 = 0.1875: 90.
        ("fgd_dot_product", [92.0, 90.0]),
    ],
)
def test_scores_of_gpu_rules_by_hand(name: str, expected: list[float]) -> None:
    assert scores(name, two_step(GPUS, [(16000, 1, 1, 500)])) == expected


def test_tasks_without_gpus_score_zero_under_packing_and_clustering() -> None:
    world = two_step(GPUS, [(16000, 1, 0, 0)])
    assert scores("gpu_packing", world) == scores("gpu_clustering", world) == [0.0, 0.0]


def test_fgd_by_hand() -> None:
    # One machine of 2 GPUs; every typical task asks for one whole GPU (and 1 core). Before: all
    # usable, 0. With 500 on one device: its other 500 is a fragment. D = -500:
    # 100 / (1 + e^0.5) = 37.75.
    one = Typical(np.array([[1000, 0, 1, 1000, -1]]), np.ones(1), ())
    world = two_step(fleet([8000], [8000], [2]), [(1000, 1, 1, 500)] * 2, fragmentation="gpu", typical=one)
    assert scores("fgd", world) == [37.0]
    assert scores("fragmentation", world) == [-0.5]
    # The second half goes beside the first (a fragment less), not onto the whole device.
    state = world.start([world.whole])
    run_policy(world, state, find_heuristic("fgd").arrays())
    assert state.gpu_free[0, 0].tolist() == [0, 1000]


def test_fgd_takes_the_device_that_scores_best_not_the_fullest() -> None:
    # Typical tasks want 600. The first task leaves devices of 700 and 1000. The second, of 200,
    # would leave 500 of the first (a fragment) and leaves 800 of the second (usable).
    one = Typical(np.array([[1000, 0, 1, 600, -1]]), np.ones(1), ())
    tasks = [(1000, 1, 1, 300), (1000, 1, 1, 200)]
    world = two_step(fleet([8000], [8000], [2]), tasks, fragmentation="gpu", typical=one)
    left = {}
    for name in ("fgd", "fgd_best_fit"):
        state = world.start([world.whole])
        run_policy(world, state, find_heuristic(name).arrays())
        left[name] = state.gpu_free[0, 0].tolist()
    assert left == {"fgd": [700, 800], "fgd_best_fit": [500, 1000]}


def test_nilas_prefers_the_machine_that_stays_anyway() -> None:
    # Machine 0 holds a task until 100 s, machine 1 one until 10,000 s (best fit puts it there, as
    # only machine 1 has the room). A task of 5,000 s outlives machine 0 by 4,902 s.
    trace = Trace(
        task_id=np.arange(3),
        arrive_s=np.array([0, 1, 2]),
        depart_s=np.array([100, 10_001, 5_002]),
        cpu_mcore=np.array([1000, 5000, 1000]),
        mem_mib=np.array([1, 1, 1]),
    )
    world = World.build(trace, fleet([4000, 8000], [8000, 8000]))
    assert chosen("best_fit", world) == [0, 1, 1]
    assert chosen("nilas", world) == [0, 1, 1]
    world = World.build(trace, fleet([4000, 64000], [8000, 8000]))
    assert chosen("best_fit", world) == [0, 1, 0]
    assert chosen("nilas", world) == [0, 1, 1]
