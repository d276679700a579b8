"""Draw usage series: Gaussian paths in chunks of equal length, pushed through quantile tables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlsched.rng import stream
from rlsched.traces.columns import F64, I64
from rlsched.traces.synthetic.usage import DAY_SLOTS, LEVEL_P, SHAPE_Z, TAU_S, Series, UsagePart
from rlsched.units import SECONDS_PER_DAY

F32 = npt.NDArray[np.float32]
CHUNK = 2_000_000  # samples worked on at a time: some 100 MB
_FINE = 256  # points of the shape tables once spread out


def draw_shares(part: UsagePart, start_s: I64, samples: I64, seed: int) -> tuple[F64, F64]:
    """Draw the samples of series of given length.

    Parameters
    ----------
    part : UsagePart
    start_s : (S,) int64, seconds
        Time of the first sample, on the clock of the source.
    samples : (S,) int64
        Samples of each series, ``>= 0``.
    seed : int

    Returns
    -------
    cpu_share, mem_share : (sum of samples,) float64
        One series after the other, rounded to the resolution of the part. ``mem_share`` is NaN for classes whose
        memory was not measured.
    """
    offset = np.concatenate([[0], np.cumsum(samples)])
    cpu = np.empty(int(offset[-1]))
    mem = np.empty(int(offset[-1]))
    pick = stream(seed, "usage-class")
    share = np.asarray([c.share for c in part.classes])
    which = pick.choice(share.size, size=samples.size, p=share / share.sum())
    rank = pick.random((2, samples.size))  # of the level within its class; classes tie memory to CPU
    order = np.argsort(samples, kind="stable")
    tables = _Tables(part)
    begin = 0
    number = 0
    while begin < order.size:
        longest = samples[order[begin:]]
        # As many series as fit into a chunk when all are padded to the last one's length.
        cells = longest * np.arange(1, longest.size + 1)
        take = max(int(np.searchsorted(cells, CHUNK, side="right")), 1)
        rows = order[begin : begin + take]
        n = int(samples[rows[-1]])
        begin += take
        if n == 0:
            continue
        rng = stream(seed, "usage", number)
        number += 1
        path_cpu, path_mem = tables.paths(which[rows], start_s[rows], n, part.step_s, rng)
        inside = np.arange(n)[None, :] < samples[rows][:, None]
        at = (offset[rows][:, None] + np.arange(n)[None, :])[inside]
        cpu[at] = tables.shares(0, which[rows], rank[0, rows], path_cpu)[inside]
        mem[at] = tables.shares(1, which[rows], rank[1, rows], path_mem)[inside]
    per_one = round(1 / part.resolution)
    for column in (cpu, mem):  # a division gives the same float64 that reading "0.07" gives
        np.divide(np.rint(np.multiply(column, per_one, out=column), out=column), per_one, out=column)
    return cpu, mem


class _Tables:
    """The classes of a usage part as arrays; axis 0 is the class, resources are CPU 0 and memory 1."""

    def __init__(self, part: UsagePart) -> None:
        pairs = [(c.cpu, c.mem if c.mem is not None else c.cpu) for c in part.classes]
        self.measured = np.asarray([[True, c.mem is not None] for c in part.classes])  # (C, 2)
        z = np.linspace(SHAPE_Z[0], SHAPE_Z[-1], _FINE)
        self.shape = np.asarray([[np.interp(z, SHAPE_Z, s.shape) for s in pair] for pair in pairs], np.float32)
        self.level = np.asarray([[s.level for s in pair] for pair in pairs])  # (C, 2, levels)
        self.day = np.asarray([[s.day_shape for s in pair] for pair in pairs], np.float32)  # (C, 2, 24)
        self.noise = np.asarray([[_weights(s) for s in pair] for pair in pairs], np.float32)  # (C, 2, 1 + taus)
        self.wave = np.asarray([[np.sqrt(2 * s.day_wave) for s in pair] for pair in pairs], np.float32)  # (C, 2)
        self.ceiling = np.asarray([[s.ceiling for s in pair] for pair in pairs], np.float32)  # (C, 2)
        self.cross = np.asarray([c.cross for c in part.classes], np.float32)

    def paths(
        self, which: npt.NDArray[np.intp], start_s: I64, n: int, step_s: int, rng: np.random.Generator
    ) -> tuple[F32, F32]:
        """Gaussian paths ``(S, n)`` of CPU and memory."""
        size = which.size
        phase = rng.random(size).astype(np.float32)
        time = (start_s[:, None] + np.arange(n, dtype=np.int64)[None, :] * step_s) % SECONDS_PER_DAY
        slot = time * DAY_SLOTS // SECONDS_PER_DAY
        out: list[F32] = [self.day[which[:, None], r, slot] for r in (0, 1)]
        waves = [self.wave[which, r] for r in (0, 1)]
        if any(wave.any() for wave in waves):
            turn = (time / SECONDS_PER_DAY).astype(np.float32)
            turn += phase[:, None]
            turn *= np.float32(2 * np.pi)
            np.cos(turn, out=turn)
            for path, wave in zip(out, waves, strict=True):
                if wave.any():
                    path += wave[:, None] * turn
        del time, slot
        cross = self.cross[which][:, None]
        rest = np.sqrt(1 - cross * cross)
        for k, tau in enumerate((0.0, *TAU_S)):
            weight = self.noise[which][:, :, k]  # (S, 2)
            if not weight.any():
                continue
            cpu = rng.standard_normal((size, n), dtype=np.float32)
            mem = rng.standard_normal((size, n), dtype=np.float32)
            mem *= rest
            mem += cross * cpu
            for path, noise, r in ((out[0], cpu, 0), (out[1], mem, 1)):
                if tau > 0:
                    _remember(noise, float(np.exp(-step_s / tau)))
                noise *= weight[:, r : r + 1]
                path += noise
        return out[0], out[1]

    def shares(self, resource: int, which: npt.NDArray[np.intp], rank: F64, path: F32) -> F32:
        """Push paths ``(S, n)`` through level and shape."""
        level = np.empty(which.size)
        for c in np.unique(which):
            mine = which == c
            level[mine] = np.interp(rank[mine], LEVEL_P, self.level[c, resource])
        level[~self.measured[which, resource]] = np.nan
        at = (path - np.float32(SHAPE_Z[0])) * np.float32((_FINE - 1) / (SHAPE_Z[-1] - SHAPE_Z[0]))
        at = np.clip(at, 0, _FINE - 1.001)  # the tables end at three deviations
        low = at.astype(np.int32)
        flat = self.shape[:, resource].reshape(-1)
        index = low + (which * _FINE).astype(np.int32)[:, None]
        below = flat[index]
        value = below + (at - low) * (flat[index + 1] - below)
        share = value * level[:, None].astype(np.float32)
        return np.asarray(np.minimum(share, self.ceiling[which, resource][:, None]), dtype=np.float32)


def _weights(series: Series) -> list[float]:
    return [float(np.sqrt(v)) for v in (series.white, *series.memory)]


def _remember(noise: F32, keep: float) -> None:
    """Turn white noise ``(S, n)`` into a stationary path with lag-1 correlation ``keep``, in place."""
    fresh = np.float32(np.sqrt(1 - keep * keep))
    flipped = np.ascontiguousarray(noise.T)  # time first: each step is one contiguous row
    flipped[1:] *= fresh
    for t in range(1, flipped.shape[0]):
        flipped[t] += np.float32(keep) * flipped[t - 1]
    noise[:] = flipped.T
