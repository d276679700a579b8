"""``Request``: what is to be placed, from a mapping, a pandas row, or one row of a trace."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlsched.errors import PolicyError, did_you_mean
from rlsched.policies.library.cluster import Cluster
from rlsched.policies.library.terms import Terms
from rlsched.traces.columns import ANY_MODEL, MAX_GPUS, MAX_QUANTITY, Trace

#: Key → unit and meaning. ``cpu_mcore`` and ``mem_mib`` must be given.
KEYS = {
    "cpu_mcore": "millicores asked for",
    "mem_mib": "MiB asked for",
    "gpu_count": "devices asked for; 0 if left out",
    "gpu_mgpu": "milli-GPU of each device; 1000 if left out",
    "gpu_models": "names of the models that will do; any if left out",
    "expected_s": "expected life span, s; the policy's own assumption if left out",
}
#: Keys of a trace's row that say nothing about where it fits.
_PASSING = (
    "task_id",
    "arrive_s",
    "depart_s",
    "last_seen_s",
    "priority",
    "tenant",
    "group",
    "group_limit",
    "gpu_model_mask",
)


@dataclass(frozen=True)
class Request:
    """What is to be placed, over a cluster's GPU models.

    Parameters
    ----------
    cpu, mem : int
        Millicores, MiB.
    gpus, mgpu : int
        Devices, and milli-GPU of each.
    models : int
        Bits over ``Cluster.models``; -1: any.
    life_s : float
        Expected life span.
    named : tuple of str
        The models as they were asked for; empty: any.
    """

    cpu: int
    mem: int
    gpus: int
    mgpu: int
    models: int
    life_s: float
    named: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        """True when it asks for a part of one device."""
        return self.gpus == 1 and self.mgpu < 1000

    @property
    def kind(self) -> int:
        """Kind of GPU task: 0 a share, 1 to 4 for 1, 2, 4, 8 devices (the next larger in between)."""
        return 0 if self.shared else next((kind for kind, n in ((1, 1), (2, 2), (3, 4)) if self.gpus <= n), 4)

    @property
    def size(self) -> tuple[int, int, int, int, int]:
        """What decides where it fits."""
        return self.cpu, self.mem, self.gpus, self.mgpu, self.models


def read_request(request: Any, cluster: Cluster, terms: Terms) -> Request:
    """Check a request.

    Parameters
    ----------
    request : mapping, pandas Series, or Trace of one row
        Keys: :data:`KEYS`.
    cluster : Cluster
    terms : Terms

    Raises
    ------
    PolicyError
        An unknown or missing key, a wrong type, a number outside its range.
    """
    if isinstance(request, Request):
        return request
    told = _mapping(request, terms)
    unknown = [key for key in told if key not in KEYS and key not in _PASSING]
    if unknown:
        raise PolicyError(f"unknown key {unknown[0]!r} of the request.{did_you_mean(str(unknown[0]), KEYS)}")
    missing = [key for key in ("cpu_mcore", "mem_mib") if key not in told]
    if missing:
        raise PolicyError(f"the request lacks {', '.join(missing)} ({KEYS[missing[0]]}). Give it.")
    cpu, mem = (_whole(told, key, MAX_QUANTITY, 0) for key in ("cpu_mcore", "mem_mib"))
    gpus = _whole(told, "gpu_count", MAX_GPUS, 0)
    mgpu = _whole(told, "gpu_mgpu", 1000, 1000 if gpus else 0)
    if gpus and not mgpu:
        raise PolicyError("gpu_mgpu of the request must be in 1..1000 where it asks for devices: got 0.")
    if mgpu < 1000 and gpus > 1:
        raise PolicyError(f"a request for {gpus} devices must ask for whole ones: got gpu_mgpu {mgpu}. Set 1000.")
    if cpu == 0 and mem == 0 and gpus == 0:
        raise PolicyError("the request asks for nothing: cpu_mcore, mem_mib and gpu_count are all 0.")
    models, named = _models(told, gpus, cluster)
    return Request(cpu, mem, gpus, mgpu if gpus else 0, models, _life(told, terms), named)


def requests_of(requests: Any) -> Iterator[Any]:
    """One request after the other, of a DataFrame, a Trace, or a sequence."""
    if isinstance(requests, Trace):
        for row in range(len(requests)):
            yield requests.take(slice(row, row + 1))
    elif hasattr(requests, "columns") and hasattr(requests, "iloc"):
        names = [str(name) for name in requests.columns]
        for values in requests.itertuples(index=False, name=None):
            yield dict(zip(names, values, strict=True))
    elif isinstance(requests, (Mapping, str, bytes)) or not hasattr(requests, "__iter__"):
        raise PolicyError(
            "requests must be a pandas DataFrame, a Trace, or a sequence of requests: "
            f"got {type(requests).__name__}. For one request, use place()."
        )
    else:
        yield from requests


def _mapping(request: Any, terms: Terms) -> Mapping[str, Any]:
    if isinstance(request, Trace):
        if len(request) != 1:
            raise PolicyError(f"place() takes one request: got a trace of {len(request)}. Use place_many().")
        out: dict[str, Any] = {key: getattr(request, key)[0].item() for key in list(KEYS)[:4]}
        mask = int(request.gpu_model_mask[0])
        if mask != ANY_MODEL:
            out["gpu_models"] = [name for bit, name in enumerate(request.gpu_models) if mask >> bit & 1]
        # The true end of a task is for policies that may know it.
        life, known = float(request.expected_s[0]), terms.lifetime == "known" and int(request.depart_s[0]) != -1
        out["expected_s"] = float(request.depart_s[0] - request.arrive_s[0]) if np.isnan(life) and known else life
        return out
    if isinstance(request, Mapping):
        return request
    if hasattr(request, "to_dict") and getattr(request, "ndim", 0) == 1:  # a pandas Series
        return {str(key): value for key, value in request.to_dict().items()}
    raise PolicyError(
        f"a request must be a mapping or a pandas Series: got {type(request).__name__}. "
        'Example: {"cpu_mcore": 4000, "mem_mib": 8192}'
    )


def _whole(told: Mapping[str, Any], key: str, most: int, other: int) -> int:
    value = told.get(key)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if key in ("cpu_mcore", "mem_mib"):
            raise PolicyError(f"{key} of the request must be a whole number: got {value}. Give what it asks for.")
        return other
    whole = not isinstance(value, (bool, np.bool_)) and isinstance(value, (int, float, np.integer, np.floating))
    if not whole or not math.isfinite(value) or int(value) != value:
        raise PolicyError(f"{key} of the request must be a whole number ({KEYS[key]}): got {value!r}.")
    if not 0 <= value <= most:
        raise PolicyError(f"{key} of the request must be in 0..{most}: got {value}.")
    return int(value)


def _models(told: Mapping[str, Any], gpus: int, cluster: Cluster) -> tuple[int, tuple[str, ...]]:
    names = told.get("gpu_models")
    if names is None or gpus == 0:
        return ANY_MODEL, ()
    listed = hasattr(names, "__len__") and hasattr(names, "__iter__") and not isinstance(names, (str, bytes))
    if not listed or not len(names) or not all(isinstance(name, str) for name in names):
        raise PolicyError(f"gpu_models of the request must be a list of names: got {names!r}. Leave it out for any.")
    known = [1 << cluster.models.index(name) for name in names if name in cluster.models]
    # A model no machine has fits nowhere.
    return sum(set(known)) or 1 << (len(cluster.models) + 1), tuple(dict.fromkeys(names))


def _life(told: Mapping[str, Any], terms: Terms) -> float:
    value = told.get("expected_s")
    if value is None:
        return terms.unknown_lifetime_s
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise PolicyError(f"expected_s of the request must be a number of seconds: got {value!r}.")
    if math.isnan(value):
        return terms.unknown_lifetime_s
    if value < 0 or math.isinf(value):
        raise PolicyError(f"expected_s of the request must be >= 0 and finite: got {value}.")
    return float(value)
