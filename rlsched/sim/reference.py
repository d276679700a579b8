"""Placement in plain, slow, readable Python: the specification the compiled kernel must equal.

Read this one; run the other. When semantics change, this file changes first. The order of events is
``(time, kind, row)``: departures, then failures and repairs, then a pass over the waiting tasks if
capacity was freed, then arrivals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from rlsched.sim import reference_rules as rules
from rlsched.sim import state as st
from rlsched.sim.events import FAIL, MachineEvents
from rlsched.sim.options import PlacementOptions
from rlsched.sim.power import POWER_CURVES, PowerCurve, curve_arrays, watts
from rlsched.sim.reference_rules import INF, Host, Moment, Request
from rlsched.sim.rules import RULES
from rlsched.sim.select import AT_RANDOM, BY_SCORE, GPU_RANDOM, GPU_SCORE, ROUND_ROBIN, PolicyArrays
from rlsched.sim.world import UNKNOWN_MODEL, Typical, Window
from rlsched.traces.columns import ANY_MODEL, UNKNOWN, Machines, Trace

MASK = 2**64 - 1


@dataclass
class Task:
    """A task of the window; ``row`` counts from the window's first."""

    row: int
    request: Request
    arrive_s: float
    run_s: float  # inf: never ends
    priority: int
    group: int
    limit: int
    status: str = "future"
    machine: int = 0
    devices: list[int] = field(default_factory=list)
    start_s: float = 0.0
    end_s: float = 0.0
    done_s: float = 0.0
    restarts: int = 0


def mix64(seed: int, a: int, b: int) -> int:
    """SplitMix64-like hash of three whole numbers, 63 bits."""
    x = (seed * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ a) * 0xBF58476D1CE4E5B9) & MASK
    x ^= x >> 29
    x = ((x + b + 0x632BE59BD9B4E019) * 0x94D049BB133111EB) & MASK
    x ^= x >> 32
    x = (x * 0xD6E8FEB86659FD93) & MASK
    x ^= x >> 31
    return x >> 1


class Reference:
    """One window under one heuristic.

    Parameters
    ----------
    trace, machines, options, typical, events, curves
        As for ``World.build``.
    window : Window
    policy : PolicyArrays
        As made by ``Heuristic.arrays``.
    seed : int
        Of the copy.
    """

    def __init__(
        self,
        trace: Trace,
        machines: Machines,
        options: PlacementOptions,
        window: Window,
        policy: PolicyArrays,
        *,
        typical: Typical | None = None,
        events: MachineEvents | None = None,
        curves: dict[str, PowerCurve] | None = None,
        seed: int = 0,
    ) -> None:
        self.options, self.policy, self.seed = options, policy, seed
        # A GPU of unknown model serves those who take any.
        self.models = (*machines.gpu_models, UNKNOWN_MODEL)
        self.curves = {**POWER_CURVES, **(curves or {})}
        self.tasks = [self._task(trace, window, row) for row in range(window.lo, window.hi)]
        self.hosts = [self._host(machines, row) for row in range(len(machines))]
        self.curve_of = [machines.power_curves[c] if c >= 0 else None for c in machines.power_curve.tolist()]
        self.typical, self.typical_p = rules.typical_of(typical)
        if typical is not None:
            self.typical = [(*t[:4], self._mask(t[4], typical.gpu_models)) for t in self.typical]
        self.max_cpu = max(host.cpu for host in self.hosts)
        self.max_gpu = max(host.gpu for host in self.hosts)
        first = self.tasks[0].arrive_s
        self.start_s = first if math.isinf(window.start_s) else window.start_s
        self.stop_s = window.stop_s
        self.now = min(first, self.start_s)
        rows = [] if events is None else list(zip(events.time_s, events.kind, events.machine, strict=True))
        self.events = [(float(t), int(kind), int(m)) for t, kind, m in rows]
        while self.events and self.events[0][0] < self.now:  # who is down when the window begins is down
            _, kind, m = self.events.pop(0)
            self.hosts[m].up = kind != FAIL
        self.count: dict[str, int] = dict.fromkeys(
            [
                "arrived",
                "placed",
                "rejected",
                "finished",
                "interrupted",
                "restarted",
                "lost",
                "arrived_cpu",
                "arrived_mem",
                "arrived_gpu",
                "placed_cpu",
                "placed_mem",
                "placed_gpu",
            ],
            0,
        )
        self.reasons = dict.fromkeys(st.REASONS, 0)
        self.total = dict.fromkeys(
            ["cpu_s", "mem_s", "gpu_s", "active_s", "running_s", "queue_s", "wait_s", "lost_cpu_s", "frag_s"], 0.0
        )
        self.frag = 0.0
        self.queue: list[Task] = []
        self.next = 0
        self.need_pass = False
        self.metered = False
        self.decisions = 0
        self.last = -1
        for m, host in enumerate(self.hosts):
            host.since = self.now
            host.exit = self._no_exit()
            host.watt = self._watts(m)
            if options.fragmentation != "none":
                host.frag = self._fragment(host)
                self.frag += host.frag

    # -- set-up -------------------------------------------------------------------------------------

    def _mask(self, mask: int, names: tuple[str, ...]) -> int:
        if mask == ANY_MODEL:
            return ANY_MODEL
        bits = sum(1 << self.models.index(n) for b, n in enumerate(names) if (mask >> b) & 1 and n in self.models)
        return bits or 1 << len(self.models)

    def _task(self, trace: Trace, window: Window, row: int) -> Task:
        arrive, depart = float(trace.arrive_s[row]), float(trace.depart_s[row])
        run = INF if depart == UNKNOWN else depart - arrive
        seen = {"known": math.nan if run == INF else run, "predicted": float(trace.expected_s[row])}
        expected = seen.get(self.options.lifetime, math.nan)
        request = Request(
            int(trace.cpu_mcore[row]),
            int(trace.mem_mib[row]),
            int(trace.gpu_count[row]),
            int(trace.gpu_mgpu[row]),
            self._mask(int(trace.gpu_model_mask[row]), trace.gpu_models),
            self.options.unknown_lifetime_s if math.isnan(expected) else expected,
        )
        return Task(
            row - window.lo, request, arrive, run, int(trace.priority[row]), int(trace.group[row]),
            int(trace.group_limit[row]),
        )  # fmt: skip

    def _host(self, machines: Machines, row: int) -> Host:
        cpu = math.floor(int(machines.cpu_mcore[row]) * self.options.cpu_ratio)
        mem = math.floor(int(machines.mem_mib[row]) * self.options.mem_ratio)
        model = int(machines.gpu_model[row])
        if model < 0 and machines.gpu_count[row] > 0:
            model = self.models.index(UNKNOWN_MODEL)
        return Host(
            cpu, mem, model, int(machines.cpu_mcore[row]), float(machines.price_per_h[row]), cpu, mem,
            [1000] * int(machines.gpu_count[row]),
        )  # fmt: skip

    # -- what is derived from a machine's load ------------------------------------------------------

    def _no_exit(self) -> float:
        return INF if self.options.lifetime == "unknown" else -INF

    def _watts(self, m: int) -> float:
        host, name = self.hosts[m], self.curve_of[m]
        if name is None or not host.up or (not host.residents and self.options.empty_machines == "off"):
            return 0.0
        kind, table = curve_arrays([self.curves[name]])
        used = rules.per(host.cpu - host.free_cpu, host.physical_cpu)
        return float(watts(kind[0], table[0], min(used, 1.0)))

    def _moment(self) -> Moment:
        shape = [(float(x), float(y)) for x, y in self.policy.shape.T]
        return Moment(
            self.now, self.max_cpu, self.max_gpu, self.typical, self.typical_p, self.options.fragmentation,
            self.options.lifetime, shape,
        )  # fmt: skip

    def _fragment(self, host: Host) -> float:
        return rules.fragment(
            self.options.fragmentation, host.free_cpu, host.free_mem, host.model, host.devices, self._moment()
        )

    def _settle(self, host: Host, t: float) -> None:
        dt = t - host.since
        if dt > 0.0:
            host.joule += host.watt * dt
            if host.residents:
                host.busy_s += dt
            host.since = t

    def _changed(self, m: int) -> None:
        host = self.hosts[m]
        host.watt = self._watts(m)
        if self.options.fragmentation != "none":
            frag = self._fragment(host)
            self.frag += frag - host.frag
            host.frag = frag

    def _exit_value(self, task: Task) -> float:
        if self.options.lifetime == "unknown":
            return task.start_s
        return task.start_s - task.done_s + task.request.expected_s

    # -- time ---------------------------------------------------------------------------------------

    def _move_clock(self, t: float) -> None:
        dt = t - self.now
        if dt <= 0.0:
            return
        running = [task for task in self.tasks if task.status == "running"]
        now_on = {
            "cpu_s": sum(task.request.cpu for task in running),
            "mem_s": sum(task.request.mem for task in running),
            "gpu_s": sum(task.request.gpu for task in running),
            "active_s": sum(1 for host in self.hosts if host.residents),
            "running_s": len(running),
            "queue_s": len(self.queue),
            "frag_s": self.frag,
        }
        for name, level in now_on.items():
            self.total[name] += level * dt
        self.now = t

    def _account_all(self, t: float) -> None:
        self._move_clock(t)
        for host in self.hosts:
            self._settle(host, t)

    def _start_metering(self) -> None:
        self._account_all(self.start_s)
        self.count = dict.fromkeys(self.count, 0)
        self.reasons = dict.fromkeys(self.reasons, 0)
        self.total = dict.fromkeys(self.total, 0.0)
        for host in self.hosts:
            host.joule = host.busy_s = 0.0
        self.metered = True

    # -- placing and taking off ---------------------------------------------------------------------

    def _place(self, task: Task, m: int, devices: list[int]) -> None:
        host, request = self.hosts[m], task.request
        self._settle(host, self.now)
        host.free_cpu -= request.cpu
        host.free_mem -= request.mem
        for d in devices:
            host.devices[d] -= request.mgpu
        if request.gpus:
            host.kinds[rules.kind_of(request)] += 1
        if task.restarts > 0:
            self.count["restarted"] += 1
        elif task.arrive_s >= self.start_s:  # those of the warm-up count nowhere
            self.count["placed"] += 1
            self.count["placed_cpu"] += request.cpu
            self.count["placed_mem"] += request.mem
            self.count["placed_gpu"] += request.gpu
            self.total["wait_s"] += self.now - task.arrive_s
        task.status, task.machine, task.devices, task.start_s = "running", m, devices, self.now
        task.end_s = self.now + (task.run_s - task.done_s)
        if not host.residents:
            host.busy_from = self.now
        host.residents.insert(0, task.row)
        value = self._exit_value(task)
        host.exit = min(host.exit, value) if self.options.lifetime == "unknown" else max(host.exit, value)
        self._changed(m)
        self.decisions += 1
        self.last = m

    def _take_off(self, task: Task) -> None:
        host, request = self.hosts[task.machine], task.request
        self._settle(host, self.now)
        host.free_cpu += request.cpu
        host.free_mem += request.mem
        for d in task.devices:
            host.devices[d] += request.mgpu
        if request.gpus:
            host.kinds[rules.kind_of(request)] -= 1
        host.residents.remove(task.row)
        values = [self._exit_value(self.tasks[row]) for row in host.residents]
        pick = min if self.options.lifetime == "unknown" else max
        host.exit = pick(values, default=self._no_exit())
        task.status = "off"
        self._changed(task.machine)
        self.need_pass = True

    def _enqueue(self, task: Task) -> None:
        task.status = "queued"
        self.queue.append(task)
        self.queue.sort(key=lambda other: (-other.priority, other.row))

    def _fail(self, m: int) -> None:
        host, options = self.hosts[m], self.options
        self._settle(host, self.now)
        if not host.up:
            return
        host.up = False
        for row in list(host.residents):  # newest first
            task = self.tasks[row]
            self._take_off(task)
            ran, interval = self.now - task.start_s, options.checkpoint_interval_s
            kept = ran if interval == 0 else 0.0 if interval == INF else math.floor(ran / interval) * interval
            self.count["interrupted"] += 1
            if options.interrupted == "requeue":
                self.total["lost_cpu_s"] += task.request.cpu * (ran - kept)
                task.done_s += kept
                task.restarts += 1
                self._enqueue(task)
            else:
                self.total["lost_cpu_s"] += task.request.cpu * (ran + task.done_s)
                task.status = "lost"
                self.count["lost"] += 1
        host.watt = 0.0

    # -- choosing -----------------------------------------------------------------------------------

    def _group_full(self, task: Task, m: int) -> bool:
        if task.limit == 0:
            return False
        held = sum(1 for row in self.hosts[m].residents if self.tasks[row].group == task.group)
        return held >= task.limit

    def _score(self, host: Host, task: Task, at: Moment) -> float:
        request = task.request
        if task.done_s:
            request = Request(**{**vars(request), "expected_s": request.expected_s - task.done_s})
        total = 0.0
        for rule, weight in zip(self.policy.rules, self.policy.weights, strict=True):
            total += float(weight) * rules.REFERENCE_RULES[RULES[rule]](host, request, at)
        return total

    def _choose(self, task: Task) -> int:
        size, policy = len(self.hosts), self.policy
        fits = [m for m in range(size) if rules.feasible(self.hosts[m], task.request) and not self._group_full(task, m)]
        if not fits:
            return -1
        if policy.choice == BY_SCORE:
            at = self._moment()
            score = {m: self._score(self.hosts[m], task, at) for m in fits}
            return min(fits, key=lambda m: (-score[m], m))
        if policy.choice == AT_RANDOM:
            return fits[mix64(self.seed, self.decisions, 0) % len(fits)]
        first = max(self.last + (1 if policy.choice == ROUND_ROBIN else 0), 0) % size
        return min(fits, key=lambda m: (m - first) % size)

    def _devices(self, task: Task, m: int) -> list[int]:
        host, request, policy = self.hosts[m], task.request, self.policy
        if request.is_share and policy.gpu_choice == GPU_SCORE:
            published = "fgd" in [RULES[rule] for rule in policy.rules]
            return [rules.fragmentation_score(host, request, self._moment(), published)[1]]
        if request.is_share and policy.gpu_choice == GPU_RANDOM:
            free = [d for d, share in enumerate(host.devices) if share >= request.mgpu]
            return [free[mix64(self.seed, self.decisions, 1) % len(free)]]
        return rules.pick(host.devices, request.gpus, request.mgpu)

    def _reason(self, task: Task) -> str:
        request = task.request
        lacking: set[str] = set()
        possible = False
        for m, host in enumerate(self.hosts):
            allowed = not request.gpus or (host.model >= 0 and bool((request.models >> host.model) & 1))
            possible |= (
                allowed and host.cpu >= request.cpu and host.mem >= request.mem and len(host.devices) >= request.gpus
            )
            if not host.up:
                continue
            lacks = [
                name
                for name, ok in (
                    ("cpu", host.free_cpu >= request.cpu),
                    ("mem", host.free_mem >= request.mem),
                    ("gpu", sum(free >= request.mgpu for free in host.devices) >= request.gpus),
                    ("model", allowed),
                    ("group", not self._group_full(task, m)),
                )
                if not ok
            ]
            if not lacks:
                return "refused"
            if len(lacks) == 1:
                lacking.add(lacks[0])
        if not possible:
            return "too_large"
        return next((name for name in st.REASONS if name in lacking), "several")

    # -- the loop -----------------------------------------------------------------------------------

    def _offer(self, task: Task) -> bool:
        m = self._choose(task)
        if m < 0:
            return False
        self._place(task, m, self._devices(task, m) if task.request.gpus else [])
        return True

    def _pass(self) -> None:
        """Offer the waiting tasks a machine, in order."""
        for task in list(self.queue):
            if self._offer(task):
                self.queue.remove(task)
            elif self.options.queue_order == "strict":
                break

    def _arrive(self, task: Task) -> None:
        request = task.request
        self.count["arrived"] += 1
        self.count["arrived_cpu"] += request.cpu
        self.count["arrived_mem"] += request.mem
        self.count["arrived_gpu"] += request.gpu
        if self.options.queue_order == "strict" and self.queue:
            self._enqueue(task)
        elif not self._offer(task):
            if self.options.admission == "queue":
                self._enqueue(task)
            else:
                self.reasons[self._reason(task)] += 1
                self.count["rejected"] += 1
                task.status = "rejected"

    def run(self) -> Reference:
        """Replay the window to its end."""
        while True:
            leaving = [task for task in self.tasks if task.status == "running" and task.end_s < INF]
            going = min(leaving, key=lambda task: (task.end_s, task.row), default=None)
            depart = going.end_s if going else INF
            arrive = self.tasks[self.next].arrive_s if self.next < len(self.tasks) else INF
            event = self.events[0][0] if self.events else INF
            if depart == INF and arrive == INF and not self.queue and self.stop_s == INF:
                event = INF  # machine events alone do not keep an open-ended window alive
            t = min(depart, event, arrive)
            if self.need_pass and (t > self.now or (arrive == self.now and min(depart, event) > self.now)):
                self.need_pass = False
                self._pass()
                continue
            if t == INF or t > self.stop_s:
                break
            if not self.metered and t >= self.start_s:
                self._start_metering()
            self._move_clock(t)
            if going is not None and depart == t:
                self._take_off(going)
                going.status = "done"
                self.count["finished"] += 1
            elif event == t:
                _, kind, m = self.events.pop(0)
                if kind == FAIL:
                    self._fail(m)
                elif not self.hosts[m].up:
                    self._settle(self.hosts[m], t)
                    self.hosts[m].up = True
                    self.need_pass = True
                    self.hosts[m].watt = self._watts(m)
            else:
                self.next += 1
                self._arrive(self.tasks[self.next - 1])
        if not self.metered and self.start_s <= self.stop_s:
            self._start_metering()
        self._account_all(self.now if self.stop_s == INF else self.stop_s)
        return self

    def outcome(self) -> dict[str, Any]:
        """Everything the kernel has to agree on, by name; see ``rlsched.sim.outcome``."""
        return {
            "now": self.now,
            **self.count,
            **self.total,
            "frag": self.frag,
            "reasons": list(self.reasons.values()),
            "waiting": len(self.queue),
            "decisions": self.decisions,
            "free": [[host.free_cpu, host.free_mem, host.free_gpu] for host in self.hosts],
            "devices": [list(host.devices) for host in self.hosts],
            "up": [int(host.up) for host in self.hosts],
            **{name: [getattr(host, name) for host in self.hosts] for name in ("joule", "busy_s", "busy_from")},
            **{name: [getattr(task, name) for task in self.tasks] for name in ("status", "restarts")},
            "placed_on": [task.machine for task in self.tasks],
            "gpus": [sum(1 << d for d in task.devices) for task in self.tasks],
            "times": [[task.start_s, task.end_s, task.done_s] for task in self.tasks],
        }
