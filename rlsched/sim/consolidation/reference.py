"""The consolidation simulator in plain, slow, readable Python: the specification.

People read this file and :mod:`~rlsched.sim.consolidation.reference_rules`; computers run the
compiled twin in :mod:`~rlsched.sim.consolidation.kernel`, which must equal it bit for bit. When
semantics change, these two files change first. "Rules n" is section n of the rules of the CloudSim
golden runs, which hold when :meth:`Semantics.cloudsim_303` is chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rlsched import rng
from rlsched.sim.consolidation.meters import Checkpoint, Meters
from rlsched.sim.consolidation.policy import HISTORY, ROUNDING_ABOVE_FULL, ConsolidationPolicy, trend_weights
from rlsched.sim.consolidation.world import World, java_hash
from rlsched.sim.semantics import Semantics


@dataclass
class Vm:
    """One virtual machine."""

    row: int
    cpu: float
    mem: int
    host: Host | None = None
    share: float = 0.0  # load now, share of cpu
    request: float = 0.0  # load now, in units of cpu
    granted: float = 0.0  # what its machine gives it
    copying: bool = False  # a live migration is going on
    bound: bool = False  # a move is going on or waits for a machine to wake
    history: list[float] = field(default_factory=list)  # share at past ticks, newest first


@dataclass
class Host:
    """One machine; ``guests`` are in order of arrival, with True for one still being copied here."""

    row: int
    cpu: float
    core: float
    mem: int
    kind: str
    points: tuple[float, ...]
    guests: list[tuple[Vm, bool]] = field(default_factory=list)
    used: float = 0.0
    asked: float = 0.0
    share: float = 0.0
    free: float = 0.0
    on: bool = False
    waking: bool = False
    was_on: bool = True
    on_since_s: float = 0.0
    table: int = 16  # buckets of the Java map that holds the requests in CloudSim

    def hold(self, guests: int) -> None:
        """The Java map doubles when it is more than three quarters full, and never shrinks."""
        while 4 * guests > 3 * self.table:
            self.table *= 2

    def watts(self, share: float) -> float:
        """Power at a utilisation (see :mod:`rlsched.sim.power`)."""
        if not 0.0 <= share <= 1.0:
            return math.nan
        p = self.points
        if self.kind == "table":
            low, high = math.floor(share * 10.0), math.ceil(share * 10.0)
            return p[low] + (p[high] - p[low]) / 10.0 * (share - low / 10.0) * 100.0
        shape = {
            "linear": lambda: share,
            "square": lambda: share * share,
            "cubic": lambda: share * share * share,
            "sqrt": lambda: math.sqrt(share),
            "cubic_root": lambda: math.pow(share, 1.0 / 3.0),
        }[self.kind]()
        return p[0] + (p[1] - p[0]) * shape


@dataclass
class Move:
    """One live migration decided at a tick."""

    vm: Vm
    to: Host
    start_s: float
    end_s: float
    started: bool = False
    ended: bool = False


class Reference:
    """One simulation of one policy over one world.

    Parameters
    ----------
    world : World
    policy : ConsolidationPolicy
    semantics : Semantics
    seed : int
        Root seed; used by random VM selection alone.
    """

    def __init__(self, world: World, policy: ConsolidationPolicy, semantics: Semantics, seed: int = 0) -> None:
        world.validate(semantics)
        self.world, self.policy, self.semantics = world, policy, semantics
        self.hosts = []
        for row in range(world.n_hosts):
            curve = world.curves[world.host_curve[row]]
            cpu, core = float(world.host_cpu[row]), float(world.host_core[row])
            self.hosts.append(Host(row, cpu, core, int(world.host_mem[row]), curve.kind, curve.points))
        self.vms = [Vm(row, float(world.vm_cpu[row]), int(world.vm_mem[row])) for row in range(world.n_vms)]
        self.load = world.load.tolist()
        self.forecast = None if world.forecast is None else world.forecast.tolist()
        self.remembered = 0  # ticks so far
        self.meters = Meters()
        self.checkpoints: list[Checkpoint] = []
        self.now_s = 0.0
        self.measured = False  # has any update happened yet
        self.random_state = rng.stream_seed(seed, "vm_selection")
        self.weights = [float(x) for x in trend_weights(semantics.lr_weighted)]

    def run(self) -> Meters:
        """Simulate the whole trace and return the meters."""
        from rlsched.sim.consolidation.reference_rules import optimise, place_at_start

        place_at_start(self)
        if not self.semantics.first_interval_free:
            self.advance(0.0)
            self.remember()
            self.remove_without_demand()
        limit_s = self.world.n_samples * self.world.step_s
        tick_s = self.semantics.tick_offset_s + self.world.step_s
        while tick_s < limit_s:
            self.advance(tick_s)
            self.remember()
            self.remove_without_demand()
            active, overloaded, moves = sum(host.on for host in self.hosts), 0, []
            energy = self.meters.energy_ws
            if self.policy.migrates:
                overloaded, placed = optimise(self)
                moves = self.begin([Move(vm, to, *self.schedule(vm, to, tick_s)) for vm, to in placed])
            self.finish(moves)
            alive = sum(vm.host is not None for vm in self.vms)
            after = sum(host.on for host in self.hosts)
            row = Checkpoint(tick_s, alive, active, overloaded, len(moves), energy, after)
            self.checkpoints.append(row)
            tick_s += self.world.step_s
        if self.semantics.last_interval_simulated:
            self.advance(limit_s)
        self.count_switching()
        return self.meters

    # -- time ------------------------------------------------------------------------------------

    def advance(self, t: float) -> None:
        """Let time pass to ``t``: bill what held since, then measure (rules 3, 4, 9)."""
        dt = t - self.now_s
        was_on = [host.on for host in self.hosts]
        before_w = [host.watts(host.share) for host in self.hosts]
        if self.measured:
            self.count_service(dt)
            self.count_switching()
        for vm in self.vms:
            if vm.host is not None:
                vm.share = self.share_at(vm.row, t)
                vm.request = vm.share * vm.cpu
        for host in self.hosts:
            self.update(host)
        interval_ws = 0.0
        for host, on, before in zip(self.hosts, was_on, before_w, strict=True):
            if self.policy.name == "npa":
                interval_ws += host.points[-1] * dt
            elif on:
                interval_ws += (before + (host.watts(host.share) - before) / 2.0) * dt
            elif self.measured or not self.semantics.first_interval_free:
                interval_ws += self.semantics.off_w * dt
        self.meters.energy_ws += interval_ws
        if not self.measured:
            for host in self.hosts:
                host.was_on = host.on or self.semantics.unused_host_counts_as_shutdown
        self.measured = True
        self.now_s = t

    def share_at(self, row: int, t: float) -> float:
        """Load of a VM at time ``t``, linear between samples, constant after the last (rules 2)."""
        step, last = self.world.step_s, self.world.n_samples - 1
        low, high = math.floor(t / step), math.ceil(t / step)
        before = float(self.load[min(low, last)][row])
        if low == high:
            return before
        after = float(self.load[min(high, last)][row])
        return before + (after - before) / step * (t - low * step)

    def remember(self) -> None:
        """At a tick, keep each VM's load; the last 30 are kept."""
        self.remembered += 1
        for vm in self.vms:
            if vm.host is not None:
                vm.history = [vm.share, *vm.history][:HISTORY]

    def remove_without_demand(self) -> None:
        """With ``zero_demand_removes_vm``, destroy VMs that ask for nothing (rules 3)."""
        if not self.semantics.zero_demand_removes_vm:
            return
        for host in self.hosts:
            for vm, arriving in list(host.guests):
                if vm.request == 0.0 and not vm.bound and not arriving:
                    host.guests.remove((vm, False))
                    vm.host = None
                    self.meters.removed_vms += 1
            self.settle(host)

    # -- machines --------------------------------------------------------------------------------

    def update(self, host: Host) -> None:
        """Share the CPU of a machine among its guests, in order of arrival (rules 4)."""
        overhead = self.semantics.migration_overhead_share
        keep = 1.0 - overhead
        free, short = host.cpu, False
        costs = []
        host.hold(len(host.guests))
        for vm, arriving in host.guests:
            want = min(vm.request, host.core)
            cost = overhead * want if arriving else want
            costs.append((java_hash(f"2-{vm.row}") % host.table, cost))
            if free >= cost:
                free -= cost
            else:
                short = True
        if self.semantics.java_hash_order:
            costs.sort(key=lambda pair: pair[0])  # stable: in a bucket, in order of arrival
        total = 0.0
        for _, cost in costs:
            total += cost
        scale = host.cpu / total if short else 1.0
        host.free = 0.0 if short else free
        host.used = host.asked = 0.0
        for vm, arriving in host.guests:
            want = min(vm.request, host.core)
            leaving = vm.copying and not arriving
            if leaving:
                given = self.whole(want * scale * keep) if short else keep * want
            elif arriving:
                given = self.whole(want * overhead * scale) if short else overhead * want
            else:
                given = self.whole(want * scale) if short else want
            if not arriving:
                vm.granted = given
            host.used += given / keep if leaving else given
            if arriving and not self.semantics.arriving_vm_counts_full_request:
                host.asked += overhead * want
            else:
                host.asked += vm.request
        host.share = host.used / host.cpu
        if 1.0 < host.share < ROUNDING_ABOVE_FULL:
            host.share = 1.0
        self.settle(host)

    def whole(self, mips: float) -> float:
        """Round down where CloudSim does."""
        return float(math.floor(mips)) if self.semantics.whole_mips else mips

    def settle(self, host: Host) -> None:
        """Decide whether a machine is on."""
        if self.semantics.idle_host_is_off:
            host.on = host.used > 0.0 or host.waking
        else:
            host.on = len(host.guests) > 0 or host.waking

    # -- moves -----------------------------------------------------------------------------------

    def schedule(self, vm: Vm, to: Host, tick_s: float) -> tuple[float, float]:
        """Start and end of a move: a machine that is off has to wake first."""
        start = tick_s if to.on else tick_s + self.semantics.wake_s
        return start, start + vm.mem / self.world.migration_mib_per_s

    def begin(self, moves: list[Move]) -> list[Move]:
        """Wake machines and start the moves that need not wait; list order (rules 3)."""
        for move in moves:
            move.vm.bound = True
            self.meters.migrations += 1
            if not move.to.on and not move.to.waking:
                move.to.waking = True
                self.meters.wakes += 1
                self.meters.energy_ws += self.semantics.wake_energy_wh * 3600.0
        self.start(moves)
        return moves

    def start(self, moves: list[Move]) -> None:
        """Start the moves due now, and share out the CPU of all machines anew."""
        for move in moves:
            if not move.started and move.start_s == self.now_s:
                move.started = move.vm.copying = True
                move.to.waking = False
                move.to.guests.append((move.vm, True))
        for host in self.hosts:
            self.update(host)

    def finish(self, moves: list[Move]) -> None:
        """Run the moves of a tick to their end: every one is over before the next tick."""
        while not all(move.ended for move in moves):
            t = min(move.end_s if move.started else move.start_s for move in moves if not move.ended)
            self.advance(t)
            self.remove_without_demand()
            for move in moves:
                if move.started and not move.ended and move.end_s == t:
                    self.end(move, moves)
            self.start(moves)
            self.remove_without_demand()

    def end(self, move: Move, moves: list[Move]) -> None:
        """The VM now lives on the target, as its latest guest."""
        vm, source = move.vm, move.vm.host
        assert source is not None  # a bound VM is never removed
        source.guests.remove((vm, False))
        move.to.guests.remove((vm, True))
        move.to.guests.append((vm, False))
        vm.host, vm.copying, move.ended = move.to, False, True
        vm.bound = any(other.vm is vm and not other.ended for other in moves)
        self.meters.migration_s += move.end_s - move.start_s

    # -- meters ----------------------------------------------------------------------------------

    def count_service(self, dt: float) -> None:
        """Bill the service of the interval that ends now by what held at its start (rules 10)."""
        m = self.meters
        for host in self.hosts:
            if host.on:
                m.active_s += dt
                if host.used + self.semantics.sla_tolerance_mips < host.asked:
                    m.violation_s += dt
        for vm in self.vms:
            if vm.host is not None:
                m.requested += vm.request * dt
                if vm.granted < vm.request:
                    m.short += (vm.request - vm.granted) * dt
                    m.shortfalls += 1
                    m.shortfall_shares += (vm.request - vm.granted) / vm.request
                    if vm.copying:
                        m.degraded += (vm.request - vm.granted) * dt

    def count_switching(self) -> None:
        """Note machines that were switched on or off at the last measurement (rules 10)."""
        for host in self.hosts:
            if host.was_on and not host.on:
                self.meters.count_shutdown(self.now_s - host.on_since_s)
            elif not host.was_on and host.on:
                host.on_since_s = self.now_s
            host.was_on = host.on
