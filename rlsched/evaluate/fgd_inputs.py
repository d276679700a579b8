"""What an FGD experiment runs on: the pod list, the nodes, and in which order both come.

Rules: sections 2 to 4 of the description of the published experiment in ``docs/fidelity.md``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import MissingDataError, SpecError, TraceError
from rlsched.rng import stream
from rlsched.sim.fragmentation import typical_requests
from rlsched.sim.options import PlacementOptions
from rlsched.sim.world import Typical, World
from rlsched.traces import datasets
from rlsched.traces.advice import option
from rlsched.traces.columns import UNKNOWN, Machines, Trace
from rlsched.traces.read import read_machines, read_trace
from rlsched.traces.readers.source import header_names, read_source
from rlsched.traces.readers.table import Column, read_csv

I64 = npt.NDArray[np.int64]

LIST_PREFIX = "openb_pod_list_"
SUFFIXES = (".csv.gz", ".csv")


@dataclass(frozen=True)
class Inputs:
    """The lists as read.

    Parameters
    ----------
    pods : Trace
    typical : Typical
        Typical pods of the list, before any tuning.
    nodes : Machines
    label : str
        Of the list, for tables: ``default`` of ``openb_pod_list_default.csv.gz``.
    """

    pods: Trace
    typical: Typical
    nodes: Machines
    label: str

    @property
    def capacity_mgpu(self) -> int:
        """All GPUs of all nodes, milli-GPU."""
        return 1000 * int(self.nodes.gpu_count.sum())

    @property
    def demand_mgpu(self) -> I64:
        """GPU demand of each pod, milli-GPU."""
        out: I64 = self.pods.gpu_count * self.pods.gpu_mgpu
        return out


@dataclass(frozen=True)
class Orders:
    """In which order pods arrive, and in which order nodes win ties.

    Parameters
    ----------
    pods : (A,) int64
        Rows of the pod list; a pod may come again.
    nodes : (M,) int64
        Rows of the node list, rank 0 first.
    sha256 : dict of str to str
        Of the files they were read from, by name; empty when drawn.
    """

    pods: I64
    nodes: I64
    sha256: dict[str, str]


def find_path(text: str, setting: str, data_root: str | Path | None) -> Path:
    """A file or folder a setting names: as given, else below the data root.

    Raises
    ------
    MissingDataError
        When it is in neither place, or there is no data root; says where was looked.
    """
    given = Path(text)
    if given.exists():
        return given
    if given.is_absolute():
        raise MissingDataError(f"{setting} = {text!r}: there is nothing at that path. Check it.")
    below = datasets.data_root(data_root) / given
    if not below.exists():
        raise MissingDataError(
            f"{setting} = {text!r}: there is nothing at {given.resolve()}, nor at {below} in the data root. Check "
            f"the path, or name the data root with {option('data')} or {datasets.DATA_VARIABLE}."
        )
    return below


def read_inputs(pods: Path, nodes: Path) -> Inputs:
    """Read a pod list and a node list.

    Raises
    ------
    TraceError
        As the readers.
    SpecError
        When no node has a GPU, or no pod asks for one.
    """
    trace = read_trace(pods)
    machines = read_machines(nodes)
    if not machines.gpu_count.any():
        raise SpecError(f"nodes = {str(nodes)!r}: at least one node must have a GPU, and none has.")
    if not (trace.gpu_count > 0).any():
        raise SpecError(f"pods = {str(pods)!r}: at least one pod must ask for a GPU, and none does.")
    label = pods.name.removeprefix(LIST_PREFIX)
    for suffix in SUFFIXES:
        label = label.removesuffix(suffix)
    typical = typical_requests(trace, models=_spelling(pods, trace))
    return Inputs(trace, typical, machines, label)


def _spelling(path: Path, trace: Trace) -> npt.NDArray[Any] | None:
    """``gpu_spec`` of each pod as the file spells it; None where the file has no such column.

    The published program tells "V100M16|V100M32" and "V100M16|V100M32|V100M32" apart.
    """
    source = read_source(path)
    if not {"name", "gpu_spec"} <= set(header_names(source.data[:4096])):
        return None
    table = read_csv(source, (Column("name", "text"), Column("gpu_spec", "text", may_be_empty=True)))
    by_name = dict(zip(table["name"].tolist(), table["gpu_spec"].tolist(), strict=True))
    return np.array([by_name[name] for name in trace.task_id.tolist()], dtype=object)


def read_orders(folder: Path, inputs: Inputs, seed: int) -> Orders:
    """Read the given order of arrivals and the given ranks of one seed.

    Parameters
    ----------
    folder : Path
        Holds ``arrivals_seed<s>.csv.gz`` (columns ``order, pod``) and
        ``node_rank_seed<s>.csv.gz`` (``rank, node``), gzipped or plain.
    inputs : Inputs
    seed : int

    Raises
    ------
    MissingDataError
        When one of the files is not there.
    TraceError
        A pod or node that is not in the lists, a place that is missing or taken twice, a node
        without a rank.
    """
    pods, pods_sha = _read_order(_order_file(folder, f"arrivals_seed{seed}"), "order", "pod", inputs.pods.task_id)
    path = _order_file(folder, f"node_rank_seed{seed}")
    nodes, nodes_sha = _read_order(path, "rank", "node", inputs.nodes.machine_id)
    count = np.bincount(nodes, minlength=len(inputs.nodes))
    for fault, bad in (("has no rank", count == 0), ("has more than one rank", count > 1)):
        if bad.any():
            first = inputs.nodes.machine_id[np.flatnonzero(bad)[0]]
            raise TraceError(
                f"every node must have one rank: {str(first)!r} {fault} in {path} ({int(bad.sum())} such nodes). "
                "The ranks and the node list must belong together."
            )
    return Orders(pods, nodes, {**pods_sha, **nodes_sha})


def _order_file(folder: Path, stem: str) -> Path:
    if not folder.is_dir():
        raise MissingDataError(f"orders = {str(folder)!r} must be a folder of arrivals_seed<s> and node_rank_seed<s>.")
    for suffix in SUFFIXES:
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    there = sorted(path.name for path in folder.iterdir() if path.name.startswith(stem.rstrip("0123456789")))
    shown = ", ".join(there[:12]) or "none like it"
    raise MissingDataError(
        f"orders: there is no {stem}.csv.gz (nor .csv) in {folder}; it holds {shown}. "
        'Choose other seeds, or leave orders out (--set orders="") to draw them.'
    )


def _read_order(path: Path, place: str, label: str, known: npt.NDArray[Any]) -> tuple[I64, dict[str, str]]:
    """Rows of ``known`` in the order the file says."""
    source = read_source(path)
    table = read_csv(source, (Column(place), Column(label, "text")))
    row = {str(name): i for i, name in enumerate(known.tolist())}
    rows = np.array([row.get(name, -1) for name in table[label].tolist()], dtype=np.int64)
    fix = "The orders and the lists must belong together."
    table.require(label, rows >= 0, f"a {label} of the list", fix)
    n = len(table)
    number = "Number the rows from 0, each number once."
    table.require(place, (table[place] >= 0) & (table[place] < n), f"in 0..{n - 1}", number)
    _, first = np.unique(table[place], return_index=True)
    table.require(place, np.isin(np.arange(n), first), "unique", number)
    return rows[np.argsort(table[place])], {path.name: source.sha256}


def draw_orders(inputs: Inputs, target_pct: float, seed: int) -> Orders:
    """Draw arrivals and ranks as the published program does, with generators of our own.

    The pods, sorted by name, are shuffled. Short of the target, pods drawn from the list with
    replacement are added until the next would pass it; beyond it, pods at drawn places are taken
    out until it is kept. As in the original, the first test counts one GPU of the next pod, not all
    it asks for, so the demand may end some GPUs above the target; and ranks are a permutation of
    the nodes by name.

    Parameters
    ----------
    inputs : Inputs
    target_pct : float
        GPU demand to arrive, % of capacity.
    seed : int
        Streams ``"fgd", "arrivals"`` and ``"fgd", "ranks"`` of it.
    """
    draw = stream(seed, "fgd", "arrivals")
    demand, share = inputs.demand_mgpu, inputs.pods.gpu_mgpu
    target = inputs.capacity_mgpu * target_pct / 100.0
    base = np.argsort(inputs.pods.task_id.astype(str), kind="stable")
    rows = [int(row) for row in draw.permutation(base)]
    total = int(demand.sum())
    if total < target:
        while True:
            row = int(base[draw.integers(base.size)])
            if total + int(share[row]) > target:
                break
            rows.append(row)
            total += int(demand[row])
    else:
        while total > target and len(rows) > 1:
            total -= int(demand[rows.pop(int(draw.integers(len(rows))))])
    by_name = np.argsort(inputs.nodes.machine_id.astype(str), kind="stable")
    nodes = stream(seed, "fgd", "ranks").permutation(by_name)
    return Orders(np.array(rows, dtype=np.int64), nodes.astype(np.int64), {})


def build_world(inputs: Inputs, orders: Orders) -> World:
    """The world of one seed: pods arrive a second apart and stay; node rows are ranks, so the lowest wins ties."""
    n = orders.pods.size
    forever = np.full(n, UNKNOWN, dtype=np.int64)
    arrivals = dataclasses.replace(
        inputs.pods.take(orders.pods),
        task_id=np.arange(n),  # a pod that comes again is another task
        arrive_s=np.arange(n),
        depart_s=forever,
        last_seen_s=forever,
        expected_s=np.full(n, np.nan),
    )
    options = PlacementOptions(fragmentation="gpu")
    return World.build(arrivals, inputs.nodes.take(orders.nodes), options, typical=inputs.typical, residents=False)
