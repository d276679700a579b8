"""One clear error each for what can be wrong with machines, requests, situations and policy files."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

import rlsched
from rlsched.errors import PolicyError, SpecError, UserError

SMALL = {"cpu_mcore": 2_000, "mem_mib": 1_024}
BASIC = {
    "cpu_mcore": np.array([8_000, 8_000]),
    "mem_mib": np.array([8_192, 8_192]),
    "cpu_free_mcore": np.array([4_000, 8_000]),
    "mem_free_mib": np.array([4_096, 8_192]),
}
GPUS = {**BASIC, "gpu_count": np.array([1, 2]), "gpu_free_mgpu": np.array([[500, -1], [1000, 1000]])}


def ask(machines: Any, request: Any = None, **how: Any) -> Any:
    return rlsched.load_policy("best_fit").place(SMALL if request is None else request, machines, **how)


def without(columns: dict, *names: str) -> dict:
    return {name: values for name, values in columns.items() if name not in names}


@pytest.mark.parametrize(
    ("machines", "message"),
    [
        (without(BASIC, "mem_free_mib"), r"the machines lack column mem_free_mib \(MiB; free now\)"),
        (without(BASIC, "mem_free_mib"), r"Of machines with nothing on them: mem_free_mib = mem_mib\.$"),
        (
            {"cpu_free": [1], **without(BASIC, "cpu_free_mcore")},
            r"cpu_free_mcore = cpu_mcore\. Column 'cpu_free' looks like it: rename it to 'cpu_free_mcore'\.$",
        ),
        (
            {**without(BASIC, "cpu_mcore", "mem_mib"), "cpu_mcores": [1, 2], "mem_mb": [1, 2]},
            r"Column 'cpu_mcores' .* rename it to 'cpu_mcore'\. Column 'mem_mb' .* rename it to 'mem_mib'\.$",
        ),
        ({"foo": [1, 2], **without(BASIC, "cpu_mcore")}, r"lack column cpu_mcore .*\. Of other names: foo\.$"),
        (
            without(BASIC, "cpu_mcore", "mem_mib"),
            r"lack columns cpu_mcore \(millicores; capacity\), mem_mib \(MiB; capacity\)",
        ),
        (
            {**without(BASIC, "mem_free_mib"), "mem_free_mb": [1, 2]},
            "lack column mem_free_mib .* Column 'mem_free_mb' looks like it: rename it to 'mem_free_mib'",
        ),
        ({**BASIC, "gpu_cout": [1, 1]}, "unknown column 'gpu_cout' of the machines. Did you mean 'gpu_count'"),
        ({**BASIC, "cpu_mcore": ["8", "8"]}, r"cpu_mcore must hold whole numbers of millicores: got dtype <U1, e.g. "),
        ({**BASIC, "cpu_mcore": np.array([8e3, 8000.5])}, r"a whole number of millicores: got 8000.5 .* in row 1"),
        ({**BASIC, "mem_mib": np.array([8192, np.nan])}, r"mem_mib must be a whole number of MiB: got nan"),
        ({**BASIC, "cpu_mcore": np.array([8000, -250])}, r"cpu_mcore must be in 0\.\..*: got -250 millicores in row 1"),
        ({**BASIC, "cpu_free_mcore": np.array([4000, -1])}, r"cpu_free_mcore must be >= 0 .*got -1 millicores"),
        (
            {**BASIC, "cpu_free_mcore": np.array([9000, 0])},
            r"at most 8000, what the machine offers \(cpu_mcore\): got 9000",
        ),
        (
            {**BASIC, "mem_free_mib": np.array([True, False])},
            "mem_free_mib must hold whole numbers of MiB: got dtype bool",
        ),
        ({**BASIC, "mem_free_mib": np.array([1])}, r"mem_free_mib of the machines must have 2 rows: got shape \(1,\)"),
        ({**BASIC, "mem_free_mib": np.ones((2, 2), int)}, r"must hold one value a row: got shape \(2, 2\)"),
        ({name: values[:0] for name, values in BASIC.items()}, "there is no machine to place on: got 0 rows"),
        ({}, "there is no machine to place on"),
        ([1, 2], "machines must be a pandas DataFrame, a dict of arrays, or Machines: got list"),
        (None, "machines must be .* got NoneType"),
        ({**BASIC, "cpu_mcore": 8000}, "must hold one value a machine: got 8000"),
        (without(GPUS, "gpu_free_mgpu"), "the machines have GPUs but no column gpu_free_mgpu"),
        (without(GPUS, "gpu_count"), "have gpu_free_mgpu but no gpu_count"),
        ({**GPUS, "gpu_free_mgpu": np.array([[500, -1], [1000, 1200]])}, "gpu_free_mgpu must be in 0..1000"),
        ({**GPUS, "gpu_free_mgpu": [[500], [1000]]}, "must be a list of 2 whole numbers, one a device"),
        ({**GPUS, "gpu_free_mgpu": [[None], [1000, 1000]]}, "must be a list of 1 whole numbers, one a device"),
        ({**GPUS, "gpu_free_mgpu": [[float("nan")], [1000, 1000]]}, "must be a list of 1 whole numbers, one a device"),
        ({**GPUS, "gpu_free_mgpu": [["a lot"], [1000, 1000]]}, "must be a list of 1 whole numbers, one a device"),
        ({**GPUS, "gpu_count": np.array([1, 40])}, "gpu_count must be .* at most 31"),
        ({**GPUS, "gpu_model": [1, 2]}, "gpu_model must be a text, or missing: got 1"),
        ({**GPUS, "gpu_kinds": [1, 2]}, "gpu_kinds must be 5 whole numbers >= 0: got 1 tasks in row 0"),
        ({**BASIC, "up": ["yes", "no"]}, "up must hold True or False"),
        ({**BASIC, "tasks": np.array([0, -3])}, "tasks must be in .*: got -3 tasks"),
        ({**BASIC, "busy_for_s": np.array([0, np.inf])}, "busy_for_s must be finite: got inf s"),
        ({**BASIC, "busy_for_s": np.array([np.nan, 5.0])}, "busy_for_s must be a number where a machine holds tasks"),
        (
            {**BASIC, "in_use_s": np.array([np.nan, 5.0])},
            r"in_use_s must be .*got nan s in row 0 .*leave the whole",
        ),
        ({**BASIC, "oldest_task_s": ["a", "b"]}, "oldest_task_s must hold numbers: got dtype <U1, e.g. 'a' in row 0"),
        ({**BASIC, "oldest_task_s": [-1.0, 0.0]}, "oldest_task_s must be >= 0 and finite: got -1.0 s in row 0"),
        ({**BASIC, "gpu_model": [3, 4]}, "gpu_model must be a text, or missing: got 3 in row 0"),
        ({**BASIC, "gpu_count": [0, 0], "gpu_free_mgpu": ["x", ""]}, "gpu_free_mgpu must be an empty list without dev"),
        (
            {**BASIC, "machine_id": ["a", "a"]},
            "machine_id of the machines must name each machine once: got 'a' in",
        ),
        ({**BASIC, "machine_id": ["a", None]}, "machine_id of the machines must name every machine: got None in row 1"),
        ({**BASIC, "machine_id": [1.0, np.nan]}, "must name every machine: got nan in row 1"),
        ({**BASIC, "machine_id": pd.Series([["a"], ["b"]])}, r"must hold texts or numbers: got \['a'\] in row 0"),
        ({**BASIC, "price_per_h": np.array([-1.0, 1.0])}, "price_per_h must be >= 0 and finite: got -1.0"),
        ({**BASIC, "power_curve": ["hp_ml110_g44", None]}, "unknown power curve 'hp_ml110_g44'. Did you mean"),
    ],
)
def test_machines_that_cannot_be_are_refused(machines: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ask(machines)


def test_a_column_that_is_there_twice_is_refused() -> None:
    frame = pd.concat([pd.DataFrame(BASIC), pd.DataFrame({"mem_mib": [1, 2]})], axis=1)
    with pytest.raises(PolicyError, match="column 'mem_mib' of the machines is there twice"):
        ask(frame)


def test_two_machines_of_one_name_in_the_index_are_refused_also_later() -> None:
    policy, frame = rlsched.load_policy("best_fit"), pd.DataFrame(BASIC, index=["a", "b"])
    assert policy.place(SMALL, frame).machine_id == "a"
    with pytest.raises(PolicyError, match="the index of the machines must name each machine once: got 'b' in rows 0"):
        policy.place(SMALL, frame.set_axis(["b", "b"]))


def test_what_is_not_known_of_an_empty_machine_may_be_missing() -> None:
    # The second machine has nothing on it: NaN says so as well as any number.
    known = {"busy_for_s": np.array([5.0, 0.0]), "in_use_s": np.array([5.0, 0.0])}
    missing = {name: np.array([5.0, np.nan]) for name in known}
    assert ask({**BASIC, **known}) == ask({**BASIC, **missing})
    nilas = rlsched.load_policy("nilas")
    assert nilas.place(SMALL, {**BASIC, **known}) == nilas.place(SMALL, {**BASIC, **missing})


def test_columns_of_other_names_may_hold_anything() -> None:
    frame = pd.DataFrame({**BASIC, "owner": [object(), 3], 7: ["x", None]})
    assert ask(frame) == ask(BASIC)


def test_the_machine_is_named_in_the_message() -> None:
    frame = pd.DataFrame({**BASIC, "cpu_free_mcore": [-5, 0]}, index=["host-a", "host-b"])
    with pytest.raises(PolicyError, match=r"row 0 of the machines \(machine 'host-a'\)"):
        ask(frame)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"cpu_mcore": 2000}, r"the request lacks mem_mib \(MiB asked for\)"),
        ({**SMALL, "gpu": 1}, "unknown key 'gpu' of the request"),
        ({**SMALL, "gpu_cont": 1}, "Did you mean 'gpu_count'"),
        ({**SMALL, "cpu_mcore": "2"}, r"cpu_mcore of the request must be a whole number .*got '2'"),
        ({**SMALL, "cpu_mcore": 2.5}, "must be a whole number .*got 2.5"),
        ({**SMALL, "cpu_mcore": float("nan")}, "cpu_mcore of the request must be a whole number: got nan"),
        ({**SMALL, "mem_mib": -1}, r"mem_mib of the request must be in 0\.\.\d+: got -1"),
        ({**SMALL, "cpu_mcore": True}, "must be a whole number .*got True"),
        ({**SMALL, "gpu_count": 2, "gpu_mgpu": 500}, "must ask for whole ones: got gpu_mgpu 500"),
        ({**SMALL, "gpu_count": 1, "gpu_mgpu": 0}, "gpu_mgpu of the request must be in 1..1000"),
        ({**SMALL, "gpu_count": 1, "gpu_models": "A"}, "gpu_models of the request must be a list of names: got 'A'"),
        ({**SMALL, "gpu_count": 1, "gpu_models": 5}, "gpu_models of the request must be a list of names: got 5"),
        ({**SMALL, "expected_s": -1.0}, "expected_s of the request must be >= 0 and finite: got -1.0"),
        ({**SMALL, "expected_s": "1h"}, "expected_s of the request must be a number of seconds: got '1h'"),
        ({"cpu_mcore": 0, "mem_mib": 0}, "the request asks for nothing"),
        ([2000, 1024], "a request must be a mapping or a pandas Series: got list"),
    ],
)
def test_requests_that_cannot_be_are_refused(request_: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        ask(BASIC, request_)


@pytest.mark.parametrize(
    ("situation", "message"),
    [
        ([1], "situation must be a mapping: got list. Keys: waiting, "),
        ({"wating": 1}, "unknown key 'wating' of the situation. Did you mean 'waiting'"),
        ({"waiting": -1}, "waiting of the situation must be a whole number >= 0 .*got -1"),
        ({"waiting": 1.5}, "got 1.5"),
        ({"from_queue": 2}, "from_queue of the situation must be 0 or 1: got 2"),
    ],
)
def test_situations_that_cannot_be_are_refused(situation: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        ask(BASIC, situation=situation)


def test_arguments_that_are_missing_or_unknown_are_refused(policy_file: Path) -> None:
    with pytest.raises(PolicyError, match="'random' draws random numbers: pass seed"):
        rlsched.load_policy("random").place(SMALL, BASIC)
    with pytest.raises(PolicyError, match="'round_robin' goes on from the machine chosen last: pass last"):
        rlsched.load_policy("round_robin").place(SMALL, BASIC, last=7)
    with pytest.raises(PolicyError, match="unknown argument 'sed'"):
        ask(BASIC, sed=3)
    with pytest.raises(PolicyError, match="unknown argument 'last' for policy 'toy'"):
        rlsched.load_policy(policy_file).place(SMALL, BASIC, last=3)
    with pytest.raises(SpecError, match="'fgd' measures fragmentation: pass typical="):
        rlsched.load_policy("fgd").place(SMALL, BASIC)
    with pytest.raises(SpecError, match="typical must be what"):
        rlsched.load_policy("fgd").place(SMALL, BASIC, typical=[1])
    with pytest.raises(SpecError, match="typical requests: need one share a request: got 2 for 1"):
        rlsched.load_policy("fgd").place(SMALL, BASIC, typical={"requests": [[1, 1, 0, 0, -1]], "share": [0.5, 0.5]})
    with pytest.raises(PolicyError, match=r"requests must be .* got dict. For one request, use place\(\)"):
        rlsched.load_policy("best_fit").place_many(SMALL, BASIC)
    with pytest.raises(PolicyError, match=r"unknown policy 'bestfit'.* Did you mean 'best_fit'"):
        rlsched.load_policy("bestfit")
    for name in ("tuned_blend", "hindsight_blend"):
        with pytest.raises(
            PolicyError, match=f"'rlsched policies describe {name}' shows .* by its text.*'blend:cosine="
        ):
            rlsched.load_policy(name)
    for name in ("tuned_band", "tuned", "hindsight"):
        with pytest.raises(
            PolicyError, match=f"'{name}' is a name that only an experiment's card .* in the simulator only"
        ):
            rlsched.load_policy(name)
    with pytest.raises(PolicyError, match="against must name a heuristic of placement: unknown policy 'wurst_fit'"):
        rlsched.load_policy("best_fit").explain(SMALL, BASIC, against="wurst_fit")
    with pytest.raises(PolicyError, match=r"against must be a heuristic of placement, or its name: got 5 \(int\)"):
        rlsched.load_policy("best_fit").explain(SMALL, BASIC, against=5)
    with pytest.raises(PolicyError, match="row 1 of the requests: the request lacks mem_mib"):
        rlsched.load_policy("best_fit").place_many([SMALL, {"cpu_mcore": 1}], BASIC)


class _Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("wrapped", ["pickle", "zip", "torch"])
def test_a_malicious_file_is_refused_and_never_opened(tmp_path: Path, wrapped: str) -> None:
    fuse, path = tmp_path / "exploded", tmp_path / "policy.onnx"
    bomb = pickle.dumps(_Bomb(fuse))
    if wrapped == "pickle":
        path.write_bytes(bomb)
    else:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            archive.writestr("policy/data.pkl" if wrapped == "torch" else "../../policy.pkl", bomb)
            archive.writestr("policy/version", "3")
        path.write_bytes(held.getvalue())
    with pytest.raises(PolicyError, match="is not an ONNX model that can be run"):
        rlsched.load_policy(path)
    with pytest.raises(PolicyError, match="is not an ONNX model that can be run"):
        rlsched.load_policy(str(tmp_path))
    assert not fuse.exists()
    pickle.loads(bomb)
    assert fuse.exists(), "the bomb works where it is opened"


def changed(file: Path, folder: Path, key: str, value: Any) -> Path:
    model = onnx.load(str(file))
    held = {one.key: one.value for one in model.metadata_props}
    if value is None:
        held.pop(key)
    else:
        held[key] = json.dumps(value)
    onnx.helper.set_model_props(model, held)
    onnx.save(model, str(folder / "changed.onnx"))
    return folder / "changed.onnx"


def test_a_graph_with_files_outside_it_reads_none_of_them(policy_file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(policy_file))
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(1_000_000))
    one = max(model.graph.initializer, key=lambda init: len(init.raw_data))
    size = len(one.raw_data)
    one.ClearField("raw_data")
    one.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", str(secret)), ("offset", "0"), ("length", str(size))):
        entry = one.external_data.add()
        entry.key, entry.value = key, value
    path = tmp_path / "outside.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(PolicyError, match=r"outside\.onnx"):
        rlsched.load_policy(path)


@pytest.mark.parametrize(
    "world",
    [
        3,
        {},
        {"fragmentation": "gpu", "lifetime": "known"},
        {"fragmentation": "gupu", "lifetime": "known"},
    ],
)
def test_a_world_that_is_none_is_refused(policy_file: Path, tmp_path: Path, world: Any) -> None:
    with pytest.raises(PolicyError, match="metadata world does not describe a world"):
        rlsched.load_policy(changed(policy_file, tmp_path, "world", world))


def test_a_file_that_says_nothing_of_its_world_asks_for_typical_requests(policy_file: Path, tmp_path: Path) -> None:
    policy = rlsched.load_policy(changed(policy_file, tmp_path, "world", None))
    with pytest.raises(SpecError, match="its file does not say in which typical requests: pass typical="):
        policy.place(SMALL, BASIC)
    typical = {"requests": [[1000, 0, 1, 500, -1]], "share": [1.0]}
    assert policy.place(SMALL, BASIC, typical=typical)
