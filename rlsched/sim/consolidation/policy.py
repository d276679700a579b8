"""A consolidation policy: how overload is seen, which VM leaves, how full a receiver may get.

============  ==================================================================================
detection     a machine is overloaded when
============  ==================================================================================
``thr``       requests exceed a fixed share ``parameter`` of its CPU
``iqr``       requests exceed ``1 - parameter * IQR`` of its recent load
``mad``       requests exceed ``1 - parameter * MAD`` of its recent load
``lr``        ``parameter`` times the load forecast by local regression reaches 1
``lrr``       the same with robust local regression
============  ==================================================================================

=========  =======================================================================================
selection  the VM that leaves an overloaded machine
=========  =======================================================================================
``mmt``    least memory, thus the shortest migration
``mc``     load best explained by the loads of the others (multiple correlation)
``mu``     least load, as a share of its own size
``rs``     drawn at random from the run's seed
=========  =======================================================================================

``dvfs`` and ``npa`` never migrate; ``npa`` draws full power on every machine throughout.

References
----------
Beloglazov, Buyya: Optimal online deterministic algorithms and adaptive heuristics for energy and
performance efficient dynamic consolidation of virtual machines in cloud data centers, CCPE
24(13), 2012.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, did_you_mean

MIGRATING, DVFS, NPA = range(3)
THR, IQR, MAD, LR, LRR = range(5)
MMT, MC, MU, RS = range(4)
DETECTIONS = {"thr": THR, "iqr": IQR, "mad": MAD, "lr": LR, "lrr": LRR}
SELECTIONS = {"mmt": MMT, "mc": MC, "mu": MU, "rs": RS}
STATIC = {"dvfs": DVFS, "npa": NPA}
#: Parameters of the CloudSim examples, from the paper.
DEFAULT_PARAMETER = {"thr": 0.8, "iqr": 1.5, "mad": 2.5, "lr": 1.2, "lrr": 1.2}
#: Every policy by name.
POLICIES = (*STATIC, *(f"{d}_{s}" for d in DETECTIONS for s in SELECTIONS))

HISTORY = 30  # ticks of load a VM remembers
FALLBACK_THRESHOLD = 0.7  # used while the history is short
SPREAD_SAMPLES = 12  # IQR and MAD need as many
TREND_SAMPLES = 10  # LR and LRR need and use as many
ROUNDING_ABOVE_FULL = 1.01  # a load between 1 and this is rounding and counts as 1


class PolicyCode(NamedTuple):
    """Policies of ``N`` copies as arrays ``(N,)``; may change between ticks."""

    kind: npt.NDArray[np.int64]
    detection: npt.NDArray[np.int64]
    selection: npt.NDArray[np.int64]
    parameter: npt.NDArray[np.float64]
    placement_cap: npt.NDArray[np.float64]
    evacuate_below: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ConsolidationPolicy:
    """One consolidation policy with its parameters.

    Parameters
    ----------
    name : str
        ``"dvfs"``, ``"npa"``, or detection and selection as ``"lr_mmt"``.
    parameter : float, optional
        Of the detection; that of :data:`DEFAULT_PARAMETER` when not given.
    placement_cap : float
        A machine receives VMs only up to this share of its CPU; 1 sets no such limit.
    evacuate_below : float
        Only machines loaded below this share are evacuated; 1 tries every one, 0 none.

    Raises
    ------
    SpecError
        When the name is unknown or a parameter is out of range.
    """

    name: str
    parameter: float | None = None
    placement_cap: float = 1.0
    evacuate_below: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in POLICIES:
            raise SpecError(f"unknown consolidation policy {self.name!r}.{did_you_mean(self.name, POLICIES)}")
        if self.parameter is None and self.migrates:
            object.__setattr__(self, "parameter", DEFAULT_PARAMETER[self.detection])
        if self.parameter is not None:
            if not self.migrates:
                raise SpecError(f"{self.name} has no parameter: got {self.parameter}. Leave it out.")
            _number(f"parameter of {self.name}", self.parameter, 0.0, 1.0 if self.detection == "thr" else math.inf)
        for name in ("placement_cap", "evacuate_below"):
            _number(f"{name} of {self.name}", getattr(self, name), 0.0, 1.0)

    @property
    def migrates(self) -> bool:
        """False for ``dvfs`` and ``npa``."""
        return self.name not in STATIC

    @property
    def detection(self) -> str:
        """Name of the overload detection; ``""`` where nothing migrates."""
        return self.name.split("_")[0] if self.migrates else ""

    @property
    def selection(self) -> str:
        """Name of the VM selection; ``""`` where nothing migrates."""
        return self.name.split("_")[1] if self.migrates else ""

    @classmethod
    def from_card(cls, entry: str | Mapping[str, Any]) -> ConsolidationPolicy:
        """Make a policy of a name or of a table ``{name, parameter, placement_cap, evacuate_below}``."""
        if isinstance(entry, str):
            return cls(entry)
        known = ("name", "parameter", "placement_cap", "evacuate_below")
        for key in entry:
            if key not in known:
                raise SpecError(f"consolidation policy: unknown key {key!r}.{did_you_mean(key, known)}")
        if "name" not in entry:
            raise SpecError(f"consolidation policy needs a name: got {dict(entry)!r}. Known: {', '.join(POLICIES)}.")
        return cls(**entry)


def policy_code(policies: Sequence[ConsolidationPolicy]) -> PolicyCode:
    """Policies of the copies of a simulation, one each, as a kernel takes them."""
    moving = [p.migrates for p in policies]
    return PolicyCode(
        np.array([STATIC.get(p.name, MIGRATING) for p in policies], dtype=np.int64),
        np.array([DETECTIONS.get(p.detection, -1) for p in policies], dtype=np.int64),
        np.array([SELECTIONS.get(p.selection, -1) for p in policies], dtype=np.int64),
        np.array([p.parameter if m else 0.0 for p, m in zip(policies, moving, strict=True)], dtype=np.float64),
        np.array([p.placement_cap for p in policies], dtype=np.float64),
        np.array([p.evacuate_below for p in policies], dtype=np.float64),
    )


def _number(what: str, value: Any, low: float, high: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not (math.isfinite(value) and low <= value <= high):
        raise SpecError(f"{what} must be a number in {low:g}..{high:g}: got {value!r}.")


def trend_weights(weighted: bool) -> npt.NDArray[np.float64]:
    """Weights that turn the newest loads into the forecast of a fitted line.

    The forecast of a weighted least squares line is a fixed linear combination of the samples
    it is fitted to, so the forecast of a machine is the sum of the forecasts of its VMs.

    Parameters
    ----------
    weighted : bool
        True for tricube weights ``(1 - ((n - 1 - i) / (n - 1))**3)**3``, ``i`` = 0 the oldest
        (0, 1, ... n-1); False for equal weights.

    Returns
    -------
    (10,) float64
        For the load of one tick ahead, **newest sample first**.
    """
    n = TREND_SAMPLES
    x = [float(i + 1) for i in range(n)]
    w = tricube() if weighted else [1.0] * n
    total = math.fsum(w)
    centre = math.fsum(wi * xi for wi, xi in zip(w, x, strict=True)) / total
    spread = math.fsum(wi * (xi - centre) ** 2 for wi, xi in zip(w, x, strict=True))
    ahead = n + 1.0 - centre  # one tick after the newest: a move is always over by then
    oldest_first = [wi * (1.0 / total + ahead * (xi - centre) / spread) for wi, xi in zip(w, x, strict=True)]
    return np.array(oldest_first[::-1])


def tricube() -> list[float]:
    """Tricube weights of the 10 samples, oldest first."""
    top = TREND_SAMPLES - 1
    return [(1.0 - ((top - i) / top) ** 3) ** 3 for i in range(TREND_SAMPLES)]
