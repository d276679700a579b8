"""A trained network as an ONNX file that needs numpy and onnxruntime only."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlsched.errors import OurBug
from rlsched.forecast.frame import Frame
from rlsched.forecast.predictor import KIND, SCHEMA_VERSION, VmForecaster, load_forecaster
from rlsched.forecast.train import NetworkForecaster
from rlsched.forecast.windows import CONTEXT
from rlsched.rng import stream

PARITY = 1e-5
OPSET = 17


def export(path: Path, forecaster: NetworkForecaster, step_s: int, metadata: dict[str, Any]) -> VmForecaster:
    """Write a network with everything a user of it must know; checks parity first.

    Parameters
    ----------
    path : Path
        Appears whole or not at all.
    forecaster : NetworkForecaster
        Trained; its quantiles must come from the network itself, not from a spread.
    step_s : int
        Seconds between the samples it was trained on.
    metadata : dict
        JSON values added to the file: name, data, scores.

    Raises
    ------
    OurBug
        When the file answers more than `PARITY` away from the network.
    """
    import onnx

    from rlsched.traces.store import replacing

    if forecaster.spread is not None:
        raise OurBug("a point network's quantiles lie outside its graph: train it with point = false to export it.")
    spec = forecaster.spec
    graph = trace(forecaster.module, spec.window.length, len(spec.resources))
    stated = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "resources": list(spec.resources),
        "length": spec.window.length,
        "min_measured": spec.window.min_measured,
        "horizons": list(spec.window.horizons),
        "quantiles": list(spec.window.quantiles),
        "context": list(CONTEXT),
        "step_s": step_s,
        "body": forecaster.body,
        **metadata,
    }
    onnx.helper.set_model_props(graph, {key: json.dumps(value) for key, value in stated.items()})
    onnx.checker.check_model(graph, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_bytes(graph.SerializeToString(deterministic=True))
        worst = parity(forecaster.module, load_forecaster(partial))
        if not worst <= PARITY:
            raise OurBug(f"{path} answers {worst:g} away from the network; at most {PARITY:g} is allowed.")
    return load_forecaster(path)


def trace(module: Frame, length: int, n_resources: int) -> Any:
    """The network as an ONNX graph, batch size free."""
    import onnx

    module = module.eval()
    example = (torch.rand(3, length, n_resources), torch.rand(3, len(CONTEXT)))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The tracing exporter is the smaller of torch's two; it says that it is the older one, and
        # that an LSTM's batch size may be baked in: `parity` runs other sizes.
        warnings.simplefilter("ignore")
        file = Path(folder) / "forecaster.onnx"
        torch.onnx.export(
            module,
            example,
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=["past", "context"],
            output_names=["load"],
            dynamic_axes={"past": {0: "n"}, "context": {0: "n"}, "load": {0: "n"}},
            do_constant_folding=True,
        )
        return onnx.load(str(file), load_external_data=False)


def parity(module: Frame, model: VmForecaster, seed: int = 0) -> float:
    """Largest difference of network and file over random windows, relative to answers beyond 1.

    Windows with gaps, short ones, still ones, bursts, and batches of 1, 2 and 65.
    """
    module.eval()
    worst = 0.0
    for n in (1, 2, 65):
        past, context = random_windows(n, model.length, len(model.resources), stream(seed, "parity", n))
        with torch.inference_mode():
            ours = module(torch.from_numpy(past), torch.from_numpy(context)).numpy()
        theirs = model.quantiles_of(past, context)
        worst = max(worst, float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(ours))).max()))
    return worst


def random_windows(n: int, length: int, n_resources: int, draw: np.random.Generator) -> tuple[Any, Any]:
    """Windows of many kinds, for parity and benches: (n, L, R) and (n, 4) float32."""
    past = np.abs(draw.normal(0.3, 0.1, (n, length, n_resources)) + np.cumsum(draw.normal(0, 0.01, (n, length, 1)), 1))
    past[draw.random(n) < 0.2] = 0.25  # still
    past[draw.random((n, length)) < 0.01] *= 3.0  # bursts
    past[draw.random((n, length)) < 0.05] = np.nan  # gaps
    for row in np.flatnonzero(draw.random(n) < 0.2):
        past[row, : int(draw.integers(1, length - 4))] = np.nan  # short histories
    context = draw.random((n, len(CONTEXT))) * np.array([1, 1, 4, 6])
    context[draw.random(n) < 0.3, 2] = np.nan
    return past.astype(np.float32), context.astype(np.float32)
