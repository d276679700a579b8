"""What a run counts, and the metrics made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rlsched.units import JOULE_PER_KWH

#: Metric → (unit, what it is). The definitions are those of CloudSim 3.0.3 as coded.
METRICS: dict[str, tuple[str, str]] = {
    "energy_kwh": ("kWh", "Energy of all machines: trapezoid on the power at both ends of each interval, plus waking."),
    "migrations": ("", "Live migrations started."),
    "slatah_share": (
        "share",
        "SLA time per active host: machine-seconds in which less CPU was given than asked, over machine-seconds on; "
        "pooled over all machines.",
    ),
    "pdm_share": (
        "share",
        "Performance degradation by migration: CPU asked and not given to VMs under migration, over CPU asked; "
        "pooled over all VMs.",
    ),
    "slav_share": ("share", "SLA violation: slatah_share times pdm_share."),
    "esv_kwh": ("kWh", "Energy times SLA violation: energy_kwh times slav_share."),
    "overall_sla_violation_share": ("share", "CPU asked and not given, over CPU asked; pooled over all VMs."),
    "average_sla_violation_share": (
        "share",
        "Mean over the VM intervals with less CPU given than asked of the share not given; not weighted by time.",
    ),
    "host_shutdowns": ("", "Times a machine went from on to off."),
    "mean_time_before_host_shutdown_s": (
        "s",
        "Mean time a machine had been on when it was shut down; NaN without shutdowns.",
    ),
    "stdev_time_before_host_shutdown_s": ("s", "Sample standard deviation (n - 1) of that; NaN below two shutdowns."),
    "mean_migration_s": ("s", "Mean duration of a live migration; NaN without migrations."),
    "host_wakes": ("", "Times a machine that was off was switched on to receive a VM."),
    "removed_vms": ("", "VMs destroyed because they asked for nothing (only with zero_demand_removes_vm)."),
}


@dataclass
class Checkpoint:
    """One tick: what was before the decision, what was decided, what is after the moves."""

    time_s: float
    vms_alive: int
    hosts_active: int
    hosts_overloaded: int
    migrations: int
    energy_ws: float
    hosts_active_after: int


@dataclass
class Meters:
    """Sums over one run; CPU in the unit of the world, energy in watt-seconds."""

    energy_ws: float = 0.0
    requested: float = 0.0  # CPU asked, integrated over time
    short: float = 0.0  # CPU asked and not given
    degraded: float = 0.0  # that of VMs under migration
    shortfall_shares: float = 0.0  # sum over VM intervals of the share not given
    active_s: float = 0.0
    violation_s: float = 0.0
    migration_s: float = 0.0
    before_shutdown_mean: float = 0.0
    before_shutdown_m2: float = 0.0  # sum of squared deviations, by Welford's update
    shortfalls: int = 0
    migrations: int = 0
    shutdowns: int = 0
    wakes: int = 0
    removed_vms: int = 0

    def count_shutdown(self, seconds_on: float) -> None:
        """Add one shutdown after ``seconds_on`` of being on."""
        self.shutdowns += 1
        delta = seconds_on - self.before_shutdown_mean
        self.before_shutdown_mean += delta / self.shutdowns
        self.before_shutdown_m2 += delta * (seconds_on - self.before_shutdown_mean)

    def metrics(self) -> dict[str, float]:
        """The named metrics, see :data:`METRICS`."""
        energy_kwh = self.energy_ws / JOULE_PER_KWH
        slatah = _share(self.violation_s, self.active_s)
        pdm = _share(self.degraded, self.requested)
        n = self.shutdowns
        return {
            "energy_kwh": energy_kwh,
            "migrations": self.migrations,
            "slatah_share": slatah,
            "pdm_share": pdm,
            "slav_share": slatah * pdm,
            "esv_kwh": energy_kwh * slatah * pdm,
            "overall_sla_violation_share": _share(self.short, self.requested),
            "average_sla_violation_share": _share(self.shortfall_shares, self.shortfalls),
            "host_shutdowns": n,
            "mean_time_before_host_shutdown_s": self.before_shutdown_mean if n else math.nan,
            "stdev_time_before_host_shutdown_s": math.sqrt(self.before_shutdown_m2 / (n - 1)) if n > 1 else math.nan,
            "mean_migration_s": self.migration_s / self.migrations if self.migrations else math.nan,
            "host_wakes": self.wakes,
            "removed_vms": self.removed_vms,
        }


def _share(part: float, whole: float) -> float:
    """``part / whole``; nothing of nothing is 0."""
    return part / whole if whole else 0.0
