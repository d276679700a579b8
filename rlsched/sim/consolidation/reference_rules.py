"""The decisions of the reference: where VMs start, who is overloaded, who moves where.

Plain twin of ``placement``, ``detection`` and ``selection``; see
:mod:`~rlsched.sim.consolidation.reference`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from rlsched.errors import TraceError
from rlsched.sim.consolidation.policy import (
    FALLBACK_THRESHOLD,
    HISTORY,
    ROUNDING_ABOVE_FULL,
    SPREAD_SAMPLES,
    TREND_SAMPLES,
    tricube,
)

if TYPE_CHECKING:
    from rlsched.sim.consolidation.reference import Host, Reference, Vm


def place_at_start(sim: Reference) -> None:
    """Place all VMs at time 0, in order, by their nominal sizes (rules 5)."""
    semantics, policy = sim.semantics, sim.policy
    nominal = [0.0] * len(sim.hosts)
    memory = [0] * len(sim.hosts)
    threshold = policy.parameter if policy.detection == "thr" else FALLBACK_THRESHOLD
    for vm in sim.vms:
        best, least = None, math.inf
        for host in sim.hosts:
            there = nominal[host.row]
            fits = host.core >= vm.cpu and host.cpu - there >= vm.cpu and host.mem - memory[host.row] >= vm.mem
            if not fits:
                continue
            if not policy.migrates:
                best = host
                break
            # By CloudSim's rule only the newcomer is asking for anything at this moment.
            if semantics.initial_placement == "spread" and there > 0 and vm.cpu / host.cpu > threshold:  # type: ignore[operator]
                continue
            load = 0.0 if semantics.initial_placement == "spread" else there / host.cpu
            before = 0.0 if there == 0 and semantics.idle_power_in_placement else host.watts(load)
            rise = host.watts((there + vm.cpu) / host.cpu) - before
            if rise < least:
                best, least = host, rise
        if best is None:
            raise TraceError(
                f"VM {vm.row} ({vm.cpu:g} CPU, {vm.mem} MiB) fits on no machine at the start. "
                "Add machines, or leave VMs out."
            )
        nominal[best.row] += vm.cpu
        memory[best.row] += vm.mem
        best.guests.append((vm, False))
        vm.host = best


class Plan:
    """A tick's placement in the making: nothing has moved yet (rules 6)."""

    def __init__(self, sim: Reference) -> None:
        self.sim = sim
        self.there: list[list[Vm]] = [[vm for vm, _ in host.guests] for host in sim.hosts]
        self.visiting: set[tuple[int, int]] = set()  # (machine, VM) of VMs only planned to be there

    def add(self, host: Host, vm: Vm) -> None:
        """Plan ``vm`` on ``host`` as its latest guest."""
        self.there[host.row].append(vm)
        host.hold(len(self.there[host.row]))
        self.visiting.add((host.row, vm.row))

    def drop(self, host: Host, vm: Vm) -> None:
        """Take ``vm`` off ``host``."""
        self.there[host.row].remove(vm)
        self.visiting.discard((host.row, vm.row))

    def granted(self, host: Host) -> float:
        """CPU given to the VMs there; a visitor gets what it asks for."""
        total = 0.0
        for vm in self.there[host.row]:
            total += min(vm.request, host.core) if (host.row, vm.row) in self.visiting else vm.granted
        return total

    def free(self, host: Host) -> float:
        """CPU not given to anybody; 0 on an oversubscribed machine."""
        free = host.cpu
        for vm in self.there[host.row]:
            want = min(vm.request, host.core)
            if want > free:
                return 0.0
            free -= want
        return free

    def power_rise(self, host: Host, vm: Vm) -> float:
        """How much the power of ``host`` rises when ``vm`` comes."""
        granted = self.granted(host)
        after = host.watts(_full((granted + vm.request) / host.cpu))
        if self.sim.semantics.idle_power_in_placement and not host.on and not self.there[host.row]:
            return after
        if self.sim.semantics.placement_sees_tentative_load:
            return after - host.watts(_full(granted / host.cpu))
        return after - host.watts(host.share)

    def find_host(self, vm: Vm, excluded: set[int]) -> Host | None:
        """Machine on which ``vm`` costs the least extra power; lowest row on ties; None if none fits."""
        best, least = None, math.inf
        cap = self.sim.policy.placement_cap
        for host in self.sim.hosts:
            if host.row in excluded or host.core < vm.request or self.free(host) < vm.request:
                continue
            there = self.there[host.row]
            if self.sim.semantics.memory_counts and sum(v.mem for v in there) + vm.mem > host.mem:
                continue
            if cap < 1.0 and (self.granted(host) + vm.request) / host.cpu > cap:
                continue
            if self.granted(host) > 0.0:
                host.hold(len(there) + 1)  # CloudSim puts the VM there to ask whether that is too much
            rise = self.power_rise(host, vm)
            if rise < least and (self.granted(host) == 0.0 or not overloaded(self.sim, host, [*there, vm])):
                best, least = host, rise
        return best


def optimise(sim: Reference) -> tuple[int, list[tuple[Vm, Host]]]:
    """Relieve overloaded machines, then evacuate little-used ones (rules 6).

    Returns
    -------
    int
        Overloaded machines.
    list of (Vm, Host)
        Moves in order; with ``evacuation_protects_receivers`` off a VM can be in it twice.
    """
    plan = Plan(sim)
    over = [host for host in sim.hosts if overloaded(sim, host, plan.there[host.row])]
    leaving: list[Vm] = []
    for host in over:
        while plan.there[host.row]:
            vm = select(sim, plan.there[host.row])
            plan.drop(host, vm)
            leaving.append(vm)
            if not overloaded(sim, host, plan.there[host.row]):
                break
    moves: list[tuple[Vm, Host]] = []
    excluded = {host.row for host in over}
    for vm in _by_request(leaving):
        target = plan.find_host(vm, excluded)
        if target is not None:
            plan.add(target, vm)
            moves.append((vm, target))

    off = {host.row for host in sim.hosts if not host.on}
    spared = excluded | off  # not to be evacuated
    closed = excluded | off  # not to receive
    if sim.semantics.evacuation_protects_receivers:
        spared = spared | {host.row for _, host in moves}
    candidates = [h for h in sim.hosts if h.share < 1.0 and h.share < sim.policy.evacuate_below]
    for host in sorted(candidates, key=lambda h: (h.share, h.row)):
        if host.row in spared or not plan.there[host.row]:
            continue
        spared.add(host.row)
        closed.add(host.row)
        found: list[tuple[Vm, Host]] = []
        guests = _by_request(plan.there[host.row])
        for vm in guests:
            target = plan.find_host(vm, closed)
            if target is None:
                break
            plan.add(target, vm)
            found.append((vm, target))
        if len(found) == len(guests):
            moves += found
            spared |= {target.row for _, target in found}
        else:
            for vm, target in found:
                plan.drop(target, vm)
    return len(over), moves


def _by_request(vms: list[Vm]) -> list[Vm]:
    return sorted(vms, key=lambda vm: -vm.request)


def _full(share: float) -> float:
    """A load just above 1 is rounding."""
    return 1.0 if 1.0 < share < ROUNDING_ABOVE_FULL else share


# -- overload (rules 7) --------------------------------------------------------------------------


def overloaded(sim: Reference, host: Host, vms: list[Vm]) -> bool:
    """Would ``host`` be overloaded with exactly these VMs, in this order?"""
    requested = 0.0
    for vm in vms:
        requested += vm.request
    requested /= host.cpu
    detection, parameter = sim.policy.detection, sim.policy.parameter
    assert parameter is not None  # every migrating policy has one
    if detection == "thr":
        return requested > parameter
    past = _past(host, vms)
    if len(past) < (SPREAD_SAMPLES if detection in ("iqr", "mad") else TREND_SAMPLES):
        return requested > FALLBACK_THRESHOLD
    if detection == "iqr":
        return requested > 1.0 - parameter * _iqr(past)
    if detection == "mad":
        middle = _median(past)
        return requested > 1.0 - parameter * _median([abs(middle - x) for x in past])
    if detection == "lrr" and sim.semantics.lr_weighted:
        return _robust_forecast(past[:TREND_SAMPLES]) * parameter >= 1.0
    # The line is linear in the samples, so the machine's forecast is the sum of its VMs'.
    forecast = 0.0
    for vm in vms:
        own = 0.0
        if sim.forecast is not None:
            own = sim.forecast[sim.remembered - 1][vm.row]
        else:
            for weight, share in zip(sim.weights, vm.history, strict=False):  # 10 weights, up to 30 samples
                own += weight * share
        forecast += own * vm.cpu
    return forecast / host.cpu * parameter >= 1.0


def _past(host: Host, vms: list[Vm]) -> list[float]:
    """Load the machine would have had with these VMs, newest first, oldest zeros cut off."""
    past = [0.0] * HISTORY
    for vm in vms:
        for i, share in enumerate(vm.history):
            past[i] += share * vm.cpu / host.cpu
    while len(past) > 1 and past[-1] == 0.0:
        past.pop()
    return past


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0


def _iqr(values: list[float]) -> float:
    ordered, n = sorted(values), len(values)
    low = math.floor(0.25 * (n + 1) + 0.5) - 1
    high = math.floor(0.75 * (n + 1) + 0.5) - 1
    return ordered[high] - ordered[low]


def _robust_forecast(newest_first: list[float]) -> float:
    """Tricube fit, then a second one that weighs far-off samples less (bisquare of 6 medians)."""
    y = newest_first[::-1]
    near = tricube()
    a, b = _line(y, near)
    residuals = [abs(value - (a + b * (i + 1))) for i, value in enumerate(y)]
    reach = 6.0 * _median(residuals)
    if reach > 0.0:
        weights = []
        for weight, residual in zip(near, residuals, strict=True):
            part = residual / reach
            rest = 1.0 - part * part
            weights.append(weight * (rest * rest) if part < 1.0 else 0.0)
        a, b = _line(y, weights)
    return a + b * (TREND_SAMPLES + 1)


def _line(y: list[float], weights: list[float]) -> tuple[float, float]:
    """Intercept and slope of the weighted least squares line over x = 1, 2, ..."""
    total = sum_x = sum_y = 0.0
    for i, (weight, value) in enumerate(zip(weights, y, strict=True)):
        total += weight
        sum_x += weight * (i + 1)
        sum_y += weight * value
    mean_x, mean_y = sum_x / total, sum_y / total
    spread = common = 0.0
    for i, (weight, value) in enumerate(zip(weights, y, strict=True)):
        spread += weight * (i + 1 - mean_x) * (i + 1 - mean_x)
        common += weight * (i + 1 - mean_x) * (value - mean_y)
    slope = common / spread if spread > 0.0 else 0.0
    return mean_y - slope * mean_x, slope


# -- VM selection (rules 8) ----------------------------------------------------------------------


def select(sim: Reference, vms: list[Vm]) -> Vm:
    """Pick the VM that leaves; the earliest guest wins ties."""
    rule: Callable[[Vm], float] = {
        "mmt": lambda vm: vm.mem,
        "mu": lambda vm: vm.request / vm.cpu,
    }.get(sim.policy.selection, lambda vm: vm.mem)
    if sim.policy.selection == "rs":
        return vms[int(_uniform(sim) * len(vms))]
    if sim.policy.selection == "mc":
        explained = _explained(vms)
        if explained is not None:
            best, most = 0, 0.0
            for i, value in enumerate(explained):
                if value > most:  # NaN never is
                    best, most = i, value
            return vms[best]
    return min(vms, key=rule)


def _uniform(sim: Reference) -> float:
    """Next of the run's uniform numbers in [0, 1): splitmix64 (Steele et al., OOPSLA 2014)."""
    mask = (1 << 64) - 1
    sim.random_state = (sim.random_state + 0x9E3779B97F4A7C15) & mask
    z = sim.random_state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53


def _explained(vms: list[Vm]) -> list[float] | None:
    """R^2 of each VM's history on those of the others; None where the regression is impossible."""
    n, m = len(vms), len(vms[0].history)
    if n < 2 or m < n:
        return None
    out = []
    for i in range(n):
        columns = [[1.0] * m, *(list(vm.history) for j, vm in enumerate(vms) if j != i)]
        value = _r_squared(columns, list(vms[i].history))
        if value is None:
            return None
        out.append(value)
    return out


def _r_squared(columns: list[list[float]], y: list[float]) -> float | None:
    """R^2 of ordinary least squares by Householder QR; None for an exactly singular matrix."""
    n, m = len(columns), len(y)
    q = [list(column) for column in columns]
    diagonal = []
    for k in range(n):
        norm = 0.0
        for value in q[k][k:]:
            norm += value * value
        a = -math.sqrt(norm) if q[k][k] > 0.0 else math.sqrt(norm)
        diagonal.append(a)
        if a == 0.0:
            return None
        q[k][k] -= a
        for column in q[k + 1 :]:
            alpha = 0.0
            for row in range(k, m):
                alpha -= column[row] * q[k][row]
            alpha /= a * q[k][k]
            for row in range(k, m):
                column[row] -= alpha * q[k][row]
    rest = list(y)
    for k in range(n):
        dot = 0.0
        for row in range(k, m):
            dot += rest[row] * q[k][row]
        dot /= diagonal[k] * q[k][k]
        for row in range(k, m):
            rest[row] += dot * q[k][row]
    beta = [0.0] * n
    for k in reversed(range(n)):
        beta[k] = rest[k] / diagonal[k]
        for row in range(k):
            rest[row] -= beta[k] * q[k][row]
    unexplained = 0.0
    for row in range(m):
        fitted = 0.0
        for k in range(n):
            fitted += columns[k][row] * beta[k]
        unexplained += (y[row] - fitted) * (y[row] - fitted)
    total = mean = 0.0
    for i, value in enumerate(y):
        step = (value - mean) / (i + 1)
        total += i * (value - mean) * step
        mean += step
    return math.nan if total == 0.0 else 1.0 - unexplained / total
