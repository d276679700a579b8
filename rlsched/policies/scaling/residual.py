"""A rule whose numbers an agent moves at every interval: what a learned scaling policy does.

The agent answers numbers in [-1, 1], one a moved parameter; 0 is the rule as it was tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, did_you_mean
from rlsched.observe.scaling_fields import ScalingField, ScalingObservation
from rlsched.policies.scaling.policy import ScalingPolicy
from rlsched.sim.scaling.rules.table import RULES
from rlsched.sim.scaling.state import State
from rlsched.sim.scaling.world import S_MAX, S_MIN, Window, World

F32 = npt.NDArray[np.float32]
Choose = Callable[[F32], npt.NDArray[np.floating]]
#: Told the state after an interval, the numbers (N, S, P) and the instances wanted (N, S).
Watch = Callable[[State, npt.NDArray[np.float64], npt.NDArray[np.float64]], None]


@dataclass(frozen=True)
class Residual:
    """A tuned rule, and which of its numbers move how far.

    Parameters
    ----------
    base : ScalingPolicy
    reach : mapping of str to float
        Parameter → how far the actions -1 and 1 move it.
    observation : ScalingObservation
        What is seen.

    Raises
    ------
    PolicyError
        When a parameter is not known, or a reach is not > 0 and finite; for a base that leaves closed markets.
    """

    base: ScalingPolicy
    reach: Mapping[str, float]
    observation: ScalingObservation

    def __post_init__(self) -> None:
        names = list(self.base.values)
        if self.base.fallback:
            raise PolicyError(
                f"an agent cannot begin at {self.base.text!r}: a base that leaves a closed market (fallback=1) is not "
                "supported. Name a base with fallback=0."
            )
        if not self.reach:
            raise PolicyError(f"name at least one parameter of {self.base.rule!r} that moves: {', '.join(names)}.")
        for name, far in self.reach.items():
            if name not in names:
                raise PolicyError(f"unknown parameter {name!r} of {self.base.rule!r}.{did_you_mean(name, names)}")
            if not 0 < far < np.inf:
                raise PolicyError(f"reach of {name!r} must be > 0 and finite: got {far}.")

    @property
    def params(self) -> tuple[float, ...]:
        """Every number of the rule, in its order."""
        return tuple(self.base.values.values())

    def fields(self, world: World) -> tuple[ScalingField, ...]:
        """What is seen of one service of a world."""
        from rlsched.observe.scaling import fields_of

        return fields_of(world, self.observation)

    def run(
        self,
        world: World,
        windows: Sequence[Window],
        streams: Sequence[int],
        choose: Choose,
        watch: Watch | None = None,
    ) -> npt.NDArray[np.float64]:
        """Replay windows to their ends; those of equal length in lock-step.

        Parameters
        ----------
        world : World
        windows : sequence of Window
            All with the same number of services.
        streams : sequence of int
            Of each window's spot interruptions.
        choose : callable
            Observations (services of all windows, F) float32 → actions (the same, A).
        watch : callable, optional
            Told the state after every interval, the rule's numbers it was decided by, (N, S, P), and how
            many instances were wanted, (N, S). Windows of different lengths come one length after the other.

        Returns
        -------
        (N, S, 21) float64
            Sums over each window, columns ``rlsched.sim.scaling.state.LAST``.

        Raises
        ------
        PolicyError
            When an answer is not a number in [-1, 1], or a window begins before there is history.
        """
        reach = self.observation.reach
        for window in windows:
            if window.lo < reach:
                raise PolicyError(
                    f"window {window.name!r} begins at interval {window.lo}: the policy looks back {reach}. "
                    "Begin later."
                )
        lengths = np.array([window.hi - window.lo for window in windows])
        parts: dict[int, npt.NDArray[np.float64]] = {}
        for length in sorted(set(lengths.tolist())):
            rows = np.flatnonzero(lengths == length).tolist()
            sums = self._together(world, [windows[i] for i in rows], [streams[i] for i in rows], choose, watch)
            parts |= dict(zip(rows, sums, strict=True))
        return np.stack([parts[i] for i in range(len(windows))])

    def _together(
        self,
        world: World,
        windows: Sequence[Window],
        streams: Sequence[int],
        choose: Choose,
        watch: Watch | None = None,
    ) -> npt.NDArray[np.float64]:
        from rlsched.observe.scaling import observer_code
        from rlsched.observe.scaling_step import look
        from rlsched.sim.scaling.ask import ask
        from rlsched.sim.scaling.simulate import step
        from rlsched.sim.scaling.state import n_booting_slots

        state = State.new(world, windows, list(streams))
        n, s = len(state), state.n_services
        observer, n_fields = observer_code(world, self.observation), len(self.fields(world))
        seen = np.zeros((n, s * n_fields), np.float32)
        moved = np.array([list(self.base.values).index(name) for name in self.reach])
        far = np.array(list(self.reach.values()), np.float64)
        params = np.tile(np.array(self.params, np.float64), (n, s, 1))
        booting, wanted = np.zeros(n_booting_slots(world), np.int64), np.zeros((n, s))
        service = world.code.service_i[state.code.rows]
        low, high = service[..., S_MIN], service[..., S_MAX]
        decisions = np.zeros((n, s, 3), np.int64)
        decisions[..., 0] = self.base.kind
        everyone, number = np.arange(n), list(RULES).index(self.base.rule)
        while not state.done.all():
            look(world.code, state.code, observer, everyone, seen)
            actions = np.asarray(choose(seen.reshape(n * s, n_fields)), np.float64).reshape(n, s, -1)
            if not (np.abs(actions) <= 1.0).all():
                raise PolicyError("a scaling policy answered something that is no number in [-1, 1]. Train it again.")
            params[:, :, moved] = np.array(self.params)[moved] + far * actions
            ask(world.code, state.code, number, params, self.base.kind, booting, wanted)
            if not np.isfinite(wanted).all():
                raise PolicyError(f"rule {self.base.rule!r} answered no finite number of instances.")
            total = np.minimum(np.maximum(np.ceil(wanted), low), high)
            spot = np.floor(self.base.spot_share * total + 0.5)
            decisions[..., 1], decisions[..., 2] = total - spot, spot
            step(world, state, decisions)
            if watch is not None:
                watch(state, params, total)
        sums: npt.NDArray[np.float64] = state.code.sums
        return sums
