"""Shortlist and features in plain numpy: what ``rlsched.observe`` shows, without a compiler.

One question at a time: a cluster as it is now, and a request. The features are those of
``rlsched.observe.features``, by name; a test holds both together on random worlds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import OurBug, PolicyError, SpecError, did_you_mean
from rlsched.observe import features as ft
from rlsched.policies.library import cluster as cl
from rlsched.policies.library.memory import Memory
from rlsched.policies.library.request import Request
from rlsched.policies.library.rules import PLAIN_RULES, Part, Scale, part_of, pick_devices
from rlsched.policies.library.terms import Terms
from rlsched.sim.curves import CUBIC, CUBIC_ROOT, LINEAR, SQRT, SQUARE, TABLE
from rlsched.sim.rules import LIFETIME_STEPS
from rlsched.traces.columns import ANY_MODEL
from rlsched.units import SECONDS_PER_DAY, SECONDS_PER_WEEK

if TYPE_CHECKING:
    from rlsched.observe.settings import ObservationSettings

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

#: What a frame of machines cannot say of the situation: key → meaning, all numbers >= 0.
SITUATION = {
    "waiting": "tasks in the queue",
    "from_queue": "1: the request waited, 0: it arrives now",
    "arrived_cpu_mcore": "CPU asked for so far, millicores",
    "arrived_gpu_mgpu": "GPUs asked for so far, milli-GPU",
    "waited_s": "since the request arrived, seconds; 0 where from_queue is 0",
    "time_s": "now, seconds since 1970 on the clock of the trace the policy learned from",
}
_IN_ORDER = itemgetter(*ft.GLOBAL_NAMES)


def _rows(*names: str) -> slice:
    """Rows of neighbouring fields in the table of features."""
    first = ft.CANDIDATE_NAMES.index(names[0])
    if ft.CANDIDATE_NAMES[first : first + len(names)] != names:
        raise OurBug(f"the library and the table of features differ in {', '.join(names)}.")
    return slice(first, first + len(names))


_FREE, _LEFT = _rows("cpu_free", "mem_free", "gpu_free"), _rows("cpu_left", "mem_left", "gpu_left")
_DEVICES = _rows("whole_free", "whole_left", "device_left")
_FRAGMENTS = _rows("frag_before", "frag_after", "frag_gain")
_BEST_FIT = ft.CANDIDATE_NAMES.index("best_fit")
_DOT_PRODUCT = ft.CANDIDATE_NAMES.index("dot_product")
_COSINE = ft.CANDIDATE_NAMES.index("cosine")
_NORM_L2 = ft.CANDIDATE_NAMES.index("norm_l2")
_LEAST = ft.CANDIDATE_NAMES.index("least_allocated")
_BALANCED = ft.CANDIDATE_NAMES.index("balanced_allocation")
_PACKING = ft.CANDIDATE_NAMES.index("gpu_packing")
_CLUSTERING = ft.CANDIDATE_NAMES.index("gpu_clustering")
_LIFETIME = ft.CANDIDATE_NAMES.index("lifetime")
_LIFETIME_GAP = ft.CANDIDATE_NAMES.index("lifetime_gap")
_RESIDENTS = ft.CANDIDATE_NAMES.index("residents")
_EMPTY = ft.CANDIDATE_NAMES.index("empty")
_AGE = ft.CANDIDATE_NAMES.index("age")
_SAME_STATE = ft.CANDIDATE_NAMES.index("same_state")
_POWER_RISE = ft.CANDIDATE_NAMES.index("power_rise")
_PRIOR = ft.CANDIDATE_NAMES.index("prior")
#: Keys that need not be whole.
_SECONDS = ("waited_s", "time_s")
#: What an assumption touches, by its first words, where that is these fields alone.
TOUCHED = {
    "no column in_use_s:": ("age",),
    "no waited_s ": ("request_waited",),
    "no time_s ": ("day_sin", "day_cos", "week_sin", "week_cos"),
}


@dataclass(frozen=True)
class View:
    """What a policy is shown of one request.

    Parameters
    ----------
    observation : dict
        ``candidates (1, K, F)``, ``globals (1, G)`` float32, ``action_mask (1, K)`` int8.
    rows : (C,) int64
        Machine behind each candidate, best of the prior first.
    equal : (C,) int64
        Machines in equal state.
    """

    observation: dict[str, npt.NDArray[Any]]
    rows: I64
    equal: I64


def read_situation(situation: Mapping[str, Any] | None) -> tuple[dict[str, float], tuple[str, ...]]:
    """Check what is said of the situation, and say what had to be assumed.

    Raises
    ------
    PolicyError
        Unknown key, or a number that cannot be.
    """
    if situation is not None and not isinstance(situation, Mapping):
        raise PolicyError(f"situation must be a mapping: got {type(situation).__name__}. Keys: {', '.join(SITUATION)}.")
    told = dict(situation or {})
    for key, value in told.items():
        if key not in SITUATION:
            raise PolicyError(f"unknown key {key!r} of the situation.{did_you_mean(str(key), SITUATION)}")
        if key in _SECONDS:
            number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
            if not number or not 0 <= value < np.inf:
                raise PolicyError(f"{key} of the situation must be a number >= 0 ({SITUATION[key]}): got {value!r}.")
        elif isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise PolicyError(f"{key} of the situation must be a whole number >= 0 ({SITUATION[key]}): got {value!r}.")
    if told.get("from_queue", 0) > 1:
        raise PolicyError(f"from_queue of the situation must be 0 or 1: got {told['from_queue']}.")
    if told.get("waited_s") and not told.get("from_queue"):
        raise PolicyError(
            f"waited_s of the situation must be 0 for a request that arrives now: got {told['waited_s']}. "
            "Set from_queue to 1, or leave waited_s out."
        )
    assumed = []
    if "waiting" not in told:
        assumed.append("no waiting in the situation: nothing waits")
    if "arrived_cpu_mcore" not in told:
        assumed.append("no arrived_cpu_mcore in the situation: what is allocated is all that ever arrived")
    if told.get("from_queue") and "waited_s" not in told:
        assumed.append("no waited_s in the situation: the request waited for no time")
    if "time_s" not in told:
        assumed.append("no time_s in the situation: no calendar")
    return {key: float(value) if key in _SECONDS else int(value) for key, value in told.items()}, tuple(assumed)


class Looker:
    """Shows requests to a policy.

    Parameters
    ----------
    settings : ObservationSettings
    terms : Terms

    Raises
    ------
    SpecError
        When a rule or feature measures fragmentation and there are no typical requests.
    """

    def __init__(self, settings: ObservationSettings, terms: Terms) -> None:
        if terms.fragmentation != "none" and not terms.typical_p.size:
            raise SpecError(
                f"this policy measures fragmentation ({terms.fragmentation}) and its file does not say in which "
                "typical requests: pass typical=typical_requests(trace) of rlsched.sim.fragmentation, of past requests."
            )
        self.settings, self.terms = settings, terms
        self.memory = Memory(settings.blends, terms, gains=terms.fragmentation != "none")

    def look(self, cluster: cl.Cluster, r: Request, told: Mapping[str, float]) -> View:
        """What the policy sees of a request, given the cluster and the situation."""
        memory, settings = self.memory, self.settings
        total, able = memory.scores(cluster, r)
        n_able = int(np.count_nonzero(able))
        k = len(cluster) if settings.candidates == "all" else settings.candidates
        rows, equal = self._pick(cluster, total, able, k)
        assert memory.scale is not None
        candidates, mask = np.zeros((1, k, len(ft.CANDIDATE_NAMES)), np.float32), np.zeros((1, k), np.int8)
        if rows.size:
            ahead = total[0, rows[0]] - total[0, rows]
            gain = total[-1, rows]
            seen = candidate_features(cluster, rows, r, memory.scale, self.terms, equal / n_able, ahead, gain)
            candidates[0, : rows.size] = seen.T
            mask[0, : rows.size] = 1
        world = _IN_ORDER(global_features(cluster, r, self.terms, n_able, told))
        shown: dict[str, npt.NDArray[Any]] = {
            "candidates": candidates,
            "globals": np.array([world], np.float32),
            "action_mask": mask,
        }
        return View(shown, rows, equal)

    def _pick(self, cluster: cl.Cluster, total: F64, able: npt.NDArray[np.bool_], k: int) -> tuple[I64, I64]:
        """The best few of every blend in turn, equal machines once; sorted by the prior, lowest row on ties."""
        lists = list(total[: len(self.settings.blends)].copy())
        state, ends = self.memory.marks(cluster)
        state_at, end_at, members = state.item, ends.item, self.memory.members
        rows: list[int] = []
        named: set[tuple[float, ...]] = set()
        turns = (lists * self.settings.best)[:k]
        for left in itertools.chain(turns, itertools.repeat(lists[0], k - len(turns))):
            at = int(left.argmax())
            # Machines equal to a named one are struck out where they are in the way, not from every blend at once.
            while (mark := (state_at(at), end_at(at))) in named and left.item(at) > -math.inf:
                if members[mark[0]] == 1:
                    left[at] = -math.inf
                else:
                    left[(state == mark[0]) & (ends == mark[1])] = -math.inf
                at = int(left.argmax())
            if left.item(at) == -math.inf:
                break
            left[at] = -math.inf
            named.add(mark)
            rows.append(at)
        if not rows:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        prior = total[0].item
        rows.sort(key=lambda row: (-prior(row), row))
        found, equal = np.array(rows, np.int64), np.array([members[state_at(row)] for row in rows], np.int64)
        several = np.flatnonzero(equal > 1)
        if several.size:
            at_most = found[several, None]
            alike = (state[at_most] == state) & (ends[at_most] == ends) & able
            equal[several] = np.count_nonzero(alike, axis=1)
        return found, equal


def _ratio(a: Any, b: Any) -> Any:
    """``a / b``, 0 of nothing."""
    if np.ndim(b) == 0:
        return a / b if b > 0 else np.zeros(np.shape(a))
    if b.min() > 0:
        return a / b
    out = np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b)))
    return np.divide(a, b, out=out, where=np.asarray(b) > 0)


def candidate_features(
    cluster: cl.Cluster, rows: I64, r: Request, s: Scale, terms: Terms, alike: F64, ahead: F64, gain: F64
) -> F64:
    """Columns of ``candidates``, for machines that can hold the request.

    Parameters
    ----------
    cluster : Cluster
    rows : (C,) int64
        The candidates.
    r : Request
    s : Scale
    terms : Terms
    alike : (C,) float64
        Share of the machines that fit that are in equal state.
    ahead : (C,) float64
        How far the prior's best is ahead.
    gain : (C,) float64
        Gain in fragmentation, GPUs or cores.

    Returns
    -------
    (F, C) float64
        In the order of ``CANDIDATE_NAMES``.
    """
    m = part_of(cluster, rows)
    tasks, age = m.whole[cl.TASKS].astype(np.float64), m.real[cl.AGE]
    empty = tasks == 0.0
    out = cluster.fixed.share.take(rows, 1)  # zeros but for what never changes
    _share_features(m, r, out)
    out[_RESIDENTS] = tasks / (tasks + ft.HALF_RESIDENTS)
    out[_EMPTY] = empty
    out[_SAME_STATE] = alike
    _life_features(m, r, terms, empty, out)
    out[_AGE] = age / (age + ft.HALF_LIFE_S)
    out[_PRIOR] = 0.0 - ahead / (1.0 + ahead)
    if cluster.curve_kind.size:
        out[_POWER_RISE] = _power_rise(cluster, m, r, terms)
    if m.device.shape[1]:
        out[_DEVICES] = _device_features(m, r)
    if s.frag != "none":
        _fragment_features(m, s, gain, out)
    if r.gpus:
        for at, rule in ((_PACKING, "gpu_packing"), (_CLUSTERING, "gpu_clustering")):
            out[at] = PLAIN_RULES[rule](s, m, r) / 100
    return out


def _share_features(m: Part, r: Request, out: F64) -> None:
    """Shares free before and after, and the rules that compare them with what is asked for."""
    i, inv = m.whole, m.real[: cl.INV_GPU + 1]
    amount = (float(r.cpu), float(r.mem), float(r.gpus * r.mgpu))
    need = np.array(amount)[:, None]
    room = i[: cl.GPU + 1].astype(np.float64)  # whole numbers that float64 holds exactly
    rest = room - need
    # (3, R) each; amounts times reciprocals, as compiled
    asked, free, left = need * inv, room * inv, rest * inv
    out[_FREE], out[_LEFT] = free, left
    products = np.empty((4, *asked.shape))
    products[0], products[1], products[2] = asked * free, asked * asked, free * free
    apart = free - asked
    products[3] = apart * apart
    dot, asked_2, free_2, apart_2 = np.add.reduce(products, axis=1)  # over CPU, memory, GPU, one after the other
    length = np.sqrt(asked_2 * free_2)
    tight = [left[row] for row, wanted in enumerate(amount) if wanted]
    out[_BEST_FIT] = -(np.minimum(*tight) if len(tight) == 2 else np.minimum.reduce(tight))
    out[_DOT_PRODUCT], out[_NORM_L2] = dot / 3, apart_2 / -3
    np.divide(dot, length, out=out[_COSINE], where=length > 0)
    capacity = i[cl.CAP_CPU : cl.CAP_MEM + 1]
    spare = i[: cl.MEM + 1] - np.array([[r.cpu], [r.mem]])
    percent = spare * 100 // np.maximum(capacity, 1)
    out[_LEAST] = (percent[0] + percent[1]) // 2 / 100
    used = (capacity - spare) * inv[:2]
    out[_BALANCED] = np.floor((1.0 - np.abs(used[0] - used[1]) / 2.0) * 100.0) / 100


def _life_features(m: Part, r: Request, terms: Terms, empty: npt.NDArray[np.bool_], out: F64) -> None:
    """By how much, and by how many steps, the request outlives the machine's tasks."""
    exit_s = m.real[cl.EXIT]
    others = -exit_s if terms.lifetime == "unknown" else np.maximum(exit_s, 0.0)
    others[empty] = 0.0
    apart = r.life_s - others
    # As the rule has it: a step is passed only beyond it.
    out[_LIFETIME] = LIFETIME_STEPS.searchsorted(apart) / -float(LIFETIME_STEPS.size)
    if terms.residents:
        out[_LIFETIME_GAP] = _ratio(apart, r.life_s + others)


def _device_features(m: Part, r: Request) -> tuple[Any, Any, Any]:
    """``whole_free``, ``whole_left`` and ``device_left``."""
    n = m.whole[cl.GPUS]
    bits = pick_devices(m.device, r.gpus, r.mgpu) if r.gpus else np.zeros(m.device.shape, bool)
    free = m.device == 1000
    least = np.where(bits, m.device - r.mgpu, 1000).min(axis=1) / 1000 if r.gpus else np.zeros(len(n))
    return _ratio(free.sum(axis=1), n), _ratio((free & ~bits).sum(axis=1), n), np.where(n > 0, least, 0.0)


def _fragment_features(m: Part, s: Scale, gain: F64, out: F64) -> None:
    inv = m.real[cl.INV_GPU if s.frag == "gpu" else cl.INV_CPU]
    before = m.real[cl.FRAG]
    after = np.maximum(0.0, before - gain * 1000.0)  # the difference can be -1e-13 where it is 0
    np.multiply(before, inv, out=out[_FRAGMENTS.start])
    np.multiply(after, inv, out=out[_FRAGMENTS.start + 1])
    np.multiply(before - after, inv, out=out[_FRAGMENTS.start + 2])


def _power_rise(cluster: cl.Cluster, m: Part, r: Request, terms: Terms) -> Any:
    i, f = m.whole, m.real
    out = np.zeros(i.shape[1])
    used = (i[cl.CAP_CPU] - i[cl.CPU]) * f[cl.INV_PHYSICAL]
    after = (i[cl.CAP_CPU] - i[cl.CPU] + r.cpu) * f[cl.INV_PHYSICAL]
    off = (i[cl.UP] == 0) | ((i[cl.TASKS] == 0) & (not terms.empty_on))
    for curve in np.unique(i[cl.CURVE]):
        if curve < 0:
            continue
        at = np.flatnonzero(i[cl.CURVE] == curve)
        kind, table = int(cluster.curve_kind[curve]), cluster.curve_table[curve]
        full = float(_watts(kind, table, np.ones(1))[0])
        now = np.where(off[at], 0.0, _watts(kind, table, np.minimum(used[at], 1.0)))
        rise = _watts(kind, table, np.minimum(after[at], 1.0)) - now
        out[at] = rise / full if full > 0.0 else 0.0
    return out


_POWERS: dict[int, Callable[[F64], F64]] = {
    LINEAR: lambda u: u,
    SQUARE: lambda u: u * u,
    CUBIC: lambda u: u * u * u,
    SQRT: lambda u: np.sqrt(u),
    CUBIC_ROOT: lambda u: np.power(u, 1.0 / 3.0),
}


def _watts(kind: int, table: F64, used: F64) -> F64:
    """As ``rlsched.sim.power.watts``, for an array."""
    if kind == TABLE:
        low, high = np.floor(used * 10.0).astype(np.int64), np.ceil(used * 10.0).astype(np.int64)
        slope = (table[high] - table[low]) / 10.0
        watts: F64 = table[low] + slope * (used - low / 10.0) * 100.0
        return watts
    drawn: F64 = table[0] + (table[1] - table[0]) * _POWERS[kind](used)
    return drawn


def global_features(
    cluster: cl.Cluster, r: Request, terms: Terms, n_able: int, told: Mapping[str, float]
) -> dict[str, float]:
    """Columns of ``globals`` by name."""
    whole, n = cluster.whole, len(cluster)
    (total_cpu, total_mem, total_gpu), most = cluster.fixed.total, cluster.fixed.most
    free_cpu, free_mem, free_gpu, running = np.add.reduce(whole[: cl.TASKS + 1], axis=1).tolist()
    used_cpu, used_mem, used_gpu = total_cpu - free_cpu, total_mem - free_mem, total_gpu - free_gpu
    waiting, waited = told.get("waiting", 0), told.get("waited_s", 0.0)
    arrived_cpu = _share(told.get("arrived_cpu_mcore", used_cpu), total_cpu)
    arrived_gpu = _share(told.get("arrived_gpu_mgpu", used_gpu), total_gpu)
    lost, capacity, used = 0.0, 0, 0
    if terms.fragmentation != "none":
        lost = float(np.add.accumulate(cluster.real[cl.FRAG])[-1])  # one after the other, as compiled
        capacity, used = (total_gpu, used_gpu) if terms.fragmentation == "gpu" else (total_cpu, used_cpu)
    return {
        "request_cpu": _share(r.cpu, most[0]),
        "request_mem": _share(r.mem, most[1]),
        "request_gpu": _share(r.gpus * r.mgpu, most[2]),
        "request_share": r.mgpu / 1000,
        "request_shared": float(r.shared),
        "request_life": r.life_s / (r.life_s + ft.HALF_LIFE_S),
        "request_waited": waited / (waited + ft.HALF_LIFE_S),
        "request_choosy": float(r.gpus > 0 and r.models != ANY_MODEL),
        "request_models": _carriers(cluster, r) / n,
        "request_fits": n_able / n,
        "from_queue": float(told.get("from_queue", 0)),
        "used_cpu": _share(used_cpu, total_cpu),
        "used_mem": _share(used_mem, total_mem),
        "used_gpu": _share(used_gpu, total_gpu),
        "fragmentation": _share(lost, capacity),
        "fragmented_idle": _share(lost, capacity - used),
        "active": int(np.count_nonzero(whole[cl.TASKS])) / n,
        "running": running / (running + n),
        "waiting": waiting / (waiting + ft.HALF_WAITING),
        "arrived_cpu": arrived_cpu / (1.0 + arrived_cpu),
        "arrived_gpu": arrived_gpu / (1.0 + arrived_gpu),
        **_calendar(told.get("time_s")),
    }


def _carriers(cluster: cl.Cluster, r: Request) -> int:
    """Machines with a GPU of a model that will do."""
    if r.gpus == 0:
        return 0
    model = cluster.whole[cl.MODEL]
    return int(np.count_nonzero((model >= 0) & ((np.int64(r.models) >> np.maximum(model, 0)) & 1 == 1)))


def _calendar(time_s: float | None) -> dict[str, float]:
    """Time of the day and of the week, from Monday 0:00; zeros where the time is not known."""
    out = dict.fromkeys(("day_sin", "day_cos", "week_sin", "week_cos"), 0.0)
    if time_s is not None:
        monday = time_s - 4 * SECONDS_PER_DAY  # 1970 began on a Thursday
        for name, since, length in (("day", time_s, SECONDS_PER_DAY), ("week", monday, SECONDS_PER_WEEK)):
            turn = 2 * math.pi * (since % length / length)
            out[f"{name}_sin"], out[f"{name}_cos"] = math.sin(turn), math.cos(turn)
    return out


def _share(a: float, b: float) -> float:
    return a / b if b > 0 else 0.0
