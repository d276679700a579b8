"""Every rule gives the same answer compiled and as the plain Python it is written in, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# A service of random demand under each rule, with random numbers of its family; forty decisions, in which
# what was wanted comes true two intervals later.
PLAY = """
import json, math
import numpy as np
from rlsched.sim.scaling.rules.run import wanted
from rlsched.sim.scaling.rules.table import RULES
from rlsched.sim.scaling.state import MEMORY
from rlsched.sim.scaling.view import View

out = {}
for number, (name, rule) in enumerate(RULES.items()):
    rng = np.random.default_rng(number)
    answers = []
    for case in range(6):
        params = np.array([rng.uniform(one.low, one.high) for one in rule.parameters])
        demand = np.maximum(0.0, 12 + 5 * rng.standard_normal(60).cumsum() / 3)
        memory = np.zeros(MEMORY)
        ready, orders, load, served = 10, [0, 0], 0.0, 0.0
        with_table = case % 2 == 0
        for t in range(20, 60):
            rows = np.sort(rng.uniform(5, 25, (4, 3)), axis=1).astype(np.float32)
            view = View(
                demand[:t], rows if with_table else rows[:0, :0], np.array([0, 2, 3, 6][: 4 if with_table else 0]),
                np.array([0.1, 0.5, 0.9][: 3 if with_table else 0]), np.array([orders[1], 0]), t, t - 20, 300 * t,
                300.0, 1.0, 2, ready, orders[1], max(0.0, load - served), served, 0.0,
                served / ready if ready and t > 20 else 0.0, 0.0, 1.0, math.nan, 10.0, 0.0, 3.0, 0, 60,
            )
            answer = wanted(number, view, params, memory)
            answers.append(float(answer).hex())
            target = int(min(60, max(0, math.ceil(answer))))
            change = target - ready - orders[1]
            new = max(change, 0)
            stopped = max(-change, 0)
            cancelled = min(stopped, orders[1])
            ready = ready - (stopped - cancelled)
            load, served = demand[t], min(demand[t], ready)
            ready += orders[1] - cancelled
            orders = [0, new]
    out[name] = answers
print(json.dumps(out))
"""


def play(**environment: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PLAY], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    answers: dict[str, list[str]] = json.loads(done.stdout)
    return answers


@pytest.mark.slow
def test_compiled_rules_answer_as_plain_python_does():
    compiled, plain = play(), play(NUMBA_DISABLE_JIT="1")
    for name, answers in compiled.items():
        assert answers == plain[name], name
        # The service moved: a rule that always said the same would prove little.
        assert name == "static" or len(set(answers)) > 5, name
