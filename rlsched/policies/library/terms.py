"""``Terms``: what a policy measures a cluster in; a policy file carries its own.

Fragmentation needs typical requests, lifetime rules need to know what they may see, power
needs curves. A trained network saw all of that in the world it learned in; it travels in the
policy file as the metadata key ``world``, so that the library measures the same way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, SpecError, did_you_mean
from rlsched.sim.curves import POWER_CURVES, PowerCurve

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

MEASURED = ("none", "gpu", "cpu")
LIFETIMES = ("known", "predicted", "unknown")


@dataclass(frozen=True)
class Terms:
    """What scores and features are measured in.

    Parameters
    ----------
    fragmentation : {"none", "gpu", "cpu"}
    lifetime : {"known", "predicted", "unknown"}
        ``unknown``: of residents only ages are known (column ``oldest_task_s``), otherwise how
        long they are expected to stay (``busy_for_s``).
    unknown_lifetime_s : float, seconds
        Life span of a request that says none.
    residents : bool
        False: ends of residents count for nothing (the policy learned where nothing leaves).
    cpu_ratio, mem_ratio : float
        Oversubscription: a machine offers ``floor(capacity * ratio)``.
    empty_on : bool
        Whether a machine without tasks draws power.
    typical_i : (J, 5) int64
        Typical requests: ``cpu_mcore, mem_mib, gpu_count, gpu_mgpu``, bits over ``gpu_models``.
    typical_p : (J,) float64
        Their shares, sum 1.
    gpu_models : tuple of str
    curves : dict of str to PowerCurve
        Besides the built-in ones.
    """

    fragmentation: str = "none"
    lifetime: str = "known"
    unknown_lifetime_s: float = 3600.0
    residents: bool = True
    cpu_ratio: float = 1.0
    mem_ratio: float = 1.0
    empty_on: bool = False
    typical_i: I64 = field(default_factory=lambda: np.empty((0, 5), np.int64))
    typical_p: F64 = field(default_factory=lambda: np.empty(0))
    gpu_models: tuple[str, ...] = ()
    curves: Mapping[str, PowerCurve] = field(default_factory=dict)

    def curve(self, name: str) -> PowerCurve:
        """A power curve by name.

        Raises
        ------
        SpecError
        """
        known = {**POWER_CURVES, **self.curves}
        if name not in known:
            raise SpecError(f"unknown power curve {name!r}.{did_you_mean(name, known)}")
        return known[name]

    def with_typical(self, typical: Any, fragmentation: str) -> Terms:
        """The same, with typical requests of the caller's.

        Parameters
        ----------
        typical : Typical, or mapping
            With ``requests (J, 5)``, ``share (J,)`` and ``gpu_models``.
        fragmentation : {"gpu", "cpu"}

        Raises
        ------
        SpecError
            When it is neither, or breaks a rule.
        """
        told = typical if isinstance(typical, Mapping) else getattr(typical, "__dict__", {})
        if not {"requests", "share"} <= set(told):
            raise SpecError(
                "typical must be what rlsched.sim.fragmentation.typical_requests(trace) gives, or a mapping with "
                f"requests, share and gpu_models: got {type(typical).__name__}."
            )
        try:
            requests, share, names = _typical(told["requests"], told["share"], told.get("gpu_models", ()))
        except (TypeError, ValueError) as error:
            raise SpecError(f"typical requests: {error}.") from None
        values = {**self.__dict__, "typical_i": requests, "typical_p": share, "gpu_models": names}
        return Terms(**{**values, "fragmentation": fragmentation})


def world_facts(world: Any) -> dict[str, Any]:
    """What a policy file has to say of the world it learned in, as JSON values.

    Parameters
    ----------
    world : World
        Of the training windows.

    Returns
    -------
    dict
        For the metadata key ``world``; :func:`terms_of` reads it back.
    """
    options, arrays = world.options, world.arrays
    models = tuple(dict.fromkeys(name for fleet in world.fleets for name in fleet.gpu_models))
    known = np.int64((1 << len(models)) - 1)
    requests = arrays.typical_i.copy()
    some = requests[:, 4] >= 0
    requests[some, 4] &= known  # bits beyond name no machine
    curves = {
        name: {"kind": int(kind), "table": [None if math.isnan(v) else float(v) for v in table]}
        for name, kind, table in zip(world.curve_names, arrays.curve_kind, arrays.curve_table, strict=True)
    }
    return {
        "fragmentation": options.fragmentation,
        "lifetime": options.lifetime,
        "unknown_lifetime_s": options.unknown_lifetime_s,
        "cpu_ratio": options.cpu_ratio,
        "mem_ratio": options.mem_ratio,
        "empty_on": options.empty_machines == "on",
        "typical": {
            "requests": requests.tolist(),
            "share": arrays.typical_p.tolist(),
            "gpu_models": list(models),
        },
        "curves": curves,
    }


def terms_of(metadata: Mapping[str, Any], place: str) -> Terms:
    """Read the terms out of a policy file's metadata.

    Without the key ``world`` (a file of an early version) only what other keys say is known:
    then typical requests have to be given with the question.

    Raises
    ------
    PolicyError
        When the key is there and breaks a rule.
    """
    measured = str(metadata.get("fragmentation", "none"))
    residents = bool(metadata.get("residents", True))
    world = metadata.get("world")
    if world is None:
        return Terms(fragmentation=measured, residents=residents)
    try:
        return _read(world, residents)
    except (KeyError, TypeError, ValueError, SpecError) as error:
        raise PolicyError(
            f"{place}: metadata world does not describe a world ({type(error).__name__}: {error}): "
            f"got {json.dumps(world)[:80]}. Export the policy again."
        ) from None


def _read(world: Mapping[str, Any], residents: bool) -> Terms:
    from rlsched.sim.curves import KINDS

    if world["fragmentation"] not in MEASURED or world["lifetime"] not in LIFETIMES:
        raise ValueError(f"unknown fragmentation {world['fragmentation']!r} or lifetime {world['lifetime']!r}")
    numbers = {key: float(world[key]) for key in ("unknown_lifetime_s", "cpu_ratio", "mem_ratio")}
    if not all(0 < value < math.inf for value in numbers.values()):
        raise ValueError(f"numbers must be > 0 and finite: got {numbers}")
    typical = world["typical"]
    requests, share, names = _typical(typical["requests"], typical["share"], typical["gpu_models"])
    if world["fragmentation"] != "none" and not share.size:
        raise ValueError("no typical requests")
    kinds = {number: name for name, number in KINDS.items()}
    curves = {}
    for name, one in world["curves"].items():
        points = tuple(float(value) for value in one["table"] if value is not None)
        curves[name] = PowerCurve(kinds[int(one["kind"])], points)
    return Terms(
        fragmentation=world["fragmentation"],
        lifetime=world["lifetime"],
        residents=residents,
        empty_on=bool(world["empty_on"]),
        typical_i=requests,
        typical_p=share,
        gpu_models=names,
        curves=curves,
        **numbers,
    )


def _typical(requests: Any, share: Any, names: Any) -> tuple[I64, F64, tuple[str, ...]]:
    table = np.array(requests, dtype=np.int64).reshape(-1, 5)
    weight = np.array(share, dtype=np.float64).reshape(-1)
    if len(table) != len(weight):
        raise ValueError(f"need one share a request: got {len(weight)} for {len(table)}")
    if (table[:, :4] < 0).any() or not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError("requests and shares must be finite and >= 0")
    return table, weight, tuple(str(name) for name in names)
