"""From a trained network to files for others: the chosen one as ONNX with its record, and smaller ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlsched.errors import SpecError
from rlsched.forecast import run
from rlsched.forecast.card import ForecastSpec
from rlsched.forecast.compress import METHODS, compress, measure
from rlsched.forecast.export import export, parity
from rlsched.forecast.predictor import FILE, load_forecaster
from rlsched.forecast.rivals import build, is_trained
from rlsched.forecast.train import NetworkForecaster

#: Trained forecasters that are never exported, and why.
NO_FILE = {
    "boosted": "hundreds of trees are asked for every resource and horizon by itself, which takes longer than 2 s for "
    "10,000 VMs (docs/forecast.md)",
}


def mean_by_forecaster(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Validation loss of each forecaster over its seeds, lowest mean first."""
    names = list(dict.fromkeys(one["forecaster"] for one in records))
    losses = {name: [one["validation_wql"] for one in records if one["forecaster"] == name] for name in names}
    out = [{"forecaster": name, "wql": sum(x) / len(x), "seeds": len(x)} for name, x in losses.items()]
    return sorted(out, key=lambda one: one["wql"])


def release(
    spec: ForecastSpec, name: str, runs: Path, to: Path, wanted: str = "", data: str | Path | None = None
) -> dict[str, Any]:
    """Export the network with the lowest validation loss in the mean over its seeds, or a named one: its best seed.

    Boosted trees are candidates in the record, but no file: ``NO_FILE`` says why.

    Parameters
    ----------
    spec, name : ForecastSpec, str
        The card and its experiment's name.
    runs : Path
        Where the trained ones lie.
    to : Path
        Folder that gets ``forecaster.onnx`` and ``training.json``.
    wanted : str
        A forecaster; all networks of the card by default.
    data : path, optional

    Returns
    -------
    dict
        What ``training.json`` holds.

    Raises
    ------
    SpecError
        Nothing trained is there, or the windows differ from those of the training.
    """
    material = run.gather(spec, ("train", "validation"), data)
    found: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for one in run.names_of(spec):
        if not is_trained(spec, one):
            continue
        forecaster = build(spec, one)
        exportable = isinstance(forecaster, NetworkForecaster) and not forecaster.network.point
        for seed in range(spec.training.seeds):
            record = run.read_record(runs / one / f"seed-{seed}")
            if record is not None:
                run.check_same(record, {"made_from": run.fingerprint(material, one)}, runs / one / f"seed-{seed}")
                (found if exportable and wanted in ("", one) else others).append(record)
    if not found:
        raise SpecError(
            f"no trained network{f' {wanted!r}' if wanted else ''} in {runs}. Run 'rlsched forecast train' first."
        )
    chosen = mean_by_forecaster(found)[0]["forecaster"]
    best = min((one for one in found if one["forecaster"] == chosen), key=lambda one: one["validation_wql"])
    forecaster = build(spec, best["forecaster"])
    assert isinstance(forecaster, NetworkForecaster)
    forecaster.restore(runs / best["forecaster"] / f"seed-{best['seed']}")
    step_s = _step(material)
    facts = {
        "name": to.name,
        "forecaster": best["forecaster"],
        "seed": best["seed"],
        "sources": material.facts,
        "split": {"hold_out": spec.hold_out, "validate_on": spec.validate_on},
        "windows": {split: windows.sha256 for split, windows in material.windows.items()},
        "validation_wql": best["validation_wql"],
    }
    model = export(to / FILE, forecaster, step_s, facts)
    record = {
        **facts,
        "experiment": name,
        "card": spec.model_dump(mode="json"),
        "fit": best["fit"],
        "fit_s": best["fit_s"],
        "parity": parity(forecaster.module, model),
        "bytes": (to / FILE).stat().st_size,
        "sha256": model.sha256,
        "validation": [
            {"forecaster": one["forecaster"], "seed": one["seed"], "wql": one["validation_wql"]} for one in found
        ],
        "candidates": mean_by_forecaster(found),
        "not_candidates": [
            {**one, "why": NO_FILE.get(one["forecaster"], "not asked for")} for one in mean_by_forecaster(others)
        ],
    }
    run.write_json(to / "training.json", record)
    return record


def compress_all(
    spec: ForecastSpec,
    name: str,
    runs: Path,
    methods: tuple[str, ...],
    wanted: str,
    data: str | Path | None,
    tell: run.Tell,
) -> list[dict[str, Any]]:
    """Compress seed 0 of a trained network by several methods; one row each, the full one first.

    Raises
    ------
    SpecError
        Unknown method, no network of that name, or not trained.
    """
    from rlsched.errors import did_you_mean

    for method in methods:
        if method not in METHODS:
            raise SpecError(f"unknown method {method!r}.{did_you_mean(method, METHODS)}")
    if wanted not in run.names_of(spec):
        raise SpecError(f"the card has no forecaster {wanted!r}.{did_you_mean(wanted, run.names_of(spec))}")
    forecaster = build(spec, wanted)
    if not isinstance(forecaster, NetworkForecaster):
        raise SpecError(f"only networks can be compressed: {wanted!r} is none.")
    forecaster.restore(runs / wanted / "seed-0")
    material = run.gather(spec, ("train", "validation"), data)
    folder = runs / "compressed"
    folder.mkdir(parents=True, exist_ok=True)
    full = folder / f"{wanted}-full.onnx"
    export(full, forecaster, _step(material), {"name": f"{name}-{wanted}"})
    rows = [{"method": "full", **measure(load_forecaster(full), full, material.windows["validation"])}]
    for method in methods:
        path = folder / f"{wanted}-{method}.onnx"
        model = compress(method, forecaster, full, path, material.windows["train"], _step(material))
        rows.append({"method": method, **measure(model, path, material.windows["validation"])})
        tell(f"{method}: done")
    return [{**row, "wql_change_pct": 100 * (row["wql"] / rows[0]["wql"] - 1)} for row in rows]


def _step(material: run.Material) -> int:
    steps = {int(facts["step_s"]) for facts in material.facts}
    if len(steps) != 1:
        raise SpecError(f"an exported forecaster must have one step: the card's sources have {sorted(steps)} s.")
    return steps.pop()
