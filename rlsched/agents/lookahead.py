"""Looking ahead: what each candidate would have led to, had the prior heuristic placed all that follows.

At sampled decisions of training windows every candidate is taken in a copy of the state, and the
compiled simulator plays the prior to the window's end (or for ``horizon`` tasks). What comes next
is the window's own future, the same for all candidates, so their differences are paired. A window
is itself drawn from the training distribution and the network never sees its future, so regressing
on these labels estimates the expected gain of a decision: a rollout improvement of the prior
(Bertsekas, Tsitsiklis, Wu, *Rollout algorithms for combinatorial optimization*, 1997).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rlsched.agents import checkpoint as ck
from rlsched.agents.network import CandidateScorer
from rlsched.agents.spec import TrainSpec
from rlsched.agents.validate import greedy
from rlsched.envs.problem import PlacementProblem
from rlsched.errors import OurBug, SpecError
from rlsched.observe.placement import ObservationArrays, Observer, device_choice
from rlsched.observe.settings import ObservationSettings
from rlsched.policies.blend import blend
from rlsched.policies.learned import Choose
from rlsched.rng import stream
from rlsched.sim import state as st
from rlsched.sim.select import PolicyArrays
from rlsched.sim.simulate import advance_all, decide_all, run_policy, run_tasks
from rlsched.sim.state import State, StateArrays

F32 = npt.NDArray[np.float32]
SAVE_EVERY = 20
METER = {"gpu": (st.C_PLACED_GPU, 1000.0), "cpu": (st.C_PLACED_CPU, 1000.0)}


@dataclass(frozen=True)
class Labels:
    """Decisions and what their candidates led to.

    Parameters
    ----------
    candidates : (S, K, F) float32
    globals : (S, G) float32
    action_mask : (S, K) int8
    gain : (S, K) float32
        What was placed until the end beyond what candidate 0, the prior's own choice, led to:
        whole GPUs or CPU cores; 0 where the mask is 0.
    window : (S,) int64
        Row of the problem's window.
    """

    candidates: F32
    globals: F32
    action_mask: npt.NDArray[np.int8]
    gain: F32
    window: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.window)

    @classmethod
    def joined(cls, parts: list[Labels]) -> Labels:
        """All of several, one after the other."""
        names = ("candidates", "globals", "action_mask", "gain", "window")
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def take(self, which: npt.NDArray[Any]) -> Labels:
        """Some of the decisions."""
        arrays = (self.candidates, self.globals, self.action_mask, self.gain, self.window)
        return Labels(*(array[which] for array in arrays))


def base_policy(settings: ObservationSettings) -> PolicyArrays:
    """The prior of the observation as a heuristic the compiled loop runs."""
    return blend(settings.prior, devices=settings.devices).arrays()


def collect(
    problem: PlacementProblem,
    spec: TrainSpec,
    *,
    rows: range | None = None,
    lead: CandidateScorer | None = None,
    keep: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Labels:
    """Label decisions of windows of a problem.

    Parameters
    ----------
    problem : PlacementProblem
        Windows of the training split.
    spec : TrainSpec
        With ``lookahead``.
    rows : range, optional
        Which windows; all by default.
    lead : CandidateScorer, optional
        Who leads, greedily, from one labelled decision to the next; the prior by default. What
        follows a candidate is played by the prior either way.
    keep : Path, optional
        File that what is done so far is written to, every few windows; found there, it is gone
        on from. Windows draw from streams of their own, so the labels are the same.
    progress : callable, optional
        Told one line at a time.

    Raises
    ------
    SpecError
        When no decision had more than one candidate, or ``keep`` is of other settings.
    """
    look = spec.lookahead
    if look is None:
        raise SpecError("looking ahead needs [lookahead] in train.toml.")
    rows = range(len(problem.windows)) if rows is None else rows
    made_of = hashlib.sha256()
    for array in problem.world.arrays:
        made_of.update(np.ascontiguousarray(array).tobytes())
    made_of.update(repr([(one.lo, one.hi, one.start_s, one.stop_s, one.fleet) for one in problem.windows]).encode())
    if lead is not None:
        for name, weights in sorted(ck.weights_of(lead).items()):
            made_of.update(name.encode() + weights.tobytes())
    tied = {
        "placement": spec.placement.observation.model_dump(mode="json"),
        "problem_sha256": made_of.hexdigest(),
        "lookahead": look.model_dump(mode="json", exclude={"processes"}),
        "seed": spec.seed,
        "windows": [rows.start, rows.stop],
    }
    parts, first = _found(keep, tied, rows.start)
    with _Crew(problem, spec, lead, look.processes) as crew:
        for at in range(first, rows.stop, SAVE_EVERY):
            until = min(at + SAVE_EVERY, rows.stop)
            for found in crew.label(range(at, until)):
                parts.extend(found)
            if keep is not None and parts:
                ck.save_arrays(keep, _stacked(parts), {**tied, "done": until})
            if progress is not None:
                progress(f"rollout: looked ahead from {len(parts):,} decisions; window {until} of {rows.stop}")
    if not parts:
        raise SpecError("no decision of the training windows had a choice: nothing to look ahead from.")
    return Labels(**_stacked(parts))


def _found(keep: Path | None, tied: dict[str, Any], start: int) -> tuple[list[dict[str, Any]], int]:
    if keep is None or not keep.is_file():
        return [], start
    arrays, meta = ck.load_arrays(keep)
    for key, value in tied.items():
        if meta.get(key) != value:
            raise SpecError(
                f"{keep} was made with {key} {meta.get(key)!r}, now it is {value!r}. Remove it, or name another --out."
            )
    n = len(arrays["window"])
    return [{name: array[row] for name, array in arrays.items()} for row in range(n)], int(meta["done"])


def _stacked(parts: list[dict[str, Any]]) -> dict[str, npt.NDArray[Any]]:
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


class _Crew:
    """Labels windows in this process or in several; the labels are the same."""

    def __init__(
        self, problem: PlacementProblem, spec: TrainSpec, lead: CandidateScorer | None, processes: int
    ) -> None:
        self._looker = _Looker(problem, spec, lead) if processes == 1 else None
        self._pool = (
            ProcessPoolExecutor(
                processes, get_context("spawn"), initializer=_begin_worker, initargs=(problem, spec, lead)
            )
            if processes > 1
            else None
        )

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def label(self, rows: range) -> Iterable[list[dict[str, Any]]]:
        """Labels of each of these windows, in order."""
        if self._pool is not None:
            return self._pool.map(_work, rows)
        return map(self._looker.label, rows) if self._looker is not None else ()


_worker: _Looker | None = None


def _begin_worker(problem: PlacementProblem, spec: TrainSpec, lead: CandidateScorer | None) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = _Looker(problem, spec, lead)


def _work(row: int) -> list[dict[str, Any]]:
    if _worker is None:
        raise OurBug("a worker was given work before it began.")
    return _worker.label(row)


class _Looker:
    """Labels the decisions of one window after the other, with buffers of its own."""

    def __init__(self, problem: PlacementProblem, spec: TrainSpec, lead: CandidateScorer | None) -> None:
        if spec.lookahead is None:
            raise OurBug("looking ahead without settings for it.")
        settings = spec.placement.observation
        self.windows, self.world, self.look, self.seed = problem.windows, problem.world, spec.lookahead, spec.seed
        self.lead: Choose | None = None if lead is None else greedy(lead)
        self.observer = Observer(self.world, 1, settings)
        self.devices = device_choice(settings, self.world)
        self.base = base_policy(settings)

    def label(self, row: int) -> list[dict[str, Any]]:
        """Play one window with whoever leads; look ahead now and then."""
        window, draw = self.windows[row], stream(self.seed, "lookahead", row)
        state = self.world.start([window])
        branches = self.world.start([window] * self.observer.n_candidates)
        n_tasks = window.hi - window.lo
        gap = max(1.0, self.look.until * n_tasks / self.look.states)
        out: list[dict[str, Any]] = []
        while True:
            skip = int(draw.geometric(1.0 / gap)) - 1
            if skip and self._on(state, skip) < skip:
                return out
            task = int(advance_all(self.world, state)[0])
            if task < 0 or task - window.lo > self.look.until * n_tasks:
                return out
            seen = self.observer.observe(state)
            rows, mask = seen.rows[0].copy(), seen.action_mask[0].copy()
            allowed = np.flatnonzero(mask)
            if allowed.size > 1:
                gain = np.zeros(len(mask), np.float32)
                gain[allowed] = self._ahead(state, branches, rows[allowed])
                out.append(
                    {
                        "candidates": seen.candidates[0].copy(),
                        "globals": seen.globals[0].copy(),
                        "action_mask": mask,
                        "gain": gain,
                        "window": np.int64(row),
                    }
                )
            explore = draw.random() < self.look.explore
            chosen = rows[draw.choice(allowed) if explore else self._led(seen)]
            decide_all(self.world, state, np.array([chosen]), self.devices)

    def _on(self, state: State, tasks: int) -> int:
        """Let whoever leads place so many tasks; how many there were."""
        if self.lead is None:
            return run_tasks(self.world, state, self.base, tasks)
        for done in range(tasks):
            if int(advance_all(self.world, state)[0]) < 0:
                return done
            seen = self.observer.observe(state)
            decide_all(self.world, state, seen.rows[:, self._led(seen)], self.devices)
        return tasks

    def _led(self, seen: ObservationArrays) -> int:
        return 0 if self.lead is None else int(self.lead(seen.as_dict())[0])

    def _ahead(self, state: State, branches: State, machines: npt.NDArray[np.int64]) -> F32:
        """What each machine leads to, less what the first one does, (len(machines),)."""
        meter, unit = METER[self.look.count]
        n = len(machines)
        views: list[Any] = [array[:n] for array in branches.arrays]
        alone: list[Any] = list(state.arrays)
        for branch, one in zip(views, alone, strict=True):
            branch[...] = one[0]
        ahead = State(StateArrays(*views))
        decide_all(self.world, ahead, machines, self.devices)
        if self.look.horizon is None:
            run_policy(self.world, ahead, self.base)
        else:
            for k in range(n):
                run_tasks(self.world, ahead, self.base, self.look.horizon, k)
        placed = ahead.arrays.counter[:, meter] / unit
        gain: F32 = (placed - placed[0]).astype(np.float32)
        return gain
