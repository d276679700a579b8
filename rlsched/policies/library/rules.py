"""The scoring rules in plain numpy: what ``rlsched.sim.scoring`` computes, without a compiler.

Each rule takes some machines and a request and gives one float64 a machine; larger is better.
The machines can hold the request. Operations stand in the order of the compiled rules, so
that both agree to the last bit; a test holds them together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.policies.library import cluster as cl
from rlsched.policies.library.request import Request
from rlsched.sim.rules import LIFETIME_STEPS

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

#: Larger than any free share of a device.
_FULL = 10_000


class Scale(NamedTuple):
    """What scores are measured in: of the whole cluster, and of the policy."""

    max_cpu: int
    max_gpu: int
    frag: str
    typical_i: I64  # (J, 5) masks over the cluster's models
    typical_p: F64
    ages: bool  # of residents only ages are known
    shape: tuple[tuple[float, float], ...]


class Part(NamedTuple):
    """Some machines: rows of ``Cluster.whole`` and ``real``, and their devices."""

    whole: I64  # (17, R)
    real: F64  # (8, R)
    device: I64  # (R, G)


def part_of(cluster: cl.Cluster, rows: I64 | None = None) -> Part:
    """Some machines of a cluster; all of them, without copying, by default."""
    if rows is None:
        return Part(cluster.whole, cluster.real, cluster.device)
    return Part(cluster.whole.take(rows, 1), cluster.real.take(rows, 1), cluster.device.take(rows, 0))


def fits(m: Part, r: Request) -> Bool:
    """True where the machine can hold the request now, (R,)."""
    i = m.whole
    ok: Bool = (i[cl.CPU] >= r.cpu) & (i[cl.MEM] >= r.mem) & (i[cl.UP] == 1)
    if r.gpus > 0:
        model = i[cl.MODEL]
        ok &= (model >= 0) & ((np.int64(r.models) >> np.maximum(model, 0)) & 1 == 1)
        ok &= (m.device >= r.mgpu).sum(axis=1) >= r.gpus
    return ok


def pick_devices(device: I64, gpus: int, mgpu: int) -> Bool:
    """Devices a request gets, (R, G): smallest sufficient share first, lowest index on ties."""
    chosen = np.zeros(device.shape, bool)
    able = np.where(device >= mgpu, device, _FULL)
    if gpus == 1:
        chosen[np.arange(len(device)), able.argmin(axis=1)] = True
    else:
        first = np.argsort(able, axis=1, kind="stable")[:, :gpus]
        np.put_along_axis(chosen, first, True, axis=1)
    return chosen


def fragment(s: Scale, cpu: I64, mem: I64, model: I64, device: I64) -> F64:
    """Idle capacity that a typical request cannot use, (R,): milli-GPU or millicores."""
    if s.frag == "gpu":
        return _fragment_gpu(s, cpu, model, device)
    if not s.typical_p.size:
        return np.zeros(cpu.shape)
    lacks = (cpu[None, :] < s.typical_i[:, 0, None]) | (mem[None, :] < s.typical_i[:, 1, None])
    return _in_order(np.where(lacks, s.typical_p[:, None] * cpu[None, :], 0.0))


def _in_order(terms: F64) -> F64:
    """Sum over the first axis, one after the other: numpy's own sum may take another order."""
    total: F64 = np.add.accumulate(terms, axis=0)[-1]
    return total


def _fragment_gpu(s: Scale, cpu: I64, model: I64, device: I64) -> F64:
    free = np.maximum(device, 0)
    total = free.sum(axis=1)
    if not s.typical_p.size or not total.any():
        return np.zeros(cpu.shape)
    need_cpu, gpus, share, models = s.typical_i[:, 0], s.typical_i[:, 2], s.typical_i[:, 3], s.typical_i[:, 4]
    sizes, which = np.unique(share, return_inverse=True)
    able = device[None, :, :] >= np.maximum(sizes, 1)[:, None, None]  # (S, R, G)
    usable = able.sum(axis=2)[which]  # (J, R)
    useful = (able * free[None, :, :]).sum(axis=2)[which]
    enough = cpu[None, :] >= need_cpu[:, None]
    access = (models[:, None] >> np.maximum(model, 0)[None, :]) & 1 == 1
    wanted = (share > 0)[:, None]
    many = usable >= gpus[:, None]
    whole = s.typical_p[:, None] * total[None, :]
    partial = s.typical_p[:, None] * (total[None, :] - useful)
    gpu_task = wanted & access
    value = np.where(gpu_task & many & enough, partial, whole)
    # Six sums that are added up in the order of the published program.
    cases = np.stack(
        [
            gpu_task & ~many & ~enough,
            gpu_task & enough,
            gpu_task & many & ~enough,
            ~wanted & enough,
            ~wanted & ~enough,
            wanted & ~access,
        ],
        axis=1,
    )  # (J, 6, R)
    parts = _in_order(np.where(cases, value[:, None, :], 0.0))  # (6, R)
    out: F64 = parts[0] + parts[1] + parts[2] + parts[3] + parts[4] + parts[5]
    out[total == 0] = 0.0
    return out


def fragment_now(s: Scale, m: Part) -> F64:
    """Fragmentation of machines as they are, (R,)."""
    return fragment(s, m.whole[cl.CPU], m.whole[cl.MEM], m.whole[cl.MODEL], m.device)


def fragment_gain(s: Scale, m: Part, r: Request, published: bool) -> tuple[F64, I64]:
    """Score of the fragmentation gradient, (R,), and the device a share goes to, (R,), -1 for others."""
    before = m.real[cl.FRAG]
    cpu, mem, model = m.whole[cl.CPU] - r.cpu, m.whole[cl.MEM] - r.mem, m.whole[cl.MODEL]
    if not (r.shared and s.frag == "gpu"):
        device = m.device
        if r.gpus > 0:
            device = device - r.mgpu * pick_devices(device, r.gpus, r.mgpu)
        after = fragment(s, cpu, mem, model, device)
        return _gain(before, after, published), np.full(before.shape, -1, np.int64)
    n, g = m.device.shape
    tried = (m.device[:, None, :] - r.mgpu * np.eye(g, dtype=np.int64)[None, :, :]).reshape(n * g, g)
    able = (m.device >= r.mgpu).reshape(-1)
    score = np.full(n * g, -np.inf)
    rows = np.repeat(np.arange(n), g)[able]
    after = fragment(s, cpu[rows], mem[rows], model[rows], tried[able])
    score[able] = _gain(before[rows], after, published)
    table = score.reshape(n, g)
    chosen = table.argmax(axis=1)
    return table[np.arange(n), chosen], chosen


def _gain(before: F64, after: F64, published: bool) -> F64:
    if not published:
        return (before - after) / 1000.0
    # math.exp, as the compiled rule has it: numpy's own may differ in the last bit.
    return np.array(
        [math.floor(100.0 * (1.0 / (1.0 + math.exp(-value)))) for value in ((before - after) / 1000.0).tolist()],
        np.float64,
    )


def first_fit(_s: Scale, m: Part, _r: Request) -> F64:
    """All alike."""
    return np.zeros(m.whole.shape[1])


def best_fit(_s: Scale, m: Part, r: Request) -> F64:
    """Minus the smallest share left of what is asked for."""
    i, f = m.whole, m.real
    left = (i[cl.CPU] - r.cpu) * f[cl.INV_CPU] + (math.inf if r.cpu == 0 else 0.0)
    left = np.minimum(left, (i[cl.MEM] - r.mem) * f[cl.INV_MEM] + (math.inf if r.mem == 0 else 0.0))
    if r.gpus > 0:
        left = np.minimum(left, (i[cl.GPU] - r.gpus * r.mgpu) * f[cl.INV_GPU])
    score: F64 = -left
    return score


def _shares(m: Part, r: Request) -> tuple[F64, F64, F64, F64, F64, F64]:
    i, f = m.whole, m.real
    a, b, c = r.cpu * f[cl.INV_CPU], r.mem * f[cl.INV_MEM], (r.gpus * r.mgpu) * f[cl.INV_GPU]
    return a, b, c, i[cl.CPU] * f[cl.INV_CPU], i[cl.MEM] * f[cl.INV_MEM], i[cl.GPU] * f[cl.INV_GPU]


def dot_product(_s: Scale, m: Part, r: Request) -> F64:
    """Alignment of request and free shares."""
    a, b, c, x, y, z = _shares(m, r)
    return a * x + b * y + c * z


def norm_l2(_s: Scale, m: Part, r: Request) -> F64:
    """Minus the squared distance of request and free shares."""
    a, b, c, x, y, z = _shares(m, r)
    return -((x - a) * (x - a) + (y - b) * (y - b) + (z - c) * (z - c))


def cosine(_s: Scale, m: Part, r: Request) -> F64:
    """Cosine of the angle between request and free shares; 0 where one is zero."""
    a, b, c, x, y, z = _shares(m, r)
    length = np.sqrt((a * a + b * b + c * c) * (x * x + y * y + z * z))
    out = np.zeros(length.shape)
    np.divide(a * x + b * y + c * z, length, out=out, where=length > 0.0)
    return out


def gpu_packing(_s: Scale, m: Part, r: Request) -> F64:
    """Used devices before free ones, used machines before free ones."""
    if r.gpus == 0:
        return np.zeros(m.whole.shape[1])
    whole = (m.device == 1000).sum(axis=1)
    bits = pick_devices(m.device, r.gpus, r.mgpu)
    opened = (bits & (m.device == 1000)).sum(axis=1)
    percent = (np.where(bits, m.device, 0) * 100 // 1000).sum(axis=1)
    used = np.where(opened > 0, np.maximum(50 - opened, 33), np.maximum(100 - percent // 10, 50))
    score: F64 = np.where(whole == m.whole[cl.GPUS], np.maximum(33 - whole, whole), used).astype(np.float64)
    return score


def gpu_clustering(s: Scale, m: Part, r: Request) -> F64:
    """Machines that hold the same kind of GPU task first."""
    if r.gpus == 0:
        return np.zeros(m.whole.shape[1])
    held = m.whole[cl.KIND :] > 0
    mine = held[r.kind]
    others = held.sum(axis=0) - mine
    base = 25 * (s.max_gpu - m.whole[cl.GPU]) // s.max_gpu
    score: F64 = base + np.where(mine, np.where(others == 0, 75, 50), np.where(others == 0, 25, 0)).astype(np.float64)
    return score


def fgd(s: Scale, m: Part, r: Request) -> F64:
    """Fragmentation gradient in published whole percents."""
    return fragment_gain(s, m, r, True)[0]


def fragmentation(s: Scale, m: Part, r: Request) -> F64:
    """Fragmentation gradient, real-valued."""
    return fragment_gain(s, m, r, False)[0]


def fgd_best_fit(s: Scale, m: Part, r: Request) -> F64:
    """Best fit as the FGD study has it, whole percents."""
    share = 0.5 * ((m.whole[cl.CPU] - r.cpu) / s.max_cpu)
    if s.max_gpu > 0:
        share = share + 0.5 * ((m.whole[cl.GPU] - r.gpus * r.mgpu) / s.max_gpu)
    score: F64 = np.floor(100.0 * (1.0 - share))
    return score


def fgd_dot_product(s: Scale, m: Part, r: Request) -> F64:
    """Dot product as the FGD study has it: the smaller the better."""
    value = (m.whole[cl.CPU] / s.max_cpu) * (r.cpu / s.max_cpu)
    if s.max_gpu > 0:
        value = value + (m.whole[cl.GPU] / s.max_gpu) * (r.gpus * r.mgpu / s.max_gpu)
    score: F64 = np.floor(100.0 * (1.0 - value / 2.0))
    return score


def lifetime(s: Scale, m: Part, r: Request) -> F64:
    """Minus the step of how much longer the task stays than the machine's residents. Now is 0."""
    exit_s = m.real[cl.EXIT]
    end = np.where(m.whole[cl.TASKS] > 0, -exit_s if s.ages else np.maximum(exit_s, 0.0), 0.0)
    # A step is passed only beyond it: 60 s longer is step 0.
    return -np.searchsorted(LIFETIME_STEPS, r.life_s - end, side="left").astype(np.float64)


def _percent(amount: I64, capacity: I64, nothing: int) -> I64:
    out: I64 = np.where(capacity > 0, amount * 100 // np.maximum(capacity, 1), nothing)
    return out


def _allocated(m: Part, r: Request, most: bool, nothing: int = 0) -> tuple[I64, I64]:
    i = m.whole
    left_cpu, left_mem = i[cl.CPU] - r.cpu, i[cl.MEM] - r.mem
    if most:
        left_cpu, left_mem = i[cl.CAP_CPU] - left_cpu, i[cl.CAP_MEM] - left_mem
    return _percent(left_cpu, i[cl.CAP_CPU], nothing), _percent(left_mem, i[cl.CAP_MEM], nothing)


def least_allocated(_s: Scale, m: Part, r: Request) -> F64:
    """Whole percents left, mean of CPU and memory."""
    a, b = _allocated(m, r, False)
    return ((a + b) // 2).astype(np.float64)


def most_allocated(_s: Scale, m: Part, r: Request) -> F64:
    """Whole percents used, mean of CPU and memory."""
    a, b = _allocated(m, r, True)
    return ((a + b) // 2).astype(np.float64)


def requested_to_capacity(s: Scale, m: Part, r: Request) -> F64:
    """A piecewise-linear function of the percents used."""
    at = np.array([_shape_at(s.shape, percent) for percent in range(101)], np.float64)
    a, b = _allocated(m, r, True, 100)
    score: F64 = np.floor((at[a] + at[b]) / 2.0 + 0.5)
    return score


def _shape_at(shape: tuple[tuple[float, float], ...], percent: int) -> int:
    if percent <= shape[0][0]:
        return math.floor(shape[0][1])
    for (x0, y0), (x1, y1) in itertools.pairwise(shape):
        if percent <= x1:
            return math.floor(y0 + (y1 - y0) * (percent - x0) / (x1 - x0))
    return math.floor(shape[-1][1])


def balanced_allocation(_s: Scale, m: Part, r: Request) -> F64:
    """CPU and memory used in like shares, whole percents."""
    i, f = m.whole, m.real
    a = (i[cl.CAP_CPU] - i[cl.CPU] + r.cpu) * f[cl.INV_CPU]
    b = (i[cl.CAP_MEM] - i[cl.MEM] + r.mem) * f[cl.INV_MEM]
    score: F64 = np.floor((1.0 - np.abs(a - b) / 2.0) * 100.0)
    return score


#: Rule → function; the names are those of ``rlsched.sim.rules.RULES``.
PLAIN_RULES: dict[str, Callable[[Scale, Part, Request], F64]] = {
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
