"""What a policy sees of a placement: ``candidates (N, K, F)``, ``globals (N, G)``, ``action_mask (N, K)``.

Compiled; one call serves all copies. The fields are those of ``features.py``; ``reference.py``
says the same once more, in plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, did_you_mean
from rlsched.observe import features as ft
from rlsched.observe.alike import Kept, make_kept, take_in
from rlsched.observe.blends import BlendArrays, make_blends
from rlsched.observe.desk import Desk, make_desk, side_by_side
from rlsched.observe.measure import carriers_of, measure_candidates, measure_globals, scales_of
from rlsched.observe.settings import ObservationSettings
from rlsched.observe.shortlist import Lists, make_lists, pick_listed, pick_scanned
from rlsched.sim import rules as ru
from rlsched.sim import state as st
from rlsched.sim import world as wd
from rlsched.sim.changes import Logs, log_of, make_logs
from rlsched.sim.compile import bare_njit
from rlsched.sim.kernel import copy_of
from rlsched.sim.select import GPU_SCORE, PolicyArrays, machines_of, request_of
from rlsched.sim.simulate import default_devices
from rlsched.sim.state import State
from rlsched.sim.world import World

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


class ObservationArrays(NamedTuple):
    """Buffers of one observation of ``N`` copies."""

    candidates: F32  # (N, K, F)
    globals: F32  # (N, G)
    action_mask: npt.NDArray[np.int8]  # (N, K) 1: allowed
    rows: I64  # (N, K) machine behind each candidate, -1 none
    equal: I64  # (N, K) machines in equal state

    def as_dict(self) -> dict[str, npt.NDArray[Any]]:
        """The three fields a policy sees, by name; the same memory."""
        return {"candidates": self.candidates, "globals": self.globals, "action_mask": self.action_mask}


class ObserverArrays(NamedTuple):
    """What an observer works with, as the compiled code takes it."""

    blends: BlendArrays
    kept: Kept
    lists: Lists
    desk: Desk
    scale: F64  # (F, 6) see scales_of
    carriers: I64  # (F, models) see carriers_of


class Observer:
    """Turns states of one world into observations.

    Parameters
    ----------
    world : World
    n_copies : int
        Copies the scratch memory is for.
    settings : ObservationSettings
        ``candidates``, ``prior``, ``shortlist`` and ``best`` of it.
    budget_mib : int
        See :func:`rlsched.observe.shortlist.make_lists`.

    Raises
    ------
    SpecError
        A weight that is not finite, or a rule that needs fragmentation in a world without.
    """

    def __init__(self, world: World, n_copies: int, settings: ObservationSettings, *, budget_mib: int = 256) -> None:
        w = world.arrays
        check_blends(settings.blends, world.options.fragmentation, bool(w.option_i[wd.O_RESIDENTS]))
        self.n_candidates = w.fleet_i.shape[2] if settings.candidates == "all" else settings.candidates
        self.world = world
        self.n_copies = n_copies
        #: Where whoever runs the copies notes what changed, for ``observe(..., followed=True)``.
        self.logs: Logs = make_logs(n_copies)
        blends = make_blends(settings.blends, settings.best, self.n_candidates)
        kept = make_kept(w, n_copies)
        self.scratch = ObserverArrays(
            blends,
            kept,
            make_lists(w, blends, n_copies, self.n_candidates, budget_mib),
            make_desk(w, blends, self.n_candidates, kept.ring.shape[1]),
            scales_of(w),
            carriers_of(w),
        )
        self._devices = default_devices()
        self.out = self.buffers()

    def buffers(self) -> ObservationArrays:
        """New buffers for the observation of all copies."""
        n, k = self.n_copies, self.n_candidates
        return ObservationArrays(
            np.zeros((n, k, len(ft.CANDIDATE_FEATURES)), np.float32),
            np.zeros((n, len(ft.GLOBAL_FEATURES)), np.float32),
            np.zeros((n, k), np.int8),
            np.full((n, k), -1, np.int64),
            np.zeros((n, k), np.int64),
        )

    def another_desk(self) -> ObserverArrays:
        """The same scratch with working memory for another thread."""
        kept, blends = self.scratch.kept, self.scratch.blends
        desk = make_desk(self.world.arrays, blends, self.n_candidates, kept.ring.shape[1])
        return self.scratch._replace(desk=desk)

    def forget(self, copies: I64) -> None:
        """Copies were put somewhere else: look at all their machines next time."""
        self.scratch.kept.taken[copies] = -1

    def observe(
        self,
        state: State,
        copies: I64 | None = None,
        out: ObservationArrays | None = None,
        *,
        followed: bool = False,
    ) -> ObservationArrays:
        """Observe the copies of a state, each stopped where somebody must decide, or at its end.

        Parameters
        ----------
        state : State
            Of this world, with ``n_copies`` copies.
        copies : (C,) int64, optional
            Which copies to renew; all by default. The others keep what was there.
        out : ObservationArrays, optional
            Filled and returned; the observer's own buffers by default.
        followed : bool
            True promises that every change since the last look was noted in ``logs`` (or told to
            :meth:`forget`); then only machines that changed are looked at. The result is the same.

        Returns
        -------
        ObservationArrays
            Where a window has ended: no candidate, a mask of zeros, and the globals of the end.
        """
        out = out or self.out
        copies = np.arange(self.n_copies) if copies is None else copies
        if not followed:
            self.forget(copies)
        _observe_copies(self.world.arrays, state.arrays, self._devices, self.scratch, self.logs, copies, out)
        return out


def check_blends(blends: Sequence[Mapping[str, float]], fragmentation: str, residents: bool = True) -> None:
    """Refuse unknown rules, weights that are not finite, and rules this world cannot score.

    Raises
    ------
    SpecError
    """
    for blend in blends:
        for rule, weight in blend.items():
            if rule not in ru.RULES:
                raise SpecError(f"unknown rule {rule!r} in the shortlist.{did_you_mean(rule, ru.RULES)}")
            if not math.isfinite(weight):
                raise SpecError(f"the weight of {rule} must be finite: got {weight}.")
            if ru.RULES.index(rule) in ru.NEEDS_TYPICAL and fragmentation == "none":
                raise SpecError(
                    f"rule {rule!r} measures fragmentation, and this world has fragmentation='none'. "
                    "Set it to 'gpu' or 'cpu', or leave the rule out."
                )
            if ru.RULES.index(rule) in ru.TIMED and not residents:
                raise SpecError(
                    f"rule {rule!r} needs the tasks on each machine: got a world built with residents=False. "
                    "Build it with residents=True, or leave the rule out."
                )


def device_choice(settings: ObservationSettings, world: World) -> PolicyArrays:
    """How the GPU inside a chosen machine is picked, as :func:`rlsched.sim.simulate.decide_all` takes it.

    ``devices = "best"``: the smallest sufficient share. ``"score"``: the device best for
    fragmentation, in published whole percents where the prior has the rule ``fgd`` and in real
    values otherwise, exactly as the prior would choose by itself.

    Raises
    ------
    SpecError
        For ``"score"`` in a world that does not measure GPU fragmentation.
    """
    plain = default_devices()
    if settings.devices == "best":
        return plain
    if world.options.fragmentation != "gpu":
        raise SpecError("devices='score' picks GPUs by fragmentation: set fragmentation to 'gpu', or devices='best'.")
    rule = ru.R_FGD if "fgd" in settings.prior else ru.R_FRAGMENTATION
    return plain._replace(gpu_choice=GPU_SCORE, rules=np.array([rule], np.int64))


@bare_njit(inline="always")
def observe_copy(w: Any, c: Any, p: Any, o: Any, log: Any, n: Any, out: Any) -> None:
    """Observe one copy; ``o`` is an ``ObserverArrays``, ``log`` its ring of changes."""
    b, k, x, d = o.blends, o.kept, o.lists, o.desk
    fleet = c.counter[st.C_FLEET]
    size = w.fleet_n[fleet, wd.L_N]
    m = machines_of(w, c, p, d.device)
    q = side_by_side(m, d)
    if take_in(m, k, n, fleet, size, w.option_i[wd.O_RESIDENTS], b.kinds_count, log):
        x.cursor[n, :] = -1
    found, fits = 0, 0
    task = c.counter[st.C_TASK]
    r = request_of(w, c, max(task, 0))
    rows, equal, mask = out.rows[n], out.equal[n], out.action_mask[n]
    candidates = out.candidates[n]
    most = rows.shape[0]
    candidates[:, :] = 0.0
    if task >= 0:
        row = c.counter[st.C_LO] + task
        slot = x.slot[w.task_i[row, wd.T_TYPE]]
        if slot >= 0 and w.task_i[row, wd.T_LIMIT] == 0:
            found, fits = pick_listed(m, q, r, b, k, x, d, n, slot, size, most)
        else:
            found, fits = pick_scanned(w, c, m, row, r, b, k, d, n, size, most)
        measure_candidates(
            w.option_i,
            w.curve_kind,
            w.curve_table,
            m.lifetime,
            q,
            r,
            k.fixed,
            k.kind[fleet],
            k.rec[n],
            d,
            found,
            fits,
            candidates,
        )
    for at in range(found):
        rows[at], equal[at], mask[at] = d.rows[d.order[at]], d.equal[d.order[at]], 1
    for at in range(found, most):
        rows[at], equal[at], mask[at] = -1, 0, 0
    measure_globals(w, c, r, k, n, task, fits, o.scale[fleet], o.carriers[fleet], out.globals[n])


@bare_njit
def _observe_copies(w: Any, s: Any, p: Any, o: Any, logs: Any, copies: Any, out: Any) -> None:
    for at in range(copies.shape[0]):
        n = copies[at]
        observe_copy(w, copy_of(s, n), p, o, log_of(logs, n), n, out)
