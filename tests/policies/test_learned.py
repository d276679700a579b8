"""Learned policies: loading, refusing, and deciding like any other policy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from placement_worlds import GPU_SETTINGS, problem

from rlsched.agents.export import export_policy, random_observation
from rlsched.agents.network import CandidateScorer
from rlsched.errors import PolicyError, SpecError, UserError
from rlsched.observe.features import CANDIDATE_NAMES
from rlsched.policies import find_policy
from rlsched.policies.heuristic import Heuristic
from rlsched.policies.learned import load_policy
from rlsched.sim.simulate import check_over, run_policy

FACTS = {"name": "toy", "doc": "a toy", "fragmentation": "gpu", "residents": True}


def write(path: Path, *, noise: float = 1.0) -> Path:
    torch.manual_seed(0)
    network = CandidateScorer(12, 10.0)
    if noise:
        torch.nn.init.normal_(network.score.weight, std=noise)
    export_policy(path, network, GPU_SETTINGS.observation, FACTS)
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("policy") / "policy.onnx")


def changed(good: Path, folder: Path, **metadata: object) -> Path:
    """A copy with other metadata; None removes a key."""
    model = onnx.load(str(good))
    held = {one.key: one.value for one in model.metadata_props}
    for key, value in metadata.items():
        held.pop(key, None)
        if value is not None:
            held[key] = value if isinstance(value, str) and key == "raw" else json.dumps(value)
    onnx.helper.set_model_props(model, held)
    path = folder / "changed.onnx"
    onnx.save(model, str(path))
    return path


def test_it_is_a_policy_like_any_other(good: Path) -> None:
    policy = find_policy(str(good))
    assert (policy.name, policy.doc) == ("toy", "a toy")
    assert policy.needs_typical
    assert policy.needs_residents
    assert not policy.stochastic
    assert not hasattr(policy, "arrays")
    assert load_policy(good.parent).name == "toy", "a folder that holds policy.onnx will do"


def test_it_brings_every_window_to_its_end_the_same_way_each_time(good: Path) -> None:
    made, policy = problem(), load_policy(good)
    told: list[int] = []
    states = []
    for _ in range(2):
        state = made.world.start(made.windows)
        policy.run(made.world, state, progress=told.append)
        check_over(state)
        states.append(state)
    assert states[0].same_as(states[1])
    assert sum(told) > 100


def test_a_window_is_placed_the_same_alone_and_among_others(good: Path) -> None:
    made, policy = problem(), load_policy(good)
    together = made.world.start(made.windows)
    policy.run(made.world, together)
    for n, window in enumerate(made.windows):
        alone = made.world.start([window])
        policy.run(made.world, alone)
        mine = together.arrays.task_i[n, : window.hi - window.lo]
        assert (alone.arrays.task_i[0] == mine).all()


def test_untrained_it_is_the_prior_heuristic(tmp_path: Path) -> None:
    made, policy = problem(), load_policy(write(tmp_path / "zero.onnx", noise=0.0))
    mine, theirs = made.world.start(made.windows), made.world.start(made.windows)
    policy.run(made.world, mine)
    run_policy(made.world, theirs, Heuristic("prior", GPU_SETTINGS.prior, devices="score").arrays())
    assert (mine.arrays.task_i == theirs.arrays.task_i).all()


def test_a_world_measured_in_something_else_is_refused(good: Path) -> None:
    made = problem(gpus=False)
    with pytest.raises(SpecError, match="was trained with fragmentation='gpu': this world has 'cpu'"):
        load_policy(good).run(made.world, made.world.start(made.windows))


def test_loading_needs_no_compiler_no_torch_and_no_gymnasium(good: Path) -> None:
    code = (
        f"import sys; from rlsched.policies.learned import load_policy; p = load_policy({str(good)!r}); print(p.name); "
        "heavy = ('numba', 'torch', 'gymnasium', 'stable_baselines3', 'onnx', 'pandas'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["toy", "[]"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an ONNX model that can be run"),
        (b"hello, this is a text file", "is not an ONNX model that can be run"),
        (b"\x80\x04\x95pickle", "is not an ONNX model that can be run"),
    ],
)
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(PolicyError, match=message):
        load_policy(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_refused(good: Path, tmp_path: Path, share: float) -> None:
    data = good.read_bytes()
    path = tmp_path / "x.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(PolicyError, match=r"x\.onnx"):
        load_policy(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"kind": None}, "its metadata lacks kind"),
        ({"kind": None, "name": None}, "lacks kind, name"),
        ({"kind": "rlsched scaling policy", "candidate_features": None}, "this is a rlsched scaling policy"),
        ({"kind": "something"}, "kind must be 'rlsched placement policy': got 'something'"),
        ({"schema_version": 99}, "schema_version must be 1 or 2: got 99"),
        ({"schema_version": True}, "schema_version must be 1 or 2: got True"),
        ({"candidate_features": ["cpu_fre"]}, "unknown 'cpu_fre'. Did you mean 'cpu_free'"),
        ({"global_features": []}, "global_features must be a list of names: got \\[\\]"),
        ({"global_features": ["waiting", "waiting"]}, "global_features name 'waiting' twice"),
        ({"global_features": ["waiting"]}, "globals must be as wide as global_features has names, 1: got"),
        ({"observation": {"prior": "bestfit"}}, "Did you mean 'best_fit'"),
        ({"observation": 3}, "unknown key"),
        ({"name": ""}, "name must be a text"),
        ({"name": None, "raw": "x"}, "lacks name"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(good: Path, tmp_path: Path, metadata: dict, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        load_policy(changed(good, tmp_path, **metadata))


def test_a_file_is_shown_the_features_it_names_in_its_own_order(good: Path, tmp_path: Path) -> None:
    whole = load_policy(good)
    draw = np.random.Generator(np.random.PCG64(3))
    seen = random_observation(draw, 5, 4)
    # The same graph, told that its columns are named the other way round.
    turned = load_policy(changed(good, tmp_path, candidate_features=list(reversed(CANDIDATE_NAMES))))
    mirrored = {**seen, "candidates": np.ascontiguousarray(seen["candidates"][..., ::-1])}
    assert (turned.logits(mirrored) == whole.logits(seen)).all()
    assert (turned.logits(seen) != whole.logits(seen)).any()


def test_a_file_that_reads_fewer_features_of_an_older_schema_answers_as_it_did(good: Path, tmp_path: Path) -> None:
    policy = load_policy(narrow(good, tmp_path / "narrow.onnx", "age", schema_version=1))
    draw = np.random.Generator(np.random.PCG64(3))
    seen = random_observation(draw, 5, 4)
    before = policy.logits(seen)
    seen["candidates"][..., CANDIDATE_NAMES.index("age")] += 1
    assert (policy.logits(seen) == before).all()
    seen["candidates"][..., CANDIDATE_NAMES.index("cpu_left")] += 1
    assert (policy.logits(seen) != before).any()
    made = problem()
    state = made.world.start(made.windows)
    policy.run(made.world, state)
    check_over(state)


def narrow(good: Path, path: Path, without: str, **metadata: object) -> Path:
    """The graph of a policy that does not read one feature: a column of zeros is put in its place."""
    at, wide = CANDIDATE_NAMES.index(without), len(CANDIDATE_NAMES)
    model = onnx.load(str(good))
    spread = np.delete(np.eye(wide, dtype=np.float32), at, axis=0)  # (F - 1, F)
    for node in model.graph.node:
        node.input[:] = ["widened" if name == "candidates" else name for name in node.input]
    model.graph.initializer.append(onnx.numpy_helper.from_array(spread, "spread"))
    model.graph.node.insert(0, onnx.helper.make_node("MatMul", ["candidates", "spread"], ["widened"]))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = wide - 1
    onnx.save(model, str(path))
    names = [name for name in CANDIDATE_NAMES if name != without]
    return changed(path, path.parent, candidate_features=names, **metadata)


def test_metadata_that_is_not_json_is_refused(good: Path, tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="metadata raw must be JSON: got 'not json'"):
        load_policy(changed(good, tmp_path, raw="not json"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_numbers_are_refused(good: Path, tmp_path: Path, value: float) -> None:
    model = onnx.load(str(good))
    for one in model.graph.initializer:
        array = onnx.numpy_helper.to_array(one).copy()
        if array.ndim == 2 and array.dtype == np.float32:
            array[0, 0] = value
            one.CopyFrom(onnx.numpy_helper.from_array(array, one.name))
    path = tmp_path / "nan.onnx"
    onnx.save(model, str(path))
    with pytest.raises(PolicyError, match="weights that are not numbers"):
        load_policy(path)


def test_a_graph_with_other_inputs_is_refused(good: Path, tmp_path: Path) -> None:
    model = onnx.load(str(good))
    node = onnx.helper.make_node("Identity", ["globals"], ["more"])
    model.graph.node.append(node)
    model.graph.output.append(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, ["n", 18]))
    path = tmp_path / "more.onnx"
    onnx.save(model, str(path))
    with pytest.raises(PolicyError, match="the outputs must be action"):
        load_policy(path)


def test_a_graph_that_ignores_its_mask_is_refused(good: Path, tmp_path: Path) -> None:
    model = onnx.load(str(good))
    for node in model.graph.node:
        if node.op_type == "ArgMax":
            node.op_type = "ArgMin"
    path = tmp_path / "blind.onnx"
    onnx.save(model, str(path))
    with pytest.raises(PolicyError, match="does not keep to its action mask"):
        load_policy(path)


def test_a_name_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no agent 'placement-gpuu'"):
        load_policy("placement-gpuu")
    with pytest.raises(PolicyError, match=r"there is no policy\.onnx in"):
        load_policy(tmp_path)
    big = tmp_path / "big.onnx"
    with big.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(PolicyError, match="at most 67,108,864 bytes"):
        load_policy(big)
