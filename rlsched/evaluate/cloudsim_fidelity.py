"""The CloudSim tables of ``docs/fidelity.md``, made anew.

``python -m rlsched.evaluate.cloudsim_fidelity EXPECTED.csv`` prints them: theirs, ours and the
difference for every figure of the golden runs; and every semantic option switched alone, in
both directions, on real days.
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rlsched.evaluate.consolidation import find_days
from rlsched.sim.consolidation.policy import ConsolidationPolicy
from rlsched.sim.semantics import OPTIONS, Semantics

if TYPE_CHECKING:
    from rlsched.traces.columns import Usage

DATASET = "planetlab-2011"
#: Days and policies of the table of options; the figures there are means over the days.
DAYS = ("20110303", "20110322", "20110411")
POLICIES = ("lr_mmt", "thr_mmt")
SEED = 0

#: Column of the golden file → our metric.
COLUMNS = {
    "energy_kwh": "energy_kwh",
    "vm_migrations": "migrations",
    "slatah": "slatah_share",
    "pdm": "pdm_share",
    "sla_product_slav": "slav_share",
    "esv": "esv_kwh",
    "overall_sla_violation": "overall_sla_violation_share",
    "average_sla_violation": "average_sla_violation_share",
    "host_shutdowns": "host_shutdowns",
    "mean_time_before_host_shutdown_s": "mean_time_before_host_shutdown_s",
    "stdev_time_before_host_shutdown_s": "stdev_time_before_host_shutdown_s",
}


@cache
def _usage(day: str) -> Usage:
    return find_days(DATASET, [day])[0].read()


def measure(day: str, policies: Sequence[str], semantics: Semantics) -> list[dict[str, float]]:
    """Metrics of each policy on a day."""
    from rlsched.sim.consolidation.simulate import simulate
    from rlsched.sim.consolidation.world import planetlab_world

    world = planetlab_world(_usage(day), semantics, seed=SEED)
    runs = simulate(world, [ConsolidationPolicy(name) for name in policies], semantics, SEED)
    return [run.meters.metrics() for run in runs]


def policy_of(row: dict[str, str]) -> str:
    """Our name of the policy of a golden row."""
    return row["alloc"] if row["alloc"] in ("dvfs", "npa") else f"{row['alloc']}_{row['selection']}"


def figures(expected: Path) -> Iterator[str]:
    """Lines of the first table: theirs, ours, and how far apart over all eleven figures.

    Parameters
    ----------
    expected : Path
        ``expected.csv`` of the golden runs.
    """
    with expected.open() as file:
        rows = list(csv.DictReader(file))
    yield (
        "| day | policy | energy kWh: theirs | ours | migrations: theirs | ours | SLATAH %: theirs | ours "
        "| PDM %: theirs | ours | shutdowns: theirs | ours | largest difference of all 11 figures |"
    )
    yield "| --- | --- |" + " ---: |" * 11
    for row in rows:
        ours = measure(row["day"], [policy_of(row)], Semantics.cloudsim_303())[0]
        apart = max(_apart(ours[metric], float(row[column])) for column, metric in COLUMNS.items())
        pairs = [
            (f"{float(row['energy_kwh']):.6f}", f"{ours['energy_kwh']:.6f}"),
            (row["vm_migrations"], str(ours["migrations"])),
            (f"{100 * float(row['slatah']):.6f}", f"{100 * ours['slatah_share']:.6f}"),
            (f"{100 * float(row['pdm']):.6f}", f"{100 * ours['pdm_share']:.6f}"),
            (row["host_shutdowns"], str(ours["host_shutdowns"])),
        ]
        cells = " | ".join(f"{theirs} | {mine}" for theirs, mine in pairs)
        yield f"| {row['day']} | {policy_of(row)} | {cells} | {_power_of_ten(apart)} |"


def _apart(ours: float, theirs: float) -> float:
    return abs(ours - theirs) / abs(theirs) if theirs else abs(ours)


def _power_of_ten(value: float) -> str:
    """``≤ 1e-11``: the next power of ten, so that the table does not depend on the last bits."""
    if value == 0.0:
        return "0"
    power = -20
    while value > 10.0**power:
        power += 1
    return f"≤ 1e{power}"


#: Bases of the tables of options: heading → (start, where single options are taken from).
BASES = {
    "CloudSim 3.0.3, one option as in our default": (Semantics.cloudsim_303(), Semantics()),
    "Our default, one option as in CloudSim 3.0.3": (Semantics(), Semantics.cloudsim_303()),
    "Our default without memory, one option as in CloudSim 3.0.3": (
        Semantics().replace({"memory_counts": False}),
        Semantics.cloudsim_303(),
    ),
}
SHOWN = ("energy_kwh", "migrations", "slatah_share", "pdm_share", "overall_sla_violation_share")


def options_table(base: Semantics, other: Semantics) -> Iterator[str]:
    """Lines of a table: the base, then each option that differs switched alone.

    Energy and migrations of an option are changes in percent of the base; the shares are values
    in percent. Means over :data:`DAYS`.
    """
    units = ("energy", "migrations", "SLATAH %", "PDM %", "not served %")
    heads = " | ".join(f"{policy.replace('_', '-').upper()} {unit}" for policy in POLICIES for unit in units)
    yield f"| option | quirk | {heads} |"
    yield "| --- | --- |" + " ---: |" * (len(units) * len(POLICIES))
    start = _means(base)
    yield f"| (base) | | {' | '.join(_cells(start, None))} |"
    for spec in dataclasses.fields(Semantics):
        value = getattr(other, spec.name)
        if value != getattr(base, spec.name):
            changed = _means(base.replace({spec.name: value}))
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            yield f"| `{spec.name} = {shown}` | {OPTIONS[spec.name][0]} | {' | '.join(_cells(changed, start))} |"


def _means(semantics: Semantics) -> list[dict[str, float]]:
    days = [measure(day, POLICIES, semantics) for day in DAYS]
    return [{metric: sum(day[i][metric] for day in days) / len(days) for metric in SHOWN} for i in range(len(POLICIES))]


def _cells(values: list[dict[str, float]], base: list[dict[str, float]] | None) -> Iterator[str]:
    for i, one in enumerate(values):
        if base is None:
            yield f"{one['energy_kwh']:.1f} kWh"
            yield f"{one['migrations']:,.0f}"
        else:
            yield _change(one["energy_kwh"], base[i]["energy_kwh"])
            yield _change(one["migrations"], base[i]["migrations"])
        for metric in SHOWN[2:]:
            yield f"{100 * one[metric]:.4f}"


def _change(value: float, base: float) -> str:
    if value == base:
        return "="
    change = 100.0 * (value / base - 1.0)
    return f"{change:+.1f} %".replace("-", "−") if abs(change) >= 0.05 else "~0"


def sections(expected: Path) -> Iterator[tuple[str, list[str]]]:
    """``(name of the block in docs/fidelity.md, its lines)``."""
    yield "figures", list(figures(expected))
    for heading, (base, other) in BASES.items():
        yield heading, list(options_table(base, other))


def fill(page: str, name: str, lines: Sequence[str]) -> str:
    """The page with the block ``name`` replaced; blocks stand between two comments."""
    begin, end = f"<!-- cloudsim: {name} -->", "<!-- end -->"
    head, found, rest = page.partition(begin)
    if not found:
        raise ValueError(f"the page has no block {begin!r}.")
    _, found, tail = rest.partition(end)
    if not found:
        raise ValueError(f"block {begin!r} has no {end!r}.")
    return head + begin + "\n\n" + "\n".join(lines) + "\n\n" + end + tail


if __name__ == "__main__":
    for name, lines in sections(Path(sys.argv[1])):
        print(f"\n## {name}\n", *lines, sep="\n")
