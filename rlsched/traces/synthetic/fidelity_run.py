"""Run a fidelity card: draw from each profile with many seeds and compare with its dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from rlsched.errors import SpecError
from rlsched.spec import Spec, load
from rlsched.traces.columns import Trace, Usage
from rlsched.traces.datasets import read_dataset
from rlsched.traces.synthetic.busy import busy_trace, shifted
from rlsched.traces.synthetic.draw import draw_tasks, draw_usage
from rlsched.traces.synthetic.fidelity import compare_tasks, compare_usage, interval
from rlsched.traces.synthetic.profile import Profile, find_profile, load_profile
from rlsched.units import SECONDS_PER_DAY


class Case(Spec):
    """One profile against the dataset it was fitted to."""

    profile: str
    dataset: str
    part: str | None = None


class Fidelity(Spec):
    """The card."""

    seeds: int = Field(ge=2, description="draws a case; seeds 0, 1, ...")
    case: tuple[Case, ...] = Field(min_length=1)


class Row(Spec):
    """One measure of one case: over the seeds, and between the halves of the real trace."""

    profile: str
    measure: str
    mean: float
    ci_low: float
    ci_high: float
    halves: float = Field(description="the same measure, second half of the real trace against its first")
    values: tuple[float, ...] = Field(description="by seed")


def run_card(card: Path, data: Path | None = None) -> list[Row]:
    """Compare every case of a card.

    Raises
    ------
    SpecError
        When the card breaks a rule, or a profile's part does not fit what its dataset holds.
    MissingDataError
        When a dataset is not there.
    """
    spec = load(Fidelity, card).spec
    out: list[Row] = []
    for case in spec.case:
        profile = load_profile(find_profile(case.profile))
        real = read_dataset(case.dataset, case.part, data=data)
        if isinstance(real, Trace) and profile.streams:
            per_seed, halves = _tasks(real, profile, spec.seeds)
        elif isinstance(real, Usage) and profile.usage is not None:
            per_seed, halves = _usage(real, profile, spec.seeds)
        else:
            raise SpecError(
                f"profile {case.profile!r} cannot be compared with dataset {case.dataset!r}: one has tasks, the other "
                "usage. Name the dataset that the profile was fitted to."
            )
        for measure in per_seed[0]:
            values = [one[measure] for one in per_seed]
            mean, low, high = interval(values)
            out.append(
                Row(
                    profile=case.profile,
                    measure=measure,
                    mean=mean,
                    ci_low=low,
                    ci_high=high,
                    halves=halves[measure],
                    values=tuple(round(v, 5) for v in values),
                )
            )
    return out


def _tasks(real: Trace, profile: Profile, seeds: int) -> tuple[list[dict[str, float]], dict[str, float]]:
    busy, length_s = busy_trace(real)
    per_seed = [
        compare_tasks(busy, draw_tasks(profile, length_s / SECONDS_PER_DAY, seed=seed), length_s)
        for seed in range(seeds)
    ]
    half = length_s / 2 // 300 * 300
    second = busy.take(np.flatnonzero(busy.arrive_s >= half))
    return per_seed, compare_tasks(busy, shifted(second, half), half)


def _usage(real: Usage, profile: Profile, seeds: int) -> tuple[list[dict[str, float]], dict[str, float]]:
    days = profile.origin.observed_s / SECONDS_PER_DAY
    per_seed = [compare_usage(real, draw_usage(profile, days, seed=seed)) for seed in range(seeds)]
    return per_seed, compare_usage(_half(real, 0), _half(real, 1))


def _half(usage: Usage, which: int) -> Usage:
    """First or second half in time of every series."""
    length = np.diff(usage.offset)
    cut = usage.offset[:-1] + length // 2
    begin, end = (usage.offset[:-1], cut) if which == 0 else (cut, usage.offset[1:])
    rows = np.concatenate([np.arange(b, e) for b, e in zip(begin, end, strict=True)])
    return Usage(
        series_id=usage.series_id,
        offset=np.concatenate([[0], np.cumsum(end - begin)]),
        start_s=usage.start_s + (begin - usage.offset[:-1]) * usage.step_s,
        step_s=usage.step_s,
        cpu_share=usage.cpu_share[rows],
        mem_share=usage.mem_share[rows],
    )


def as_markdown(rows: list[Row]) -> str:
    """One table a profile: measure, mean and interval over seeds, halves of the real trace."""
    lines: list[str] = []
    for profile in dict.fromkeys(row.profile for row in rows):
        lines += [f"\n## {profile}\n", "| measure | drawn against real | halves of the real |", "| --- | --- | --- |"]
        lines += [
            f"| {row.measure} | {row.mean:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}] | {row.halves:.3f} |"
            for row in rows
            if row.profile == profile
        ]
    return "\n".join(lines).lstrip() + "\n"


def as_document(rows: list[Row], card: Path) -> dict[str, Any]:
    """What is stored: version, card, rows."""
    from rlsched import __version__

    return {"rlsched": __version__, "card": card.name, "rows": [row.model_dump(mode="json") for row in rows]}
