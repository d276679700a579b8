"""A benchmark on a terminal: the answer, then classes of policies by problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlsched.evaluate.answer import metric_label, show_interval, show_value
from rlsched.evaluate.benchmark_answer import benchmark_answer, show_gain
from rlsched.evaluate.classes import CLASSES
from rlsched.evaluate.results import Document

if TYPE_CHECKING:
    from rich.console import Console


def print_benchmark(document: Document, console: Console) -> None:
    """Print the answer, the mean of every class on every problem, and each contest."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    console.print(document["provenance"]["title"], style="bold", highlight=False, markup=False)
    for line in benchmark_answer(document):
        console.print(line, highlight=False, markup=False)
    means = Table(box=SIMPLE_HEAD, pad_edge=False)
    means.add_column("problem")
    for name in CLASSES:
        means.add_column(name)
    contests = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("problem", "policy", "against", "verdict", "gain, % of its mean"):
        contests.add_column(heading)
    for one in document["problems"]:
        cells = []
        for name in CLASSES:
            entry = one["classes"].get(name)
            if entry is None:
                cells.append("–")
                continue
            ends = show_interval(one["main_metric"], entry["ci_low"], entry["ci_high"])
            cells.append("\n".join((entry["policy"], show_value(one["main_metric"], entry["mean"]), ends)))
        if one["main_metric"]:
            means.add_row(Text(f"{one['experiment']}\n{metric_label(one['main_metric'])}"), *map(Text, cells))
        for contest in one["contests"]:
            contests.add_row(
                *map(
                    Text,
                    (
                        one["experiment"],
                        contest["policy"],
                        f"{contest['opponent']} ({contest['against']})",
                        contest["verdict"],
                        show_gain(contest),
                    ),
                )
            )
    console.print(means)
    console.print(contests)
