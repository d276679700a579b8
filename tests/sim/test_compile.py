"""Compiled functions whose arguments are looked at once, and whose compiling is announced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numba.core import event

from rlsched.sim import compile as compiling
from rlsched.sim.compile import bare_njit, bound


@bare_njit
def _add_to(out: Any, amounts: Any) -> None:
    for i in range(out.shape[0]):
        out[i] += amounts[i]


def test_a_bound_function_does_what_the_function_does_with_any_arrays_of_the_same_types() -> None:
    add = bound(_add_to, np.zeros(2), np.zeros(2, np.int64))
    for size in (1, 5):
        plain, direct = np.zeros(size), np.zeros(size)
        _add_to(plain, np.arange(size))
        add(direct, np.arange(size))
        assert (plain == direct).all()
        assert direct[-1] == size - 1


def test_binding_looks_at_arguments_and_changes_none_of_them() -> None:
    out = np.zeros(3)
    bound(_add_to, out, np.ones(3, np.int64))
    assert (out == 0).all()


def test_an_ordinary_function_is_its_own_bound_function() -> None:
    assert bound(len, [1, 2]) is len


def test_a_bound_function_still_wants_all_arguments() -> None:
    with pytest.raises(TypeError):
        bound(_add_to, np.zeros(2), np.zeros(2, np.int64))(np.zeros(2))


def test_compiling_that_takes_long_is_said_once_and_loading_never(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compiling, "PATIENCE_S", 0.0)
    announcer = compiling._listen()
    monkeypatch.setattr(announcer, "said", False)
    said = threading.Event()
    monkeypatch.setattr(announcer, "_say", lambda: (type(announcer)._say(announcer), said.set()))

    def compiles(dispatcher: Any) -> Any:
        return event.trigger_event("numba:compile", data={"dispatcher": dispatcher})

    ours, theirs = SimpleNamespace(py_func=compiling.bound), SimpleNamespace(py_func=json.dumps)
    with compiles(theirs):
        assert announcer._alarm is None, "what others compile is theirs to announce"
    with compiles(ours), compiles(ours):
        assert said.wait(10)
    with compiles(ours):
        assert announcer._alarm is None
    assert [one.message for one in caplog.records] == ["compiling the simulator, half a minute or more, once"]
    assert announcer._depth == 0


COLD = """
import numpy as np, rlsched.sim.compile as compiling
compiling.PATIENCE_S, compiling._is_ours = 0.0, lambda one: True
from rlsched.sim.compile import bare_njit
@bare_njit
def add(out, more):
    for i in range(out.shape[0]):
        out[i] += more
add(np.zeros(2), 1.0)
"""


def test_a_warm_cache_says_nothing_and_a_cold_one_speaks_on_standard_error(tmp_path: Path) -> None:
    script = tmp_path / "cold.py"
    script.write_text(COLD)
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def heard() -> str:
        done = subprocess.run([sys.executable, str(script)], env=variables, capture_output=True, text=True, check=True)
        return done.stderr

    assert heard() == "compiling the simulator, half a minute or more, once\n"
    assert heard() == ""
