"""``rlsched train`` and ``rlsched policies``, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rlsched.policies.learned import load_policy

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")


def main(argv: list[str]) -> int:
    from rlsched.cli.main import main

    return main(argv)


CARD = """
kind = "placement"
title = "a small cluster"
main_metric = "rejected_cpu_share"
policies = ["best_fit"]
[data]
trace = "sample/vms.parquet"
[[machines.types]]
name = "m"
count = 10
cpu_mcore = 32000
mem_mib = 131072
[simulation]
fragmentation = "cpu"
[splits]
train = [0, 36000]
validation = [36000, 50000]
test = [50000, 60000]
[windows]
kind = "time"
length = "1h"
warmup = "1h"
"""
TRAIN = """
steps = 512
n_envs = 4
rollout = 32
minibatch = 64
hidden = 8
n_windows = 4
validate_every = 2
validation_windows = 2
normaliser_steps = 4
[placement]
candidates = 6
prior = "best_fit"
shortlist = ["fragmentation", "lifetime"]
reward = { rejected_cpu = 100.0 }
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "experiment.toml").write_text(CARD)
    (folder / "train.toml").write_text(TRAIN)
    return folder


def test_it_trains_says_what_came_out_and_the_policy_is_evaluated_beside_the_heuristics(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["train", str(experiment), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "checkpoint 0" in told.out
    assert "validation windows" in told.out
    assert f'rlsched evaluate small --set \'policies=["best_fit", "tuned_blend", "{out}/policy.onnx"]\'' in told.out
    assert "validation of checkpoint 0" in told.err
    record = json.loads((out / "training.json").read_text())
    assert record["chosen_rollouts"] in (0, 2, 4)
    assert record["scores"]["metric"] == "rejected_cpu_share"
    assert record["parity"] <= 1e-5
    assert record["residents"] is True
    assert record["data"][0]["files"]["vms.parquet"]
    assert record["provenance"]["versions"]["torch"]
    assert len(record["curve"]) == 4
    policy = load_policy(out / "policy.onnx")
    assert policy.metadata["splits"]["test"] == [50_000, 60_000]
    assert policy.metadata["learned_on"] == "train"

    policies = f"""["best_fit", {{ policy = "{out}/policy.onnx", name = "ppo" }}]"""
    assert (
        main(["evaluate", str(experiment), "--set", f"policies={policies}", "--out", str(tmp_path / "e"), "--json"])
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert {row["policy"] for row in document["rows"]} == {"best_fit", "ppo"}
    assert all(np.isfinite(row["rejected_cpu_share"]) for row in document["rows"])


def test_it_goes_on_where_it_stopped_and_does_not_start_over_by_itself(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["train", str(experiment), "--out", out, "--set", "steps=256"]) == 0
    assert main(["train", str(experiment), "--out", out]) == 2
    assert "Continue it with --resume" in capsys.readouterr().err
    assert main(["train", str(experiment), "--out", out, "--resume", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["records"][0]
    assert len(record["curve"]) == 4


def test_it_begins_at_a_released_agent_and_says_so(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["train", str(experiment), "--out", str(first)]) == 0
    # Other settings in train.toml give way to those of the agent: what it sees is its own.
    card = experiment / "train.toml"
    card.write_text(card.read_text().replace("hidden = 8", "hidden = 12").replace("candidates = 6", "candidates = 4"))
    assert main(["train", str(experiment), "--from", str(first), "--out", str(second), "--set", "seed=1"]) == 0
    begun, went_on = (json.loads((out / "training.json").read_text()) for out in (first, second))
    assert went_on["train"]["hidden"] == 8
    assert went_on["train"]["placement"]["candidates"] == 6
    assert went_on["validations"][0]["greedy"] == pytest.approx(
        next(one for one in begun["validations"] if one["rollouts"] == begun["chosen_rollouts"])["greedy"]
    )
    assert went_on["from"]["agent"] == "small"
    assert len(went_on["from"]["policy_sha256"]) == 64
    assert "--from" in went_on["provenance"]["command"]
    capsys.readouterr()
    # A training goes on only from where it began, and says where that was.
    resumed = ["train", str(experiment), "--out", str(second), "--resume", "--set", "seed=1"]
    assert main(resumed) == 2
    told = capsys.readouterr().err
    assert "was begun with --from, at an agent named 'small' (its policy file's SHA-256 begins with " in told
    assert went_on["from"]["policy_sha256"][:12] in told
    assert "Repeat that --from beside --resume" in told
    assert "Undo that" not in told
    assert main([*resumed, "--from", str(second)]) == 2
    assert "and not at another file of that name" in capsys.readouterr().err
    assert main([*resumed, "--from", str(first)]) == 0
    assert main(["train", str(experiment), "--out", str(first), "--resume", "--from", str(first)]) == 2
    assert "begun without --from" in capsys.readouterr().err
    for wrong, message in (
        (["--from", "scaling"], "rlsched scaling policy"),
        (["--from", str(tmp_path / "nothing")], "no agent"),
        (["--from", str(first), "--set", "hidden=4"], "hidden comes from"),
        (["--from", str(first), "--set", "placement.candidates=4"], "placement.candidates comes from"),
        (["--from", str(first), "--set", 'simulation.fragmentation="none"'], "was trained with fragmentation = 'cpu'"),
    ):
        capsys.readouterr()
        assert main(["train", str(experiment), "--out", str(tmp_path / "third"), *wrong]) == 2
        assert message in capsys.readouterr().err


def test_it_does_not_go_on_with_another_problem(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["train", str(experiment), "--out", out, "--set", "steps=256"]) == 0
    assert main(["train", str(experiment), "--out", out, "--resume", "--set", "typical_share=0.5"]) == 2
    assert "learned from something else: typical_share of the experiment changed" in capsys.readouterr().err


def test_several_seeds_are_trained_and_the_best_is_kept(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["train", str(experiment), "--out", str(out), "--seeds", "2", "--set", "steps=256"]) == 0
    record = json.loads((out / "training.json").read_text())
    assert [one["seed"] for one in record["seeds"]] == [0, 1]
    best = min(one["best"] for one in record["seeds"])
    assert record["scores"]["best"] == best
    chosen = next(one["seed"] for one in record["seeds"] if one["best"] == best)
    assert (out / "policy.onnx").read_bytes() == (out / f"seed-{chosen}" / "policy.onnx").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "stepps=3"], "Did you mean 'steps'"),
        (["--set", "steps=abc"], "rlsched: --set: 1 problem: steps: input should be a valid integer"),
        (["--set", "train.hidden=0"], "hidden"),
        (["--set", "windows.lenght=2h"], "Did you mean 'length'"),
        (["--set", "placement.prior=bestfit"], "Did you mean 'best_fit'"),
        (["--set", "placement.reward={fragments=1}"], "unknown reward 'fragments'"),
        (["--set", "cluster=[2, 400]"], "machines per window must lie in 1..10"),
        (["--set", "length_s=1e6"], "a training window needs"),
        (["--resume"], "there is no checkpoint"),
        (
            ["--set", "method=evolution"],
            "--set method=evolution: 'method' is not for placement: evolution is for scaling",
        ),
        (["--set", "evolution.sigma=1"], "--set evolution.sigma=1: 'evolution' is not for placement"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["train", str(experiment), "--out", str(tmp_path / "out"), *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_an_experiment_that_does_not_say_how_to_learn_is_refused(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (experiment / "train.toml").unlink()
    assert main(["train", str(experiment)]) == 2
    assert "there is no train.toml" in capsys.readouterr().err


def test_policies_are_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "list"]) == 0
    listed = capsys.readouterr().out
    assert "best_fit" in listed
    assert main(["policies", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["policies"]
    assert {"heuristic"} <= {row["kind"] for row in rows}
    assert main(["policies", "describe", "best_fit"]) == 0
    assert "rules: " in capsys.readouterr().out
    assert main(["policies", "describe", "blend:best_fit=1,cosine=2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"] == {"best_fit": 1.0, "cosine": 2.0}
    assert main(["policies", "describe", "best_fot"]) == 2
    assert "Did you mean 'best_fit'" in capsys.readouterr().err
