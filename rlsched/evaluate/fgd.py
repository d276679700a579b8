"""The FGD experiment (Weng et al., USENIX ATC 2023): fill a GPU cluster, watch its fragmentation.

Pods arrive one after the other and never leave; each is placed at once or refused for good. The
curves over arrived demand are those of the paper's figures 7 and 9a. With the published arrival
orders and node ranks the deterministic policies equal the published curves in every bin.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, field_validator

from rlsched import spec as cards
from rlsched.errors import MissingDataError, PolicyError, UserError
from rlsched.evaluate import metrics
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.experiment import experiment_name
from rlsched.evaluate.fgd_curves import METRICS, bin_curve
from rlsched.evaluate.fgd_inputs import Inputs, Orders, build_world, draw_orders, find_path, read_inputs, read_orders
from rlsched.evaluate.results import Document, file_sha256, grids, origin, plain, seal, summarise, verdict_rows
from rlsched.evaluate.verdict import judge_all
from rlsched.policies import Heuristic, find_policy
from rlsched.rng import stream_seed
from rlsched.sim import state as st
from rlsched.sim.record import Curve, run_recorded
from rlsched.sim.state import State
from rlsched.sim.world import World
from rlsched.spec import Spec

Progress = Callable[[str, float], None]

#: The paper's name of a policy → ours.
PAPER_NAMES = {
    "Random": "random",
    "DotProd": "fgd_dot_product",
    "GpuClustering": "gpu_clustering",
    "GpuPacking": "gpu_packing",
    "BestFit": "fgd_best_fit",
    "FGD": "fgd",
}
MAIN_METRIC = "gpu_alloc_pct"


def _listed(value: Any) -> Any:
    """``"a, b"`` of ``--set`` → ``["a", "b"]``."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _seeds(value: Any) -> Any:
    """One seed → a list of it; ``"42,43"`` → those two."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    listed = _listed(value)
    if isinstance(value, str):
        return [int(part) if part.isdigit() else part for part in listed]
    return listed


class FgdExperiment(Spec):
    """Everything the card of an FGD experiment says.

    Parameters
    ----------
    kind : "fgd"
    title, question : str
    pods, nodes : str
        Files; as given, or below the data root.
    orders : str
        Folder of ``arrivals_seed<s>.csv.gz`` and ``node_rank_seed<s>.csv.gz``; empty: drawn as
        the paper says, with generators of our own.
    seeds : int or list of int
        Names of the orders; a single number is that seed.
    policies : list of str
        The paper's names or ours, or blends.
    target_pct : float
        Demand to arrive, % of GPU capacity; the last bin of the curves.
    """

    kind: Literal["fgd"]
    title: str = ""
    question: str = ""
    pods: str
    nodes: str
    orders: str = ""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_seeds)]
    policies: Annotated[tuple[str, ...], BeforeValidator(_listed)] = tuple(PAPER_NAMES)
    target_pct: float = Field(default=130.0, ge=1, le=1000)

    @field_validator("seeds", "policies")
    @classmethod
    def _something_and_each_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must name at least one")
        for one in value:
            if value.count(one) > 1:
                raise ValueError(f"must name each once: {one!r} is there {value.count(one)} times")
        return value

    @field_validator("policies")
    @classmethod
    def _known_policies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        problems = []
        for name in value:
            try:
                find_heuristic(name)
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise ValueError(" ".join(problems))
        return value


def find_heuristic(name: str) -> Heuristic:
    """The heuristic of the paper's name, or of ours.

    Raises
    ------
    PolicyError
        When there is none, or it is a learned one: those decide outside the compiled loop.
    SpecError
        A blend that breaks a rule.
    """
    try:
        found = find_policy(PAPER_NAMES.get(name, name))
    except PolicyError as error:
        raise PolicyError(f"{error} The paper's names are known too: {', '.join(PAPER_NAMES)}.") from None
    if not isinstance(found, Heuristic):
        raise PolicyError(f"policy {name!r} is a learned one; the curves are recorded for heuristics and blends only.")
    return found


@dataclass(frozen=True)
class Run:
    """One policy on one seed, to the end.

    Parameters
    ----------
    curve : Curve
    world : World
    state : State
        One copy; the window has ended.
    """

    curve: Curve
    world: World
    state: State

    def totals(self) -> dict[str, int | float | None]:
        """What was placed and refused in the end, and how much had arrived at the first refusal."""
        count = self.state.arrays.counter[0]
        refused = np.flatnonzero(self.state.arrays.task_i[0, :, st.K_STATUS] == st.REJECTED)
        capacity = 1000 * int(self.world.fleets[0].gpu_count.sum())
        arrived_pct = 100.0 * self.curve.arrived_mgpu / capacity
        return {
            "arrived_tasks": int(count[st.C_ARRIVED]),
            "rejected_tasks": int(count[st.C_REJECTED]),
            "first_rejection_pct": round(float(arrived_pct[refused[0]]), 2) if refused.size else None,
            "cpu_alloc_mcore": int(count[st.C_RUN_CPU]),
            "mem_alloc_mib": int(count[st.C_RUN_MEM]),
            "gpu_alloc_mgpu": int(count[st.C_RUN_GPU]),
        }


def play(world: World, policy: Heuristic, seed: int) -> Run:
    """Fill the cluster with one policy.

    Parameters
    ----------
    world : World
        Of :func:`build_world`.
    policy : Heuristic
    seed : int
        Of the experiment; a random policy draws from its stream ``"fgd", "policy"``.
    """
    state = world.start([world.whole], [stream_seed(seed, "fgd", "policy")])
    return Run(run_recorded(world, state, policy.arrays()), world, state)


def run(
    card: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> Document:
    """Run the experiment of a card.

    Parameters
    ----------
    card : Path
        ``experiment.toml``.
    overrides : sequence of str
        ``key=value``, as of ``--set``.
    data_root : str or Path, optional
        Where files are looked for that are not at the path given.
    progress : callable, optional
        Told what is being done and the share that is done.

    Returns
    -------
    dict
        The document of ``docs/json.md``. A row has ``policy`` (as the card writes it), ``window``
        (the pod list), ``seed``, ``arrived_pct`` 0, 1, ..., target, and the curves of
        :func:`bin_curve`. Summary and verdicts are at 100 % arrived, over seeds.

    Raises
    ------
    UserError
        Whatever is wrong with card, overrides, files or orders.
    """
    began = time.monotonic()
    loaded = cards.load(FgdExperiment, card, overrides)
    spec = loaded.spec
    pods, nodes = (find_path(getattr(spec, name), name, data_root) for name in ("pods", "nodes"))
    orders = find_path(spec.orders, "orders", data_root) if spec.orders else None
    if orders is not None and not orders.is_dir():
        raise MissingDataError(f"orders = {spec.orders!r} must be a folder: {orders} is a file.")
    inputs = read_inputs(pods, nodes)
    rows: list[dict[str, Any]] = []
    totals: list[dict[str, Any]] = []
    digests = {path.name: file_sha256(path) for path in (pods, nodes)}
    for policy, seed, given, one in _runs(spec, inputs, orders, progress):
        digests |= given.sha256
        totals.append({"policy": policy, "seed": seed, **one.totals()})
        curves = bin_curve(one.curve, inputs.capacity_mgpu, int(spec.target_pct))
        rows += [
            {
                "policy": policy,
                "window": inputs.label,
                "seed": seed,
                "arrived_pct": pct,
                **{name: plain(float(curves[name][pct])) for name in METRICS},
            }
            for pct in range(int(spec.target_pct) + 1)
        ]
    name = experiment_name(card)
    provenance = {
        **origin(" ".join(["rlsched evaluate", name, *(f"--set {shlex.quote(text)}" for text in overrides)])),
        "kind": spec.kind,
        "title": spec.title,
        "question": spec.question,
        "card_sha256": file_sha256(card),
        "card": plain(spec.model_dump()),
        "set": list(overrides),
        "main_metric": MAIN_METRIC,
        "metrics": list(METRICS),
        "orders": "given" if spec.orders else "drawn",
        "data_sha256": digests,
        "seeds": list(spec.seeds),
        "typical_pods": len(inputs.typical.share),
        "runs": totals,
        "seconds": round(time.monotonic() - began, 1),
    }
    document = {"experiment": name, "provenance": provenance, "rows": rows}
    return {**document, **_compare(rows, provenance), "provenance": seal(provenance)}


def _runs(
    spec: FgdExperiment, inputs: Inputs, folder: Path | None, progress: Progress | None
) -> Iterator[tuple[str, int, Orders, Run]]:
    say = progress or (lambda _text, _share: None)
    done, total = 0, len(spec.seeds) * len(spec.policies)
    for seed in spec.seeds:
        say(f"{inputs.label}, seed {seed}: orders", done / total)
        orders = read_orders(folder, inputs, seed) if folder else draw_orders(inputs, spec.target_pct, seed)
        world = build_world(inputs, orders)
        for name in spec.policies:
            say(f"{inputs.label}, seed {seed}: {name}", done / total)
            yield name, seed, orders, play(world, find_heuristic(name), seed)
            done += 1
    say("done", 1.0)


#: Arrived percent at which policies are compared, as in the paper's figures 11 to 14.
COMPARED_AT = 100


def _compare(rows: list[dict[str, Any]], provenance: dict[str, Any]) -> dict[str, Any]:
    """Means with intervals over seeds, and every policy against FGD, at 100 % arrived (or the last bin)."""
    last = max(row["arrived_pct"] for row in rows)
    at = min(COMPARED_AT, last)
    # A seed is a window here: another order of arrivals and other ranks, for all policies alike.
    there = [{**row, "window": row["seed"], "seed": 0} for row in rows if row["arrived_pct"] == at]
    values = grids(there, METRICS)
    bootstrap = Bootstrap()
    references = [name for name in values if PAPER_NAMES.get(name, name) == PAPER_NAMES["FGD"]]
    better: dict[str, Any] = {name: metrics.METRICS[name].better for name in METRICS}
    provenance["compared_at_pct"] = at
    provenance["references"] = {"published": references[0]} if references else {}
    return {
        "summary": summarise(values, bootstrap),
        "verdicts": verdict_rows(judge_all(values, references, better, bootstrap)),
    }
