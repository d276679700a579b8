"""Plots of an evaluation: fans over real load, error by horizon, coverage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlsched.errors import MissingDataError
from rlsched.forecast.answer import ranked
from rlsched.forecast.card import ForecastSpec
from rlsched.traces.store import replacing

if TYPE_CHECKING:
    from rlsched.forecast.run import Answer

SHOWN = 6  # forecasters of a plot


def draw(answer: Answer, spec: ForecastSpec, folder: Path) -> None:
    """Write ``fans.png``, ``by-horizon.png`` and ``coverage.png``.

    Raises
    ------
    MissingDataError
        Without matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingDataError("plots need matplotlib: it is not installed. Install rlsched[report].") from None
    matplotlib.use("Agg", force=False)
    _save(_fans(answer, spec), folder / "fans.png")
    _save(_by_horizon(answer, spec), folder / "by-horizon.png")
    _save(_coverage(answer, spec), folder / "coverage.png")


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def _chosen(answer: Answer, spec: ForecastSpec) -> list[str]:
    """The main forecaster, the best others, and persistence."""
    order = [name for name, _ in ranked(answer.document) if name not in spec.ablations]
    wanted = [spec.main, *order[: SHOWN - 2], "persistence"]
    return [name for name in dict.fromkeys(wanted) if name in answer.forecasts]


def _fans(answer: Answer, spec: ForecastSpec) -> Any:
    """Eight windows of the most lively series, with the main forecaster's quantiles."""
    windows, forecast = answer.windows, answer.forecasts[spec.main][0]
    ends = np.nanmax(windows.past, axis=1) - np.nanmin(np.where(np.isnan(windows.past), np.inf, windows.past), axis=1)
    lively = np.argsort(-np.nan_to_num(ends[:, 0], nan=-1.0))
    rows = _different(windows.series[lively], lively, 8)
    lines = -(-len(rows) // 4)  # few series need one line only
    figure, axes = _figure(lines, 4, 15, 3 * lines)
    quantiles = spec.window.quantiles
    ahead = np.array(windows.horizons)
    for axis, row in zip(axes.flat, rows, strict=False):
        shown = windows.past[row, -72:, 0]
        axis.plot(np.arange(-shown.size, 0), shown, color="black", lw=0.8)
        axis.plot(ahead, windows.future[row, :, 0], color="black", lw=0.8, ls=":", marker=".", ms=3)
        for low, high, alpha in ((0.01, 0.99, 0.15), (0.1, 0.9, 0.3)):
            edges = [forecast[row, 0, :, quantiles.index(q)] for q in (low, high)]
            axis.fill_between(ahead, *edges, color="tab:blue", alpha=alpha, lw=0)
        axis.plot(ahead, forecast[row, 0, :, quantiles.index(0.5)], color="tab:blue", lw=1)
        axis.set_title(f"series {windows.series[row]}", fontsize=8)
        axis.tick_params(labelsize=7)
    for axis in axes.flat[len(rows) :]:
        axis.set_visible(False)
    step = int(windows.step_s[0])
    figure.suptitle(
        f"{answer.document['experiment']}: {windows.resources[0]}, steps of {step} s; {spec.main}: median, 80 and "
        "98 %, dots: what came",
        fontsize=9,
    )
    return figure


def _different(series: Any, rows: Any, count: int) -> list[int]:
    seen: set[int] = set()
    out = []
    for one, row in zip(series.tolist(), rows.tolist(), strict=True):
        if one not in seen:
            seen.add(one)
            out.append(row)
    return out[:count]


def _by_horizon(answer: Answer, spec: ForecastSpec) -> Any:
    figure, axes = _figure(1, 2, 11, 4)
    for axis, metric in zip(axes.flat, ("wql", "mase"), strict=True):
        for name in _chosen(answer, spec):
            mine = [row for row in answer.document["rows"] if row["forecaster"] == name and row["resource"] == "all"]
            horizons = sorted({row["horizon"] for row in mine if row["horizon"] != "all"})
            lines = [[row[metric] for row in mine if row["horizon"] == h and row[metric] is not None] for h in horizons]
            mean = [sum(line) / len(line) if line else np.nan for line in lines]
            axis.plot([h + 1 for h in horizons], mean, label=name, lw=2 if name == spec.main else 1)
        axis.set_xlabel("steps ahead")
        axis.set_ylabel(metric)
        axis.set_ylim(bottom=0)
    axes.flat[0].legend(fontsize=7)
    figure.suptitle(f"{answer.document['experiment']}: error by horizon, mean of the seeds", fontsize=9)
    return figure


def _coverage(answer: Answer, spec: ForecastSpec) -> Any:
    figure, axes = _figure(1, 1, 5, 4.5)
    axis = axes[0, 0]
    future = answer.windows.future.transpose(0, 2, 1)[..., None]
    known = np.isfinite(future[..., 0])
    axis.plot([0, 1], [0, 1], color="grey", lw=0.8, ls="--")
    for name in _chosen(answer, spec):
        share = [(future <= forecast)[known].mean(axis=0) for forecast in answer.forecasts[name]]
        axis.plot(
            spec.window.quantiles, np.mean(share, axis=0), marker=".", label=name, lw=2 if name == spec.main else 1
        )
    axis.set_xlabel("quantile")
    axis.set_ylabel("share of targets at or below it")
    axis.legend(fontsize=7)
    figure.suptitle(f"{answer.document['experiment']}: calibration", fontsize=9)
    return figure
