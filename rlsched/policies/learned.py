"""Learned policies: an ONNX file that chooses among candidates, through the same door as a heuristic.

Loading and asking one needs numpy and onnxruntime only. The file says of itself, in its
metadata, what it was trained on, what it must be shown and which fields of that it reads; a file
that asks for what this version does not show is refused. Nothing is unpickled, and the file is read as data: a graph of
known operators without external files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched.assets import find_asset
from rlsched.errors import PolicyError, SpecError, did_you_mean
from rlsched.observe.features import CANDIDATE_NAMES, GLOBAL_NAMES, READABLE_SCHEMAS
from rlsched.observe.settings import ObservationSettings
from rlsched.policies.library.placing import LearnedDoor
from rlsched.policies.library.terms import terms_of

if TYPE_CHECKING:
    from rlsched.sim.state import State
    from rlsched.sim.world import World

KIND = "rlsched placement policy"
FILE = "policy.onnx"
MAX_BYTES = 64 * 2**20
#: Names of the graph's inputs and outputs, with their ranks and element types.
INPUTS = {
    "candidates": (3, "tensor(float)"),
    "globals": (2, "tensor(float)"),
    "action_mask": (2, "tensor(int8)"),
}
OUTPUTS = {"action": (1, "tensor(int64)"), "logits": (2, "tensor(float)")}
#: Keys the metadata must have.
REQUIRED = ("kind", "schema_version", "candidate_features", "global_features", "observation", "name")

Choose = Callable[[dict[str, npt.NDArray[Any]]], npt.NDArray[np.int64]]


class LearnedPolicy(LearnedDoor):
    """A trained network that places tasks; deterministic and greedy. Made by :func:`load_policy`.

    Parameters
    ----------
    name, doc : str
        For lists.
    settings : ObservationSettings
        What it is shown.
    metadata : dict
        Everything the file says of itself, decoded.
    session : onnxruntime.InferenceSession
    """

    stochastic = False

    def __init__(self, name: str, doc: str, settings: ObservationSettings, metadata: dict[str, Any], session: Any):
        self.name, self.doc = name, doc
        self.settings, self.metadata = settings, metadata
        self._session = session
        self._columns = {
            "candidates": _columns(metadata["candidate_features"], CANDIDATE_NAMES),
            "globals": _columns(metadata["global_features"], GLOBAL_NAMES),
        }

    @property
    def needs_typical(self) -> bool:
        """True when what it is shown measures fragmentation, which needs typical requests."""
        from rlsched.sim.rules import NEEDS_TYPICAL, RULES

        blends = self.settings.blends
        return self.fragmentation != "none" or any(RULES.index(r) in NEEDS_TYPICAL for blend in blends for r in blend)

    @property
    def needs_residents(self) -> bool:
        """True when it was trained on worlds that keep the tasks of each machine (lifetimes)."""
        return bool(self.metadata.get("residents", True))

    @property
    def fragmentation(self) -> str:
        """What fragmentation was measured in where it was trained: ``"none"``, ``"gpu"``, ``"cpu"``."""
        return str(self.metadata.get("fragmentation", "none"))

    def logits(self, observation: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Score of every candidate, (N, K) float32; masked ones are far below all others."""
        logits: npt.NDArray[np.float32] = self._ask(observation, ["logits"])[-1]
        return logits

    def act(self, observation: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
        """Candidate of every copy.

        Parameters
        ----------
        observation : dict
            ``candidates (N, K, F)`` and ``globals (N, G)`` float32, ``action_mask (N, K)`` int8.

        Returns
        -------
        (N,) int64
            The largest logit where the mask is 1, lowest candidate on ties.

        Raises
        ------
        PolicyError
            When the network's answer is not a number.
        """
        action: npt.NDArray[np.int64] = self._ask(observation, list(OUTPUTS))[0]
        return action

    def run(self, world: World, state: State, progress: Callable[[int], None] | None = None) -> None:
        """Bring every copy of a state to the end of its window; the state is changed.

        Parameters
        ----------
        world, state
            As made by ``World.build`` and ``World.start``.
        progress : callable, optional
            Called with the number of tasks placed since the last call.

        Raises
        ------
        SpecError
            When the world does not measure or keep what the policy was trained on.
        """
        from rlsched.sim.world import O_RESIDENTS

        if world.options.fragmentation != self.fragmentation:
            raise SpecError(
                f"policy {self.name!r} was trained with fragmentation={self.fragmentation!r}: this world has "
                f"{world.options.fragmentation!r}. Set [simulation] fragmentation = {self.fragmentation!r}."
            )
        if self.needs_residents and not world.arrays.option_i[O_RESIDENTS]:
            raise SpecError(
                f"policy {self.name!r} was trained where the tasks on each machine are kept (lifetimes): got a world "
                "built with residents=False. Build it with residents=True."
            )
        run_greedy(world, state, self.settings, self.act, progress)

    def _ask(self, observation: dict[str, npt.NDArray[Any]], outputs: list[str]) -> list[Any]:
        feed = {}
        for name in INPUTS:
            shown, read = observation[name], self._columns.get(name)
            feed[name] = np.ascontiguousarray(shown) if read is None else np.take(shown, read, axis=-1)
        answer: list[Any] = self._session.run(outputs, feed)
        if not np.isfinite(answer[-1]).all():  # logits are the last
            raise PolicyError(
                f"policy {self.name!r} answered a score that is not a number: its weights are broken. Train it again."
            )
        return answer


def run_greedy(
    world: World,
    state: State,
    settings: ObservationSettings,
    choose: Choose,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Let a chooser of candidates place every task, all copies in lock-step, one question a step.

    Parameters
    ----------
    world, state
        The state is changed.
    settings : ObservationSettings
    choose : callable
        Observation of the copies that wait → candidate of each, (n,) int64.
    progress : callable, optional
        Called with the number of tasks placed since the last call, every few thousand.
    """
    from rlsched.observe.placement import Observer, device_choice
    from rlsched.sim.simulate import advance_all, decide_all

    observer = Observer(world, state.n_copies, settings)
    devices = device_choice(settings, world)
    machines = np.full(state.n_copies, -1, np.int64)
    tasks = np.empty(state.n_copies, np.int64)
    told = 0
    while True:
        advance_all(world, state, tasks, observer.logs)
        live = np.flatnonzero(tasks >= 0)
        if live.size == 0:
            break
        out = observer.observe(state, live, followed=True)
        seen: dict[str, npt.NDArray[Any]] = out.as_dict()
        if live.size < state.n_copies:
            seen = {name: array[live] for name, array in seen.items()}
        machines[live] = out.rows[live, choose(seen)]
        decide_all(world, state, machines, devices, observer.logs)
        told += live.size
        if progress is not None and told >= 10_000:
            progress(told)
            told = 0
    if progress is not None and told:
        progress(told)


def load_policy(name: str | Path) -> LearnedPolicy:
    """Load a trained agent by name, folder or file.

    Parameters
    ----------
    name : str or Path
        A packaged agent (``"placement-gpu"``), a folder that holds ``policy.onnx``, or an ONNX file.

    Raises
    ------
    PolicyError
        When the file is not ONNX, is cut off, was made for another schema, or has broken weights.
    SpecError
        When there is nothing of that name.
    """
    path = find_asset("agents", name)
    if path.is_dir():
        path = path / FILE
    if not path.is_file():
        raise PolicyError(f"there is no {FILE} in {path.parent}. Name a trained agent's folder, or the file itself.")
    data = read_bytes(path)
    session = open_session(data, path)
    metadata = decode(session.get_modelmeta().custom_metadata_map, path)
    _check_signature(session, metadata, path)
    settings = _settings(metadata, path)
    terms_of(metadata, str(path))
    policy = LearnedPolicy(metadata["name"], str(metadata.get("doc", "")), settings, metadata, session)
    _probe(policy, path)
    return policy


def kind_of(name: str | Path) -> str:
    """The kind that a policy file states; empty where it states none.

    Raises
    ------
    PolicyError
        When the file is not there, or not ONNX.
    SpecError
        When there is nothing of that name.
    """
    path = find_asset("agents", name)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise PolicyError(f"there is no {FILE} in {path.parent}. Name a trained agent's folder, or the file itself.")
    session = open_session(read_bytes(path), path)
    try:
        return str(json.loads(session.get_modelmeta().custom_metadata_map.get("kind", '""')))
    except ValueError:
        return ""


def read_bytes(path: Path) -> bytes:
    """The file's bytes, if it is of a size a policy can have.

    Raises
    ------
    PolicyError
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise PolicyError(f"a policy file must be at most {MAX_BYTES:,} bytes: {path} has {size:,}.")
        return path.read_bytes()
    except OSError as error:
        raise PolicyError(f"cannot read {path}: {error.strerror}.") from None


def open_session(data: bytes, path: Path) -> Any:
    """An ONNX file as a session on one thread.

    Raises
    ------
    PolicyError
        When it is not ONNX, or cannot be run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread: the graph is small, and sums come out the same on every machine.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised, once, as one message
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base
        first = str(error).strip().splitlines()[0][:200]
        raise PolicyError(
            f"{path} is not an ONNX model that can be run ({len(data):,} bytes): {first} "
            "Copy it again, or export it again with 'rlsched train'."
        ) from None


def decode(found: dict[str, str], path: Path) -> dict[str, Any]:
    """The metadata of a policy file: every value is JSON.

    Raises
    ------
    PolicyError
        When it is not one of our policies, or is of another schema.
    """
    absent = [key for key in REQUIRED if key not in found]
    if absent and found.get("kind", "").startswith('"rlsched ') and found["kind"] != json.dumps(KIND):
        raise PolicyError(f"{path}: a {KIND} is needed here: this is a {found['kind'][1:-1]}. Name another.")
    if absent:
        raise PolicyError(
            f"{path} is an ONNX model, but not a policy of rlsched: its metadata lacks {', '.join(absent)}. "
            "Make one with 'rlsched train'."
        )
    out = {}
    for key, text in found.items():
        try:
            out[key] = json.loads(text)
        except ValueError:
            raise PolicyError(f"{path}: metadata {key} must be JSON: got {text[:60]!r}. Export it again.") from None
    if out["kind"] != KIND:
        raise PolicyError(f"{path}: kind must be {KIND!r}: got {out['kind']!r}. This policy is for something else.")
    if out["schema_version"] not in READABLE_SCHEMAS or isinstance(out["schema_version"], bool):
        raise PolicyError(
            f"{path}: schema_version must be {' or '.join(map(str, READABLE_SCHEMAS))}: got {out['schema_version']!r}. "
            "It was trained for another version of rlsched; train it again, or install that version."
        )
    for key, known in (("candidate_features", CANDIDATE_NAMES), ("global_features", GLOBAL_NAMES)):
        names = out[key]
        if not isinstance(names, list) or not names:
            raise PolicyError(f"{path}: {key} must be a list of names: got {names!r}. Export it again.")
        odd = [one for one in names if one not in known]
        if odd:
            raise PolicyError(
                f"{path}: {key} has what this version does not show: unknown {odd[0]!r}."
                f"{did_you_mean(str(odd[0]), known)} Train it again."
            )
        if len(set(names)) < len(names):
            raise PolicyError(f"{path}: {key} name {_twice(names)!r} twice. Export it again.")
    if not isinstance(out["name"], str) or not out["name"]:
        raise PolicyError(f"{path}: name must be a text: got {out['name']!r}. Export it again.")
    return out


def _settings(metadata: dict[str, Any], path: Path) -> ObservationSettings:
    from rlsched.spec import validate

    values = metadata["observation"]
    try:
        return validate(ObservationSettings, values if isinstance(values, dict) else {"(value)": values}, str(path))
    except SpecError as error:
        raise PolicyError(f"{error} Export the policy again.") from None


def _columns(names: list[str], known: tuple[str, ...]) -> npt.NDArray[np.intp] | None:
    """Where the fields that are read stand among those shown; None where they are just those."""
    return None if tuple(names) == known else np.array([known.index(name) for name in names])


def _twice(names: list[str]) -> str:
    return next(name for i, name in enumerate(names) if name in names[:i])


def _check_signature(session: Any, metadata: dict[str, Any], path: Path) -> None:
    for what, found, wanted in (("input", session.get_inputs(), INPUTS), ("output", session.get_outputs(), OUTPUTS)):
        shapes = {one.name: (len(one.shape), one.type) for one in found}
        if shapes != wanted:
            raise PolicyError(
                f"{path}: the {what}s must be {_signature(wanted)}: got {_signature(shapes)}. Export it again."
            )
    widths = {one.name: one.shape[-1] for one in session.get_inputs()}
    for name, key in (("candidates", "candidate_features"), ("globals", "global_features")):
        if widths[name] != len(metadata[key]):
            raise PolicyError(
                f"{path}: {name} must be as wide as {key} has names, {len(metadata[key])}: got {widths[name]}. "
                "Export it again."
            )


def _signature(found: dict[str, tuple[int, str]]) -> str:
    return ", ".join(f"{name} {kind} of rank {rank}" for name, (rank, kind) in found.items()) or "(none)"


def _probe(policy: LearnedPolicy, path: Path) -> None:
    """Ask one question whose answer is known to exist: two candidates, one of them masked."""
    ramp = np.linspace(0.0, 1.0, 2 * len(CANDIDATE_NAMES), dtype=np.float32)
    question: dict[str, npt.NDArray[Any]] = {
        "candidates": ramp.reshape(1, 2, -1),
        "globals": np.linspace(0.0, 1.0, len(GLOBAL_NAMES), dtype=np.float32)[None, :],
        "action_mask": np.array([[0, 1]], np.int8),
    }
    try:
        action = policy.act(question)
    except PolicyError:
        raise PolicyError(f"{path} has weights that are not numbers (NaN or infinite). Train it again.") from None
    except Exception as error:
        raise PolicyError(f"{path} cannot be run: {str(error).strip().splitlines()[0][:200]}") from None
    if action.shape != (1,) or int(action[0]) != 1:
        raise PolicyError(
            f"{path} does not keep to its action mask: it chose {action.tolist()} where only 1 is allowed."
        )
