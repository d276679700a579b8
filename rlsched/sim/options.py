"""Options of the placement lever: each a named choice with a physically sensible default."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints

from rlsched.errors import SpecError, did_you_mean


@dataclass(frozen=True)
class PlacementOptions:
    """How placement is simulated.

    Parameters
    ----------
    cpu_ratio, mem_ratio : float
        Oversubscription: a machine offers ``floor(capacity * ratio)``. GPUs are never
        oversubscribed.
    admission : {"reject", "queue"}
        What happens to a task that fits nowhere when it arrives: it is turned away for good,
        or waits.
    queue_order : {"skip", "strict"}
        Waiting tasks are tried by priority (larger first), then arrival. ``skip``: one that
        does not fit lets the next try (as Kubernetes does). ``strict``: it blocks those behind
        it, arrivals included.
    interrupted : {"requeue", "lost"}
        What happens to the tasks of a machine that fails: they wait for a machine again
        (under either admission), or are gone.
    checkpoint_interval_s : float
        A restarted task goes on from its last checkpoint, taken every so many seconds of its
        run. ``inf``: from the beginning. ``0``: from where it was.
    empty_machines : {"off", "on"}
        Whether a machine without tasks draws no power and costs nothing, or idles and is paid.
    pue : float
        Power usage effectiveness, energy of the site per energy of its machines.
    unknown_lifetime_s : float
        Life span that lifetime-aware rules assume where a task's is not known.
    lifetime : {"known", "predicted", "unknown"}
        What lifetime-aware rules may see: the true life span, the trace's ``expected_s``
        (``unknown_lifetime_s`` where that is NaN), or only how long residents have run so far.
    fragmentation : {"none", "gpu", "cpu"}
        What the fragmentation of a machine is measured in: idle milli-GPU that a typical task
        cannot use (Weng et al., ATC 2023), or free millicores that it cannot use.

    Raises
    ------
    SpecError
        When an option has a value outside its range.
    """

    cpu_ratio: float = 1.0
    mem_ratio: float = 1.0
    admission: Literal["reject", "queue"] = "reject"
    queue_order: Literal["skip", "strict"] = "skip"
    interrupted: Literal["requeue", "lost"] = "requeue"
    checkpoint_interval_s: float = math.inf
    empty_machines: Literal["off", "on"] = "off"
    pue: float = 1.0
    unknown_lifetime_s: float = 3600.0
    lifetime: Literal["known", "predicted", "unknown"] = "known"
    fragmentation: Literal["none", "gpu", "cpu"] = "none"

    def __post_init__(self) -> None:
        problems = []
        for name in ("cpu_ratio", "mem_ratio"):
            if not 0 < getattr(self, name) <= 100:
                problems.append(f"{name} must be in (0, 100]: got {getattr(self, name)}")
        if not self.checkpoint_interval_s >= 0:
            problems.append(f"checkpoint_interval_s must be >= 0 or inf: got {self.checkpoint_interval_s}")
        if not 1 <= self.pue <= 10:
            problems.append(f"pue must be in 1..10: got {self.pue}")
        if not (0 < self.unknown_lifetime_s < math.inf):
            problems.append(f"unknown_lifetime_s must be > 0 and finite: got {self.unknown_lifetime_s}")
        hints = get_type_hints(type(self))
        for field in fields(self):
            choices = get_args(hints[field.name])
            value = getattr(self, field.name)
            if choices and value not in choices:
                problems.append(f"unknown {field.name} {value!r}.{did_you_mean(str(value), choices)}")
        if problems:
            raise SpecError("placement options: " + "; ".join(problems) + ".")
