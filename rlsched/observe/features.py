"""The observation of ``rlsched/Placement-v0``, one row a field: name, shape, dtype, range, unit, meaning.

The table is the promise: the environment builds its spaces from it, the documentation prints
it, a policy file names the fields it was trained on, and tests hold the compiled code to the
ranges. Every field is a ratio, so a policy trained on 60 machines reads a cluster of 1,200.
Nothing is clipped: what could grow without bound is squashed by ``x / (1 + x)``, and says so.

A policy file names the fields it reads and is shown those, in its own order. So a new field is
a line here and a new ``SCHEMA_VERSION``; a field whose name, range or meaning changes ends the
``READABLE_SCHEMAS`` before it.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 2
#: Schemas whose fields still mean what they meant: 2 added fields to those of 1.
READABLE_SCHEMAS = (1, 2)
#: Span at which ``request_life``, ``request_waited`` and ``age`` are one half, seconds.
HALF_LIFE_S = 3600.0
#: Residents at which ``residents`` is one half.
HALF_RESIDENTS = 8
#: Waiting tasks at which ``waiting`` is one half.
HALF_WAITING = 8


@dataclass(frozen=True)
class Feature:
    """One field of the observation.

    Parameters
    ----------
    name : str
    part : str
        ``"candidates"`` (one value a candidate) or ``"globals"``.
    low, high : float
        Both ends are included and hold always.
    unit : str
    meaning : str
    """

    name: str
    part: str
    low: float
    high: float
    unit: str
    meaning: str

    @property
    def shape(self) -> str:
        """``"(K,)"`` or ``"()"``."""
        return "(K,)" if self.part == "candidates" else "()"

    dtype = "float32"


def _candidate(name: str, low: float, high: float, unit: str, meaning: str) -> Feature:
    return Feature(name, "candidates", low, high, unit, meaning)


def _global(name: str, low: float, high: float, unit: str, meaning: str) -> Feature:
    return Feature(name, "globals", low, high, unit, meaning)


_OWN = "share of the machine's"
_LARGEST = "share of the largest machine's"
_SCORE = "score of the rule, see rlsched.sim.rules"
_SPAN = f"s / (s + {HALF_LIFE_S:.0f})"

#: Columns of ``candidates``, in order. A slot without a machine holds zeros.
CANDIDATE_FEATURES = (
    _candidate("cpu_free", 0, 1, f"{_OWN} CPU", "free before the task is placed"),
    _candidate("mem_free", 0, 1, f"{_OWN} memory", "free before"),
    _candidate("gpu_free", 0, 1, f"{_OWN} GPUs", "free before; 0 without GPUs"),
    _candidate("cpu_left", 0, 1, f"{_OWN} CPU", "free after the task is placed"),
    _candidate("mem_left", 0, 1, f"{_OWN} memory", "free after"),
    _candidate("gpu_left", 0, 1, f"{_OWN} GPUs", "free after; 0 without GPUs"),
    _candidate("cpu_size", 0, 1, f"{_LARGEST} CPU", "capacity"),
    _candidate("mem_size", 0, 1, f"{_LARGEST} memory", "capacity"),
    _candidate("gpu_size", 0, 1, f"{_LARGEST} GPUs", "capacity; 0 where no machine has GPUs"),
    _candidate("model_share", 0, 1, "share of the cluster's devices", "that are of its GPU model; 0 without GPUs"),
    _candidate("whole_free", 0, 1, f"{_OWN} devices", "devices nobody uses, before; 0 without GPUs"),
    _candidate("whole_left", 0, 1, f"{_OWN} devices", "the same after, smallest sufficient devices first"),
    _candidate("device_left", 0, 1, "share of one device", "left on the fullest device the task gets; 0 without"),
    _candidate("frag_before", 0, 1, f"{_OWN} capacity", "fragmentation before; 0 where it is not measured"),
    _candidate("frag_after", 0, 1, f"{_OWN} capacity", "fragmentation after, on the device best for it"),
    _candidate("frag_gain", -1, 1, f"{_OWN} capacity", "frag_before − frag_after"),
    _candidate("best_fit", -1, 0, _SCORE, "best_fit: minus the tightest share left"),
    _candidate("dot_product", 0, 1, f"{_SCORE} / 3", "dot_product of request and free shares"),
    _candidate("cosine", 0, 1, _SCORE, "cosine between request and free shares"),
    _candidate("norm_l2", -1, 0, f"{_SCORE} / 3", "norm_l2: minus the squared shares left"),
    _candidate("least_allocated", 0, 1, f"{_SCORE} / 100", "least_allocated: whole percents left"),
    _candidate("balanced_allocation", 0, 1, f"{_SCORE} / 100", "balanced_allocation: CPU and memory used alike"),
    _candidate("gpu_packing", 0, 1, f"{_SCORE} / 100", "gpu_packing; 0 for a task without GPUs"),
    _candidate("gpu_clustering", 0, 1, f"{_SCORE} / 100", "gpu_clustering; 0 for a task without GPUs"),
    _candidate("lifetime", -1, 0, f"{_SCORE} / 11", "lifetime: minus the steps the task outlives the machine's others"),
    _candidate(
        "lifetime_gap",
        -1,
        1,
        "(a − b) / (a + b)",
        "a: expected life left of the task, b: of the machine's others, at least 0 both; "
        "0 where both are 0 or no residents are kept",
    ),
    _candidate("residents", 0, 1, f"n / (n + {HALF_RESIDENTS})", "tasks on the machine"),
    _candidate("empty", 0, 1, "0 or 1", "1: no task is on it"),
    _candidate("age", 0, 1, _SPAN, "how long it has held tasks without a break; 0 when empty"),
    _candidate("same_state", 0, 1, "share of the machines that fit", "machines in equal state, this one included"),
    _candidate("price", 0, 1, "share of the dearest machine's", "price per hour; 0 where it is not known"),
    _candidate("power_rise", -1, 1, "share of the machine's full power", "rise of power; 0 where no curve is known"),
    _candidate("prior", -1, 0, "x / (1 − x)", "x: score of the prior heuristic minus that of its best candidate"),
)
_NO_CALENDAR = "0 where it has no calendar"
#: Columns of ``globals``, in order.
GLOBAL_FEATURES = (
    _global("request_cpu", 0, 1, f"{_LARGEST} CPU", "asked for; 0 when no task waits"),
    _global("request_mem", 0, 1, f"{_LARGEST} memory", "asked for"),
    _global("request_gpu", 0, 1, f"{_LARGEST} GPUs", "asked for, over all devices"),
    _global("request_share", 0, 1, "share of one device", "asked for, of each device"),
    _global("request_shared", 0, 1, "0 or 1", "1: it asks for a part of one device"),
    _global("request_life", 0, 1, _SPAN, "expected life left of the task"),
    _global("request_waited", 0, 1, _SPAN, "since the task arrived; 0 for one that arrives now"),
    _global("request_choosy", 0, 1, "0 or 1", "1: it names the GPU models that will do"),
    _global("request_models", 0, 1, "share of the machines", "with a GPU that will do; 0: it asks for none"),
    _global("request_fits", 0, 1, "share of the machines", "that can hold it now"),
    _global("from_queue", 0, 1, "0 or 1", "1: it waited, 0: it arrives now"),
    _global("used_cpu", 0, 1, "share of the cluster's CPU", "allocated"),
    _global("used_mem", 0, 1, "share of the cluster's memory", "allocated"),
    _global("used_gpu", 0, 1, "share of the cluster's GPUs", "allocated; 0 without GPUs"),
    _global("fragmentation", 0, 1, "share of the cluster's capacity", "fragmentation; 0 where it is not measured"),
    _global("fragmented_idle", 0, 1, "share of what is idle", "fragmentation; 0 when nothing is idle"),
    _global("active", 0, 1, "share of the machines", "with a task"),
    _global("running", 0, 1, "n / (n + machines)", "tasks running"),
    _global("waiting", 0, 1, f"n / (n + {HALF_WAITING})", "tasks in the queue"),
    _global("arrived_cpu", 0, 1, "x / (1 + x)", "x: CPU asked for since metering began / the cluster's CPU"),
    _global("arrived_gpu", 0, 1, "x / (1 + x)", "x: GPUs asked for since metering began / the cluster's GPUs"),
    _global("day_sin", -1, 1, "sine", f"time of the day on the trace's clock; {_NO_CALENDAR}"),
    _global("day_cos", -1, 1, "cosine", f"time of the day; {_NO_CALENDAR}"),
    _global("week_sin", -1, 1, "sine", f"time of the week, from Monday 0:00; {_NO_CALENDAR}"),
    _global("week_cos", -1, 1, "cosine", f"time of the week; {_NO_CALENDAR}"),
)
FEATURES = CANDIDATE_FEATURES + GLOBAL_FEATURES
CANDIDATE_NAMES = tuple(feature.name for feature in CANDIDATE_FEATURES)
GLOBAL_NAMES = tuple(feature.name for feature in GLOBAL_FEATURES)


def feature_table() -> list[dict[str, str]]:
    """The table as rows of text, for pages and the terminal."""
    rows = []
    for feature in FEATURES:
        row = {"part": feature.part, "name": feature.name, "shape": feature.shape, "dtype": feature.dtype}
        rows.append({**row, "range": f"[{feature.low:g}, {feature.high:g}]", "unit": feature.unit})
        rows[-1]["meaning"] = feature.meaning
    return rows
