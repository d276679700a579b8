"""Metrics of a consolidation window: what the simulator meters, and the weighted cost made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rlsched.evaluate.metrics import Metric
from rlsched.sim.consolidation.meters import METRICS as METERS
from rlsched.sim.consolidation.meters import Meters
from rlsched.sim.consolidation.world import World

#: Energy + 20 · unmet share + moves: the weights of ``rlsched.reward.consolidation``.
WEIGHTS = {"energy": 1.0, "unmet": 20.0, "moves": 1.0}
COST = "weighted_cost_pct"


@dataclass(frozen=True)
class Finished:
    """One run that is over, ready to be read.

    Parameters
    ----------
    world : World
    meters : Meters
    n_ticks : int
        Decisions of the run.
    pue : float
    weights : mapping of str to float
        Of ``energy``, ``unmet`` and ``moves`` in the weighted cost.
    g_per_kwh : float
        Carbon intensity of the grid, mean of the window; NaN where not known.
    """

    world: World
    meters: Meters
    n_ticks: int
    pue: float
    weights: Mapping[str, float]
    g_per_kwh: float = math.nan

    @property
    def values(self) -> dict[str, float]:
        """The meters by name, energy with PUE."""
        found = dict(self.meters.metrics())
        for name in ("energy_kwh", "esv_kwh"):
            found[name] *= self.pue
        return found

    @property
    def shares(self) -> dict[str, float]:
        """The parts of the weighted cost, unweighted."""
        found = self.meters.metrics()
        return {
            "energy": self.pue * self.meters.energy_ws / full_energy_ws(self.world),
            "unmet": found["overall_sla_violation_share"],
            "moves": found["migrations"] / (self.world.n_vms * self.n_ticks) if self.n_ticks else 0.0,
        }


def full_energy_ws(world: World) -> float:
    """Energy of all machines at full power over the whole time, watt-seconds."""
    watts = [world.curves[row].points[-1] for row in world.host_curve.tolist()]
    return math.fsum(watts) * world.n_samples * world.step_s


def _cost(run: Finished) -> float:
    return 100.0 * math.fsum(run.weights[name] * share for name, share in run.shares.items())


def _carbon(run: Any) -> float:
    return float(run.values["energy_kwh"] * run.g_per_kwh / 1000.0)


def _part(name: str) -> Callable[[Any], float]:
    return lambda run: 100.0 * run.weights[name] * run.shares[name]


def _meter(name: str) -> Callable[[Any], float]:
    return lambda run: run.values[name]


#: Meter → (label, better direction).
_LABELS: dict[str, tuple[str, Literal["down", "up", "none"]]] = {
    "energy_kwh": ("energy", "down"),
    "migrations": ("moves", "down"),
    "slatah_share": ("SLATAH", "down"),
    "pdm_share": ("PDM", "down"),
    "slav_share": ("SLAV", "down"),
    "esv_kwh": ("ESV", "down"),
    "overall_sla_violation_share": ("unmet CPU", "down"),
    "average_sla_violation_share": ("unmet CPU where short", "down"),
    "host_shutdowns": ("shutdowns", "down"),
    "mean_time_before_host_shutdown_s": ("on before a shutdown", "up"),
    "stdev_time_before_host_shutdown_s": ("spread of that", "none"),
    "mean_migration_s": ("copying a VM", "down"),
    "host_wakes": ("wakes", "down"),
    "removed_vms": ("VMs destroyed", "none"),
}
_CLOUDSIM = "Beloglazov, Buyya, CCPE 24(13), 2012, as coded in CloudSim 3.0.3"
_FULL = "% of the energy of all machines at full power"

_TABLE = (
    Metric(
        COST,
        "weighted cost",
        _FULL,
        "energy_cost_pct + unmet_cost_pct + move_cost_pct",
        "down",
        "",
        _cost,  # type: ignore[arg-type]
    ),
    Metric("energy_cost_pct", "energy part", _FULL, "100 · w_energy · energy_kwh / (Σ_m full power_m · time)", "down",
           "", _part("energy")),
    Metric("unmet_cost_pct", "unmet part", _FULL, "100 · w_unmet · overall_sla_violation_share", "down", "",
           _part("unmet")),
    Metric("move_cost_pct", "move part", _FULL, "100 · w_moves · migrations / (VMs · ticks)", "down", "",
           _part("moves")),
    Metric("carbon_kg", "carbon", "kg CO2e", "energy_kwh · mean carbon intensity of the window [g/kWh] / 1000", "down",
           "intensity: the card's [carbon]", _carbon),
    *(
        Metric(name, label, unit, METERS[name][1].rstrip("."), better, "" if unit == "kWh" else _CLOUDSIM, _meter(name),
               percent=unit == "share")
        for name, (label, better) in _LABELS.items()
        for unit in (METERS[name][0],)
    ),
)  # fmt: skip

#: Name → metric of a consolidation window, in the order of rows and of ``docs/metrics.md``.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}
assert set(METERS) <= set(METRICS)  # a meter without a label would be shown by its raw name


def read_metrics(run: Finished) -> dict[str, float]:
    """Every metric of one run: name → number, NaN where not known."""
    return {name: float(metric.read(run)) for name, metric in METRICS.items()}  # type: ignore[arg-type]
