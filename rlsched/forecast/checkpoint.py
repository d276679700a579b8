"""Arrays and a JSON text in one ``.npz`` without pickles, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rlsched.errors import SpecError
from rlsched.traces.store import replacing

Arrays = dict[str, npt.NDArray[Any]]
VERSION = 1


def save_arrays(path: Path, arrays: Arrays, meta: dict[str, Any]) -> None:
    """Write arrays and a JSON text; a process that is killed leaves the file before."""
    text = np.frombuffer(json.dumps({"version": VERSION, **meta}).encode(), np.uint8)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, meta=text, **arrays)


def load_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read what :func:`save_arrays` wrote.

    Raises
    ------
    SpecError
        When it is not there, or is not such a file of this version.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        meta = json.loads(arrays.pop("meta").tobytes().decode())
    except FileNotFoundError:
        raise SpecError(f"there is no trained network at {path}. Run 'rlsched forecast train' first.") from None
    except Exception as error:  # zipfile, numpy and json each have their own
        raise SpecError(f"{path} is not a checkpoint: {error}. Remove it and train again.") from None
    if meta.get("version") != VERSION:
        raise SpecError(f"{path}: version must be {VERSION}: got {meta.get('version')!r}. Train again.")
    return arrays, meta


def weights_of(module: torch.nn.Module) -> Arrays:
    """Copies of a module's parameters and buffers."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def put_weights(module: torch.nn.Module, arrays: Arrays, path: Path | str = "the file") -> None:
    """Load what :func:`weights_of` gave."""
    try:
        module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    except RuntimeError as error:
        raise SpecError(
            f"{path} holds another network than the card describes: {str(error).splitlines()[-1].strip().rstrip('.')}."
        ) from None


def optimizer_of(optimizer: torch.optim.Optimizer) -> Arrays:
    """State of an optimiser, ``row.key``."""
    return {
        f"{row}.{key}": value.detach().cpu().numpy().copy()
        for row, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
    }


def put_optimizer(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Load what :func:`optimizer_of` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in arrays.items():
        row, key = name.split(".", 1)
        state.setdefault(int(row), {})[key] = torch.from_numpy(np.array(array))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def pack(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays under ``prefix/name``."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def unpack(arrays: Arrays, prefix: str) -> Arrays:
    """Inverse of :func:`pack`."""
    return {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(f"{prefix}/")}
