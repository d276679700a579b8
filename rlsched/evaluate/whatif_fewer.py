"""How many machines would have been enough: the trace replayed on fewer, by bisection.

Enough means: this policy turns away no larger a share than the reference does with all the
machines there are, window by window. Fewer machines keep the mix of sizes: of each size, the
same share is taken out, always in the same order, so a smaller fleet lies within a larger one.
A policy for which twice the machines are not enough has no number, and it is said so.

Greedy placement is not monotone: now and then one machine more rejects more. Bisection ends at
a number that is enough while one machine less is not; a smaller one that is enough again may
exist, so the number is never too low to be believed, but may be a little high.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.contestants import Contestant
from rlsched.evaluate.metrics import METRICS, Measured
from rlsched.evaluate.placement import Arena
from rlsched.evaluate.results import plain
from rlsched.policies import Heuristic
from rlsched.rng import stream_seed
from rlsched.sim.simulate import check_over, run_policy
from rlsched.traces.columns import Machines
from rlsched.units import SECONDS_PER_DAY

Progress = Callable[[str, float], None]
F64 = npt.NDArray[np.float64]
SAME = 1e-12  # shares are ratios of whole numbers; this is rounding
GROWTH = 2  # times the machines there are, at most


@dataclass(frozen=True)
class Tried:
    """A policy on fleets of given sizes: metric → value of each window."""

    values: dict[str, F64]


class Fewer:
    """The search for one experiment.

    Parameters
    ----------
    arena : Arena
        With one fleet: the machines there are.
    metric : str
        A rejected share.
    """

    def __init__(self, arena: Arena, metric: str) -> None:
        # What is not needed is not there; what is there is on, and paid.
        self.arena = dataclasses.replace(arena, options=dataclasses.replace(arena.options, empty_machines="on"))
        self.metric = metric
        self.machines = arena.instances.fleets[0]
        self.order = keep_order(self.machines)

    def fleet(self, n: int) -> Machines:
        """``n`` machines in the mix of those there are, in their order; past all of them, a second set."""
        m = len(self.machines)
        if n <= m:
            return self.machines.take(np.sort(self.order[:n]))
        rows = np.concatenate([np.arange(m), np.sort(self.order[: n - m])])
        ids = [str(one) for one in self.machines.machine_id]
        again = [f"{ids[row]} (again)" for row in rows[m:]]
        return dataclasses.replace(self.machines.take(rows), machine_id=np.array([*ids, *again], dtype=object))

    def play(self, contestant: Contestant, sizes: Sequence[int], windows: Sequence[int]) -> Tried:
        """Replay some windows, each on a fleet of its own size."""
        different = sorted(set(sizes))
        fleets = tuple(self.fleet(n) for n in different)
        cut = tuple(
            dataclasses.replace(self.arena.instances.windows[w], fleet=different.index(n))
            for w, n in zip(windows, sizes, strict=True)
        )
        instances = dataclasses.replace(self.arena.instances, fleets=fleets, windows=cut)
        world = dataclasses.replace(self.arena, instances=instances).world(contestant, {})
        seed, policy = contestant.members((0,))[0]
        state = world.start(cut, [stream_seed(seed or 0, "window", one.name) for one in cut])
        if isinstance(policy, Heuristic):
            run_policy(world, state, policy.arrays())
        else:
            policy.run(world, state)
        check_over(state)
        measured = [Measured.of(world, state, i, clock=instances.clock) for i in range(len(cut))]
        names = (self.metric, "energy_kwh", "cost_usd", "window_h")
        return Tried({name: np.array([METRICS[name].read(one) for one in measured]) for name in names})

    def smallest(self, contestant: Contestant, target: F64, tell: Callable[[], None]) -> npt.NDArray[np.int64]:
        """Machines that are enough, by window; -1 where twice the machines are not.

        Parameters
        ----------
        contestant : Contestant
        target : (W,) float64
            Share that may be rejected; NaN where nothing was asked for.
        tell : callable
            Called after every replay.
        """
        m = len(self.machines)
        lo, hi = np.zeros(len(target), np.int64), np.full(len(target), -1, np.int64)
        for size in (m, GROWTH * m):
            left = np.flatnonzero((hi < 0) & ~np.isnan(target))
            if left.size:
                enough = self._enough(contestant, [size] * left.size, left, target)
                hi[left[enough]] = size
                lo[left[~enough]] = size
            tell()
        while (left := np.flatnonzero((hi > 0) & (hi - lo > 1))).size:
            middle = (lo[left] + hi[left]) // 2
            enough = self._enough(contestant, middle.tolist(), left, target)
            hi[left[enough]], lo[left[~enough]] = middle[enough], middle[~enough]
            tell()
        return hi

    def _enough(
        self, contestant: Contestant, sizes: list[int], windows: npt.NDArray[np.intp], target: F64
    ) -> npt.NDArray[np.bool_]:
        try:
            value = self.play(contestant, sizes, windows.tolist()).values[self.metric]
        except TraceError:  # the files are sound, so: so few machines that none can hold any task
            return np.zeros(len(sizes), bool)
        out: npt.NDArray[np.bool_] = value <= target[windows] + SAME
        return out


def keep_order(machines: Machines) -> npt.NDArray[np.intp]:
    """Rows in the order they are kept: every beginning of it has the mix of sizes of the whole.

    The k-th of the ``m`` machines of one size comes at ``(k + 1/2) / m``; at the same place, the
    lower row.
    """
    shape = np.stack([machines.cpu_mcore, machines.mem_mib, machines.gpu_count, machines.gpu_model], axis=1)
    _, kind, count = np.unique(shape, axis=0, return_inverse=True, return_counts=True)
    kind = kind.ravel()
    at = np.empty(len(machines))
    for code, size in enumerate(count):
        at[kind == code] = (np.arange(size) + 0.5) / size
    return np.argsort(at, kind="stable")


def steps_of(n_machines: int) -> int:
    """Replays one policy takes, for a progress bar: the two bounds, and then halving."""
    return 2 + math.ceil(math.log2(max(2, GROWTH * n_machines)))


def find_fewer(
    arena: Arena,
    contestants: Sequence[Contestant],
    reference: str,
    metric: str,
    bootstrap: Bootstrap,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """How many machines each policy would have needed, and what fewer than the reference save.

    Returns
    -------
    dict
        ``metric, reference, machines`` (there are), ``by_policy``: a dict a policy, with ``policy,
        needed`` (by window, None where not known), ``mean, everywhere`` (one number for all
        windows), and against the reference, paired by window: ``fewer, fewer_low, fewer_high``,
        ``usd_a_day``, ``kwh_a_day`` likewise; None where not known.
    """
    search = Fewer(arena, metric)
    windows = range(len(arena.instances.windows))
    n = len(search.machines)
    first = next(one for one in contestants if one.name == reference)
    target = search.play(first, [n] * len(windows), windows).values[metric]
    order = [first, *(one for one in contestants if one.name != reference)]
    rows: dict[str, dict[str, Any]] = {}
    kept: dict[str, tuple[F64, F64, F64]] = {}
    for i, one in enumerate(order):
        done = 0

        def tell(at: int = i, name: str = one.name) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(f"{name} on fewer machines", min(1.0, (at + done / steps_of(n)) / len(order)))

        needed = search.smallest(one, target, tell)
        known = np.flatnonzero(needed > 0)
        usd, kwh = np.full(len(needed), np.nan), np.full(len(needed), np.nan)
        if known.size:
            tried = search.play(one, needed[known].tolist(), known.tolist()).values
            days = tried["window_h"] * 3600.0 / SECONDS_PER_DAY
            usd[known], kwh[known] = tried["cost_usd"] / days, tried["energy_kwh"] / days
        count = np.where(needed > 0, needed.astype(float), np.nan)
        kept[one.name] = count, usd, kwh
        rows[one.name] = {
            "policy": one.name,
            "needed": [int(value) if value > 0 else None for value in needed],
            "mean": plain(float(count.mean())),
            "everywhere": int(needed.max()) if (needed > 0).all() else None,
        }
        for name, mine, theirs in zip(
            ("fewer", "usd_a_day", "kwh_a_day"), kept[one.name], kept[reference], strict=True
        ):
            saved = theirs - mine
            # A mean over the windows that happen to be known would be of another question.
            found = bootstrap.interval((saved if not np.isnan(saved).any() else np.full(1, np.nan))[:, None])
            ends = {f"{name}_low": plain(found.low), f"{name}_high": plain(found.high)}
            rows[one.name] |= {name: plain(found.mean), **ends}
    return {
        "metric": metric,
        "reference": reference,
        "machines": n,
        "allowed_share": [plain(float(one)) for one in target],
        "by_policy": [rows[one.name] for one in contestants],
    }
