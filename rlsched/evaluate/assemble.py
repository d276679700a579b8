"""Rows → the results document: summary, verdicts, gaps closed to a bound; the same for every kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.gaps import Bound, bound_rows, gap_rows
from rlsched.evaluate.metrics import METRICS, Metric
from rlsched.evaluate.results import Document, grids, summarise, verdict_rows
from rlsched.evaluate.verdict import NO_DIFFERENCE, Verdict, common_windows, correct, judge_all, leader

F64 = npt.NDArray[np.float64]
CORRECTION = "step-down max-T over joint sign flips of windows, metric by metric"


def assemble(
    name: str,
    rows: list[dict[str, Any]],
    bootstrap: Bootstrap,
    main_metric: str,
    judged: Sequence[str],
    references: Sequence[str],
    *,
    metrics: Mapping[str, Metric] = METRICS,
    bounds: Sequence[Bound] = (),
    controls: Sequence[str] = (),
) -> Document:
    """Rows → the document; its provenance holds only the count of comparisons.

    Every policy is judged against every reference, and on the main metric the leader against
    everybody. All verdicts on a metric are corrected together.

    Parameters
    ----------
    name : str
        Of the experiment.
    rows : list of dict
        ``policy, window, seed`` and every metric.
    bootstrap : Bootstrap
    main_metric : str
        Who leads is decided on it.
    judged : sequence of str
        Metrics that verdicts are given on, the main one among them.
    references : sequence of str
        Those that ran. Gaps are measured from the first.
    metrics : mapping of str to Metric
        The kind's table.
    bounds : sequence of Bound
        What no policy can beat.
    controls : sequence of str
        Policies that saw what no policy may see, such as the best constant in hindsight: in
        summary and verdicts, but never the leader.
    """
    values = grids(rows, list(metrics))
    better = {metric: metrics[metric].better for metric in judged}
    verdicts = judge_all(values, references, better, bootstrap)
    ranked = {policy: grid[main_metric] for policy, grid in values.items() if policy not in controls}
    first = leader(ranked, better[main_metric])
    if first and first not in references:
        others = judge_all(values, [first], {main_metric: better[main_metric]}, bootstrap)
        verdicts += [one.turned for one in others if one.a not in references]
    raw = verdicts
    verdicts = correct(raw, values, level=1 - bootstrap.level, seed=bootstrap.seed)
    counted = {
        **count_comparisons(raw, verdicts, 1 - bootstrap.level),
        "leader": first,
        **_ranked_on(ranked),
    }
    return {
        "experiment": name,
        "provenance": counted,
        "rows": rows,
        "summary": summarise(values, bootstrap, with_iqm=judged),
        "verdicts": verdict_rows(verdicts),
        "bounds": bound_rows(bounds),
        "gaps": gap_rows(values, bounds, references[0] if references else "", bootstrap),
    }


def count_comparisons(raw: Sequence[Verdict], corrected: Sequence[Verdict], level: float) -> dict[str, Any]:
    """How many pairs were compared, and how many verdicts there are with and without correction."""
    pairs: dict[Any, tuple[Verdict, Verdict]] = {}
    for before, after in zip(raw, corrected, strict=True):
        pairs.setdefault((frozenset((before.a, before.b)), before.metric), (before, after))
    shown = [before.verdict != NO_DIFFERENCE for before, _ in pairs.values()]
    return {
        "n": len(pairs),
        "correction": CORRECTION,
        "shown": sum(after.verdict != NO_DIFFERENCE for _, after in pairs.values()),
        "shown_uncorrected": sum(shown),
        "shown_after_holm": sum(
            word and after.p_holm <= level for word, (_, after) in zip(shown, pairs.values(), strict=True)
        ),
    }


def _ranked_on(ranked: Mapping[str, F64]) -> dict[str, int]:
    """Number of windows the leader was found on, and of all."""
    common = common_windows(ranked)
    total = max((len(grid) for grid in ranked.values()), default=0)
    return {"ranked_windows": int(common.sum()), "windows": total}
