"""The tuned opponent: a search that repeats, keeps its budget, and never sees the test split."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluate_worlds import CARD

from rlsched.errors import SpecError
from rlsched.evaluate import tune as tuning
from rlsched.evaluate.experiment import PlacementExperiment, TuneSpec
from rlsched.evaluate.inputs import read_inputs
from rlsched.evaluate.placement import load_tuned, run
from rlsched.evaluate.tune import Trial, candidates, run_tune, tune, write_tuned
from rlsched.spec import load

FAMILY = '\n[tune]\nrules = ["best_fit", "cosine", "norm_l2"]\nbudget = 12\nkeep = 3\n'


@pytest.fixture
def tunable(card: Path) -> Path:
    card.write_text(CARD + FAMILY)
    return card


def search(family: TuneSpec, score: object, *, lower: bool) -> list[tuple[float, ...]]:
    tried: list[Trial] = []
    out = []
    for weights in candidates(family, tried, lower=lower):
        out.append(weights)
        tried.append(Trial(str(weights), score(weights)))  # type: ignore[operator]
    return out


def test_the_search_starts_with_every_rule_alone_and_keeps_its_budget() -> None:
    family = TuneSpec(rules=("best_fit", "cosine", "norm_l2"), budget=25)
    found = search(family, sum, lower=True)
    assert found[:4] == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]
    assert len(found) == 25
    assert all(weight >= 0 for weights in found for weight in weights)


def test_no_blend_is_tried_twice_even_scaled() -> None:
    found = search(TuneSpec(rules=("best_fit", "cosine"), budget=60), sum, lower=False)
    directions = {tuple(round(weight / max(weights), 6) for weight in weights) for weights in found}
    assert len(directions) == 60


def test_the_same_seed_searches_the_same_and_another_does_not() -> None:
    def go(seed: int) -> list[tuple[float, ...]]:
        return search(TuneSpec(rules=("best_fit", "cosine", "norm_l2"), budget=20, seed=seed), sum, lower=True)

    assert go(1) == go(1)
    assert go(1) != go(2)


@pytest.mark.parametrize("lower", [True, False])
def test_the_search_closes_in_on_an_optimum_inside_the_family(lower: bool) -> None:
    family = TuneSpec(rules=("best_fit", "cosine"), budget=60)

    def far(weights: tuple[float, ...]) -> float:
        share = weights[0] / sum(weights)
        return (share - 0.8) ** 2 * (1 if lower else -1)

    found = search(family, far, lower=lower)
    best = min(found, key=lambda w: abs(w[0] / sum(w) - 0.8))
    assert abs(best[0] / sum(best) - 0.8) < 0.05


def test_a_family_of_one_rule_is_that_rule() -> None:
    assert search(TuneSpec(rules=("cosine",), budget=9), sum, lower=True) == [(1.0,)]


def test_tuning_scores_on_train_and_selects_on_validation_only(tunable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = tuning.open_arena

    def spy(spec, inputs, split, **options):  # type: ignore[no-untyped-def]
        asked.append(split)
        return original(spec, inputs, split, **options)

    monkeypatch.setattr(tuning, "open_arena", spy)
    spec = load(PlacementExperiment, tunable).spec
    found = tune(spec, read_inputs(spec, tunable.parent))
    assert asked == ["train", "validation"]
    assert len(found.tried) == 12
    assert [one.policy for one in found.finalists] == [
        one.policy for one in sorted(found.tried, key=lambda one: one.score)[:3]
    ]
    assert found.best.score == min(one.score for one in found.finalists)


def test_what_was_tuned_is_kept_beside_the_card_and_used(tunable: Path) -> None:
    document = run_tune(tunable)
    path = write_tuned(document, tunable.parent)
    again = write_tuned(run_tune(tunable), tunable.parent)
    assert path == again
    policy, facts = load_tuned(path)
    assert policy.name == "tuned_blend"
    assert facts == document
    assert facts["command"] == "rlsched tune tiny"
    assert set(facts["data_sha256"]) == {"tasks.parquet", "machines.parquet"}
    found = run(tunable, ["policies=best_fit,tuned_blend", "references.tuned=tuned_blend"])
    assert found["provenance"]["tuned_elsewhere"] == []
    assert found["provenance"]["policies"][1]["tuned"]["policy"] == document["policy"]


def test_a_blend_tuned_on_other_data_is_said_so(tunable: Path) -> None:
    document = run_tune(tunable)
    write_tuned({**document, "data_sha256": {"tasks.parquet": "0" * 64}}, tunable.parent)
    assert run(tunable, ["policies=best_fit,tuned_blend"])["provenance"]["tuned_elsewhere"] == ["tuned_blend"]


def test_what_cannot_be_tuned_is_refused(card: Path, tunable: Path) -> None:
    with pytest.raises(SpecError, match="cost_usd is not known on these windows"):
        run_tune(tunable, ["main_metric=cost_usd"])
    with pytest.raises(SpecError, match="scores by fragmentation"):
        run_tune(tunable, ["tune.rules=fragmentation"])
    card.write_text(CARD)
    with pytest.raises(SpecError, match=r"no \[tune\] table"):
        run_tune(card)
    (card.parent / "tuned.toml").write_text("x = 1\n")
    with pytest.raises(SpecError, match="has no key policy"):
        load_tuned(card.parent / "tuned.toml")
