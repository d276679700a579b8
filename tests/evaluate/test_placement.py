"""Whole experiments on a tiny cluster: the document, pairing of windows, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from evaluate_worlds import CARD

from rlsched.errors import MissingDataError, OurBug, SpecError, TraceError, UserError
from rlsched.evaluate.experiment import PlacementExperiment
from rlsched.evaluate.inputs import Inputs, read_inputs
from rlsched.evaluate.metrics import METRICS
from rlsched.evaluate.placement import (
    TUNED_FILE,
    Contestant,
    check_contestants,
    find_contestants,
    open_arena,
    play,
    run,
)
from rlsched.evaluate.tune import run_tune, write_tuned
from rlsched.sim.options import PlacementOptions
from rlsched.spec import load, read_toml
from rlsched.traces.columns import Machines
from rlsched.traces.store import save

ROOT = Path(__file__).parents[2]


def test_the_document_has_the_keys_it_promises(card: Path) -> None:
    document = run(card, ["policies=random,first_fit,best_fit"])
    assert list(document) == [
        "experiment", "provenance", "rows", "summary", "verdicts", "bounds", "gaps", "timeline", "differences",
    ]  # fmt: skip
    assert document["experiment"] == "tiny"
    assert list(document["rows"][0]) == ["policy", "window", "seed", *METRICS]
    assert list(document["summary"][0]) == ["policy", "metric", "mean", "ci_low", "ci_high", "n"]
    judged = next(one for one in document["summary"] if one["metric"] == "rejected_cpu_share")
    assert list(judged)[6:] == ["iqm", "iqm_low", "iqm_high"]
    assert list(document["verdicts"][0]) == [
        "a", "b", "metric", "difference", "ci_low", "ci_high", "verdict", "p", "improvement", "improvement_low",
        "improvement_high", "detectable", "p_corrected", "p_holm",
    ]  # fmt: skip
    json.dumps(document, allow_nan=False)
    # Ten windows; the random policy runs once a seed, the others once.
    assert [row["seed"] for row in document["rows"] if row["policy"] == "random"] == [0] * 10 + [1] * 10
    assert [row["seed"] for row in document["rows"] if row["policy"] == "best_fit"] == [None] * 10
    assert len(document["summary"]) == 3 * len(METRICS)


def test_provenance_says_all_that_is_needed_and_names_no_place_of_this_machine(card: Path) -> None:
    provenance = run(card, ["seeds=1"])["provenance"]
    needed = {
        *("run_id", "date", "command", "commit", "versions", "machine", "kind", "card_sha256", "card", "set", "split"),
        *("main_metric", "references", "data", "seeds", "policies", "windows", "bootstrap", "comparisons"),
    }
    assert needed <= set(provenance)
    assert provenance["command"] == "rlsched evaluate tiny --set seeds=1"
    assert len(provenance["data"][0]["files"]["tasks.parquet"]) == 64
    assert str(card.parent) not in json.dumps(provenance)
    assert str(Path.home()) not in json.dumps(provenance)


def test_the_page_of_the_json_names_every_key_of_provenance(card: Path) -> None:
    page = (ROOT / "docs" / "json.md").read_text()
    assert [key for key in run(card)["provenance"] if f"`{key}`" not in page] == []


def test_a_run_repeats_exactly_but_for_its_date(card: Path) -> None:
    one, two = (run(card, ["policies=random,best_fit"]) for _ in range(2))
    assert one["rows"] == two["rows"]
    assert one["summary"] == two["summary"]
    assert one["verdicts"] == two["verdicts"]


def test_every_policy_sees_the_same_arrivals(card: Path) -> None:
    rows = run(card)["rows"]
    for window in {row["window"] for row in rows}:
        assert len({row["arrived_tasks"] for row in rows if row["window"] == window}) == 1


def test_policies_do_differ_here_and_unknown_prices_are_null(card: Path) -> None:
    document = run(card)
    means = {one["policy"]: one["mean"] for one in document["summary"] if one["metric"] == "rejected_cpu_share"}
    assert len(set(means.values())) == 3
    costs = [one for one in document["summary"] if one["metric"] == "cost_usd"]
    assert [(one["mean"], one["ci_low"], one["n"]) for one in costs] == [(None, None, 0)] * 3
    assert {row["cost_usd"] for row in document["rows"]} == {None}
    energy = [one["mean"] for one in document["summary"] if one["metric"] == "energy_kwh"]
    assert all(value > 0 for value in energy)


def test_the_mean_of_the_summary_is_the_mean_of_the_rows(card: Path) -> None:
    document = run(card, ["policies=random,best_fit"])
    for one in document["summary"]:
        values = [row[one["metric"]] for row in document["rows"] if row["policy"] == one["policy"]]
        known = [value for value in values if value is not None]
        if known and len(known) == len(values):
            assert one["mean"] == pytest.approx(math.fsum(known) / len(known))
            assert one["ci_low"] <= one["mean"] + 1e-12


def test_the_leader_is_compared_with_everybody_on_the_main_metric(card: Path) -> None:
    document = run(card, ["policies=random,first_fit,best_fit,worst_fit,cosine", "references.textbook=random"])
    means = {one["policy"]: one["mean"] for one in document["summary"] if one["metric"] == "rejected_cpu_share"}
    first = min(means, key=lambda name: means[name])
    pairs = {(one["a"], one["b"]) for one in document["verdicts"]}
    assert {other for a, other in pairs if a == first} == set(means) - {first}
    assert document["provenance"]["comparisons"]["n"] == len({frozenset(pair) for pair in pairs})


def test_a_reference_that_is_not_run_is_said_so(card: Path) -> None:
    provenance = run(card, ["policies=first_fit,cosine"])["provenance"]
    assert provenance["not_run"] == ["best_fit"]


def test_an_entry_may_see_less_of_life_spans(card: Path) -> None:
    card.write_text(
        CARD.replace('"worst_fit"]', '"nilas", { policy = "nilas", name = "blind", lifetime = "unknown" }]')
    )
    document = run(card)
    rows = {name: [row for row in document["rows"] if row["policy"] == name] for name in ("nilas", "blind")}
    assert [row["rejected_cpu_share"] for row in rows["nilas"]] != [row["rejected_cpu_share"] for row in rows["blind"]]
    assert document["provenance"]["policies"][-1]["lifetime"] == "unknown"


def test_defaults_of_the_card_fill_unknown_prices_and_curves_only(card: Path) -> None:
    found = load_inputs(card, "machines.price_per_h=3.0", "machines.power_curve=hp_ml110_g5")
    assert found.machines.price_per_h.tolist() == [3.0] * 4
    assert [found.machines.power_curves[i] for i in found.machines.power_curve] == ["hp_ml110_g4"] * 4
    assert {row["cost_usd"] for row in run(card, ["machines.price_per_h=3.0"])["rows"]} != {None}


def load_inputs(card: Path, *overrides: str) -> Inputs:
    return read_inputs(load(PlacementExperiment, card, overrides).spec, card.parent)


def test_stated_machines_are_built_type_by_type(card: Path) -> None:
    types = (
        "[{name='big', count=2, cpu_mcore=9000, mem_mib=8192, gpu_count=1, gpu_model='T4', price_per_h=2.0, "
        "power_curve='mine'}, {name='small', count=1, cpu_mcore=1000, mem_mib=1024}]"
    )
    found = load_inputs(
        card, "machines.source=", f"machines.types={types}", "machines.curves.mine={kind='linear', idle_w=1, max_w=2}"
    ).machines
    assert found.machine_id.tolist() == ["big-0", "big-1", "small-0"]
    assert found.gpu_model.tolist() == [0, 0, -1]
    assert found.power_curve.tolist() == [0, 0, -1]
    assert found.price_per_h[:2].tolist() == [2.0, 2.0]
    assert np.isnan(found.price_per_h[2])


@pytest.mark.parametrize(
    ("overrides", "kind", "message"),
    [
        (["policies=bestfit"], UserError, "unknown policy 'bestfit'"),
        (["policies=bestfit,rand"], SpecError, "2 problems with policies"),
        (["policies=tuned_blend"], SpecError, "there is no tuned.toml beside the experiment's card"),
        (["policies=fgd"], SpecError, "scores by fragmentation, which simulation.fragmentation"),
        (["data.trace=nothing.parquet"], SpecError, "no dataset card 'nothing.parquet'"),
        (["data.trace=machines.parquet"], SpecError, "must hold trace: it holds machines"),
        (["data.part=dev"], SpecError, "part is for a dataset's name"),
        (["machines.power_curve=diesel"], SpecError, "unknown power curve 'diesel'"),
        (["windows.length=30h"], SpecError, "must hold 1 windows"),
    ],
)
def test_bad_input_is_one_clear_error(card: Path, overrides: list[str], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as error:
        run(card, overrides)
    assert not isinstance(error.value, OurBug)


def test_a_trace_that_no_machine_can_serve_is_refused_before_anything_runs(card: Path) -> None:
    save(
        Machines(machine_id=np.array([0]), cpu_mcore=np.array([100]), mem_mib=np.array([100])),
        card.parent / "machines.parquet",
    )
    with pytest.raises(TraceError, match="no machine can hold any task"):
        run(card)


def test_a_card_without_splits_needs_a_dataset_that_has_them(card: Path) -> None:
    card.write_text(
        CARD.replace("[splits]", "[spl]").replace("[spl]", "[data.options]").replace("train =", "# train =")
    )
    text = CARD[: CARD.index("[splits]")] + CARD[CARD.index("[windows]") :]
    card.write_text(text)
    with pytest.raises(SpecError, match="splits is required"):
        run(card)


def test_a_missing_dataset_says_how_to_get_it(card: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="is not on this machine"):
        run(card, ["data.trace=azure-v1-2017"], data_root=tmp_path / "empty")


class FirstMachine:
    """A policy of somebody's own: machine 0 or nothing."""

    name, stochastic, needs_residents = "first_machine", False, False

    def run(self, world, state, progress=None):  # type: ignore[no-untyped-def]
        from rlsched.sim.simulate import REFUSE, advance_all, decide_all

        while True:
            tasks = advance_all(world, state)
            if (tasks < 0).all():
                return
            answer = np.full(len(tasks), REFUSE)
            for n, task in enumerate(tasks):
                asks = (world.trace.cpu_mcore[task], world.trace.mem_mib[task])
                if task >= 0 and (state.free[n, 0, :2] >= asks).all():
                    answer[n] = 0
            decide_all(world, state, answer)
            if progress is not None:
                progress(int((tasks >= 0).sum()))


def test_a_policy_of_another_make_plays_through_the_same_door(card: Path) -> None:
    spec = load(PlacementExperiment, card).spec
    arena = open_arena(spec, read_inputs(spec, card.parent), "test")
    rows = play(arena, [Contestant("mine", FirstMachine()), *find_contestants(spec.policies, card.parent)], (0,))
    mine = [row["rejected_cpu_share"] for row in rows if row["policy"] == "mine"]
    other = [row["rejected_cpu_share"] for row in rows if row["policy"] == "first_fit"]
    assert all(a > b for a, b in zip(mine, other, strict=True))


def test_an_agent_of_another_fragmentation_is_refused_before_it_runs() -> None:
    agent = FirstMachine()
    agent.fragmentation = "gpu"  # type: ignore[attr-defined]
    with pytest.raises(SpecError, match="was trained with fragmentation = 'gpu'"):
        check_contestants([Contestant("agent", agent)], PlacementOptions())


def test_progress_grows_from_0_to_1(card: Path) -> None:
    told: list[float] = []
    run(card, ["policies=random,best_fit"], progress=lambda _text, share: told.append(share))
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] == pytest.approx(1.0)


def test_the_demo_card_runs_and_its_blend_was_tuned_on_its_data() -> None:
    card = ROOT / "experiments" / "placement-demo" / "experiment.toml"
    document = run(card, ["policies=best_fit,tuned_blend", "windows.count=2"])
    assert document["provenance"]["tuned_elsewhere"] == []
    shown = {one["metric"]: one["mean"] for one in document["summary"] if one["policy"] == "best_fit"}
    assert all(shown[name] is not None for name in document["provenance"]["metrics"])


@pytest.mark.parametrize("name", ["placement-demo", "placement-openb", "placement-azure"])
def test_every_shipped_blend_says_how_it_was_made(name: str) -> None:
    tuned = read_toml(ROOT / "experiments" / name / TUNED_FILE)
    assert tuned["command"] == f"rlsched tune {name}"
    assert tuned["data_sha256"]
    assert find_contestants(load_policies(name), ROOT / "experiments" / name)  # every policy the card names is there


def load_policies(name: str):  # type: ignore[no-untyped-def]
    return load(PlacementExperiment, ROOT / "experiments" / name / "experiment.toml").spec.policies


def test_the_same_recipe_from_several_seeds_is_one_policy_with_intervals_over_both(card: Path) -> None:
    mine = "policies=[{name='mine', runs=['first_fit', 'worst_fit', 'cosine']}, 'best_fit', 'random']"
    document = run(card, [mine, "seeds=2"])
    rows = [row for row in document["rows"] if row["policy"] == "mine"]
    assert sorted({row["seed"] for row in rows}) == [0, 1, 2]
    alone = run(card, ["policies=first_fit,worst_fit,cosine"])
    means = {one["policy"]: one["mean"] for one in alone["summary"] if one["metric"] == "rejected_cpu_share"}
    summary = {one["policy"]: one for one in document["summary"] if one["metric"] == "rejected_cpu_share"}
    assert summary["mine"]["mean"] == pytest.approx(sum(means.values()) / 3)
    assert summary["mine"]["n"] == 3 * summary["best_fit"]["n"]
    described = next(one for one in document["provenance"]["policies"] if one["name"] == "mine")
    assert len(described["runs"]) == 3


def test_the_constant_in_hindsight_is_the_best_finalist_there_and_never_leads(card: Path) -> None:
    card.write_text(card.read_text() + '[tune]\nrules = ["best_fit", "cosine"]\nbudget = 6\nkeep = 3\n')
    tuned = run_tune(card)
    write_tuned(tuned, card.parent)
    finalists = [one.split(" ")[0] for one in tuned["finalists"]]
    entries = ", ".join(f"{{policy='{one}', name='f{i}'}}" for i, one in enumerate(finalists))
    document = run(card, [f"policies=['best_fit', 'tuned_blend', 'hindsight_blend', {entries}]"])
    means = {one["policy"]: one["mean"] for one in document["summary"] if one["metric"] == "rejected_cpu_share"}
    assert means["hindsight_blend"] == min(means[f"f{i}"] for i in range(len(finalists)))
    assert document["provenance"]["leader"] != "hindsight_blend"
    assert document["provenance"]["tuned_elsewhere"] == []
    assert run(card, ["policies=tuned_blend", "simulation.pue=2"])["provenance"]["tuned_elsewhere"] == ["tuned_blend"]
    write_tuned({**tuned, "finalists": []}, card.parent)
    with pytest.raises(SpecError, match="lists no finalists"):
        run(card, ["policies=hindsight_blend"])


@pytest.mark.parametrize(("name", "problem"), [("lr_mmt", "consolidation"), ("hpa", "scaling")])
def test_a_policy_of_another_problem_is_told_as_that(card: Path, name: str, problem: str) -> None:
    with pytest.raises(SpecError, match=f"policy '{name}' cannot place tasks: it is one of {problem}"):
        run(card, [f"policies={name}"])
