"""``Decision`` and ``Door``: ``place``, ``place_many`` and ``explain``, the same for every placement policy."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rlsched.errors import PolicyError
from rlsched.policies.library import cluster as cl
from rlsched.policies.library.cluster import Cluster
from rlsched.policies.library.levers import OfLever
from rlsched.policies.library.observe import read_situation
from rlsched.policies.library.reader import Reader
from rlsched.policies.library.request import Request, read_request, requests_of
from rlsched.policies.library.rules import Scale, fragment_gain, part_of, pick_devices
from rlsched.policies.library.terms import Terms

if TYPE_CHECKING:
    from rlsched.policies.library.explain import Explanation


@dataclass(frozen=True)
class Decision:
    """Where a request goes, or why nowhere.

    Parameters
    ----------
    machine_id : any
        As the machines name it; None where it fits nowhere.
    row : int
        Of the machines; -1 where it fits nowhere.
    devices : tuple of int
        GPUs of that machine it gets.
    score : float
        Of the machine: a network's logit, or a heuristic's score; NaN where there is none.
    reason : str
        Why it fits nowhere; empty where it is placed.
    assumed : tuple of str
        What was not given, and what was taken instead.
    """

    machine_id: Any
    row: int
    devices: tuple[int, ...] = ()
    score: float = float("nan")
    reason: str = ""
    assumed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """True where it is placed."""
        return self.row >= 0


@dataclass(frozen=True)
class Choice:
    """What a policy answers inside: a row, its score, and the devices where the policy names them."""

    row: int
    score: float
    devices: tuple[int, ...] | None = None


class Door(OfLever):
    """How a placement policy is used as a library: needs numpy, and pandas where frames are given.

    A policy object keeps scores between questions (see ``rlsched.policies.library.memory``), so
    use one object in one thread at a time.
    """

    lever = "placement"

    @abstractmethod
    def library_terms(self, typical: Any) -> Terms:
        """What it measures a cluster in."""

    @abstractmethod
    def choose(self, cluster: Cluster, r: Request, told: Mapping[str, float], terms: Terms, **how: Any) -> Choice:
        """Its answer for one request; row -1 where nothing fits."""

    def concerns(self, r: Request, assumed: str) -> bool:  # noqa: ARG002
        """Whether something that was assumed can matter for its answer."""
        return True

    @abstractmethod
    def account(
        self, cluster: Cluster, r: Request, told: Mapping[str, float], terms: Terms, decision: Decision, against: Any
    ) -> Explanation:
        """Why it answers so."""

    def place(
        self,
        request: Any,
        machines: Any,
        *,
        situation: Mapping[str, Any] | None = None,
        typical: Any = None,
        **how: Any,
    ) -> Decision:
        """Choose a machine for one request.

        Parameters
        ----------
        request : mapping, pandas Series, or Trace of one row
            ``cpu_mcore``, ``mem_mib``; ``gpu_count``, ``gpu_mgpu``, ``gpu_models``, ``expected_s``.
        machines : pandas DataFrame, dict of arrays, or Machines
            As they are now: ``rlsched.policies.library.cluster.COLUMNS``, and the table in
            ``docs/policies.md``. ``Machines`` are taken as empty. Nothing of it is changed.
        situation : mapping, optional
            What machines cannot say: ``rlsched.policies.library.observe.SITUATION``.
        typical : Typical or mapping, optional
            In whose terms fragmentation is measured, where the policy does not carry its own.
        how
            For heuristics that need more: ``last`` (row chosen last) for round_robin and
            next_fit, ``seed`` for those that draw random numbers.

        Returns
        -------
        Decision
            False in a condition where the request fits nowhere; ``reason`` says why.

        Raises
        ------
        PolicyError, SpecError
            Anything that is missing, misspelt, of a wrong type or outside its range.

        Examples
        --------
        >>> policy = rlsched.load_policy("best_fit")                             # doctest: +SKIP
        >>> policy.place({"cpu_mcore": 4000, "mem_mib": 8192}, frame).machine_id  # doctest: +SKIP
        'host-7'
        """
        terms = self.library_terms(typical)
        cluster = self._read(machines, terms)
        told, assumed = read_situation(situation)
        return self._place(cluster, read_request(request, cluster, terms), told, terms, assumed, how)

    def place_many(
        self,
        requests: Any,
        machines: Any,
        *,
        situation: Mapping[str, Any] | None = None,
        typical: Any = None,
        **how: Any,
    ) -> list[Decision]:
        """Place requests one after the other; each finds the room that those before it left.

        Parameters
        ----------
        requests : pandas DataFrame, Trace, or sequence of requests
            In order of arrival.
        machines, situation, typical, how
            As :meth:`place`. What arrives is added to ``situation`` on the way.

        Returns
        -------
        list of Decision
            One a request; ``pandas.DataFrame(decisions)`` makes a table of them.
        """
        terms = self.library_terms(typical)
        cluster = copy_of(self._read(machines, terms))
        told, assumed = read_situation(situation)
        told.setdefault("arrived_cpu_mcore", int((cluster.whole[cl.CAP_CPU] - cluster.whole[cl.CPU]).sum()))
        told.setdefault("arrived_gpu_mgpu", int((cluster.whole[cl.CAP_GPU] - cluster.whole[cl.GPU]).sum()))
        out = []
        for number, request in enumerate(requests_of(requests)):
            try:
                r = read_request(request, cluster, terms)
            except PolicyError as error:
                raise PolicyError(f"row {number} of the requests: {error}") from None
            told["arrived_cpu_mcore"] += r.cpu
            told["arrived_gpu_mgpu"] += r.gpus * r.mgpu
            decision = self._place(cluster, r, told, terms, assumed, how)
            if decision:
                end = -0.0 if terms.lifetime == "unknown" else r.life_s
                cluster.take(decision.row, (r.cpu, r.mem), decision.devices, r.mgpu, r.kind, end)
                if "last" in how:
                    how["last"] = decision.row
            out.append(decision)
        return out

    def explain(
        self,
        request: Any,
        machines: Any,
        *,
        against: Any = None,
        situation: Mapping[str, Any] | None = None,
        typical: Any = None,
        **how: Any,
    ) -> Explanation:
        """Say why a request goes where it goes, and what a heuristic would have done.

        Parameters
        ----------
        request, machines, situation, typical, how
            As :meth:`place`.
        against : str or Heuristic, optional
            The heuristic to compare with; a learned policy's prior by default, ``best_fit``
            for a heuristic.

        Returns
        -------
        Explanation
            ``print`` it, or read ``candidates``, ``heuristic`` and ``why``.
        """
        terms = self.library_terms(typical)
        cluster = self._read(machines, terms)
        told, assumed = read_situation(situation)
        r = read_request(request, cluster, terms)
        decision = self._place(cluster, r, told, terms, assumed, how)
        return self.account(cluster, r, told, terms, decision, against)

    def _read(self, machines: Any, terms: Terms) -> Cluster:
        reader: Reader | None = self.__dict__.get("_reader")
        if reader is None:
            reader = Reader()
            object.__setattr__(self, "_reader", reader)  # scratch of a description that may be frozen
        return reader.read(machines, terms)

    def _place(
        self,
        cluster: Cluster,
        r: Request,
        told: Mapping[str, float],
        terms: Terms,
        assumed: tuple[str, ...],
        how: Mapping[str, Any],
    ) -> Decision:
        assumed = tuple(one for one in cluster.assumed + assumed if self.concerns(r, one))
        found = self.choose(cluster, r, told, terms, **how)
        if found.row < 0:
            return Decision(None, -1, reason=why_nowhere(cluster, r), assumed=assumed)
        name = cluster.ids[found.row]
        name = name.item() if isinstance(name, np.generic) else name
        devices = found.devices if found.devices is not None else plain_devices(cluster, r, found.row)
        return Decision(name, found.row, devices, found.score, assumed=assumed)


def copy_of(cluster: Cluster) -> Cluster:
    """A cluster whose room can be taken without changing the first."""
    changing = {name: getattr(cluster, name).copy() for name in ("whole", "real", "device")}
    return dataclasses.replace(cluster, **changing)


def plain_devices(cluster: Cluster, r: Request, row: int) -> tuple[int, ...]:
    """The smallest sufficient free shares, lowest index on ties."""
    if r.gpus == 0:
        return ()
    chosen = pick_devices(cluster.device[row : row + 1], r.gpus, r.mgpu)[0]
    return tuple(int(d) for d in np.flatnonzero(chosen))


def scored_devices(cluster: Cluster, s: Scale, r: Request, row: int, published: bool) -> tuple[int, ...]:
    """The device best for fragmentation, for a share of one; the plain choice otherwise."""
    if not (r.shared and s.frag == "gpu"):
        return plain_devices(cluster, r, row)
    return (int(fragment_gain(s, part_of(cluster, np.array([row])), r, published)[1][0]),)


_LACKS = ("CPU", "memory", "GPUs", "a GPU model that will do")


def why_nowhere(cluster: Cluster, r: Request) -> str:
    """Why a request fits on no machine, in words."""
    i = cluster.whole
    model = (np.int64(r.models) >> np.maximum(i[cl.MODEL], 0)) & 1 == 1
    allowed = np.full(len(cluster), True) if r.gpus == 0 else (i[cl.MODEL] >= 0) & model
    ever = allowed & (i[cl.CAP_CPU] >= r.cpu) & (i[cl.CAP_MEM] >= r.mem) & (i[cl.GPUS] >= r.gpus)
    n = len(cluster)
    machines = f"{n} machine{'s' if n != 1 else ''}"
    if r.named and not set(r.named) & set(cluster.models):
        return _no_such_model(cluster, r, machines)
    if not ever.any():
        largest = f"{i[cl.CAP_CPU].max()} mcore, {i[cl.CAP_MEM].max()} MiB, {i[cl.GPUS].max()} GPUs"
        models = " of its models" if r.models != -1 else ""
        return (
            f"too large: it asks for {r.cpu} mcore, {r.mem} MiB, {r.gpus} GPUs{models}, and none of {machines} could "
            f"hold that even when empty (the largest have {largest})"
        )
    device = (cluster.device >= max(r.mgpu, 1)).sum(axis=1) >= r.gpus
    ok = np.stack([i[cl.CPU] >= r.cpu, i[cl.MEM] >= r.mem, device, allowed])  # (4, M)
    up = i[cl.UP] == 1
    only = [int((up & ~ok[what] & (ok.sum(axis=0) == 3)).sum()) for what in range(4)]
    several = int((up & (ok.sum(axis=0) < 3)).sum())
    parts = [f"{count} lack only {name}" for name, count in zip(_LACKS, only, strict=True) if count]
    parts += [f"{several} lack several things"] * (several > 0) + [f"{int((~up).sum())} are down"] * bool((~up).any())
    return f"no room: of {machines}, {', '.join(parts)}"


def _no_such_model(cluster: Cluster, r: Request, machines: str) -> str:
    """Why a request for GPU models that no machine has fits nowhere, and which models there are."""
    has, unknown = cluster.whole[cl.GPUS] > 0, len(cluster.models)
    nameless = int((has & (cluster.whole[cl.MODEL] == unknown)).sum())
    there = f"the models there are: {', '.join(sorted(cluster.models))}" if cluster.models else "no model is known"
    if not has.any():
        there = "none has GPUs"
    elif nameless:
        there += f"; of {nameless} with GPUs, column gpu_model does not say which"
    has_that = "is known to have that" if nameless else "has that"
    return f"no such GPU model: it asks for {' or '.join(r.named)}, and none of {machines} {has_that} ({there})"
