"""What every kind of policy file has in common: found, read as data, of the right kind and schema.

Needs numpy and onnxruntime only; nothing is unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.assets import find_asset, list_assets
from rlsched.errors import PolicyError
from rlsched.policies.learned import FILE, open_session, read_bytes

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PolicyKind:
    """A kind of policy file whose graph answers numbers in [-1, 1] to rows of fields.

    Parameters
    ----------
    kind : str
        As the metadata states it.
    lever : str
        What it decides, for messages: ``scaling``.
    schema_version : int
        Of what it is shown.
    shapes : dict of str to type
        Metadata that must be there, not empty, and of that type; besides kind and schema version.
    observation, action : str
        Names of the graph's input and output.
    """

    kind: str
    lever: str
    schema_version: int
    shapes: dict[str, type]
    observation: str = "observation"
    action: str = "action"


@dataclass(frozen=True)
class PolicyFile:
    """A file that is a policy of the kind asked for.

    Parameters
    ----------
    path : Path
    metadata : dict
        Everything the file says of itself, decoded.
    session : onnxruntime.InferenceSession
    kind : PolicyKind
    """

    path: Path
    metadata: dict[str, Any]
    session: Any
    kind: PolicyKind

    def check_widths(self, n_fields: int, n_actions: int) -> None:
        """Refuse a graph that does not map (n, fields) to (n, actions).

        Raises
        ------
        PolicyError
        """
        for what, found, wanted in (
            ("inputs", self.session.get_inputs(), (self.kind.observation, ["n", n_fields])),
            ("outputs", self.session.get_outputs(), (self.kind.action, ["n", n_actions])),
        ):
            shapes = [(one.name, list(one.shape), one.type) for one in found]
            if shapes != [(*wanted, "tensor(float)")]:
                raise PolicyError(
                    f"{self.path}: the {what} must be {wanted[0]} {wanted[1]}: got {shapes}. Export it again."
                )

    def actions(self, seen: F32) -> F32:
        """Answers (N, A) float32 to observations (N, F) float32.

        Raises
        ------
        PolicyError
            When an answer is not a number.
        """
        answer: F32 = self.session.run([self.kind.action], {self.kind.observation: np.ascontiguousarray(seen)})[0]
        if not np.isfinite(answer).all():
            raise PolicyError(
                f"policy {self.metadata['name']!r} answered something that is not a number: its weights are broken. "
                "Train it again."
            )
        return answer

    def probe(self, n_fields: int) -> None:
        """Ask three questions: are the answers numbers in [-1, 1].

        Raises
        ------
        PolicyError
        """
        ramp = np.linspace(-1.0, 1.0, n_fields, dtype=np.float32)
        try:
            answers = self.actions(np.stack([np.zeros_like(ramp), ramp, -ramp]))
        except PolicyError:
            raise PolicyError(
                f"{self.path} has weights that are not numbers (NaN or infinite). Train it again."
            ) from None
        if not (np.abs(answers) <= 1).all():
            raise PolicyError(f"{self.path} answers beyond [-1, 1]. Train it again.")


def is_learned(name: str) -> bool:
    """True for what can only be a trained agent: a path, or the name of a packaged one."""
    return "/" in name or "\\" in name or name.endswith(".onnx") or name in list_assets("agents")


def open_policy(name: str | Path, kind: PolicyKind) -> PolicyFile:
    """Open a trained agent by name, folder or file.

    Raises
    ------
    PolicyError
        When the file is not ONNX, is cut off, or is of another kind or schema.
    SpecError
        When there is nothing of that name.
    """
    path = find_asset("agents", name)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise PolicyError(f"there is no {FILE} in {path.parent}. Name a trained agent's folder, or the file itself.")
    session = open_session(read_bytes(path), path)
    metadata = _decode(session.get_modelmeta().custom_metadata_map, path, kind)
    return PolicyFile(path, metadata, session, kind)


def check_numbers(values: Sequence[Any], key: str, path: Path) -> None:
    """Refuse metadata that should be numbers and is not.

    Raises
    ------
    PolicyError
    """
    if not all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values):
        raise PolicyError(f"{path}: metadata {key} must hold numbers: got {list(values)!r}. Export it again.")


def _decode(found: dict[str, str], path: Path, kind: PolicyKind) -> dict[str, Any]:
    absent = [key for key in ("kind", "schema_version", *kind.shapes) if key not in found]
    if absent:
        raise PolicyError(
            f"{path} is an ONNX model, but not a {kind.lever} policy of rlsched: its metadata lacks "
            f"{', '.join(absent)}. Make one with 'rlsched train' on a {kind.lever} experiment."
        )
    out = {}
    for key, text in found.items():
        try:
            out[key] = json.loads(text)
        except ValueError:
            raise PolicyError(f"{path}: metadata {key} must be JSON: got {text[:60]!r}. Export it again.") from None
    if out["kind"] != kind.kind:
        raise PolicyError(
            f"{path}: kind must be {kind.kind!r}: got {out['kind']!r}. This policy is for something else."
        )
    if out["schema_version"] != kind.schema_version:
        raise PolicyError(
            f"{path}: schema_version must be {kind.schema_version}: got {out['schema_version']!r}. It was trained "
            "for another version of rlsched; train it again, or install that version."
        )
    for key, shape in kind.shapes.items():
        if not isinstance(out[key], shape) or not out[key]:
            raise PolicyError(f"{path}: metadata {key} must be a {shape.__name__}: got {out[key]!r}. Export it again.")
        if shape is int and (isinstance(out[key], bool) or out[key] < 0):
            raise PolicyError(f"{path}: metadata {key} must be above 0: got {out[key]!r}. Export it again.")
    return out
