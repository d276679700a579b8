import json

import numpy as np
import pytest
from forecast_small import small_panel, small_spec

from rlsched.errors import SpecError
from rlsched.forecast import run
from rlsched.forecast.answer import markdown, terminal
from rlsched.forecast.card import find_card, read_card
from rlsched.forecast.compress import METHODS
from rlsched.forecast.release import compress_all, release


@pytest.fixture
def spec(monkeypatch):
    monkeypatch.setattr(run, "read_panels", lambda spec, data: [_with_facts(small_panel())])
    return small_spec(
        training={"seeds": 2, "epochs": 2, "steps": 3, "batch": 32},
        ablations={"no_lstm": {"channels": 4, "kernel": 3, "dilations": (1,), "pool": 4, "hidden": 0}},
    )


def _with_facts(panel):
    panel.facts["step_s"] = 300
    return panel


def quiet(_line):
    pass


def trained(spec, out):
    material = run.gather(spec, ("train", "validation", "test"))
    records = run.train_all(material, out, resume=True, only=(), tell=quiet)
    return material, records


def test_train_then_evaluate_gives_scores_and_verdicts_for_everybody(spec, tmp_path):
    material, records = trained(spec, tmp_path / "runs")
    assert [(one["forecaster"], one["seed"]) for one in records] == [
        (name, seed) for name in ("mlp", "cnn_lstm", "no_lstm") for seed in (0, 1)
    ]
    answer = run.evaluate(
        material, tmp_path / "runs", "tiny", "test", {"card": spec.model_dump(mode="json"), "command": "x"}, quiet
    )
    document = answer.document
    json.dumps(document, allow_nan=False)
    names = {row["forecaster"] for row in document["rows"]}
    assert names == {"persistence", "linear_ar", "mlp", "cnn_lstm", "no_lstm", "ensemble_equal", "ensemble_weighted"}
    assert {v["a"] for v in document["verdicts"]} == {"cnn_lstm"}
    assert {(row["resource"], row["horizon"]) for row in document["rows"]} >= {("all", "all"), ("mem_share", 2)}
    text = markdown(document)
    assert "Lowest weighted quantile loss:" in text
    assert "| no_lstm | 2 |" in text
    assert "cnn_lstm is better than" in terminal(document)


def test_a_finished_training_is_left_alone_and_other_settings_are_refused(spec, tmp_path):
    material, first = trained(spec, tmp_path)
    _, second = trained(spec, tmp_path)
    assert first == second
    with pytest.raises(SpecError, match="--resume"):
        run.train_all(material, tmp_path, resume=False, only=(), tell=quiet)
    other = spec.model_copy(update={"training": spec.training.model_copy(update={"steps": 4})})
    with pytest.raises(SpecError, match="other data or settings"):
        trained(other, tmp_path)


def test_evaluating_what_was_not_trained_is_explained(spec, tmp_path):
    material = run.gather(spec, ("train", "validation"))
    with pytest.raises(SpecError, match="must be trained for at least one seed"):
        run.evaluate(material, tmp_path, "tiny", "validation", {}, quiet)


def test_validation_chooses_what_is_released(spec, tmp_path):
    _, records = trained(spec, tmp_path / "runs")
    record = release(spec, "tiny", tmp_path / "runs", tmp_path / "forecaster-tiny")
    means = {
        name: np.mean([r["validation_wql"] for r in records if r["forecaster"] == name])
        for name in {r["forecaster"] for r in records}
    }
    assert record["forecaster"] == min(means, key=means.__getitem__)  # by the mean of its seeds, not by a lucky one
    mine = [one["validation_wql"] for one in records if one["forecaster"] == record["forecaster"]]
    assert record["validation_wql"] == min(mine)
    assert [one["wql"] for one in record["candidates"]] == pytest.approx(sorted(means.values()))
    assert record["not_candidates"] == []
    assert record["parity"] <= 1e-5
    named = release(spec, "tiny", tmp_path / "runs", tmp_path / "forecaster-tiny", "no_lstm")
    assert named["forecaster"] == "no_lstm"
    assert {one["why"] for one in named["not_candidates"]} == {"not asked for"}
    with pytest.raises(SpecError, match="no trained network 'persistence'"):
        release(spec, "tiny", tmp_path / "runs", tmp_path / "x", "persistence")


def test_every_method_of_compression_gives_a_forecaster_that_answers(spec, tmp_path):
    trained(spec, tmp_path)
    rows = compress_all(spec, "tiny", tmp_path, METHODS, "cnn_lstm", None, quiet)
    assert [row["method"] for row in rows] == ["full", *METHODS]
    assert all(np.isfinite(row["wql"]) and row["bytes"] > 0 for row in rows)
    with pytest.raises(SpecError, match="Did you mean 'prune'"):
        compress_all(spec, "tiny", tmp_path, ("prun",), "cnn_lstm", None, quiet)
    with pytest.raises(SpecError, match="only networks"):
        compress_all(spec, "tiny", tmp_path, ("prune",), "persistence", None, quiet)


def test_pruned_weights_stay_zero_through_tuning(spec, tmp_path):
    from rlsched.forecast.compress import prune
    from rlsched.forecast.rivals import build

    material, _ = trained(spec, tmp_path)
    forecaster = build(spec, "cnn_lstm")
    forecaster.restore(tmp_path / "cnn_lstm" / "seed-0")
    weights = [
        w for name, w in prune(forecaster, material.windows["train"], 0).module.named_parameters() if "weight" in name
    ]
    zeros = sum(int((w == 0).sum()) for w in weights)
    assert zeros >= 0.49 * sum(w.numel() for w in weights)


@pytest.mark.parametrize("name", ["forecast-bitbrains", "forecast-planetlab", "forecast-vm"])
def test_every_shipped_card_reads(name):
    assert read_card(name).spec.main == "cnn_lstm"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("forecasters=['lstn']", "Did you mean 'lstm'"),
        ("hold_out=0.9", "leave machines to train on"),
        ("window.quantiles=[0.5]", "must hold 0.01"),
        ("window.horizons=[3,1]", "ascend"),
        ("resources=['cpu_share','cpu_share']", "differ from each other"),
        ("window.lengt=3", "Did you mean 'length'"),
    ],
)
def test_a_card_that_is_wrong_is_explained(change, words):
    with pytest.raises(SpecError, match=words):
        read_card("forecast-bitbrains", (change,))


def test_an_unknown_card_names_the_nearest():
    with pytest.raises(SpecError, match="Did you mean 'forecast-bitbrains'"):
        find_card("forecast-bitbrain")
