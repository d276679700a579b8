"""Checkpoints: everything a training needs to continue, in one ``.npz`` without pickles.

A checkpoint is written to a temporary name and renamed, so a process that is killed leaves
the one before. Restoring one and going on gives the same weights as never having stopped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rlsched.errors import SpecError

Arrays = dict[str, npt.NDArray[Any]]
VERSION = 2  # 2: says what was learned from


def save_arrays(path: Path, arrays: Arrays, meta: dict[str, Any]) -> None:
    """Write arrays and a JSON text as one file, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    text = np.frombuffer(json.dumps({"version": VERSION, **meta}).encode(), np.uint8)
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, meta=text, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read what :func:`save_arrays` wrote.

    Raises
    ------
    SpecError
        When it is not there, or is not a checkpoint of this version.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        meta = json.loads(arrays.pop("meta").tobytes().decode())
    except FileNotFoundError:
        raise SpecError(
            f"there is no checkpoint at {path}. Train without --resume first, or name another --out."
        ) from None
    except Exception as error:  # zipfile, numpy and json each have their own
        raise SpecError(f"{path} is not a checkpoint: {error}. Remove it and train again.") from None
    if meta.get("version") != VERSION:
        raise SpecError(f"{path}: version must be {VERSION}: got {meta.get('version')!r}. Train again.")
    return arrays, meta


def pack(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays under ``prefix.name``."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def unpack(arrays: Arrays, prefix: str) -> Arrays:
    """Inverse of :func:`pack`: those under the prefix, by their own names."""
    return {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(f"{prefix}.")}


def weights_of(module: torch.nn.Module) -> Arrays:
    """Copies of a module's parameters and buffers."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def put_weights(module: torch.nn.Module, arrays: Arrays) -> None:
    """Load what :func:`weights_of` gave."""
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})


def optimizer_of(optimizer: torch.optim.Optimizer) -> Arrays:
    """State of an optimiser, ``row.key``."""
    out: Arrays = {}
    for row, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            out[f"{row}.{key}"] = value.detach().cpu().numpy().copy()
    return out


def put_optimizer(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Load what :func:`optimizer_of` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in arrays.items():
        row, key = name.split(".", 1)
        state.setdefault(int(row), {})[key] = torch.from_numpy(np.array(array))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def random_state() -> Arrays:
    """State of torch's and numpy's global generators, which stable-baselines3 draws from."""
    _, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - it is the one in use
    return {
        "torch": torch.get_rng_state().numpy(),
        "keys": np.asarray(keys),
        "rest": np.array([position, has_gauss, cached], np.float64),
    }


def put_random_state(arrays: Arrays) -> None:
    """Load what :func:`random_state` gave."""
    torch.set_rng_state(torch.from_numpy(np.array(arrays["torch"])))
    position, has_gauss, cached = arrays["rest"]
    np.random.set_state(("MT19937", arrays["keys"], int(position), int(has_gauss), float(cached)))  # noqa: NPY002 - as above
