"""Learned scaling policies: an ONNX file that moves a tuned rule's numbers at every interval.

Loading and asking one needs numpy and onnxruntime only; nothing is unpickled. The file says in its
metadata which rule it moves, what it must be shown and what it learned from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched.assets import find_asset, list_assets
from rlsched.errors import PolicyError, SpecError
from rlsched.observe.scaling_fields import SCALING_SCHEMA_VERSION, ScalingObservation
from rlsched.policies.learned import FILE, open_session, read_bytes
from rlsched.policies.scaling.policy import parse_scaling
from rlsched.policies.scaling.residual import Residual
from rlsched.spec import validate

if TYPE_CHECKING:
    from rlsched.sim.scaling.world import Window, World

KIND = "rlsched scaling policy"
INPUT, OUTPUT = "observation", "action"
REQUIRED = ("kind", "schema_version", "fields", "observation", "base", "reach", "step_s", "name")
F32 = npt.NDArray[np.float32]


class LearnedScaling:
    """A trained network that scales a service; deterministic. Made by :func:`load_scaling`.

    Parameters
    ----------
    name, doc : str
    residual : Residual
        The rule it moves.
    fields : tuple of str
        What it is shown.
    metadata : dict
        Everything the file says of itself, decoded.
    session : onnxruntime.InferenceSession
    """

    def __init__(
        self, name: str, doc: str, residual: Residual, fields: tuple[str, ...], metadata: dict[str, Any], session: Any
    ) -> None:
        self.name, self.doc, self.residual = name, doc, residual
        self.fields, self.metadata, self._session = fields, metadata, session

    def actions(self, seen: F32) -> F32:
        """How far each moved number goes, (N, A) float32 in [-1, 1], for observations (N, F) float32.

        Raises
        ------
        PolicyError
            When the answer is not a number.
        """
        answer: F32 = self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(seen)})[0]
        if not np.isfinite(answer).all():
            raise PolicyError(
                f"policy {self.name!r} answered something that is not a number: its weights are broken. Train it again."
            )
        return answer

    def check_world(self, world: World) -> None:
        """Refuse a world that shows other fields, or has another interval, than it learned with.

        Raises
        ------
        SpecError
        """
        if int(world.step_s) != self.metadata["step_s"]:
            raise SpecError(
                f"policy {self.name!r} learned with intervals of {self.metadata['step_s']} s: this world's have "
                f"{world.step_s:g} s."
            )
        shown = tuple(field.name for field in self.residual.fields(world))
        if shown != self.fields:
            odd = [one for one in self.fields if one not in shown] or [one for one in shown if one not in self.fields]
            raise SpecError(
                f"policy {self.name!r} was shown {len(self.fields)} fields, this world shows {len(shown)}: they differ "
                f"in {', '.join(odd[:5]) or 'their order'}. Give the card the [forecast], types and boot time it "
                "learned with."
            )

    def run(self, world: World, windows: Sequence[Window], streams: Sequence[int]) -> npt.NDArray[np.float64]:
        """Replay windows; see :meth:`Residual.run`."""
        self.check_world(world)
        return self.residual.run(world, windows, streams, self.actions)


def is_learned(name: str) -> bool:
    """True for what can only be a trained agent: a path, or the name of a packaged one."""
    return "/" in name or "\\" in name or name.endswith(".onnx") or name in list_assets("agents")


def load_scaling(name: str | Path) -> LearnedScaling:
    """Load a trained scaling agent by name, folder or file.

    Raises
    ------
    PolicyError
        When the file is not ONNX, is cut off, is of another kind or schema, or has broken weights.
    SpecError
        When there is nothing of that name.
    """
    path = find_asset("agents", name)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise PolicyError(f"there is no {FILE} in {path.parent}. Name a trained agent's folder, or the file itself.")
    session = open_session(read_bytes(path), path)
    metadata = _decode(session.get_modelmeta().custom_metadata_map, path)
    fields = tuple(metadata["fields"])
    for what, found, wanted in (
        ("inputs", session.get_inputs(), (INPUT, ["n", len(fields)])),
        ("outputs", session.get_outputs(), (OUTPUT, ["n", len(metadata["reach"])])),
    ):
        shapes = [(one.name, list(one.shape), one.type) for one in found]
        if shapes != [(*wanted, "tensor(float)")]:
            raise PolicyError(f"{path}: the {what} must be {wanted[0]} {wanted[1]}: got {shapes}. Export it again.")
    try:
        base = parse_scaling(metadata["base"])
        residual = Residual(base, metadata["reach"], validate(ScalingObservation, metadata["observation"], str(path)))
    except (PolicyError, SpecError) as error:
        raise PolicyError(f"{path}: {error} Export it again.") from None
    policy = LearnedScaling(metadata["name"], str(metadata.get("doc", "")), residual, fields, metadata, session)
    if not (np.abs(policy.actions(np.zeros((1, len(fields)), np.float32))) <= 1).all():
        raise PolicyError(f"{path} answers beyond [-1, 1]. Train it again.")
    return policy


def _decode(found: dict[str, str], path: Path) -> dict[str, Any]:
    absent = [key for key in REQUIRED if key not in found]
    if absent:
        raise PolicyError(
            f"{path} is an ONNX model, but not a scaling policy of rlsched: its metadata lacks {', '.join(absent)}. "
            "Make one with 'rlsched train' on a scaling experiment."
        )
    out = {}
    for key, text in found.items():
        try:
            out[key] = json.loads(text)
        except ValueError:
            raise PolicyError(f"{path}: metadata {key} must be JSON: got {text[:60]!r}. Export it again.") from None
    if out["kind"] != KIND:
        raise PolicyError(f"{path}: kind must be {KIND!r}: got {out['kind']!r}. This policy is for something else.")
    if out["schema_version"] != SCALING_SCHEMA_VERSION:
        raise PolicyError(
            f"{path}: schema_version must be {SCALING_SCHEMA_VERSION}: got {out['schema_version']!r}. It was trained "
            "for another version of rlsched; train it again, or install that version."
        )
    shapes = {"fields": list, "observation": dict, "base": str, "reach": dict, "step_s": int, "name": str}
    for key, kind in shapes.items():
        if not isinstance(out[key], kind) or not out[key]:
            raise PolicyError(f"{path}: metadata {key} must be a {kind.__name__}: got {out[key]!r}. Export it again.")
    numbers = out["reach"].values()
    if not all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in numbers):
        raise PolicyError(f"{path}: metadata reach must hold numbers: got {out['reach']!r}. Export it again.")
    return out
