"""The scoring rules once more, in plain Python: what ``scoring.py`` has to equal exactly.

Each rule is a function of a machine, a task and the moment, and returns one number; larger is
better. Operations stand in the order the compiled rules use, because floating-point sums
depend on it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

from rlsched.sim.scoring import LIFETIME_STEPS
from rlsched.sim.world import Typical

INF = math.inf


@dataclass
class Request:
    """What a task asks for, and what is known of its life."""

    cpu: int
    mem: int
    gpus: int
    mgpu: int
    models: int  # bits over the fleet's models; -1 any
    expected_s: float  # life span the rules may see

    @property
    def gpu(self) -> int:
        """Milli-GPU in all."""
        return self.gpus * self.mgpu

    @property
    def is_share(self) -> bool:
        """True when it asks for a part of one device."""
        return self.gpus == 1 and self.mgpu < 1000


@dataclass
class Host:
    """A machine, what is free on it, and who lives there (newest first)."""

    cpu: int  # offered
    mem: int
    model: int
    physical_cpu: int
    price: float
    free_cpu: int = 0
    free_mem: int = 0
    devices: list[int] = field(default_factory=list)
    up: bool = True
    residents: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=lambda: [0] * 5)
    exit: float = -INF
    since: float = 0.0
    watt: float = 0.0
    joule: float = 0.0
    busy_s: float = 0.0
    busy_from: float = 0.0  # it has held tasks since then; of no account while it holds none
    frag: float = 0.0

    @property
    def gpu(self) -> int:
        """Milli-GPU in all."""
        return 1000 * len(self.devices)

    @property
    def free_gpu(self) -> int:
        """Free milli-GPU in all."""
        return sum(self.devices)


@dataclass
class Moment:
    """What a score may depend on besides machine and task."""

    now: float
    max_cpu: int
    max_gpu: int
    typical: list[tuple[int, int, int, int, int]]  # cpu, mem, gpus, mgpu, models
    typical_p: list[float]
    fragmentation: str  # none, gpu, cpu
    lifetime: str
    shape: list[tuple[float, float]]


def typical_of(typical: Typical | None) -> tuple[list[tuple[int, int, int, int, int]], list[float]]:
    """The typical requests as plain lists (masks already over the fleet's models)."""
    if typical is None:
        return [], []
    rows = [(int(a), int(b), int(c), int(d), int(e)) for a, b, c, d, e in typical.requests]
    return rows, [float(p) for p in typical.share]


def per(amount: float, capacity: int) -> float:
    """A share of a capacity; 0 of nothing. Multiplied by the reciprocal, as the kernel does."""
    return amount * (1.0 / capacity) if capacity > 0 else 0.0


def feasible(host: Host, task: Request) -> bool:
    """True when the machine is up and has room."""
    if not host.up or host.free_cpu < task.cpu or host.free_mem < task.mem:
        return False
    if task.gpus == 0:
        return True
    if host.model < 0 or not (task.models >> host.model) & 1:
        return False
    return sum(free >= task.mgpu for free in host.devices) >= task.gpus


def pick(devices: list[int], gpus: int, mgpu: int) -> list[int]:
    """Devices a request gets: smallest sufficient share first, lowest index on ties."""
    order = sorted((free, d) for d, free in enumerate(devices) if free >= mgpu)
    return sorted(d for _, d in order[:gpus])


def fragment(fragmentation: str, cpu: int, mem: int, model: int, devices: list[int], at: Moment) -> float:
    """Idle capacity that a typical request cannot use."""
    if fragmentation != "gpu":
        lost = 0.0
        for (c, m, _, _, _), p in zip(at.typical, at.typical_p, strict=True):
            if cpu < c or mem < m:
                lost += p * cpu
        return lost
    total = sum(devices)
    if total == 0:
        return 0.0
    parts = dict.fromkeys(("both", "gpu", "cpu", "cpu-only fits", "cpu-only lacks", "no access"), 0.0)
    for (c, _, n, u, models), p in zip(at.typical, at.typical_p, strict=True):
        if u == 0:
            parts["cpu-only fits" if cpu >= c else "cpu-only lacks"] += p * total
        elif not (models >> model) & 1:
            parts["no access"] += p * total
        elif sum(free >= u for free in devices) >= n:
            if cpu >= c:
                parts["gpu"] += p * (total - sum(free for free in devices if free >= u))
            else:
                parts["cpu"] += p * total
        else:
            parts["gpu" if cpu >= c else "both"] += p * total
    result = 0.0
    for part in parts.values():
        result += part
    return result


def _gain(host: Host, task: Request, at: Moment, only: int | None) -> tuple[float, float]:
    """Fragmentation before and after placing the task (on one given device)."""
    devices = list(host.devices)
    for d in [only] if only is not None else pick(devices, task.gpus, task.mgpu):
        devices[d] -= task.mgpu
    before = fragment(at.fragmentation, host.free_cpu, host.free_mem, host.model, host.devices, at)
    after = fragment(at.fragmentation, host.free_cpu - task.cpu, host.free_mem - task.mem, host.model, devices, at)
    return before, after


def fragmentation_score(host: Host, task: Request, at: Moment, published: bool) -> tuple[float, int]:
    """Best score over the devices of a shared request, and the lowest device that reaches it."""

    def score(only: int | None) -> float:
        before, after = _gain(host, task, at, only)
        if published:
            return float(math.floor(100.0 * (1.0 / (1.0 + math.exp(-(before - after) / 1000.0)))))
        return (before - after) / 1000.0

    if task.is_share and at.fragmentation == "gpu":
        best, chosen = -INF, -1
        for d, free in enumerate(host.devices):
            if free >= task.mgpu and (value := score(d)) > best:
                best, chosen = value, d
        return best, chosen
    return score(None), -1


def _shares(host: Host, task: Request) -> list[tuple[float, float]]:
    return [
        (per(task.cpu, host.cpu), per(host.free_cpu, host.cpu)),
        (per(task.mem, host.mem), per(host.free_mem, host.mem)),
        (per(task.gpu, host.gpu), per(host.free_gpu, host.gpu)),
    ]


def best_fit(host: Host, task: Request, at: Moment) -> float:
    """Minus the smallest share left of what the task asks for."""
    left = []
    if task.cpu:
        left.append(per(host.free_cpu - task.cpu, host.cpu))
    if task.mem:
        left.append(per(host.free_mem - task.mem, host.mem))
    if task.gpu:
        left.append(per(host.free_gpu - task.gpu, host.gpu))
    return -min(left)


def dot_product(host: Host, task: Request, at: Moment) -> float:
    """Alignment of request and free shares (Grandl et al., Tetris, SIGCOMM 2014)."""
    (a, x), (b, y), (c, z) = _shares(host, task)
    return a * x + b * y + c * z


def norm_l2(host: Host, task: Request, at: Moment) -> float:
    """Minus the squared distance of request and free shares (Panigrahy et al., 2011)."""
    (a, x), (b, y), (c, z) = _shares(host, task)
    return -((x - a) * (x - a) + (y - b) * (y - b) + (z - c) * (z - c))


def cosine(host: Host, task: Request, at: Moment) -> float:
    """Cosine of the angle between request and free shares."""
    (a, x), (b, y), (c, z) = _shares(host, task)
    length = math.sqrt((a * a + b * b + c * c) * (x * x + y * y + z * z))
    return (a * x + b * y + c * z) / length if length > 0.0 else 0.0


def gpu_packing(host: Host, task: Request, at: Moment) -> float:
    """Used devices before free ones, used machines before free ones (Weng et al., ATC 2023)."""
    if task.gpus == 0:
        return 0.0
    whole = host.devices.count(1000)
    if whole == len(host.devices):
        return float(max(33 - whole, whole))
    chosen = [host.devices[d] for d in pick(host.devices, task.gpus, task.mgpu)]
    opened = chosen.count(1000)
    if opened:
        return float(max(50 - opened, 33))
    return float(max(100 - sum(free * 100 // 1000 for free in chosen) // 10, 50))


def kind_of(task: Request) -> int:
    """0 share, 1..4 for 1, 2, 4, 8 devices (the next larger in between)."""
    if task.is_share:
        return 0
    return next((kind for kind, n in ((1, 1), (2, 2), (3, 4)) if task.gpus <= n), 4)


def gpu_clustering(host: Host, task: Request, at: Moment) -> float:
    """Machines that hold the same kind of GPU task first (Weng et al., ATC 2023)."""
    if task.gpus == 0:
        return 0.0
    kind = kind_of(task)
    others = sum(1 for k, n in enumerate(host.kinds) if k != kind and n > 0)
    score = 25 * (at.max_gpu - host.free_gpu) // at.max_gpu
    if host.kinds[kind]:
        score += 75 if others == 0 else 50
    elif others == 0:
        score += 25
    return float(score)


def fgd_best_fit(host: Host, task: Request, at: Moment) -> float:
    """Best fit as the FGD study has it: shares of the largest machine, whole percents."""
    s = 0.5 * ((host.free_cpu - task.cpu) / at.max_cpu)
    if at.max_gpu:
        s += 0.5 * ((host.free_gpu - task.gpu) / at.max_gpu)
    return float(math.floor(100.0 * (1.0 - s)))


def fgd_dot_product(host: Host, task: Request, at: Moment) -> float:
    """Dot product as the FGD study has it: the smaller the better."""
    v = (host.free_cpu / at.max_cpu) * (task.cpu / at.max_cpu)
    if at.max_gpu:
        v += (host.free_gpu / at.max_gpu) * (task.gpu / at.max_gpu)
    return float(math.floor(100.0 * (1.0 - v / 2.0)))


def lifetime(host: Host, task: Request, at: Moment) -> float:
    """Minus the step of how much longer the task is expected to stay than the machine's residents."""
    end = at.now
    if host.residents:
        end = at.now + (at.now - host.exit) if at.lifetime == "unknown" else max(host.exit, at.now)
    longer = at.now + task.expected_s - end
    return -float(sum(longer > step for step in LIFETIME_STEPS.tolist()))


def _used_percent(capacity: int, free: int, request: int, nothing: int) -> int:
    return (capacity - free + request) * 100 // capacity if capacity else nothing


def least_allocated(host: Host, task: Request, at: Moment) -> float:
    """Kubernetes LeastAllocated, whole percents left, mean of CPU and memory."""
    a = (host.free_cpu - task.cpu) * 100 // host.cpu if host.cpu else 0
    b = (host.free_mem - task.mem) * 100 // host.mem if host.mem else 0
    return float((a + b) // 2)


def most_allocated(host: Host, task: Request, at: Moment) -> float:
    """Kubernetes MostAllocated, whole percents used, mean of CPU and memory."""
    a = _used_percent(host.cpu, host.free_cpu, task.cpu, 0)
    b = _used_percent(host.mem, host.free_mem, task.mem, 0)
    return float((a + b) // 2)


def requested_to_capacity(host: Host, task: Request, at: Moment) -> float:
    """Kubernetes RequestedToCapacityRatio: a piecewise-linear function of the percents used."""

    def value(percent: int) -> int:
        points = at.shape
        if percent <= points[0][0]:
            return math.floor(points[0][1])
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            if percent <= x1:
                return math.floor(y0 + (y1 - y0) * (percent - x0) / (x1 - x0))
        return math.floor(points[-1][1])

    a = value(_used_percent(host.cpu, host.free_cpu, task.cpu, 100))
    b = value(_used_percent(host.mem, host.free_mem, task.mem, 100))
    return float(math.floor((a + b) / 2.0 + 0.5))


def balanced_allocation(host: Host, task: Request, at: Moment) -> float:
    """Kubernetes BalancedAllocation: CPU and memory used in like shares, whole percents."""
    a = per(host.cpu - host.free_cpu + task.cpu, host.cpu)
    b = per(host.mem - host.free_mem + task.mem, host.mem)
    return float(math.floor((1.0 - abs(a - b) / 2.0) * 100.0))


def first_fit(host: Host, task: Request, at: Moment) -> float:
    """All machines alike: the lowest row wins."""
    return 0.0


def fgd(host: Host, task: Request, at: Moment) -> float:
    """Fragmentation gradient as published: a sigmoid in whole percents."""
    return fragmentation_score(host, task, at, True)[0]


def fragmentation(host: Host, task: Request, at: Moment) -> float:
    """Fragmentation gradient, real-valued."""
    return fragmentation_score(host, task, at, False)[0]


REFERENCE_RULES = {
    rule.__name__: rule
    for rule in (
        first_fit,
        best_fit,
        dot_product,
        norm_l2,
        cosine,
        gpu_packing,
        gpu_clustering,
        fgd,
        fragmentation,
        fgd_best_fit,
        fgd_dot_product,
        lifetime,
        least_allocated,
        most_allocated,
        requested_to_capacity,
        balanced_allocation,
    )
}
