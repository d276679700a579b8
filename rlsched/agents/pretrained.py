"""Beginning at a released agent: the weights of a policy file back into a network.

A policy file holds the policy and its normaliser, not the value estimate, which begins anew. The
network is asked beside the file before anything is learned: what was not read back right is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rlsched.assets import find_asset
from rlsched.errors import PolicyError
from rlsched.policies.learned import FILE, kind_of

Arrays = dict[str, npt.NDArray[Any]]
#: Largest difference between the network's answers and the file's that is only rounding.
ALIKE = 1e-5
#: Parts of a network that a policy file does not hold.
VALUE = "value"


@dataclass(frozen=True)
class Pretrained:
    """A released agent to begin at.

    Parameters
    ----------
    path : Path
        Its file.
    policy : object
        The file, loaded with every check of its kind.
    weights : dict of str to array
        By the names of the network's state.
    distance : callable
        Network → largest difference between its answers and the file's.
    """

    path: Path
    policy: Any
    weights: Arrays
    distance: Callable[[Any], float]

    @property
    def hidden(self) -> int:
        """Width of its layers."""
        name = "act_first.bias" if "act_first.bias" in self.weights else "embed_global.bias"
        if name not in self.weights:
            raise PolicyError(f"{self.path}: its layers are not those this version trains. Train anew, without --from.")
        return int(self.weights[name].shape[0])

    @property
    def facts(self) -> dict[str, Any]:
        """What a record says of where learning began."""
        told = self.policy.metadata
        known = {key: told[key] for key in ("experiment", "problem_sha256", "base", "learned_on") if key in told}
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return {"agent": self.policy.name, "policy_sha256": digest, **known}

    def put_into(self, network: torch.nn.Module) -> None:
        """Give a fresh network the agent's policy and normaliser.

        Raises
        ------
        PolicyError
            When the file's network is another one, or answers differently once it is read back.
        """
        state = network.state_dict()
        wanted = {name: tuple(one.shape) for name, one in state.items() if not name.startswith(VALUE)}
        found = {name: tuple(one.shape) for name, one in self.weights.items()}
        if wanted != found:
            odd = sorted(name for name in {**wanted, **found} if wanted.get(name) != found.get(name))[0]
            raise PolicyError(
                f"{self.path}: its network is not the one this version trains: {odd} is {found.get(odd, 'not there')}, "
                f"and should be {wanted.get(odd, 'not there')}. Train anew, without --from."
            )
        for name, array in self.weights.items():
            state[name] = torch.from_numpy(np.array(array, np.float32)).reshape(state[name].shape)
        network.load_state_dict(state)
        away = self.distance(network)
        if not away <= ALIKE:
            raise PolicyError(
                f"{self.path} was read back {away:g} away from what it answers; at most {ALIKE:g} is rounding. Train "
                "anew, without --from."
            )


def read_weights(path: Path) -> Arrays:
    """Weights of a policy file by the names they have in the network, (out, in) as torch has them.

    The exporter keeps the names of biases, and of weights it need not turn; a turned weight is the one
    whose product that bias is added to.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path), load_external_data=False).graph
    held = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    out = {name: array for name, array in held.items() if not name.startswith("onnx::")}
    added: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Add":
            first, second = node.input
            added |= {first: second, second: first}
    for node in graph.node:
        turned = [name for name in node.input if name.startswith("onnx::") and name in held]
        if node.op_type == "Gemm" and len(turned) == 2:  # folded to double precision, which keeps every digit
            out |= {"bilinear.weight": held[turned[0]], "bilinear.bias": held[turned[1]]}
        elif node.op_type == "MatMul" and turned:
            bias = added.get(node.output[0], "")
            name = bias.removesuffix(".bias") if bias.endswith(".bias") else "embed_context"
            out[f"{name}.weight"] = held[turned[0]].T
    return out


def open_pretrained(
    name: str | Path, kind: str, load: Callable[[Path], Any], distance: Callable[[Any, Any], float]
) -> Pretrained:
    """Open a released agent of a kind, by name, folder or file.

    Parameters
    ----------
    name : str or Path
    kind : str
        That its file has to state.
    load : callable
        Reads the file, with every check of its kind.
    distance : callable
        Network, loaded policy → largest difference of their answers.

    Raises
    ------
    PolicyError, SpecError
        There is none of that name, or it is of another kind or schema.
    """
    path = find_asset("agents", name)
    path = path / FILE if path.is_dir() else path
    stated = kind_of(path)
    if stated and stated != kind:
        raise PolicyError(f"{path} is a {stated}: training begins here at a {kind}, or without --from.")
    policy = load(path)
    return Pretrained(path, policy, read_weights(path), lambda network: distance(network, policy))
