"""Learned scaling policies: an ONNX file that moves a tuned rule's numbers at every interval.

Loading and asking one needs numpy and onnxruntime only; nothing is unpickled. The file says in its
metadata which rule it moves, what it must be shown and what it learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, SpecError
from rlsched.observe.scaling_fields import SCALING_SCHEMA_VERSION, ScalingObservation
from rlsched.policies.library.levers import OfLever
from rlsched.policies.policy_file import PolicyFile, PolicyKind, check_numbers, open_policy
from rlsched.policies.policy_file import is_learned as is_learned
from rlsched.policies.scaling.advise import Advice, advise
from rlsched.policies.scaling.policy import parse_scaling
from rlsched.policies.scaling.residual import Residual, Watch
from rlsched.spec import validate

if TYPE_CHECKING:
    from rlsched.sim.scaling.world import Window, World

KIND = PolicyKind(
    "rlsched scaling policy",
    "scaling",
    SCALING_SCHEMA_VERSION,
    {"fields": list, "observation": dict, "base": str, "reach": dict, "step_s": int, "name": str},
)
F32 = npt.NDArray[np.float32]


class LearnedScaling(OfLever):
    """A trained network that scales a service; deterministic. Made by :func:`load_scaling`.

    Parameters
    ----------
    file : PolicyFile
    residual : Residual
        The rule it moves.
    """

    lever = "scaling"

    def __init__(self, file: PolicyFile, residual: Residual) -> None:
        self.metadata: dict[str, Any] = file.metadata
        self.name, self.doc = str(self.metadata["name"]), str(self.metadata.get("doc", ""))
        self.residual = residual
        self.fields = tuple(self.metadata["fields"])
        self._file = file

    def actions(self, seen: F32) -> F32:
        """How far each moved number goes, (N, A) float32 in [-1, 1], for observations (N, F) float32.

        Raises
        ------
        PolicyError
            When the answer is not a number.
        """
        return self._file.actions(seen)

    def check_world(self, world: World) -> None:
        """Refuse a world that shows other fields, or has another interval, than it learned with.

        Raises
        ------
        SpecError
        """
        if int(world.step_s) != self.metadata["step_s"]:
            raise SpecError(
                f"policy {self.name!r} learned with intervals of {self.metadata['step_s']} s: this world's have "
                f"{world.step_s:g} s."
            )
        shown = tuple(field.name for field in self.residual.fields(world))
        if shown != self.fields:
            odd = [one for one in self.fields if one not in shown] or [one for one in shown if one not in self.fields]
            raise SpecError(
                f"policy {self.name!r} was shown {len(self.fields)} fields, this world shows {len(shown)}: they differ "
                f"in {', '.join(odd[:5]) or 'their order'}. Give the card the [forecast], types and boot time it "
                "learned with."
            )

    def scale(
        self,
        history: Any,
        current: int,
        *,
        booting: Sequence[int] | None = None,
        backlog: float | None = None,
        lost: float | None = None,
        wait_s: float | None = None,
        utilisation: float | None = None,
        time_s: float | None = None,
        capacity: float | None = None,
        limits: tuple[int, int] | None = None,
    ) -> Advice:
        """How many instances the service should have now.

        Needs numpy and onnxruntime only.

        Parameters
        ----------
        history : sequence of float, array or Series
            Demand of every interval so far, oldest first, in the units of ``capacity``; the longer,
            up to a week, the better the spread of the forecast's errors is known.
        current : int
            Instances that serve. With ``booting`` at most the most of ``limits``; fewer than the fewest may
            serve, as instances fail, and are brought up to it.
        booting : sequence of int, optional
            Those that begin to serve 1, 2, ... intervals after the coming one; none by default.
        backlog, lost : float, optional
            Work that waits, units times intervals; units lost in the last interval. 0 by default.
        wait_s : float, optional
            Waiting time that most stayed below in the last interval; 0 by default.
        utilisation : float, optional
            Share of the capacity that served in the last interval which was used, 0 to 1; by default
            what the instances of now would have had.
        time_s : float, optional
            Beginning of the coming interval on the clock it learned with (``time_s`` modulo a week
            counts); 0 by default.
        capacity : float, optional
            Units one instance serves; that it learned with by default.
        limits : (int, int), optional
            Fewest and most instances; those it learned with by default.

        Returns
        -------
        Advice
            ``replicas`` and why; ``assumed`` names every default that was taken.

        Raises
        ------
        PolicyError
            A history too short, negative or not finite, another argument that cannot be, or a
            policy that cannot be asked by itself.
        """
        return advise(
            self,
            history,
            current,
            booting=booting,
            backlog=backlog,
            lost=lost,
            wait_s=wait_s,
            utilisation=utilisation,
            time_s=time_s,
            capacity=capacity,
            limits=limits,
        )

    def run(
        self, world: World, windows: Sequence[Window], streams: Sequence[int], watch: Watch | None = None
    ) -> npt.NDArray[np.float64]:
        """Replay windows; see :meth:`Residual.run`."""
        self.check_world(world)
        return self.residual.run(world, windows, streams, self.actions, watch)


def load_scaling(name: str | Path) -> LearnedScaling:
    """Load a trained scaling agent by name, folder or file.

    Raises
    ------
    PolicyError
        When the file is not ONNX, is cut off, is of another kind or schema, or has broken weights.
    SpecError
        When there is nothing of that name.
    """
    file = open_policy(name, KIND)
    told, path = file.metadata, file.path
    check_numbers(list(told["reach"].values()), "reach", path)
    file.check_widths(len(told["fields"]), len(told["reach"]))
    try:
        base = parse_scaling(told["base"])
        residual = Residual(
            base, told["reach"], validate(ScalingObservation, told["observation"], "metadata observation")
        )
    except (PolicyError, SpecError) as error:
        raise PolicyError(f"{path}: {error} Export it again.") from None
    file.probe(len(told["fields"]))
    return LearnedScaling(file, residual)
