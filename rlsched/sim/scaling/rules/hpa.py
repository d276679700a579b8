"""``hpa``: the Kubernetes HorizontalPodAutoscaler on CPU utilisation, as documented.

``desired = ceil(current * utilisation / target)``; nothing while the ratio is within ``tolerance`` of 1.
Instances that boot, and those that serve but are not in the last measurement, are left out of the mean at
first. Where the answer is to scale up, they are counted as idle and the ratio is taken again; should
it then no longer ask for more, nothing is done. Where it is to scale down, those without a measurement are
counted as at the target. Without any measurement nothing is done. At least
one instance stays, the default ``minReplicas``: at none, utilisation would never ask for one. Recommendations are
stabilised: down to the largest of those within ``down_window_s``, up to the smallest of those within
``up_window_s``. A decision changes at most by the larger of ``up_percent`` and ``up_pods`` upwards, and
by at most ``down_percent`` downwards, in ``period_s``; where the control interval is longer than a
period, once a decision.

Two things differ from a cluster. HPA looks every 15 seconds, here once an interval. And utilisation
is the mean over the last interval, at most 1, so an overloaded service grows by ``1 / target`` at
a time. A window is at most 36 intervals long.

Source: Kubernetes documentation, Horizontal Pod Autoscaling, algorithm details and configurable
scaling behaviour (v1.31): tolerance 0.1, stabilisation 300 s down and 0 s up, policies 100 % or
4 pods in 15 s up, 100 % in 15 s down.
"""

from __future__ import annotations

import math

from rlsched.sim.scaling.rules.memory import F64, OWN, committed, inner
from rlsched.sim.scaling.view import View

KEPT = 36
SEEN = OWN  # recommendations so far
PAST = OWN + 1  # the last KEPT of them, by number modulo KEPT
COUNTS = PAST + KEPT  # instances at the last KEPT decisions


@inner
def hpa(view: View, params: F64, memory: F64) -> float:
    """target, tolerance, down_window_s, up_window_s, up_percent, up_pods, down_percent, period_s."""
    target, tolerance = params[0], params[1]
    current = committed(view)
    raw = _recommend(view, target, tolerance, current)
    number = int(memory[SEEN])
    memory[SEEN] += 1.0
    memory[PAST + number % KEPT] = raw
    memory[COUNTS + number % KEPT] = current
    wanted = _stabilise(view, params, memory, number, raw, current)
    # The change within the period that is still running counts against what a policy allows.
    began = current
    steps = min(int(params[7] // view.step_s), number, KEPT - 1)
    if steps > 0:
        began = memory[COUNTS + (number - steps) % KEPT]
    if wanted > current:
        most = max(math.ceil(began * (1.0 + params[4] / 100.0)), began + params[5])
        return float(max(current, min(wanted, most)))
    least = began - math.floor(began * params[6] / 100.0)
    return float(min(current, max(wanted, least, 1.0)))


@inner
def _recommend(view: View, target: float, tolerance: float, current: float) -> float:
    if view.step == 0 or view.ready == 0:
        return max(current, 1.0)
    # Those that have just begun to serve have no measurement yet.
    measured = float(view.ready)
    if view.utilisation > 0.0:
        measured = min(measured, math.floor(view.served / (view.utilisation * view.capacity) + 0.5))
    ratio = view.utilisation / target
    if abs(ratio - 1.0) <= tolerance:
        return current
    if ratio < 1.0:
        silent = view.ready - measured  # taken to be at the target
        return math.ceil(round(ratio * measured + silent, 9))
    if current > measured:  # booting or silent ones are taken to be idle
        ratio *= measured / current
        if ratio <= 1.0 + tolerance:
            return current
    return math.ceil(round(ratio * current, 9))


@inner
def _stabilise(view: View, params: F64, memory: F64, number: int, raw: float, current: float) -> float:
    down = min(int(params[2] // view.step_s), number, KEPT - 1)
    up = min(int(params[3] // view.step_s), number, KEPT - 1)
    highest, lowest = raw, raw
    for i in range(1, down + 1):
        highest = max(highest, memory[PAST + (number - i) % KEPT])
    for i in range(1, up + 1):
        lowest = min(lowest, memory[PAST + (number - i) % KEPT])
    if current < lowest:
        return lowest
    if current > highest:
        return highest
    return current
