"""What a rule wants for every copy and service, without moving anything."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlsched.sim.compile import bare_njit
from rlsched.sim.scaling.drive import view_of
from rlsched.sim.scaling.rules.run import wanted
from rlsched.sim.scaling.state import StateCode
from rlsched.sim.scaling.world import WorldCode

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@bare_njit
def ask(w: WorldCode, s: StateCode, rule: int, params: F64, kind: int, booting: I64, out: F64) -> None:
    """Ask a rule once for each service; its memory goes on.

    Parameters
    ----------
    w, s : WorldCode, StateCode
    rule : int
        Number in the table of rules.
    params : (N, S, PARAMS) float64
    kind : int
        Type that the rule buys.
    booting : (B,) int64
        Work space.
    out : (N, S) float64
        Instances wanted, not rounded and not held within limits.
    """
    for n in range(s.clock.shape[0]):
        for service in range(s.rows.shape[1]):
            view = view_of(w, s, n, service, kind, booting)
            out[n, service] = wanted(rule, view, params[n, service], s.memory[n, service])
