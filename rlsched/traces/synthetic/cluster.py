"""A cluster from a short list of host types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from rlsched.spec import Spec
from rlsched.traces.columns import Machines


class Hosts(Spec):
    """So many machines of one type."""

    name: str = Field(min_length=1)
    count: int = Field(ge=1)
    cpu_mcore: int = Field(gt=0)
    mem_mib: int = Field(gt=0)
    power_curve: str = Field(default="", description="a name known to rlsched.sim.power; empty: unknown")
    price_per_h: float | None = Field(default=None, ge=0, description="US dollars an hour; None: unknown")


def build_cluster(hosts: Sequence[Hosts], source: str = "") -> Machines:
    """Make the machines, types in the order given.

    Parameters
    ----------
    hosts : sequence of Hosts
    source : str
        Card the list is from.

    Returns
    -------
    Machines
        ``machine_id`` is the type's name, a dash and a running number: ``large-03``.
    """
    curves = tuple(sorted({h.power_curve for h in hosts if h.power_curve}))
    counts = [h.count for h in hosts]
    ids = [f"{h.name}-{i:02d}" for h in hosts for i in range(h.count)]
    return Machines(
        machine_id=np.asarray(ids, dtype=object),
        cpu_mcore=np.repeat([h.cpu_mcore for h in hosts], counts),
        mem_mib=np.repeat([h.mem_mib for h in hosts], counts),
        power_curve=np.repeat([curves.index(h.power_curve) if h.power_curve else -1 for h in hosts], counts),
        price_per_h=np.repeat([np.nan if h.price_per_h is None else h.price_per_h for h in hosts], counts),
        power_curves=curves,
        source=source,
        meta={"synthetic": True},
    ).validate()
