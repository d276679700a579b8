"""Scores kept between questions: renewed only on machines that changed.

All of it is derived from what was asked, and rebuilt from nothing: a fresh memory answers the
same. It pays because a scheduler asks again and again about a cluster of which one or two
machines changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.policies.library import cluster as cl
from rlsched.policies.library.request import Request
from rlsched.policies.library.rules import PLAIN_RULES, Scale, fits, fragment_now, part_of
from rlsched.policies.library.single import SINGLE_RULES, Single
from rlsched.policies.library.terms import Terms
from rlsched.sim.rules import RULES, TIMED

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

#: Memory that kept scores may take, bytes.
BUDGET = 128 * 2**20
#: Different states of machines that are numbered before the numbers start anew.
_MOST_STATES = 1_000_000
_NONE = np.empty(0, np.int64)
#: Up to so many machines are scored one by one.
_FEW = 6


class Memory:
    """What is kept of one policy's questions.

    Parameters
    ----------
    blends : sequence of mapping of str to float
        Heuristics that are scored, the prior first.
    terms : Terms
    shape : tuple of points
        Of ``requested_to_capacity``.
    gains : bool
        Keep the gain in fragmentation besides.
    """

    def __init__(
        self,
        blends: Sequence[Mapping[str, float]],
        terms: Terms,
        shape: tuple[tuple[float, float], ...] = ((0.0, 0.0), (100.0, 100.0)),
        *,
        gains: bool = False,
    ) -> None:
        self.blends, self.terms, self.shape = [dict(blend) for blend in blends], terms, shape
        self.gains = gains
        self.timed = [any(RULES.index(rule) in TIMED for rule in blend) for blend in self.blends]
        #: Weights of what is kept; blends that are scored afresh at every question have none.
        self._weights = [
            () if timed else tuple(one.items()) for one, timed in zip(self.blends, self.timed, strict=True)
        ]
        self._rules = {rule for weights in self._weights for rule, _ in weights} | (
            {"fragmentation"} if gains else set()
        )
        self._forget()

    def _forget(self) -> None:
        self.scale: Scale | None = None
        self._same: cl.Fixed | None = None
        self._fixed: tuple[I64, F64, tuple[str, ...]] | None = None
        self._whole, self._device = np.empty((0, 0), np.int64), np.empty((0, 0), np.int64)
        self._stamp: object | None = None
        self._single: Single | None = None
        self._state_of: dict[tuple[Any, ...], int] = {}
        #: Machines in each state, whatever their ends and whether they can hold a request.
        self.members: list[int] = []
        self._kept: OrderedDict[tuple[int, ...], tuple[F64, I64]] = OrderedDict()

    def look(self, cluster: cl.Cluster) -> Scale:
        """Find what changed since the last look; fills the cluster's fragmentation.

        Returns
        -------
        Scale
        """
        if self._stamp is cluster.stamp and self.scale is not None:
            changed = _NONE
        elif self._stamp is not None and self._stamp is cluster.since and self._same is cluster.fixed:
            changed = cluster.moved
        else:
            changed = self._compare(cluster)
        self._same, self._stamp = cluster.fixed, cluster.stamp
        assert self.scale is not None
        if changed.size:
            self._renew(cluster, self.scale, changed)
        cluster.real[cl.FRAG] = self.frag
        return self.scale

    def _compare(self, cluster: cl.Cluster) -> I64:
        """Machines that are not as they were at the last look."""
        fixed = (cluster.whole[cl.CAP_CPU : cl.KIND], cluster.real[: cl.EXIT], cluster.models)
        same = self._same is cluster.fixed or (
            self._fixed is not None
            and self._whole.shape == cluster.whole.shape
            and fixed[2] == self._fixed[2]
            and np.array_equal(fixed[0], self._fixed[0])
            and np.array_equal(fixed[1].view(np.int64), self._fixed[1].view(np.int64))  # bits: NaN is NaN
        )
        if same and self.scale is not None:
            differs: Bool = (self._whole[: cl.CAP_CPU] != cluster.whole[: cl.CAP_CPU]).any(axis=0)
            if cluster.device.size:
                differs |= (self._device != cluster.device).any(axis=1)
                differs |= (self._whole[cl.KIND :] != cluster.whole[cl.KIND :]).any(axis=0)
            return np.flatnonzero(differs)
        self._forget()
        self.scale = self._scale(cluster)
        if not ("fragmentation" in self._rules and self.scale.frag == "gpu") and self._rules <= SINGLE_RULES:
            self._single = Single(self.scale, self._rules)
        self._fixed = (fixed[0].copy(), fixed[1].copy(), fixed[2])
        n = len(cluster)
        self.version, self.state = np.zeros(n, np.int64), np.full(n, -1, np.int64)
        self._makes = cluster.makes()
        self.frag, self._endless = np.zeros(n), np.zeros(n)
        return np.arange(n)

    def _renew(self, cluster: cl.Cluster, scale: Scale, changed: I64) -> None:
        few = changed.size <= _FEW
        self.version[changed] += 1
        if self.terms.fragmentation != "none":
            if few and self._single is not None and scale.frag == "cpu":
                for row in changed.tolist():
                    self.frag[row] = self._single.fragment(
                        cluster.whole.item(cl.CPU, row), cluster.whole.item(cl.MEM, row)
                    )
            else:
                self.frag[changed] = fragment_now(scale, part_of(cluster, changed))
        self._number(cluster, changed)
        if changed.size == len(cluster):
            self._whole, self._device = cluster.whole.copy(), cluster.device.copy()
        elif few:
            for row in changed.tolist():
                self._whole[:, row], self._device[row] = cluster.whole[:, row], cluster.device[row]
        else:
            self._whole[:, changed], self._device[changed] = cluster.whole[:, changed], cluster.device[changed]

    def scores(self, cluster: cl.Cluster, r: Request) -> tuple[F64, Bool]:
        """Score every machine by every blend.

        Returns
        -------
        total : (B + 1, M) float64
            ``-inf`` where the request does not fit; the last row is the gain in fragmentation. Kept:
            good until the next question, and not to be written to.
        able : (M,) bool
        """
        scale = self.look(cluster)
        kept = self._kept.pop(r.size, None)
        if kept is None:
            kept = (np.full((len(self.blends) + 1, len(cluster)), -np.inf), np.full(len(cluster), -1, np.int64))
        total, seen = kept
        stale = (seen != self.version).nonzero()[0]
        if stale.size:
            if stale.size <= _FEW and self._single is not None and r.gpus == 0:
                self._score_few(cluster, r, stale.tolist(), total)
            else:
                total[:, stale] = self._score(cluster, scale, r, stale, timed=False)
            seen[stale] = self.version[stale]
        self._kept[r.size] = kept
        while len(self._kept) > 1 and len(self._kept) * (total.nbytes + seen.nbytes) > BUDGET:
            self._kept.popitem(last=False)
        able: Bool = total[0] > -np.inf
        out = total
        if any(self.timed):
            out, rows = total.copy(), np.flatnonzero(able)
            fresh = self._score(cluster, scale, r, rows, timed=True)
            for blend in np.flatnonzero(self.timed):
                out[blend, rows] = fresh[blend]
        return out, able

    def marks(self, cluster: cl.Cluster) -> tuple[I64, F64]:
        """Number of every machine's state, and its expected end: equal pairs, equal machines."""
        return self.state, cluster.real[cl.EXIT] if self.terms.residents else self._endless

    def alike(self, cluster: cl.Cluster, row: int) -> Bool:
        """True for machines in equal state with one, (M,)."""
        same: Bool = self.state == self.state[row]
        if self.terms.residents:
            same &= cluster.real[cl.EXIT] == cluster.real[cl.EXIT, row]
        return same

    def _score(self, cluster: cl.Cluster, s: Scale, r: Request, rows: I64, *, timed: bool) -> F64:
        out = np.full((len(self.blends) + 1, rows.size), -np.inf)
        m = part_of(cluster, rows)
        able = np.flatnonzero(fits(m, r))
        if not able.size:
            return out
        # Machines of one state and kinds score alike: each is computed once.
        spread: I64 | None = None
        if able.size > 64 and not timed:
            keys = np.column_stack([self.state[rows[able]], m.whole[cl.KIND :, able].T])
            _, first, spread = np.unique(keys, axis=0, return_index=True, return_inverse=True)
            at = rows[able[first]]
        else:
            at = rows[able]
        m = m if spread is None and at.size == rows.size else part_of(cluster, at)
        single: dict[str, F64] = {}
        for blend, weights in enumerate(self.blends):
            if self.timed[blend] and not timed:
                out[blend, able] = 0.0  # fits; scored afresh at every question
                continue
            total = np.zeros(at.size)
            for rule, weight in weights.items():
                if rule not in single:
                    single[rule] = PLAIN_RULES[rule](s, m, r)
                total += weight * single[rule]
            out[blend, able] = total if spread is None else total[spread.reshape(-1)]
        if self.gains and not timed:
            gain = single["fragmentation"] if "fragmentation" in single else PLAIN_RULES["fragmentation"](s, m, r)
            out[-1, able] = gain if spread is None else gain[spread.reshape(-1)]
        return out

    def _score_few(self, cluster: cl.Cluster, r: Request, rows: list[int], total: F64) -> None:
        """The same, one machine after the other, into its column of ``total``."""
        assert self._single is not None
        for row in rows:
            single = self._single.scores(cluster.whole[:, row].tolist(), cluster.real[:, row].tolist(), r)
            if single is None:
                total[:, row] = -np.inf
                continue
            for blend, weights in enumerate(self._weights):
                value = 0.0
                for rule, weight in weights:
                    value += weight * single[rule]
                total[blend, row] = value
            if self.gains:
                total[-1, row] = single["fragmentation"]

    def _number(self, cluster: cl.Cluster, changed: I64) -> None:
        """Number the states of machines: equal numbers, equal states."""
        if len(self._state_of) > _MOST_STATES:
            self._state_of, changed = {}, np.arange(len(cluster))
            self.members.clear()
            self.state[:] = -1
        numbers, members, state = self._state_of, self.members, self.state
        for row, room in zip(changed.tolist(), cluster.rooms(self._makes, changed), strict=True):
            before = state.item(row)
            if before >= 0:
                members[before] -= 1
            number = numbers.setdefault(room, len(numbers))
            if number == len(members):
                members.append(0)
            members[number] += 1
            state[row] = number

    def _scale(self, cluster: cl.Cluster) -> Scale:
        terms = self.terms
        typical = terms.typical_i.copy()
        typical[:, 4] = cluster.mask_of(terms.gpu_models, typical[:, 4])
        return Scale(
            int(cluster.whole[cl.CAP_CPU].max()),
            int(cluster.whole[cl.CAP_GPU].max()),
            terms.fragmentation,
            typical,
            terms.typical_p,
            terms.lifetime == "unknown",
            self.shape,
        )
