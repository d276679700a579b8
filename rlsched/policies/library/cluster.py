"""``Cluster``: machines as they are now, from a pandas frame, a dict of arrays, or ``Machines``.

``rlsched.policies.library.frame`` says which columns there are and checks them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError
from rlsched.observe.features import CANDIDATE_NAMES
from rlsched.policies.library.frame import COLUMNS as COLUMNS
from rlsched.policies.library.frame import Table, columns_of
from rlsched.policies.library.terms import Terms
from rlsched.sim.curves import curve_arrays
from rlsched.traces.columns import ANY_MODEL, MAX_GPU_MODELS, MAX_GPUS

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


#: Rows of ``Cluster.whole`` and ``Cluster.real``.
(CPU, MEM, GPU, TASKS, UP, CAP_CPU, CAP_MEM, CAP_GPU, GPUS, MODEL, CURVE, KIND) = range(12)
N_WHOLE = KIND + 5
INV_CPU, INV_MEM, INV_GPU, INV_PHYSICAL, PRICE, EXIT, FRAG, AGE = range(8)
N_REAL = AGE + 1
#: Rows of ``whole`` that never change in which machines in equal state agree; the price besides.
_MAKE = np.array([CAP_CPU, CAP_MEM, GPUS, MODEL, CURVE])


@dataclass(frozen=True, eq=False)
class Fixed:
    """What does not change while machines stay what they are.

    Parameters
    ----------
    total, most : (int, int, int)
        CPU, memory and milli-GPU of all machines, and of the largest.
    share : (F, M) float64
        As ``candidates`` has them: CPU, memory, GPUs and price as shares of the largest machine's, devices
        of its GPU model as a share of all; zeros in all other fields.
    """

    total: tuple[int, int, int]
    most: tuple[int, int, int]
    share: F64


@dataclass
class Cluster:
    """Machines now, packed for the rules.

    Parameters
    ----------
    ids : (M,) array
    whole : (17, M) int64
        Free, tasks, up, capacities, devices, model, curve, kinds of GPU tasks.
    real : (8, M) float64
        Reciprocals of capacities (0 of 0), price, expected end of residents (now is 0), fragmentation, seconds in use.
    device : (M, G) int64, milli-GPU
        Free of each device; -1 where a machine has fewer.
    models : tuple of str
        Behind the numbers of ``whole[MODEL]``; one further number stands for those not known.
    curve_kind, curve_table
        As ``rlsched.sim.curves.curve_arrays`` gives them.
    assumed : tuple of str
        What was not given, and what was taken instead.
    fixed : Fixed
        One object stands for machines that stayed what they are.
    stamp, since : object
        One stands for what changes, as it is now; the other, for as it was when only the rows ``moved``
        (int64) differed. Whoever changes a row sets all three.
    """

    ids: npt.NDArray[Any]
    whole: I64
    real: F64
    device: I64
    models: tuple[str, ...]
    curve_kind: I64
    curve_table: F64
    assumed: tuple[str, ...]
    fixed: Fixed
    stamp: object = field(default_factory=object)
    since: object | None = None
    moved: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return int(self.whole.shape[1])

    def touch(self, rows: I64 | None) -> None:
        """Note that rows changed; None: any may have."""
        self.since, self.stamp = (None if rows is None else self.stamp), object()
        self.moved = np.empty(0, np.int64) if rows is None else rows

    def makes(self) -> I64:
        """Numbers of what machines are, (M,) int64: equal numbers, equal machines but for what is on them."""
        price = np.where(np.isnan(self.real[PRICE]), -1.0, self.real[PRICE])
        rows = zip(*self.whole[_MAKE].tolist(), price.tolist(), strict=True)
        numbers: dict[tuple[float, ...], int] = {}
        return np.array([numbers.setdefault(row, len(numbers)) for row in rows], np.int64)

    def rooms(self, makes: I64, rows: I64) -> Iterator[tuple[Any, ...]]:
        """For each of some rows, what machines in equal state agree in; of devices, whatever their order."""
        few = rows.size < len(self)
        whole = self.whole[[CPU, MEM, UP]] if not few else self.whole[[CPU, MEM, UP]].take(rows, 1)
        alone = zip(*whole.tolist(), (makes.take(rows) if few else makes).tolist(), strict=True)
        if not self.device.shape[1]:
            return alone
        devices = np.sort(self.device.take(rows, 0), axis=1).tolist()
        return ((*one, *device) for one, device in zip(alone, devices, strict=True))

    def mask_of(self, names: tuple[str, ...], mask: I64) -> I64:
        """Bits over ``names`` → bits over this cluster's models; a model no machine has keeps no bit."""
        out = np.zeros_like(mask)
        for bit, name in enumerate(names):
            if name in self.models:
                out |= ((mask >> bit) & 1) << self.models.index(name)
        out[out == 0] = np.int64(1) << (len(self.models) + 1)  # beyond the number of those not known
        out[mask == ANY_MODEL] = ANY_MODEL
        return out

    def take(self, row: int, need: tuple[int, int], devices: tuple[int, ...], mgpu: int, kind: int, end: float) -> None:
        """Put a task on a machine: its room is less, its tasks one more."""
        self.whole[CPU, row] -= need[0]
        self.whole[MEM, row] -= need[1]
        self.whole[GPU, row] -= mgpu * len(devices)
        self.device[row, list(devices)] -= mgpu
        if devices:
            self.whole[KIND + kind, row] += 1
        before = self.whole[TASKS, row]
        self.whole[TASKS, row] += 1
        self.touch(np.array([row]))
        self.real[EXIT, row] = end if before == 0 else max(self.real[EXIT, row], end)
        self.real[AGE, row] = 0.0 if before == 0 else self.real[AGE, row]


def read_cluster(machines: Any, terms: Terms) -> Cluster:
    """Check machines and pack them.

    Parameters
    ----------
    machines : DataFrame, mapping of arrays, or Machines
        See :data:`COLUMNS`. ``Machines`` hold no tasks: everything is free.
    terms : Terms

    Raises
    ------
    PolicyError
        No machine, a missing column, a wrong type, a number outside its range; names column, row,
        machine and value.
    """
    return machines if isinstance(machines, Cluster) else read_columns(*columns_of(machines), terms)


def read_columns(columns: dict[str, Any], n: int, index: Any, terms: Terms) -> Cluster:
    """The same, of columns by name."""
    if n == 0:
        raise PolicyError("there is no machine to place on: got 0 rows. Pass at least one.")
    table = Table(columns, n, index)
    whole, real = np.zeros((N_WHOLE, n), np.int64), np.zeros((N_REAL, n))
    physical = table.whole("cpu_mcore")
    whole[CAP_CPU] = np.floor(physical * terms.cpu_ratio).astype(np.int64)
    whole[CAP_MEM] = np.floor(table.whole("mem_mib") * terms.mem_ratio).astype(np.int64)
    whole[GPUS] = table.whole("gpu_count", most=MAX_GPUS, of="devices a machine can have", other=0)
    whole[CAP_GPU] = whole[GPUS] * 1000
    models, whole[MODEL] = table.names("gpu_model", whole[GPUS] > 0)
    if len(models) >= MAX_GPU_MODELS:
        raise PolicyError(f"at most {MAX_GPU_MODELS - 1} GPU models can take part: got {len(models)}.")
    whole[MODEL] = np.where((whole[GPUS] > 0) & (whole[MODEL] < 0), len(models), whole[MODEL])
    curve_names, whole[CURVE] = table.names("power_curve", np.ones(n, bool))
    kind, curves = curve_arrays([terms.curve(name) for name in curve_names])
    for row, capacity in ((INV_CPU, whole[CAP_CPU]), (INV_MEM, whole[CAP_MEM]), (INV_GPU, whole[CAP_GPU])):
        np.divide(1.0, capacity, out=real[row], where=capacity > 0)
    np.divide(1.0, physical, out=real[INV_PHYSICAL], where=physical > 0)
    real[PRICE] = table.real("price_per_h", np.nan, low=0.0)
    device = np.full((n, int(whole[GPUS].max())), -1, np.int64)
    cluster = Cluster(table.ids(check=True), whole, real, device, models, kind, curves, (), _fixed_of(whole, real))
    renew(cluster, table, terms)
    cluster.assumed = tuple(table.assumed)
    return cluster


#: Columns that :func:`renew` reads.
CHANGING = (
    "cpu_free_mcore",
    "mem_free_mib",
    "gpu_free_mgpu",
    "up",
    "tasks",
    "gpu_kinds",
    "busy_for_s",
    "oldest_task_s",
    "in_use_s",
)
#: Those that say in which state machines are; the others say since when, and for how long.
STATE_COLUMNS = frozenset(("cpu_free_mcore", "mem_free_mib", "gpu_free_mgpu", "up", "tasks", "gpu_kinds"))


def renew(cluster: Cluster, table: Table, terms: Terms, changed: Collection[str] = CHANGING) -> None:
    """Read again what changes of machines while they stay what they are.

    Parameters
    ----------
    cluster : Cluster
        Changed in place.
    table : Table
    terms : Terms
    changed : collection of str
        Columns that are not as they were when the cluster was read.

    Raises
    ------
    PolicyError
    """
    whole, real = cluster.whole, cluster.real
    guessed = "tasks" not in table.columns
    if guessed or not STATE_COLUMNS.isdisjoint(changed):
        cluster.touch(None)
    if "cpu_free_mcore" in changed:
        whole[CPU] = table.whole("cpu_free_mcore", most=whole[CAP_CPU], of="what the machine offers (cpu_mcore)")
    if "mem_free_mib" in changed:
        whole[MEM] = table.whole("mem_free_mib", most=whole[CAP_MEM], of="what the machine offers (mem_mib)")
    if "gpu_free_mgpu" in changed:
        cluster.device[:] = table.devices(whole[GPUS])
        whole[GPU] = np.where(cluster.device > 0, cluster.device, 0).sum(axis=1)
    if "up" in changed:
        whole[UP] = table.flag("up")
    were = whole[TASKS] > 0
    if guessed or "tasks" in changed:
        free = (whole[CPU] == whole[CAP_CPU]) & (whole[MEM] == whole[CAP_MEM]) & (whole[GPU] == whole[CAP_GPU])
        whole[TASKS] = table.whole("tasks", other=(~free).astype(np.int64), bind=False)
    if "gpu_kinds" in changed or "gpu_kinds" not in table.columns:
        whole[KIND:] = table.kinds(bool((whole[GPU] < whole[CAP_GPU]).any()))
    ages = terms.lifetime == "unknown"
    left, aside = ("oldest_task_s", "busy_for_s") if ages else ("busy_for_s", "oldest_task_s")
    busy = whole[TASKS] > 0
    others = bool((were != busy).any())
    if others or left in changed:
        exit_s = -table.real(left, 0.0, low=0.0, needed=busy) if ages else table.real(left, 0.0, needed=busy)
        real[EXIT] = np.where(busy, exit_s, np.inf if ages else -np.inf)
    if aside in table.columns and (others or aside in changed):
        table.real(
            aside, 0.0, low=-np.inf if ages else 0.0, needed=busy
        )  # not looked at, and still no place for rubbish
    if others or "in_use_s" in changed:
        real[AGE] = np.where(busy, table.real("in_use_s", 0.0, low=0.0, needed=busy), 0.0)


def _fixed_of(whole: I64, real: F64) -> Fixed:
    capacity = whole[[CAP_CPU, CAP_MEM, CAP_GPU]]
    price = np.where(np.isnan(real[PRICE]), 0.0, real[PRICE])
    most = np.array([*capacity.max(axis=1), price.max()])
    share = np.zeros((len(CANDIDATE_NAMES), whole.shape[1]))
    for name, values, top in zip(("cpu_size", "mem_size", "gpu_size", "price"), [*capacity, price], most, strict=True):
        if top > 0:
            share[CANDIDATE_NAMES.index(name)] = values / top
    if most[2] > 0:  # machines without a device are of model −1
        of_model = np.bincount(whole[MODEL] + 1, weights=whole[GPUS]) / whole[GPUS].sum()
        share[CANDIDATE_NAMES.index("model_share")] = np.where(whole[GPUS] > 0, of_model[whole[MODEL] + 1], 0.0)
    total, largest = capacity.sum(axis=1).tolist(), capacity.max(axis=1).tolist()
    return Fixed((total[0], total[1], total[2]), (largest[0], largest[1], largest[2]), share)
