"""Learned consolidation policies: an ONNX file that moves a tuned policy's numbers at every tick.

Loading one needs numpy and onnxruntime only, running one the simulator besides; nothing is
unpickled. The file says in its metadata which policy it moves, what it must be shown and what it
learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, SpecError, did_you_mean
from rlsched.observe.consolidation_features import SCHEMA_VERSION
from rlsched.policies.consolidation.advise import Thresholds, thresholds
from rlsched.policies.consolidation.residual import FIELDS, ConsolidationResidual
from rlsched.policies.library.levers import OfLever
from rlsched.policies.policy_file import PolicyFile, PolicyKind, check_numbers, open_policy
from rlsched.sim.consolidation.policy import ConsolidationPolicy

if TYPE_CHECKING:
    from rlsched.sim.consolidation.meters import Meters
    from rlsched.sim.consolidation.simulate import Simulator

KIND = PolicyKind(
    "rlsched consolidation policy",
    "consolidation",
    SCHEMA_VERSION,
    {"fields": list, "base": dict, "reach": dict, "step_s": int, "name": str},
)
F32 = npt.NDArray[np.float32]


class LearnedConsolidation(OfLever):
    """A trained network that consolidates VMs; deterministic. Made by :func:`load_consolidation`.

    Parameters
    ----------
    file : PolicyFile
    residual : ConsolidationResidual
        The policy it moves.
    """

    lever = "consolidation"

    def __init__(self, file: PolicyFile, residual: ConsolidationResidual) -> None:
        self.metadata: dict[str, Any] = file.metadata
        self.name, self.doc = str(self.metadata["name"]), str(self.metadata.get("doc", ""))
        self.residual = residual
        self._file = file

    def actions(self, seen: F32) -> F32:
        """How far each moved number goes, (N, A) float32 in [-1, 1], for observations (N, F) float32.

        Raises
        ------
        PolicyError
            When the answer is not a number.
        """
        return self._file.actions(seen)

    def thresholds(self, machines: Any, ticks: Any, *, vms: int, time_s: float | None = None) -> Thresholds:
        """What counts as overload, how full a receiver gets and which machines are emptied in the coming tick.

        Needs numpy and onnxruntime only; a test holds it equal to what the policy does in the simulator.

        Parameters
        ----------
        machines : DataFrame or dict of arrays
            One row a machine of the cluster, those that are off included, as they are now; columns
            ``rlsched.policies.consolidation.advise.MACHINE_COLUMNS``.
        ticks : DataFrame or dict of arrays
            One row a tick (of the length it learned with) that has ended, oldest first; the newest ten
            are looked at. Columns ``rlsched.policies.consolidation.advise.TICK_COLUMNS``; no row at the
            very beginning.
        vms : int
            VMs in the cluster.
        time_s : float, optional
            Seconds since midnight; 0 by default.

        Returns
        -------
        Thresholds
            ``assumed`` names every default that was taken.

        Raises
        ------
        PolicyError
            A missing column, a wrong type, a number that cannot be; names column, row and value.
        """
        return thresholds(self, machines, ticks, vms=vms, time_s=time_s)

    def run(self, simulator: Simulator, seeds: Sequence[int], which: Sequence[int] | None = None) -> list[Meters]:
        """Replay worlds; see :meth:`ConsolidationResidual.run`.

        Raises
        ------
        SpecError
            When the time between two ticks is not the one it learned with.
        """
        step_s = float(simulator.world.step_s)
        if step_s != self.metadata["step_s"]:
            raise SpecError(
                f"policy {self.name!r} learned with ticks of {self.metadata['step_s']} s: this world's are {step_s:g} "
                "s apart. Give it load in its own step."
            )
        return self.residual.run(simulator, seeds, self.actions, which)


def base_of(policy: ConsolidationPolicy) -> dict[str, Any]:
    """A policy as a table, every digit kept."""
    return {
        "name": policy.name,
        "parameter": policy.parameter,
        "placement_cap": policy.placement_cap,
        "evacuate_below": policy.evacuate_below,
    }


def load_consolidation(name: str | Path) -> LearnedConsolidation:
    """Load a trained consolidation agent by name, folder or file.

    Raises
    ------
    PolicyError
        When the file is not ONNX, is cut off, is of another kind or schema, or has broken weights.
    SpecError
        When there is nothing of that name.
    """
    file = open_policy(name, KIND)
    told, path = file.metadata, file.path
    if tuple(told["fields"]) != FIELDS:
        odd = [one for one in told["fields"] if one not in FIELDS]
        hint = f"unknown {odd[0]!r}.{did_you_mean(str(odd[0]), FIELDS)}" if odd else "number or order differ."
        raise PolicyError(f"{path}: fields are not those this version shows: {hint} Train it again.")
    for number, ends in told["reach"].items():
        if not isinstance(ends, list) or len(ends) != 2:
            raise PolicyError(
                f"{path}: metadata reach must hold [low, high] of {number}: got {ends!r}. Export it again."
            )
        check_numbers(ends, f"reach.{number}", path)
    file.check_widths(len(FIELDS), len(told["reach"]))
    try:
        base = ConsolidationPolicy.from_card(told["base"])
        residual = ConsolidationResidual(base, {key: (low, high) for key, (low, high) in told["reach"].items()})
    except (PolicyError, SpecError) as error:
        raise PolicyError(f"{path}: {error} Export it again.") from None
    file.probe(len(FIELDS))
    return LearnedConsolidation(file, residual)
