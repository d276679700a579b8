"""What the consolidation simulator takes to be true: one named option a choice.

The defaults are physically sensible. :meth:`Semantics.cloudsim_303` turns on every quirk of
CloudSim 3.0.3, so its published figures come out of the same code. What each option is worth on
real days is measured in ``docs/fidelity.md``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from rlsched.errors import SpecError, did_you_mean

INITIAL_PLACEMENTS = ("pack", "spread")
VM_ORDERS = ("shuffled", "by_name")


class SemanticsCode(NamedTuple):
    """:class:`Semantics` as the numbers a compiled kernel takes; fields as there."""

    zero_demand_removes_vm: bool
    arriving_vm_counts_full_request: bool
    sla_tolerance_mips: float
    evacuation_protects_receivers: bool
    lr_weighted: bool
    idle_power_in_placement: bool
    placement_sees_tentative_load: bool
    spread_at_start: bool
    memory_counts: bool
    first_interval_free: bool
    last_interval_simulated: bool
    tick_offset_s: float
    idle_host_is_off: bool
    unused_host_counts_as_shutdown: bool
    whole_mips: bool
    java_hash_order: bool
    migration_overhead_share: float
    wake_s: float
    wake_energy_wh: float
    off_w: float


def _option(default: Any, quirk: str, meaning: str) -> Any:
    return field(default=default, metadata={"quirk": quirk, "meaning": meaning})


@dataclass(frozen=True)
class Semantics:
    """Named choices of the consolidation simulator; ``OPTIONS`` tells each one's meaning.

    Raises
    ------
    SpecError
        When a value is not allowed; reports every problem at once.

    Examples
    --------
    >>> Semantics().zero_demand_removes_vm
    False
    >>> Semantics.cloudsim_303().zero_demand_removes_vm
    True
    """

    zero_demand_removes_vm: bool = _option(
        False, "Q1", "A VM whose demand is exactly 0 at an event is destroyed and never comes back."
    )
    arriving_vm_counts_full_request: bool = _option(
        False,
        "Q2",
        "While a VM is copied to a machine, its full request counts as asked from that machine too, though the "
        "VM still runs at its source; otherwise only the overhead of copying counts there.",
    )
    sla_tolerance_mips: float = _option(
        1e-6,
        "Q3",
        "A machine violates its SLA when it gives less than asked by more than this (in the unit of the "
        "machine's CPU); 0 makes rounding of the last bit a violation.",
    )
    evacuation_protects_receivers: bool = _option(
        True, "Q4", "A machine that relieved an overloaded one at this tick is not evacuated at the same tick."
    )
    lr_weighted: bool = _option(
        True,
        "Q5",
        "Local regression weighs recent samples more (tricube), and LRR resists outliers (bisquare); otherwise "
        "both are one ordinary least squares line.",
    )
    idle_power_in_placement: bool = _option(
        True, "Q6", "The power of switching a machine on counts when choosing where a VM goes."
    )
    placement_sees_tentative_load: bool = _option(
        True,
        "Q6",
        "The rise in power is measured from the load that includes VMs already sent there at this tick; otherwise "
        "from the load at the start of the tick.",
    )
    initial_placement: str = _option(
        "pack",
        "Q6",
        "'pack': at the start each VM goes where power rises least. 'spread': the load already placed is not "
        "subtracted, which spreads the VMs over all machines. (Policies that never migrate use first fit.)",
    )
    memory_counts: bool = _option(
        True, "Q7", "A machine must have the memory for a VM it receives after the start too."
    )
    first_interval_free: bool = _option(
        False, "Q8", "Nothing runs, costs or counts before the first tick; sample 0 of the trace is unused."
    )
    last_interval_simulated: bool = _option(
        True, "Q8", "The time from the last tick to the end of the trace is simulated."
    )
    vm_order: str = _option(
        "shuffled",
        "Q9",
        "Which VM gets which size in the PlanetLab scenario: sizes follow the order of the VMs, 'by_name' or "
        "'shuffled' by the run's seed (names are grouped by site, so their order is not a typical one).",
    )
    tick_offset_s: float = _option(0.0, "Q8", "Ticks are at this many seconds after each sample of the trace.")
    idle_host_is_off: bool = _option(
        False,
        "",
        "A machine is off whenever its load is 0, VMs or not; otherwise it is on while it holds a VM.",
    )
    unused_host_counts_as_shutdown: bool = _option(
        False, "", "A machine that is off at its first measurement counts as shut down then."
    )
    whole_mips: bool = _option(False, "", "On an oversubscribed machine each VM's share is rounded down to whole MIPS.")
    java_hash_order: bool = _option(
        False,
        "",
        "On an oversubscribed machine the requests are summed in the order in which a Java HashMap of CloudSim's "
        "VM names gives them; it decides, in the last bit, which shares are rounded down to the next lower MIPS.",
    )
    migration_overhead_share: float = _option(
        0.1,
        "",
        "While a VM moves it loses this share of its CPU at the source, and costs this share at the target.",
    )
    wake_s: float = _option(60.0, "", "Seconds from switching a machine on until a VM can start moving to it.")
    wake_energy_wh: float = _option(0.7, "", "Energy of one switching on, on top of idle power from that moment.")
    off_w: float = _option(0.0, "", "Power of a machine that is off, watts.")

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise SpecError("semantics: " + " ".join(problems))

    def _problems(self) -> list[str]:
        found = []
        for spec in fields(self):
            value, default = getattr(self, spec.name), spec.default
            if isinstance(default, bool):
                if not isinstance(value, bool):
                    found.append(f"{spec.name} must be true or false: got {value!r}.")
            elif isinstance(default, float):
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                if not number or not (math.isfinite(value) and value >= 0):
                    found.append(f"{spec.name} must be a number >= 0: got {value!r}.")
                else:
                    object.__setattr__(self, spec.name, float(value))
        for name, allowed in (("initial_placement", INITIAL_PLACEMENTS), ("vm_order", VM_ORDERS)):
            value = getattr(self, name)
            if value not in allowed:
                found.append(f"{name} {value!r} is unknown.{did_you_mean(str(value), allowed)}")
        if not found and self.migration_overhead_share >= 1:
            found.append(f"migration_overhead_share must be below 1: got {self.migration_overhead_share}.")
        return found

    @classmethod
    def cloudsim_303(cls) -> Semantics:
        """CloudSim 3.0.3 with all its quirks, the rules of the golden runs."""
        return cls(
            zero_demand_removes_vm=True,
            arriving_vm_counts_full_request=True,
            sla_tolerance_mips=0.0,
            evacuation_protects_receivers=False,
            lr_weighted=False,
            idle_power_in_placement=False,
            placement_sees_tentative_load=False,
            initial_placement="spread",
            memory_counts=False,
            first_interval_free=True,
            last_interval_simulated=False,
            vm_order="by_name",
            tick_offset_s=0.1,
            idle_host_is_off=True,
            unused_host_counts_as_shutdown=True,
            whole_mips=True,
            java_hash_order=True,
            migration_overhead_share=0.1,
            wake_s=0.0,
            wake_energy_wh=0.0,
            off_w=0.0,
        )

    @classmethod
    def named(cls, name: str) -> Semantics:
        """``"default"`` or ``"cloudsim_303"``.

        Raises
        ------
        SpecError
            For another name; says which was probably meant.
        """
        known = ("default", "cloudsim_303")
        if name not in known:
            raise SpecError(f"unknown semantics {name!r}.{did_you_mean(name, known)}")
        return cls() if name == "default" else cls.cloudsim_303()

    def replace(self, options: Mapping[str, Any]) -> Semantics:
        """The same with some options changed.

        Raises
        ------
        SpecError
            For an unknown option or a value that is not allowed.
        """
        names = [spec.name for spec in fields(self)]
        for name in options:
            if name not in names:
                raise SpecError(f"unknown semantic option {name!r}.{did_you_mean(name, names)}")
        return dataclasses.replace(self, **options)

    def code(self) -> SemanticsCode:
        """The numbers a compiled kernel takes."""
        values = {name: getattr(self, name) for name in SemanticsCode._fields if name != "spread_at_start"}
        return SemanticsCode(spread_at_start=self.initial_placement == "spread", **values)


#: Option → (quirk of the golden rules or "", what it means).
OPTIONS: dict[str, tuple[str, str]] = {
    spec.name: (spec.metadata["quirk"], spec.metadata["meaning"]) for spec in fields(Semantics)
}
