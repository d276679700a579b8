"""Do heuristics fare under a drawn trace as under the real one? Replay both and compare.

The clusters, the metered stretch and the policies are the same; only the trace differs.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from rlsched.errors import SpecError
from rlsched.evaluate.placement import Arena, Contestant, play
from rlsched.evaluate.windows import Instances
from rlsched.policies import find_policy
from rlsched.sim.options import PlacementOptions
from rlsched.sim.world import Window
from rlsched.spec import Spec, load
from rlsched.traces.columns import Machines, Trace
from rlsched.traces.datasets import read_dataset
from rlsched.traces.synthetic.busy import busy_trace
from rlsched.traces.synthetic.cluster import Hosts, build_cluster
from rlsched.traces.synthetic.draw import draw_tasks
from rlsched.traces.synthetic.fidelity import interval
from rlsched.traces.synthetic.profile import find_profile, load_profile
from rlsched.units import SECONDS_PER_DAY

METRIC = "rejected_cpu_share"


class Fleet(Spec):
    """A named cluster."""

    name: str
    hosts: tuple[Hosts, ...] = Field(min_length=1)


class ReplayCard(Spec):
    """The card."""

    profile: str
    dataset: str
    part: str | None = None
    seeds: int = Field(ge=2, description="drawn traces, seeds 0, 1, ...")
    warmup_days: float = Field(ge=0, description="replayed but not counted, from the start of the trace")
    policies: tuple[str, ...] = Field(min_length=2)
    tie: float = Field(
        default=0.005, ge=0, description="policies nearer than this under the real trace are not ordered"
    )
    fleet: tuple[Fleet, ...] = Field(min_length=1)


def run_card(card: Path, data: Path | None = None) -> dict[str, Any]:
    """Replay the real trace and every drawn one with every policy on every fleet.

    Returns
    -------
    dict
        ``card``, ``metric``, ``policies``: for each fleet and policy the real value, the mean and
        95 % interval over drawn traces, the values by seed; ``fleets``: for each fleet the rank
        correlation of the policies (Spearman, mean over seeds) and the share of ordered pairs
        that the drawn traces' mean orders alike.

    Raises
    ------
    SpecError
        When the card breaks a rule, or the dataset holds no tasks.
    MissingDataError
        When the dataset is not there.
    """
    spec = load(ReplayCard, card).spec
    profile = load_profile(find_profile(spec.profile))
    real = read_dataset(spec.dataset, spec.part, data=data)
    if not isinstance(real, Trace):
        raise SpecError(f"dataset {spec.dataset!r} must hold tasks to be replayed: it holds usage. Name another part.")
    busy, length_s = busy_trace(real)
    begin = spec.warmup_days * SECONDS_PER_DAY
    if begin >= length_s:
        raise SpecError(f"warmup_days must be < {length_s / SECONDS_PER_DAY:.3g}, the trace's length: got {begin:g} s.")
    drawn = [draw_tasks(profile, length_s / SECONDS_PER_DAY, seed=seed) for seed in range(spec.seeds)]
    policies: list[dict[str, Any]] = []
    fleets: list[dict[str, Any]] = []
    for fleet in spec.fleet:
        machines = build_cluster(fleet.hosts, fleet.name)
        truth = replay(busy, machines, spec.policies, begin, length_s)
        per_seed = [replay(one, machines, spec.policies, begin, length_s) for one in drawn]
        for i, name in enumerate(spec.policies):
            mean, low, high = interval([values[i] for values in per_seed])
            policies.append(
                {
                    "fleet": fleet.name,
                    "policy": name,
                    "real": truth[i],
                    "mean": mean,
                    "ci_low": low,
                    "ci_high": high,
                    "values": [values[i] for values in per_seed],
                }
            )
        mean_of_seeds = [float(np.mean([values[i] for values in per_seed])) for i in range(len(spec.policies))]
        fleets.append(
            {
                "fleet": fleet.name,
                "rank_correlation": float(np.mean([rank_correlation(truth, values) for values in per_seed])),
                "pairs_alike": pairs_alike(truth, mean_of_seeds, spec.tie),
            }
        )
    return {"card": card.name, "metric": METRIC, "policies": policies, "fleets": fleets}


def replay(trace: Trace, machines: Machines, policies: tuple[str, ...], begin_s: float, end_s: float) -> list[float]:
    """Share of the CPU asked for in ``[begin_s, end_s)`` that each policy turned away."""
    window = Window(lo=0, hi=int(np.searchsorted(trace.arrive_s, end_s)), start_s=begin_s, stop_s=end_s, name="all")
    arena = Arena(Instances(trace, (machines,), (window,), True), PlacementOptions(), None, {})
    contestants = [Contestant(name, find_policy(name)) for name in policies]
    rows = play(arena, contestants, (0,))
    value = {row["policy"]: float(row[METRIC]) for row in rows}
    return [value[name] for name in policies]


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's: the correlation of ranks, mean ranks on ties; 0 when one side is all ties."""
    x, y = _ranks(a), _ranks(b)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def _ranks(values: list[float]) -> Any:
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def pairs_alike(real: list[float], drawn: list[float], tie: float) -> float:
    """Share of the pairs that differ by at least ``tie`` under ``real`` and are ordered so under ``drawn``.

    NaN when no pair differs by as much.
    """
    alike = [
        (real[i] - real[j]) * (drawn[i] - drawn[j]) > 0
        for i, j in combinations(range(len(real)), 2)
        if abs(real[i] - real[j]) >= tie
    ]
    return float(np.mean(alike)) if alike else float("nan")


def as_markdown(document: dict[str, Any]) -> str:
    """One table a fleet."""
    lines: list[str] = []
    for fleet in document["fleets"]:
        lines += [
            f"\n## {fleet['fleet']}\n",
            f"Rank correlation of the policies {fleet['rank_correlation']:.2f}; pairs in the same order "
            f"{fleet['pairs_alike']:.0%}.\n",
            "| policy | real | drawn |",
            "| --- | --- | --- |",
        ]
        lines += [
            f"| {row['policy']} | {row['real']:.3f} | {row['mean']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}] |"
            for row in document["policies"]
            if row["fleet"] == fleet["fleet"]
        ]
    return "\n".join(lines).lstrip() + "\n"
