"""What a forecast is worth to consolidation: the rule of ``lr``, fed by each forecaster of VM load in turn.

``lr`` adds up what each VM's own fitted line expects one tick ahead, and calls a machine overloaded
where the sum times a safety parameter reaches its CPU. Here the line is taken out and a forecaster's
quantile put in; which quantile, the safety parameter, the placement cap and the evacuation limit are
tuned anew for each forecaster with the same number of tries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.evaluate.consolidation import Windows, find_bounds
from rlsched.evaluate.consolidation_card import ConsolidationExperiment
from rlsched.evaluate.consolidation_metrics import COST, METRICS, Finished, read_metrics
from rlsched.evaluate.consolidation_tune import Knob, knobs
from rlsched.evaluate.consolidation_tuned import FIELDS, write_policy
from rlsched.evaluate.forecast_feeds import PERFECT
from rlsched.evaluate.results import plain
from rlsched.forecast.card import QUANTILES, SourceSpec, TrainingSpec, WindowSpec
from rlsched.forecast.card import ForecastSpec as HarnessSpec
from rlsched.forecast.windows import Windows as Moments
from rlsched.forecast.windows import make_context, past_of
from rlsched.policies.tuning import Family, tune
from rlsched.rng import stream
from rlsched.sim.consolidation.policy import TREND_SAMPLES, ConsolidationPolicy
from rlsched.sim.consolidation.simulate import Simulator
from rlsched.sim.consolidation.world import World

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Tell = Callable[[str], None]
#: The line that ``lr`` fits by itself: no forecaster is asked.
LINE = "line"
RULES = ("lr_mmt",)
ERRORS = ("wql", "mae")
#: Samples a forecaster sees: eight hours. A day is all there is of a VM.
LENGTH = 96
SPLITS = ("train", "validation", "test")
#: Deals of VM sizes that members are tried on; those of the experiment's ``seeds`` judge them.
TRAIN_DEALS = 1
LEVELS = np.array(QUANTILES)


@dataclass(frozen=True, eq=False)
class Cluster:
    """The VMs of a window, whatever sizes they are dealt.

    Parameters
    ----------
    name : str
        Of the window.
    ids : tuple of str
    load : (K, V) float64
        Share of its size that each VM remembers of each tick.
    time_s : (K,) int64
        Of the ticks, from midnight.
    step_s : int
    """

    name: str
    ids: tuple[str, ...]
    load: F64
    time_s: I64
    step_s: int


def harness_spec(training: TrainingSpec, train: int = 12_000, choose: int = 3_000) -> HarnessSpec:
    """What the harness needs to know to build a forecaster of a VM's next tick."""
    window = WindowSpec(
        length=LENGTH, min_measured=2, horizons=(0,), quantiles=QUANTILES, train=train, validation=choose
    )
    # The harness' card wants a source; what is learned from here is the problem's own load.
    return HarnessSpec(data=(SourceSpec(dataset="load"),), resources=("cpu_share",), window=window, training=training)


def moments_of(clusters: Sequence[Cluster], spec: HarnessSpec, count: int, seed: int, name: str) -> Moments:
    """Ticks of VMs at which a forecaster is asked about the next one, at most ``count`` drawn at random."""
    pairs = [(c, v, k) for c, one in enumerate(clusters) for v in range(len(one.ids)) for k in range(len(one.load) - 1)]
    if len(pairs) > count:
        chosen = np.sort(stream(seed, "forecast consolidation", name).choice(len(pairs), count, replace=False))
        pairs = [pairs[i] for i in chosen.tolist()]
    parts = []
    for c, one in enumerate(clusters):
        rows = np.array([(v, k) for at, v, k in pairs if at == c], np.int64).reshape(-1, 2)
        if len(rows):
            future = one.load[rows[:, 1] + 1, rows[:, 0]].astype(np.float32)[:, None, None]
            parts.append(_moments(one, rows[:, 0], rows[:, 1], spec, future, 100_000 * c))
    past, context, future = (
        np.concatenate([getattr(part, of) for part in parts]) for of in ("past", "context", "future")
    )
    series, block, tick, step = (
        np.concatenate([getattr(part, of) for part in parts]) for of in ("series", "block", "tick", "step_s")
    )
    return Moments(past, context, future, series, block, tick, step, spec.resources, spec.window.horizons)


def ask(forecaster: Any, cluster: Cluster, spec: HarnessSpec) -> F32:
    """What a fitted forecaster expects after every tick, (K, V, Q); it is handed no future."""
    ticks, vms = cluster.load.shape
    vm, tick = np.repeat(np.arange(vms), ticks), np.tile(np.arange(ticks), vms)
    unknown = np.full((vm.size, 1, 1), np.nan, np.float32)
    told = forecaster.predict(_moments(cluster, vm, tick, spec, unknown, 0))[:, 0, 0]  # (B, Q)
    out: F32 = told.reshape(vms, ticks, LEVELS.size).transpose(1, 0, 2)
    return out


def perfect(cluster: Cluster) -> F32:
    """The load of the next tick at every quantile; after the last tick its own."""
    coming = np.concatenate([cluster.load[1:], cluster.load[-1:]])
    return np.repeat(coming[:, :, None], LEVELS.size, axis=2).astype(np.float32)


def line(world: World, cluster: Cluster, windows: Windows) -> F32:
    """What ``lr`` itself expects, at every quantile."""
    _, trend, _ = world.memories(windows.semantics)
    share = (trend / world.vm_cpu)[:, _columns(cluster.ids, world)]
    return np.repeat(share[:, :, None], LEVELS.size, axis=2).astype(np.float32)


class Arena:
    """Plays the rule on the windows of every split; see `rlsched.policies.tuning.Problem`."""

    def __init__(self, experiment: ConsolidationExperiment, data: Path | None, tell: Tell, split: str) -> None:
        self.experiment, self.better = experiment, METRICS[COST].better
        self.windows: dict[str, Windows] = {}
        self.clusters: dict[str, list[Cluster]] = {}
        self.worlds: dict[str, list[World]] = {}
        self.simulators: dict[str, Simulator] = {}
        self._fed: tuple[Mapping[str, Sequence[F32]] | None, dict[tuple[str, float], Simulator]] = (None, {})
        for name in dict.fromkeys(("train", "validation", split)):
            seeds = tuple(range(TRAIN_DEALS)) if name == "train" else experiment.seeds
            mine = experiment.model_copy(update={"split": name, "day": ("all",), "seeds": seeds})
            windows = self.windows[name] = Windows(mine, data)
            tell(f"{name}: reading {len(windows.names)} windows")
            worlds = [
                windows.world(day, group, seed)
                for day in windows.days
                for group in range(experiment.groups)
                for seed in seeds
            ]
            self.worlds[name] = worlds
            self.clusters[name] = [
                cluster_of(label, world, windows)
                for label, world in zip(windows.names, worlds[:: len(seeds)], strict=True)
            ]
            self.simulators[name] = Simulator(worlds, windows.semantics)

    def feed(self, tables: Mapping[str, Sequence[F32]] | None) -> None:
        """Use these forecasts from now on: by split, one ``(K, V, Q)`` a window; None: the own line."""
        self._fed = (tables, {})

    def score(self, family: str, values: Mapping[str, float], split: str) -> float:
        """Mean cost over windows and deals."""
        return float(np.mean([one[COST] for one in self.play(family, values, split)]))

    def play(self, family: str, values: Mapping[str, float], split: str) -> list[dict[str, Any]]:
        """Metrics of every window and deal, deals within windows."""
        policy = ConsolidationPolicy(family, **{name: values[name] for name in FIELDS})
        simulator = self._simulator(split, values.get("quantile", 0.5))
        n = len(self.worlds[split])
        runs = simulator.run([policy] * n, [0] * n, which=range(n))
        weigh = self.experiment
        return [
            dict(read_metrics(Finished(world, run.meters, simulator.n_ticks, weigh.pue, weigh.weights)))
            for world, run in zip(self.worlds[split], runs, strict=True)
        ]

    def _simulator(self, split: str, quantile: float) -> Simulator:
        tables, known = self._fed
        if tables is None:
            return self.simulators[split]
        if (split, quantile) not in known:
            known.clear()  # one is large, and the search seldom comes back to a quantile
            deals = len(self.worlds[split]) // len(self.clusters[split])
            forecasts = []
            for i, world in enumerate(self.worlds[split]):
                cluster = self.clusters[split][i // deals]
                share = at_quantile(tables[split][i // deals], quantile)
                forecasts.append(share[:, _rows(cluster.ids, world)])
            known[split, quantile] = self.simulators[split].with_forecasts(forecasts)
        return known[split, quantile]


def at_quantile(table: F32, quantile: float) -> F64:
    """A quantile of a ``(K, V, Q)`` table, straight between those it has, (K, V)."""
    high = int(np.clip(np.searchsorted(LEVELS, quantile), 1, LEVELS.size - 1))
    part = float(np.clip((quantile - LEVELS[high - 1]) / (LEVELS[high] - LEVELS[high - 1]), 0.0, 1.0))
    below, above = table[:, :, high - 1].astype(np.float64), table[:, :, high].astype(np.float64)
    out: F64 = below + part * (above - below)
    return out


def value_of(
    name: str,
    experiment: ConsolidationExperiment,
    spec: Any,
    data: Path | None,
    tell: Tell,
    looking: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Cost, share of the gain and errors of every forecaster on one consolidation problem.

    Parameters
    ----------
    name : str
    experiment : ConsolidationExperiment
    spec : rlsched.evaluate.forecast_value.ValueSpec
    data : path, optional
    tell : callable
    looking : callable
        Called before each look at the split.
    """
    arena = Arena(experiment, data, tell, spec.split)
    harness = harness_spec(spec.training)
    train = moments_of(arena.clusters["train"], harness, harness.window.train, 0, "train")
    choose = moments_of(arena.clusters["validation"], harness, harness.window.validation, 0, "validation")
    errors: dict[str, list[dict[str, float]]] = {}
    costs: dict[tuple[str, str], F64] = {}
    tuned: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for forecaster in (*spec.forecasters, PERFECT):
        errors[forecaster] = []
        columns: dict[str, list[list[float]]] = {rule: [] for rule in spec.rules}
        for seed, tables in enumerate(tables_of(forecaster, arena, spec, harness, train, choose, tell)):
            looking()
            errors[forecaster].append(errors_of(tables[spec.split], arena.clusters[spec.split]))
            arena.feed(None if forecaster == LINE else tables)
            for rule in spec.rules:
                found = tune(family_of(rule, forecaster), arena, budget=spec.budget, keep=spec.keep, seed=spec.seed)
                played = arena.play(rule, found.best.values, spec.split)
                policy = ConsolidationPolicy(rule, **{field: found.best.values[field] for field in FIELDS})
                tuned.append(
                    {"rule": rule, "forecaster": forecaster, "seed": seed, "policy": write_policy(policy),
                     "quantile": found.best.values.get("quantile"), "train_score": found.train_score,
                     "validation_score": found.best.score, "tried": len(found.tried), "at_edge": list(found.at_edge)}
                )  # fmt: skip
                deals = len(experiment.seeds)
                rows += [
                    {"problem": name, "policy": f"{rule}/{forecaster}", "rule": rule, "forecaster": forecaster,
                     "seed": seed, "window": arena.clusters[spec.split][i // deals].name,
                     "deal": experiment.seeds[i % deals], **plain(row)}
                    for i, row in enumerate(played)
                ]  # fmt: skip
                cost = np.array([row[COST] for row in played]).reshape(-1, deals).mean(axis=1)
                columns[rule].append(cost.tolist())
                tell(f"{name}: {rule} fed by {forecaster}, seed {seed}: {cost.mean():.3f} %")
        costs |= {(rule, forecaster): np.array(columns[rule]).T for rule in spec.rules}  # (W, S)
    bounds, why = find_bounds(experiment, arena.windows[spec.split])
    return {
        "costs": costs,
        "errors": errors,
        "tuned": tuned,
        "rows": rows,
        "problem_sha256": experiment.problem_sha256,
        "data": [file for windows in arena.windows.values() for file in windows.files],
        "windows": arena.windows[spec.split].names,
        "bound": {"name": bounds[0].name, "cost_pct": float(np.mean(bounds[0].values)), "doc": bounds[0].doc}
        if bounds
        else {"name": "", "cost_pct": None, "doc": why},
    }


def tables_of(
    forecaster: str,
    arena: Arena,
    spec: Any,
    harness: HarnessSpec,
    train: Moments,
    choose: Moments,
    tell: Tell,
) -> Sequence[dict[str, list[F32]]]:
    """Forecasts of every window by split, once for every training seed that matters."""
    if forecaster == PERFECT:
        return [{split: [perfect(one) for one in found] for split, found in arena.clusters.items()}]
    if forecaster == LINE:
        lines = {}
        for split, found in arena.clusters.items():
            worlds, deals = arena.worlds[split], len(arena.worlds[split]) // len(found)
            lines[split] = [
                line(world, one, arena.windows[split]) for one, world in zip(found, worlds[::deals], strict=True)
            ]
        return [lines]
    from rlsched.forecast.rivals import FORECASTERS, build

    out = []
    for seed in range(spec.training.seeds if FORECASTERS[forecaster].trained else 1):
        fitted = build(harness, forecaster)
        fitted.fit(train, choose, seed, None, tell)
        out.append({split: [ask(fitted, one, harness) for one in found] for split, found in arena.clusters.items()})
    return out


def errors_of(tables: Sequence[F32], clusters: Sequence[Cluster]) -> dict[str, float]:
    """Weighted quantile loss and mean absolute error about the next tick, from where ``lr`` reads it on."""
    loss = load = off = 0.0
    count = 0
    for table, cluster in zip(tables, clusters, strict=True):
        truth, told = cluster.load[TREND_SAMPLES:], table[TREND_SAMPLES - 1 : -1].astype(np.float64)
        error = truth[:, :, None] - told
        loss += 2 * float(np.maximum(LEVELS * error, (LEVELS - 1) * error).mean(axis=2).sum())
        load += float(truth.sum())
        off += float(np.abs(error[:, :, QUANTILES.index(0.5)]).sum())
        count += truth.size
    return {"wql": loss / load if load > 0 else float("nan"), "mae": off / count}


def family_of(rule: str, forecaster: str) -> Family:
    """The rule's numbers, and the quantile where the forecaster has different ones."""
    own = knobs(rule.split("_")[0])
    if forecaster in (LINE, PERFECT):
        return Family(rule, own)
    return Family(rule, (*own, Knob("quantile", 0.5, 0.05, 0.99)))


def cluster_of(name: str, world: World, windows: Windows) -> Cluster:
    """What the VMs of a world remember, in the order of their names."""
    past, _, _ = world.memories(windows.semantics)
    order = sorted(range(world.n_vms), key=lambda v: world.vm_id[v])
    times = np.array(world.tick_times(windows.semantics)).astype(np.int64)
    return Cluster(name, tuple(world.vm_id[v] for v in order), past[:, order], times, int(world.step_s))


def _rows(ids: Sequence[str], world: World) -> list[int]:
    """Where each VM of the world is among the names."""
    at = {one: i for i, one in enumerate(ids)}
    return [at[one] for one in world.vm_id]


def _columns(ids: Sequence[str], world: World) -> list[int]:
    """Where each of the names is among the VMs of the world."""
    at = {one: i for i, one in enumerate(world.vm_id)}
    return [at[one] for one in ids]


def _moments(cluster: Cluster, vm: I64, tick: I64, spec: HarnessSpec, future: F32, first: int) -> Moments:
    length = spec.window.length
    order = np.lexsort((tick, vm))  # past_of goes series by series
    if (np.diff(order) < 0).any():
        vm, tick, future = vm[order], tick[order], future[order]
    # What is remembered of a tick is known at that tick, so it is past when the next one is asked about.
    past = np.concatenate(
        [past_of(cluster.load[:, v, None].astype(np.float32), tick[vm == v] + 1, length) for v in np.unique(vm)]
    )
    age_h = (tick + 1) * cluster.step_s / 3600.0
    context = make_context(cluster.time_s[tick] + cluster.step_s, float("nan"), age_h)
    step = np.full(tick.size, cluster.step_s, np.int64)
    return Moments(past, context, future, first + vm, first + vm, tick, step, spec.resources, spec.window.horizons)
