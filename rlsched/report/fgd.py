"""Runs of the FGD experiment beside the published curves: the tables of ``docs/fidelity.md`` and two figures.

``python -m rlsched.report.fgd RUN [RUN ...] [--published DIR] [--out DIR]`` prints the tables of the
given runs of ``rlsched evaluate fgd-atc23``, and with ``--out`` draws the paper's figures 7 and
9a of each, theirs and ours side by side.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import MissingDataError, SpecError, UserError
from rlsched.evaluate.fgd import PAPER_NAMES
from rlsched.evaluate.fgd_curves import METRICS
from rlsched.evaluate.fgd_inputs import LIST_PREFIX, find_path
from rlsched.evaluate.results import load_document
from rlsched.traces.readers.source import read_source
from rlsched.traces.readers.table import Column, read_csv

F64 = npt.NDArray[np.float64]

PUBLISHED = "alibaba_gpu_v2023/expected_results"
#: Metric → the published file, as the authors' repository names it.
FILES = {
    "gpu_alloc_pct": "analysis_allo_discrete.csv.gz",
    "frag_pct_of_idle": "analysis_frag_ratio_discrete.csv.gz",
    "frag_pct_of_capacity": "analysis_frag_discrete.csv.gz",
}
LAST_PCT = 130
#: What the first table shows: metric, arrived percent, heading.
SHOWN = (
    ("gpu_alloc_pct", 100, "allocated % at 100"),
    ("gpu_alloc_pct", 130, "allocated % at 130"),
    ("frag_pct_of_idle", 75, "fragmented % of idle at 75"),
    ("frag_pct_of_capacity", 100, "fragmented % of capacity at 100"),
)


@dataclass(frozen=True)
class Curves:
    """Curves of one pod list.

    Parameters
    ----------
    label : str
        The list.
    seeds : tuple of int
        In the order of the rows.
    values : policy → metric → (S, 131) float64, %
        NaN where a bin has no value.
    orders : str
        ``given`` or ``drawn``; empty for the published ones.
    """

    label: str
    seeds: tuple[int, ...]
    values: dict[str, dict[str, F64]]
    orders: str = ""


def read_run(folder: Path) -> Curves:
    """Curves of a run of ``rlsched evaluate`` of an FGD experiment.

    Raises
    ------
    SpecError
        When it is a run of something else, or does not reach 130 % arrived.
    """
    document = load_document(folder)
    rows = document["rows"]
    if document["provenance"].get("kind") != "fgd" or not rows or "arrived_pct" not in rows[0]:
        raise SpecError(f"{folder} is not a run of an FGD experiment. Make one with: rlsched evaluate fgd-atc23")
    if max(row["arrived_pct"] for row in rows) < LAST_PCT:
        raise SpecError(f"{folder} must reach {LAST_PCT} % arrived to be compared. Run it with target_pct={LAST_PCT}.")
    seeds = tuple(dict.fromkeys(int(row["seed"]) for row in rows))
    values: dict[str, dict[str, F64]] = {}
    for row in rows:
        if row["arrived_pct"] > LAST_PCT:
            continue
        mine = values.setdefault(
            row["policy"], {metric: np.full((len(seeds), LAST_PCT + 1), np.nan) for metric in METRICS}
        )
        for metric in METRICS:
            value = row[metric]
            mine[metric][seeds.index(row["seed"]), row["arrived_pct"]] = math.nan if value is None else value
    return Curves(rows[0]["window"], seeds, values, document["provenance"]["orders"])


def read_published(folder: Path, label: str, seeds: Sequence[int]) -> Curves:
    """The authors' curves of one pod list.

    Parameters
    ----------
    folder : Path
        Holds the three ``analysis_*_discrete.csv.gz``.
    label : str
    seeds : sequence of int

    Raises
    ------
    MissingDataError
        When a file is not there, or has no curve of this list or seed.
    """
    values: dict[str, dict[str, F64]] = {}
    for metric, name in FILES.items():
        if not (folder / name).is_file():
            raise MissingDataError(f"--published: there is no {name} in {folder}. Name the folder of the three files.")
        bins = [Column(str(pct), "float") for pct in range(LAST_PCT + 1)]
        source = read_source(folder / name)
        table = read_csv(source, [Column("workload", "text"), Column("sc_policy", "text"), Column("seed"), *bins])
        grid = np.stack([table[one.name] for one in bins], axis=1)
        here = table["workload"] == f"{LIST_PREFIX}{label}"
        policies = [str(text).partition("-")[2] for text in table["sc_policy"]]
        for policy in PAPER_NAMES:
            chosen = here & np.array([one == policy for one in policies])
            row = {int(seed): i for i, seed in zip(np.flatnonzero(chosen), table["seed"][chosen], strict=True)}
            missing = [seed for seed in seeds if seed not in row]
            if missing:
                raise MissingDataError(
                    f"there is no published curve of {policy} on list {label!r}, seed {missing[0]}, in {name}. "
                    "Compare a list and seeds that were published."
                )
            # One file is not rounded; ours and the reference table have three decimals.
            values.setdefault(policy, {})[metric] = np.round(grid[[row[seed] for seed in seeds]], 3)
    return Curves(label, tuple(seeds), values)


def as_published(policy: str) -> str:
    """The paper's name of a policy of a run; empty where it is not one of the paper's."""
    ours = {name: paper for paper, name in PAPER_NAMES.items()}
    return policy if policy in PAPER_NAMES else ours.get(policy, "")


def compared(run: Curves) -> list[tuple[str, str]]:
    """Policies of a run that were published: the run's name and the paper's."""
    return [(policy, as_published(policy)) for policy in run.values if as_published(policy)]


def table_of(run: Curves, published: Curves) -> Iterator[str]:
    """Markdown: theirs, ours and the difference at four points, and how many of all bins are equal."""
    yield "| policy |" + "".join(f" {text}: theirs | ours | difference |" for *_, text in SHOWN) + " equal bins |"
    yield "| --- |" + " ---: |" * (3 * len(SHOWN) + 1)
    for policy, paper in compared(run):
        cells = []
        equal = total = 0
        for metric, pct, _ in SHOWN:
            theirs, ours = published.values[paper][metric][:, pct], run.values[policy][metric][:, pct]
            cells += [f"{theirs.mean():.3f}", f"{ours.mean():.3f}", _signed(ours.mean() - theirs.mean())]
        for metric in METRICS:
            same = published.values[paper][metric] == run.values[policy][metric]
            equal, total = equal + int(same.sum()), total + same.size
        yield f"| {paper} | {' | '.join(cells)} | {equal:,} of {total:,} |"


def lists_table(pairs: Sequence[tuple[Curves, Curves]]) -> Iterator[str]:
    """Markdown: allocation at 100 % arrived by list and policy: ours, and how far from theirs.

    A cell is our mean over seeds, then the difference from theirs with its standard error (of two
    means of different seeds), in points.
    """
    names = [name for name in PAPER_NAMES if any(name in dict(_turned(run)) for run, _ in pairs)]
    yield f"| list | {' | '.join(names)} |"
    yield "| --- |" + " ---: |" * len(names)
    for run, published in pairs:
        mine = dict(_turned(run))
        cells = []
        for paper in names:
            if paper not in mine:
                cells.append("not run")
                continue
            theirs = published.values[paper]["gpu_alloc_pct"][:, 100]
            ours = run.values[mine[paper]]["gpu_alloc_pct"][:, 100]
            n = len(run.seeds)
            error = math.nan if n < 2 else math.sqrt((theirs.var(ddof=1) + ours.var(ddof=1)) / n)
            spread = "" if math.isnan(error) else f" ± {error:.2f}"
            cells.append(f"{ours.mean():.2f} ({_signed(ours.mean() - theirs.mean(), 2)}{spread})")
        yield f"| {run.label} | {' | '.join(cells)} |"


def _turned(run: Curves) -> list[tuple[str, str]]:
    return [(paper, policy) for policy, paper in compared(run)]


def _signed(value: float, digits: int = 3) -> str:
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


#: Figure → its panels (metric, axis label, 100 minus the metric), and the arrived percents shown.
FIGURES: dict[str, tuple[tuple[tuple[str, str, bool], ...], tuple[int, int]]] = {
    "figure-7": (
        (
            ("frag_pct_of_capacity", "fragmented GPU [% of all GPU]", False),
            ("frag_pct_of_idle", "fragmented GPU [% of idle GPU]", False),
        ),
        (0, 130),
    ),
    "figure-9a": ((("gpu_alloc_pct", "GPU not allocated [% of all GPU]", True),), (80, 130)),
}
#: Told apart without colour vision (Okabe and Ito 2008), and by the dashes.
_STYLES = {
    "Random": ("#7f7f7f", (0, (1, 1))),
    "DotProd": ("#cc79a7", (0, (4, 1, 1, 1))),
    "GpuClustering": ("#e69f00", (0, (3, 1))),
    "GpuPacking": ("#56b4e9", (0, (6, 1))),
    "BestFit": ("#009e73", (0, (5, 1, 1, 1, 1, 1))),
    "FGD": ("#000000", "solid"),
}


def draw_figure(name: str, run: Curves, published: Curves, path: Path) -> None:
    """Draw one of :data:`FIGURES` as PNG: theirs on the left, ours on the right, one scale.

    Lines are medians over seeds, bands the middle half of them, as in the paper.

    Raises
    ------
    MissingDataError
        Without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingDataError(f"figures need {error.name}. Install it with: pip install 'rlsched[report]'") from None
    panels, (first, last) = FIGURES[name]
    figure = Figure(figsize=(9.0, 0.8 + 3.1 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 2, sharex=True, sharey="row", squeeze=False)
    seeds = f"{len(run.seeds)} seeds" if len(run.seeds) > 1 else f"seed {run.seeds[0]}"
    titles = ("published", f"rlsched, {run.orders} orders")
    x = np.arange(first, last + 1)
    for row, (metric, label, complement) in zip(axes, panels, strict=True):
        for panel, title, curves, names in zip(
            row,
            titles,
            (published, run),
            ([(paper, paper) for _, paper in compared(run)], compared(run)),
            strict=True,
        ):
            for policy, paper in names:
                grid = curves.values[policy][metric][:, first : last + 1]
                low, middle, high = np.nanquantile(100.0 - grid if complement else grid, [0.25, 0.5, 0.75], axis=0)
                colour, dashes = _STYLES[paper]
                panel.plot(x, middle, color=colour, linestyle=dashes, linewidth=1.5, label=paper)
                panel.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
            panel.set_title(title)
            panel.grid(linewidth=0.4, alpha=0.6)
        row[0].set_ylabel(label)
    for panel in axes[-1]:
        panel.set_xlabel("arrived GPU demand [% of all GPU]")
    axes[0][0].legend(fontsize=8)
    figure.suptitle(f"{name.replace('-', ' ')}: list {run.label}, {seeds}", fontsize=10)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".png")
    os.close(handle)
    try:
        figure.savefig(partial, dpi=130, metadata={"Software": None})
        Path(partial).chmod(0o644)
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables of some runs and draw their figures; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rlsched.report.fgd", description="Runs of the FGD experiment beside the published curves."
    )
    parser.add_argument("run", nargs="+", type=Path, help="folder that rlsched evaluate wrote")
    parser.add_argument("--published", default=PUBLISHED, help="folder of the authors' three analysis files")
    parser.add_argument("--data", default=None, help="data root; RLSCHED_DATA by default")
    parser.add_argument("--out", type=Path, default=None, help="folder for figure-7.png and figure-9a.png of each run")
    given = parser.parse_args(argv)
    try:
        folder = find_path(given.published, "--published", given.data)
        pairs = []
        for path in given.run:
            run = read_run(path)
            pairs.append((run, read_published(folder, run.label, run.seeds)))
        drawn = [pair for pair in pairs if pair[0].orders == "drawn"]
        for run, published in pairs:
            if run.orders == "given" or len(drawn) == 1:
                print(f"\nList {run.label}, {run.orders} orders, means over {len(run.seeds)} seeds.\n")
                print("\n".join(table_of(run, published)))
        if len(drawn) > 1:
            print("\nDrawn orders, GPU allocated at 100 % arrived, % of capacity.\n")
            print("\n".join(lists_table(drawn)))
        if given.out is not None:
            for run, published in pairs:
                below = given.out if len(pairs) == 1 else given.out / f"{run.label}-{run.orders}"
                for name in FIGURES:
                    draw_figure(name, run, published, below / f"{name}.png")
                    print(f"drew {below / f'{name}.png'}", file=sys.stderr)
    except UserError as error:
        print(f"rlsched: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
