"""``rlsched.evaluate(trace, machines, policies)``: an evaluation without a card."""

from __future__ import annotations

import html
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlsched.errors import SpecError, did_you_mean
from rlsched.evaluate.answer import answer, metric_label, metric_unit, show_interval, show_value
from rlsched.evaluate.assemble import assemble
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.metrics import METRICS
from rlsched.evaluate.placement import (
    Arena,
    Contestant,
    Progress,
    check_contestants,
    describe,
    describe_windows,
    play,
)
from rlsched.evaluate.results import Document, origin, plain, seal, write_run
from rlsched.evaluate.windows import Instances
from rlsched.policies import find_policy
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.options import PlacementOptions
from rlsched.sim.world import Typical, Window
from rlsched.traces.columns import Machines, Trace

if TYPE_CHECKING:
    import pandas as pd

_LINE = 110  # characters of a printed table; further columns stand below
#: Shown in tables, where known.
SHOWN = (
    "rejected_cpu_share",
    "acceptance_share",
    "cpu_alloc_share",
    "mem_alloc_share",
    "gpu_alloc_pct",
    "frag_pct_of_capacity",
    "active_machines",
    "energy_kwh",
    "cost_usd",
)


@dataclass(frozen=True)
class Results:
    """What an evaluation found.

    Parameters
    ----------
    document : dict
        As ``rlsched evaluate --json`` prints it; see ``docs/json.md``.
    """

    document: Document

    @property
    def rows(self) -> pd.DataFrame:
        """One row a policy, window and seed, with every metric; NaN where not known."""
        return self._frame("rows")

    @property
    def summary(self) -> pd.DataFrame:
        """``policy, metric, mean, ci_low, ci_high, n``."""
        return self._frame("summary")

    @property
    def verdicts(self) -> pd.DataFrame:
        """``a, b, metric, difference, ci_low, ci_high, verdict``."""
        return self._frame("verdicts")

    @property
    def answer(self) -> str:
        """Who won, who did not, by how much, in words."""
        return "\n".join(answer(self.document))

    def table(self, *metrics: str) -> pd.DataFrame:
        """The means as one reads them: a line a policy, the best first, a column a metric, with its interval.

        Parameters
        ----------
        *metrics : str
            Of ``docs/metrics.md``; by default the main one and those a report shows, as far as known.

        Returns
        -------
        pandas.DataFrame
            Text; the numbers are in :attr:`summary`.

        Raises
        ------
        SpecError
            An unknown metric.
        """
        import pandas as pd

        shown = metrics or tuple(self.document["provenance"]["metrics"])
        for name in shown:
            if name not in METRICS:
                raise SpecError(f"unknown metric {name!r}.{did_you_mean(name, METRICS)}")
        means = {(one["policy"], one["metric"]): one for one in self.document["summary"]}
        known = [name for name in shown if any(means[one]["mean"] is not None for one in means if one[1] == name)]
        columns = {
            f"{metric_label(name)}, {metric_unit(name)}" if metric_unit(name) else metric_label(name): [
                _cell(name, means[policy, name]) for policy in self._ranked(means)
            ]
            for name in known
        }
        return pd.DataFrame(columns, index=pd.Index(self._ranked(means), name="policy"))

    def _ranked(self, means: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
        """Policies, the best on the main metric first, unknown last; in their own order among equals."""
        main = self.document["provenance"]["main_metric"]
        sign = 1 if METRICS[main].better == "down" else -1
        names = list(dict.fromkeys(policy for policy, _ in means))

        def place(policy: str) -> tuple[bool, float]:
            mean = means[policy, main]["mean"]
            return mean is None, 0.0 if mean is None else sign * mean

        return sorted(names, key=place)

    def save(self, folder: str | Path) -> None:
        """Write ``results.json`` and ``results.parquet``; ``rlsched report FOLDER`` adds the page."""
        write_run(self.document, Path(folder))

    def __str__(self) -> str:
        return f"{self.answer}\n\n{self.table().to_string(line_width=_LINE)}"

    def _repr_html_(self) -> str:
        """The answer and the table, for a notebook."""
        sentences = "".join(f"<p>{html.escape(line)}</p>" for line in answer(self.document))
        return f"{sentences}{self.table().to_html(escape=True)}"

    def _frame(self, key: str) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.document[key])


def evaluate(
    trace: Trace,
    machines: Machines,
    policies: Sequence[Any],
    *,
    seeds: int | Sequence[int] = 1,
    windows: int = 1,
    options: PlacementOptions | None = None,
    typical: Typical | None = None,
    main_metric: str = "rejected_cpu_share",
    reference: str | None = None,
    bootstrap: Bootstrap | None = None,
    progress: Progress | None = None,
) -> Results:
    """Replay a trace under several policies and say who won.

    Parameters
    ----------
    trace : Trace
    machines : Machines
    policies : sequence of str, Heuristic, or learned policy
        Names are looked up with ``rlsched.policies.find_policy``.
    seeds : int or sequence of int
        Of policies that draw random numbers: a number of seeds, or the seeds.
    windows : int
        1: the whole trace, metered from the first arrival until nothing is left. More: so many
        equal stretches of time between the first and the last arrival, each after a warm-up of
        everything before it. Verdicts need six or more.
    options : PlacementOptions, optional
        ``PlacementOptions()`` by default; where a policy scores by fragmentation, it is measured
        in GPUs if the machines have any, in CPU otherwise.
    typical : Typical, optional
        In whose terms fragmentation is measured. By default the common requests of the first
        tenth of the trace, which is the past of the rest; better, of earlier data.
    main_metric : str
        Who won is decided on it.
    reference : str, optional
        The policy everybody is compared with; the last of the list by default.
    bootstrap : Bootstrap, optional
        10,000 resamples, 95 %, seed 0 by default.
    progress : callable, optional
        Told what is being done and the share that is done.

    Returns
    -------
    Results

    Raises
    ------
    UserError
        An unknown policy or metric, or a trace that no machine can serve.

    Examples
    --------
    >>> import rlsched
    >>> results = rlsched.evaluate(trace, machines, ["best_fit", "cosine"], windows=8)  # doctest: +SKIP
    """
    began = time.monotonic()
    bootstrap = bootstrap or Bootstrap()
    if main_metric not in METRICS:
        raise SpecError(f"unknown metric {main_metric!r}.{did_you_mean(main_metric, METRICS)}")
    if METRICS[main_metric].better == "none":
        raise SpecError(f"{main_metric} has no better direction, so nobody can win on it. Choose another main_metric.")
    contestants = contestants_of(policies)
    if options is None:
        measured: Any = "gpu" if int(machines.gpu_count.sum()) else "cpu"
        wanted = any(one.needs_typical for one in contestants)
        options = PlacementOptions(fragmentation=measured if wanted else "none")
    names = [one.name for one in contestants]
    reference = names[-1] if reference is None else reference
    if reference not in names:
        raise SpecError(f"reference must be one of the policies: got {reference!r}.{did_you_mean(reference, names)}")
    seeds = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise SpecError(f"seeds must be a number >= 1, or different seeds >= 0: got {seeds}.")
    trace.validate()
    if options.fragmentation != "none" and typical is None:
        typical = typical_requests(trace.take(slice(0, max(1, len(trace) // 10))))
    check_contestants(contestants, options)
    arena = Arena(Instances(trace, (machines,), equal_windows(trace, windows), True), options, typical, {})
    rows = play(arena, contestants, seeds, progress)
    document = assemble("library", rows, bootstrap, main_metric, (main_metric,), [reference])
    provenance = {
        **origin(f"rlsched.evaluate(..., {', '.join(map(shlex.quote, names))})"),
        "kind": "placement",
        "title": "Placement policies on a trace",
        "main_metric": main_metric,
        "metrics": [main_metric, *(name for name in SHOWN if name != main_metric)],
        "references": {"reference": reference},
        "not_run": [],
        "data": [],
        "seeds": list(seeds),
        "policies": [describe(one) for one in contestants],
        **describe_windows(arena),
        "options": plain(vars(options)),
        "bootstrap": {"resamples": bootstrap.resamples, "level": bootstrap.level, "seed": bootstrap.seed},
        "comparisons": document["provenance"],
        "seconds": round(time.monotonic() - began, 1),
    }
    return Results({**document, "provenance": seal(provenance)})


def _cell(metric: str, mean: dict[str, Any]) -> str:
    """A mean as tables show it, with its interval where there is one."""
    parts = show_value(metric, mean["mean"]), show_interval(metric, mean["ci_low"], mean["ci_high"])
    return " ".join(part for part in parts if part)


def equal_windows(trace: Trace, n: int) -> tuple[Window, ...]:
    """The whole trace, or ``n`` equal stretches of time, each warmed up by everything before it.

    Raises
    ------
    SpecError
        When ``n < 1``, or a stretch has no arrival.
    """
    if n < 1:
        raise SpecError(f"windows must be >= 1: got {n}.")
    if n == 1:
        return (Window(0, len(trace), name="all"),)
    first, last = float(trace.arrive_s[0]), float(trace.arrive_s[-1])
    edges = np.linspace(first, last, n + 1)
    rows = np.searchsorted(trace.arrive_s, edges, side="left")
    rows[-1] = len(trace)
    out = []
    for i in range(n):
        if rows[i] == rows[i + 1]:
            raise SpecError(
                f"window {i} of {n} must hold a task: none arrives in [{edges[i]:g}, {edges[i + 1]:g}) s. Ask for "
                "fewer windows."
            )
        out.append(Window(0, int(rows[i + 1]), float(edges[i]), float(edges[i + 1]), 0, f"window-{i:02d}"))
    return tuple(out)


def contestants_of(policies: Sequence[Any]) -> list[Contestant]:
    """Policies, or names of some, under the names they have in tables.

    Raises
    ------
    UserError
        None at all, an unknown one, or two of one name.
    """
    if isinstance(policies, str) or not policies:
        raise SpecError(f"policies must be a list of one or more: got {policies!r}.")
    out: list[Contestant] = []
    for one in policies:
        policy = find_policy(one) if isinstance(one, str) else one
        name = one if isinstance(one, str) else str(getattr(policy, "name", type(policy).__name__))
        if name in [known.name for known in out]:
            raise SpecError(f"two policies are called {name!r}: give one of them another name.")
        out.append(Contestant(name, policy))
    return out
