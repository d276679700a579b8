"""Several worlds side by side: the copies of one simulation may each live in another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError
from rlsched.sim.consolidation.compiled import inner
from rlsched.sim.consolidation.world import World, WorldCode
from rlsched.sim.semantics import Semantics

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


class WorldsCode(NamedTuple):
    """:class:`WorldCode` of ``D`` worlds, leading axis ``D``; rows are as long as the longest."""

    n_hosts: I64  # (D,)
    n_vms: I64  # (D,)
    n_classes: I64  # (D,)
    host_cpu: F64
    host_core: F64
    host_mem: I64
    host_curve: I64
    curve_kind: I64  # of all worlds
    curve_table: F64  # of all worlds
    class_start: I64
    class_host: I64
    vm_cpu: F64
    vm_mem: I64
    vm_hash: I64
    load: F64
    past: F64
    trend: F64
    reach: I64
    step_s: float
    migration_mib_per_s: float


def stack(worlds: Sequence[World], semantics: Semantics) -> WorldsCode:
    """Put worlds side by side.

    Parameters
    ----------
    worlds : sequence of World
        One or more; equal in ticks, step, speed of migration and list of power curves.
    semantics : Semantics

    Raises
    ------
    SpecError
        Where they differ in that.
    """
    first = worlds[0]
    for i, one in enumerate(worlds):
        for name in ("n_samples", "step_s", "migration_mib_per_s", "curves"):
            if getattr(one, name) != getattr(first, name):
                raise SpecError(
                    f"worlds of one simulation must have equal {name}: world {i} ({one.source or 'unnamed'}) has "
                    f"{getattr(one, name)!r}, world 0 {getattr(first, name)!r}. Simulate them one by one."
                )
    codes = [one.code(semantics) for one in worlds]
    columns = ("host_cpu", "host_core", "host_mem", "host_curve", "class_host", "vm_cpu", "vm_mem", "vm_hash")
    tables = ("class_start", "load", "past", "trend", "reach")
    rows: dict[str, Any] = {name: _pad([getattr(code, name) for code in codes]) for name in (*columns, *tables)}
    return WorldsCode(
        n_hosts=np.array([one.n_hosts for one in worlds], np.int64),
        n_vms=np.array([one.n_vms for one in worlds], np.int64),
        n_classes=np.array([len(code.class_start) - 1 for code in codes], np.int64),
        curve_kind=codes[0].curve_kind,
        curve_table=codes[0].curve_table,
        step_s=codes[0].step_s,
        migration_mib_per_s=codes[0].migration_mib_per_s,
        **rows,
    )


def _pad(arrays: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Arrays as rows of one; what is beyond the end of a shorter one is 0 and never looked at."""
    shape = np.max([array.shape for array in arrays], axis=0)
    out = np.zeros((len(arrays), *shape), arrays[0].dtype)
    for row, array in zip(out, arrays, strict=True):
        row[tuple(slice(n) for n in array.shape)] = array
    return out


@inner
def world_of(ws: WorldsCode, d: int) -> WorldCode:
    """World ``d``, sharing memory. (Tables by VM keep the padded width: their rows are looked up by number.)"""
    m, v = ws.n_hosts[d], ws.n_vms[d]
    return WorldCode(
        ws.host_cpu[d][:m],
        ws.host_core[d][:m],
        ws.host_mem[d][:m],
        ws.host_curve[d][:m],
        ws.curve_kind,
        ws.curve_table,
        ws.class_start[d][: ws.n_classes[d] + 1],
        ws.class_host[d][:m],
        ws.vm_cpu[d][:v],
        ws.vm_mem[d][:v],
        ws.vm_hash[d][:v],
        ws.load[d],
        ws.past[d],
        ws.trend[d],
        ws.reach[d],
        ws.step_s,
        ws.migration_mib_per_s,
    )
