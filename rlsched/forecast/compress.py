"""Smaller forecasters: int8 quantisation, pruning with fine-tuning, distillation.

The tools are the libraries' own: onnxruntime's quantiser, ``torch.nn.utils.prune``.
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlsched.errors import MissingDataError, SpecError, did_you_mean
from rlsched.forecast.card import ForecastSpec, NetworkSpec
from rlsched.forecast.export import export
from rlsched.forecast.loss import pinball_torch, weighted_quantile_loss, window_weight
from rlsched.forecast.predictor import VmForecaster, load_forecaster
from rlsched.forecast.rng_rows import sample_rows
from rlsched.forecast.train import NetworkForecaster
from rlsched.forecast.windows import Windows
from rlsched.rng import stream
from rlsched.traces.store import replacing

CALIBRATION = 256  # windows that static quantisation sees
PRUNED_SHARE = 0.5
STUDENT = NetworkSpec(channels=8, kernel=5, dilations=(1, 8), pool=12, hidden=24)
TUNING_STEPS = 150
TIMED = 10  # single forecasts of the timing, after a first


def dynamic(source: Path, path: Path) -> VmForecaster:
    """Weights as int8, activations scaled as they come; onnxruntime's ``quantize_dynamic``."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with replacing(path) as partial, _prepared(source) as ready:
        quantize_dynamic(ready, partial, weight_type=QuantType.QInt8)
        _keep_metadata(source, partial)
    return load_forecaster(path)


def static(source: Path, path: Path, windows: Windows) -> VmForecaster:
    """Weights and activations of matrix products and convolutions as int8, ranges from training windows.

    The frame's scaling stays in floating point: its numbers range over orders of magnitude.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    some = windows.take(sample_rows(len(windows), CALIBRATION))

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [slice(low, low + 64) for low in range(0, len(some), 64)]

        def get_next(self) -> dict[str, Any] | None:
            if not self.left:
                return None
            rows = self.left.pop(0)
            return {"past": some.past[rows], "context": some.context[rows]}

    with replacing(path) as partial, _prepared(source) as ready:
        quantize_static(
            ready, partial, Reader(), quant_format=QuantFormat.QDQ, weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8, op_types_to_quantize=["Conv", "Gemm", "MatMul"],
        )  # fmt: skip
        _keep_metadata(source, partial)
    return load_forecaster(path)


def prune(forecaster: NetworkForecaster, train: Windows, seed: int, share: float = PRUNED_SHARE) -> NetworkForecaster:
    """Set the smallest weights to 0 over all layers together, then fine-tune the rest.

    ``torch.nn.utils.prune.global_unstructured`` by magnitude; biases stay. The file is no
    smaller as it is, since zeros are stored: its gain comes from packing it (gzip).
    """
    from torch.nn.utils import prune as torch_prune

    out = _copy(forecaster)
    kinds = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.LSTM, torch.nn.GRU)
    targets = [
        (module, name)
        for module in out.module.modules()
        if isinstance(module, kinds)
        for name, _ in module.named_parameters(recurse=False)
        if name.startswith("weight")
    ]
    weights = [getattr(module, name).detach() for module, name in targets]
    # The threshold over all layers; an LSTM's weights cannot be re-parametrised, so masks are kept beside them.
    flat = torch.cat([weight.abs().flatten() for weight in weights])
    holder = torch.nn.Module()
    holder.register_parameter("weight", torch.nn.Parameter(flat))
    torch_prune.l1_unstructured(holder, "weight", amount=share)  # type: ignore[no-untyped-call]
    kept = dict(holder.named_buffers())["weight_mask"].bool()
    masks, low = [], 0
    for weight in weights:
        masks.append(kept[low : low + weight.numel()].reshape(weight.shape))
        low += weight.numel()

    def hold() -> None:
        with torch.no_grad():
            for (module, name), mask in zip(targets, masks, strict=True):
                getattr(module, name).mul_(mask)

    hold()
    _tune(out, train, seed, hold, None)
    return out


def distil(teacher: NetworkForecaster, train: Windows, seed: int, student: NetworkSpec = STUDENT) -> NetworkForecaster:
    """A small CNN-LSTM trained on the truth and on the teacher's quantiles, half and half."""
    out = NetworkForecaster(teacher.spec, "cnn_lstm", student, "student")
    _tune(
        out, train, seed, lambda: None, torch.from_numpy(teacher.quantiles_of(train)), steps=3 * TUNING_STEPS, rate=2e-3
    )
    return out


METHODS = ("dynamic", "static", "prune", "distil")


def compress(
    method: str, forecaster: NetworkForecaster, source: Path, out: Path, train: Windows, step_s: int, seed: int = 0
) -> VmForecaster:
    """Make a smaller forecaster of an exported one.

    Parameters
    ----------
    method : {"dynamic", "static", "prune", "distil"}
    forecaster : NetworkForecaster
        Trained.
    source : Path
        Its ONNX file.
    out : Path
        The new one.
    train : Windows
        To calibrate, fine-tune or distil on.
    step_s, seed : int

    Raises
    ------
    SpecError
        Unknown method.
    """
    if method not in METHODS:
        raise SpecError(f"unknown method {method!r}.{did_you_mean(method, METHODS)}")
    model = load_forecaster(source)
    try:
        if method == "dynamic":
            return dynamic(source, out)
        if method == "static":
            return static(source, out, train)
    except ImportError as error:
        raise MissingDataError(f"quantisation needs onnx: {error}. Install rlsched[train].") from None
    smaller = prune(forecaster, train, seed) if method == "prune" else distil(forecaster, train, seed)
    return export(out, smaller, step_s, {**_own(model), "name": f"{model.name}-{method}"})


def measure(model: VmForecaster, path: Path, windows: Windows) -> dict[str, Any]:
    """Size, packed size, loss on some windows, and seconds of one forecast and of a thousand."""
    import gzip

    quantiles = np.array(model.quantiles)
    begin = time.perf_counter()
    forecast = model.quantiles_of(windows.past, windows.context)
    batch_s = (time.perf_counter() - begin) / len(windows) * 1000
    one = (windows.past[:1], windows.context[:1])
    model.quantiles_of(*one)
    single = []
    for _ in range(TIMED):
        begin = time.perf_counter()
        model.quantiles_of(*one)
        single.append(time.perf_counter() - begin)
    data = path.read_bytes()
    return {
        "bytes": len(data),
        "gzip_bytes": len(gzip.compress(data, mtime=0)),
        "wql": weighted_quantile_loss(forecast, windows.future, quantiles),
        "one_ms": 1e3 * float(np.median(single)),
        "thousand_s": batch_s,
    }


def _tune(
    forecaster: NetworkForecaster,
    train: Windows,
    seed: int,
    after: Callable[[], None],
    teacher: torch.Tensor | None,
    steps: int = TUNING_STEPS,
    rate: float = 5e-4,
) -> None:
    spec: ForecastSpec = forecaster.spec
    torch.set_num_threads(spec.training.threads)
    module = forecaster.module
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=rate / 20)
    weight = torch.from_numpy(window_weight(train, spec.training.loss_power))
    past, context, future = (torch.from_numpy(one) for one in (train.past, train.context, train.future))
    levels = torch.tensor(spec.window.quantiles)
    draw = stream(seed, "tune")
    module.train()
    for _ in range(steps):
        rows = torch.from_numpy(draw.integers(0, len(train), spec.training.batch))
        answer = module(past[rows], context[rows])
        loss = pinball_torch(answer, future[rows], levels, weight[rows])
        if teacher is not None:
            known = ~torch.isnan(past[rows]).all(1)  # (B, R): a teacher says nothing about what was never measured
            apart = (answer - teacher[rows]).abs().mean((2, 3)) * weight[rows] * known
            loss = 0.5 * loss + 0.5 * apart.mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        after()
    module.eval()


def _copy(forecaster: NetworkForecaster) -> NetworkForecaster:
    out = NetworkForecaster(forecaster.spec, forecaster.body, forecaster.network, forecaster.name)
    out.module.load_state_dict(forecaster.module.state_dict())
    return out


def _own(model: VmForecaster) -> dict[str, Any]:
    """Metadata that an export does not write by itself."""
    written = ("kind", "schema_version", "resources", "length", "min_measured", "horizons", "quantiles", "context")
    return {key: value for key, value in model.metadata.items() if key not in (*written, "step_s", "body")}


@contextmanager
def _prepared(source: Path) -> Iterator[Path]:
    """The graph with shapes inferred, as the quantiser wants it; its running commentary is switched off."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            ready = Path(folder) / "ready.onnx"
            quant_pre_process(source, ready, skip_symbolic_shape=True)
            yield ready
        finally:
            logging.disable(before)


def _keep_metadata(source: Path, target: Path) -> None:
    import onnx

    graph, old = onnx.load(str(target)), onnx.load(str(source))
    onnx.helper.set_model_props(graph, {prop.key: prop.value for prop in old.metadata_props})
    target.write_bytes(graph.SerializeToString(deterministic=True))
