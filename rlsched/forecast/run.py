"""An experiment: train what is trained, then hold every forecaster against the same windows."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError
from rlsched.forecast.card import ForecastSpec
from rlsched.forecast.ensemble import average, choose_weights
from rlsched.forecast.loss import weighted_quantile_loss
from rlsched.forecast.panel import Panel, read_panels
from rlsched.forecast.rivals import Forecaster, build, is_trained
from rlsched.forecast.scores import Truth, score
from rlsched.forecast.verdict import RATIOS, Sums, Verdict, clusters_of, compare_all, interval, sums_of
from rlsched.forecast.windows import Windows, draw_windows
from rlsched.traces.store import replacing

F32 = npt.NDArray[np.float32]
Tell = Callable[[str], None]
RECORD = "record.json"
EQUAL, WEIGHTED = "ensemble_equal", "ensemble_weighted"
TIMED = 1000  # windows of the timing


@dataclass(frozen=True, eq=False)
class Material:
    """What an experiment works on.

    Parameters
    ----------
    spec : ForecastSpec
    windows : dict of str to Windows
        By split.
    facts : list of dict
        Of the sources, for the record.
    """

    spec: ForecastSpec
    windows: dict[str, Windows]
    facts: list[dict[str, Any]]


def gather(spec: ForecastSpec, splits: tuple[str, ...], data: str | Path | None = None) -> Material:
    """Read a card's sources and draw the windows of some splits."""
    panels: list[Panel] = read_panels(spec, data)
    counts = {"train": spec.window.train, "validation": spec.window.validation, "test": spec.window.test}
    windows = {split: draw_windows(panels, spec, split, counts[split]) for split in splits}
    return Material(spec, windows, [panel.facts for panel in panels])


def names_of(spec: ForecastSpec) -> list[str]:
    """Forecasters of a card, then its ablations."""
    return [*spec.forecasters, *spec.ablations]


def train_all(
    material: Material, out: Path, *, resume: bool, only: tuple[str, ...], tell: Tell
) -> list[dict[str, Any]]:
    """Train every trained forecaster of a card for every seed; finished ones are left as they are.

    Parameters
    ----------
    material : Material
        With ``train`` and ``validation`` windows.
    out : Path
        One folder a forecaster, one a seed: weights, checkpoint, record.
    resume : bool
        Go on in a folder that holds something.
    only : tuple of str
        Names; all by default.
    tell : callable
        Gets lines of progress.

    Returns
    -------
    list of dict
        The records, with ``forecaster`` and ``seed``.

    Raises
    ------
    SpecError
        The folder holds an earlier training and ``resume`` is not set, or one of other data or settings.
    """
    spec = material.spec
    if out.is_dir() and any(out.iterdir()) and not resume:
        raise SpecError(f"{out} holds an earlier training. Go on with --resume, or name another folder with --out.")
    train, validation = material.windows["train"], material.windows["validation"]
    records = []
    for name in names_of(spec):
        if not is_trained(spec, name) or (only and name not in only):
            continue
        for seed in range(spec.training.seeds):
            folder = out / name / f"seed-{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            facts = {"forecaster": name, "seed": seed, "made_from": fingerprint(material, name)}
            record = read_record(folder)
            if record is not None:
                check_same(record, facts, folder)
                tell(f"{name} seed {seed}: already trained")
            else:
                forecaster = build(spec, name)
                begin = time.perf_counter()
                found = forecaster.fit(train, validation, seed, folder, tell)
                forecaster.save(folder)
                loss = weighted_quantile_loss(
                    forecaster.predict(validation), validation.future, np.array(spec.window.quantiles)
                )
                record = {**facts, "validation_wql": loss, "fit_s": time.perf_counter() - begin, "fit": found,
                          "sources": material.facts}  # fmt: skip
                write_json(folder / RECORD, record)
                tell(f"{name} seed {seed}: validation wql {loss:.4f} after {record['fit_s']:.0f} s")
            records.append(record)
    return records


def fingerprint(material: Material, name: str) -> str:
    """Hash of the windows and settings a forecaster is trained on."""
    spec = material.spec
    body = "cnn_lstm" if name in spec.ablations else name
    network = spec.ablations.get(name, spec.network).told(body)
    training = spec.training.model_dump(mode="json", exclude={"seeds", "threads"})
    parts = [name, spec.window.model_dump(mode="json", exclude={"test"}), training, network]
    windows = [material.windows[split].sha256 for split in ("train", "validation")]
    return hashlib.sha256(json.dumps([parts, windows], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Answer:
    """Forecasts of one split by every forecaster, with the scores.

    Parameters
    ----------
    document : dict
        For JSON: ``experiment, provenance, rows, summary, verdicts, facts``.
    forecasts : dict of str to list of (B, R, H, Q)
        One a seed; for plots.
    windows : Windows
    """

    document: dict[str, Any]
    forecasts: dict[str, list[F32]]
    windows: Windows


def evaluate(
    material: Material,
    runs: Path,
    name: str,
    split: str,
    provenance: dict[str, Any],
    tell: Tell,
    looking: Callable[[], None] = lambda: None,
) -> Answer:
    """Score every forecaster of a card on one split.

    Parameters
    ----------
    material : Material
        With ``train``, ``validation`` and the split's windows.
    runs : Path
        Where `train_all` left the trained ones.
    name : str
        Of the experiment.
    split : {"validation", "test"}
    provenance : dict
        Goes into the document as it is.
    tell : callable
    looking : callable
        Called before the split is first forecast, and again before each forecast.

    Raises
    ------
    SpecError
        A forecaster is trained for no seed, or was trained on other data or settings.
    """
    spec = material.spec
    windows, validation = material.windows[split], material.windows["validation"]
    quantiles = spec.window.quantiles
    truth = Truth.of(windows, quantiles)
    forecasts: dict[str, list[F32]] = {}
    on_validation: dict[str, list[F32]] = {}
    facts: dict[str, Any] = {}
    for one in names_of(spec):
        forecasts[one], on_validation[one], seconds, fits = [], [], [], []
        for forecaster, fit in _fitted(material, runs, one, tell):
            looking()
            begin = time.perf_counter()
            forecasts[one].append(forecaster.predict(windows))
            seconds.append((time.perf_counter() - begin) / len(windows))
            on_validation[one].append(forecaster.predict(validation))
            fits.append(fit)
        facts[one] = {"us_per_forecast": 1e6 * float(np.median(seconds)), "fit": fits}
        tell(
            f"{one}: {len(fits)} seed{'s' if len(fits) > 1 else ''}, {facts[one]['us_per_forecast']:.0f} us a forecast"
        )
    members = [one for one in spec.forecasters if is_trained(spec, one)]
    if len(members) > 1:
        _add_ensembles(forecasts, on_validation, facts, members, list(spec.forecasters), validation, quantiles)
    rows, sums = [], {}
    cluster, clusters = clusters_of(windows)
    for one, found in forecasts.items():
        for seed, forecast in enumerate(found):
            rows += [
                {"forecaster": one, "seed": seed, **row}
                for row in score(forecast, truth, spec.resources, spec.window.horizons)
            ]
        sums[one] = sums_of(found, truth, cluster)
    levels = np.array(quantiles)
    for one, found in on_validation.items():
        facts[one]["validation_wql"] = float(
            np.mean([weighted_quantile_loss(x, validation.future, levels) for x in found])
        )
    others = [one for one in forecasts if one != spec.main]
    verdicts = [_told(v) for v in compare_all(spec.main, others, sums, clusters)]
    document = {
        "experiment": name,
        "provenance": {**provenance, "split": split, "sources": material.facts, "windows": len(windows),
                       "series": int(np.unique(windows.series).size), "clusters": clusters,
                       "windows_sha256": windows.sha256},
        "rows": rows,
        "summary": _summary(sums, rows),
        "verdicts": verdicts,
        "facts": facts,
    }  # fmt: skip
    return Answer(document, forecasts, windows)


def _told(verdict: Verdict) -> dict[str, Any]:
    """For JSON, which knows no NaN."""
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in asdict(verdict).items()
    }


def _summary(sums: dict[str, Sums], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds of every metric, all resources and horizons together; intervals where the bootstrap has them."""
    out = []
    for one, sum_ in sums.items():
        mine = [row for row in rows if row["forecaster"] == one and row["resource"] == row["horizon"] == "all"]
        for metric in [key for key in mine[0] if key not in ("forecaster", "seed", "resource", "horizon")]:
            known = [row[metric] for row in mine if row[metric] is not None]
            line: dict[str, Any] = {
                "forecaster": one,
                "metric": metric,
                "n": len(known),
                "ci_low": None,
                "ci_high": None,
            }
            line["mean"] = float(np.mean(known)) if known else None
            if metric in RATIOS:
                _, low, high = interval(sum_, metric)
                line |= {"ci_low": low if np.isfinite(low) else None, "ci_high": high if np.isfinite(high) else None}
            out.append(line)
    return out


def _add_ensembles(
    forecasts: dict[str, list[F32]],
    on_validation: dict[str, list[F32]],
    facts: dict[str, Any],
    members: list[str],
    everybody: list[str],
    validation: Windows,
    quantiles: tuple[float, ...],
) -> None:
    """Equal weights over the trained ones; weights chosen on validation over all. One a seed."""
    seeds = max(len(forecasts[one]) for one in members)
    for name in (EQUAL, WEIGHTED):
        forecasts[name], on_validation[name], chosen = [], [], []
        for seed in range(seeds):
            here = {one: forecasts[one][seed % len(forecasts[one])] for one in everybody}
            there = {one: on_validation[one][seed % len(on_validation[one])] for one in everybody}
            if name == EQUAL:
                weights = {one: 1 / len(members) for one in members}
            else:
                weights = choose_weights(there, validation, quantiles)
            forecasts[name].append(average(here, weights))
            on_validation[name].append(average(there, weights))
            chosen.append({one: weight for one, weight in weights.items() if weight})
        cost = [facts[one]["us_per_forecast"] for one in (members if name == EQUAL else everybody)]
        facts[name] = {"us_per_forecast": float(sum(cost)), "fit": chosen}


def _fitted(material: Material, runs: Path, name: str, tell: Tell) -> list[tuple[Forecaster, dict[str, Any]]]:
    spec = material.spec
    train, validation = material.windows["train"], material.windows["validation"]
    if not is_trained(spec, name):
        forecaster = build(spec, name)
        return [(forecaster, forecaster.fit(train, validation, 0, None, tell))]
    out = []
    made_from = fingerprint(material, name)
    for seed in range(spec.training.seeds):
        folder = runs / name / f"seed-{seed}"
        record = read_record(folder)
        if record is None:
            continue
        check_same(record, {"forecaster": name, "seed": seed, "made_from": made_from}, folder)
        forecaster = build(spec, name)
        forecaster.restore(folder)
        out.append((forecaster, {**record["fit"], "fit_s": record["fit_s"]}))
    if not out:
        raise SpecError(
            f"forecaster {name!r} must be trained for at least one seed: there is no {RECORD} in {runs / name}. "
            "Run 'rlsched forecast train' with the same card first, or leave it out."
        )
    if len(out) < spec.training.seeds:
        tell(f"{name}: {len(out)} of {spec.training.seeds} seeds are trained; the table says so")
    return out


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a finished training, None where there is none."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SpecError(f"{path} is not a record: {error}. Remove {folder} and train again.") from None
    return record


def check_same(record: dict[str, Any], facts: dict[str, Any], folder: Path) -> None:
    """Refuse a training of other data or settings."""
    differs = [key for key, value in facts.items() if record.get(key) != value]
    if differs:
        raise SpecError(
            f"{folder} was trained on other data or settings ({', '.join(differs)} differs). "
            "Put the card back, or train into another folder with --out."
        )


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
