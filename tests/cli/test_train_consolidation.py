"""``rlsched train`` on a consolidation experiment, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlsched.policies.consolidation.learned import load_consolidation

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")

DAYS = {"train": ("20110303",), "validation": ("20110306",), "test": ("20110309",)}
TRAIN = """
steps = 128
n_envs = 2
rollout = 32
minibatch = 32
hidden = 8
validate_every = 1
normaliser_steps = 4
[reach]
parameter = [0.8, 3.0]
placement_cap = [0.3, 1.0]
"""


def main(argv: list[str]) -> int:
    from rlsched.cli.main import main

    return main(argv)


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Days of eight VMs; a folder has no card that splits it, so the test does. The test day is not there."""
    for day in (*DAYS["train"], *DAYS["validation"]):
        folder = tmp_path / "days" / day
        folder.mkdir(parents=True)
        for vm in range(8):
            lines = (f"{(vm * 7 + 13 * k + int(day)) % 60}\n" for k in range(288))
            (folder / f"vm {vm}").write_text("".join(lines))
    monkeypatch.setattr("rlsched.evaluate.consolidation.split_days", lambda _traces, split, _root: DAYS[split])
    folder = tmp_path / "small"
    folder.mkdir()
    text = "lr_mmt:parameter=1.3,placement_cap=0.6,evacuate_below=0.5"
    (folder / "tuned.toml").write_text(f'policy = "{text}"\nfamilies = ["{text} 1 2"]\nfinalists = ["{text} 1"]\n')
    (folder / "experiment.toml").write_text(
        f'kind = "consolidation"\ntraces = "{tmp_path}/days"\ngroups = 2\nhosts = 5\nsplit = "test"\n'
        'main_metric = "weighted_cost_pct"\nseeds = 2\npolicies = ["thr_mmt", "tuned"]\n'
    )
    (folder / "train.toml").write_text(TRAIN)
    return folder


def test_it_trains_on_train_days_chooses_on_validation_days_and_the_file_is_judged(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["train", str(experiment), "--out", str(out), "--set", "validation_deals=3"]) == 0
    told = capsys.readouterr()
    assert "weighted cost on 2 validation windows: checkpoint 0" in told.out
    assert f'rlsched evaluate small --set \'policies=["tuned", "lr_mmt", "{out}/policy.onnx"]\'' in told.out
    record = json.loads((out / "training.json").read_text())
    assert record["days"] == {"train": ["20110303"], "validation": ["20110306"]}
    assert set(record["data"][0]["files"]) == {"20110303", "20110306"}
    assert record["parity"] <= 1e-5
    assert [one["rollouts"] for one in record["validations"]] == [0, 1, 2]
    policy = load_consolidation(out)
    assert policy.metadata["learned_on"] == "train"
    assert policy.residual.base.parameter == 1.3

    # Checkpoint 0 is the tuned policy itself.
    tuned = ["split=validation", "seeds=3", 'policies=["tuned"]']
    sets = [part for text in tuned for part in ("--set", text)]
    assert main(["evaluate", str(experiment), *sets, "--out", str(tmp_path / "e"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    for i, start in enumerate(record["validations"][0]["greedy"]):
        costs = [row["weighted_cost_pct"] for row in rows if row["window"] == f"20110306/{i}"]
        assert start == pytest.approx(sum(costs) / 3)


def test_it_goes_on_where_it_stopped_but_not_with_another_problem(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["train", str(experiment), "--out", out, "--set", "steps=64"]) == 0
    assert main(["train", str(experiment), "--out", out, "--resume", "--set", "weights.moves=3"]) == 2
    assert "learned from something else: weights of the experiment changed" in capsys.readouterr().err
    assert main(["train", str(experiment), "--out", out, "--resume", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["records"][0]["curve"]) == 2


def test_it_begins_at_a_released_agent_wherever_that_was_tuned_and_at_no_other_problems_heuristic(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["train", str(experiment), "--out", str(first)]) == 0
    tuned = experiment / "tuned.toml"
    tuned.write_text(f'problem_sha256 = "{"0" * 64}"\n' + tuned.read_text())
    capsys.readouterr()
    assert main(["train", str(experiment), "--out", str(second)]) == 2
    assert "tuned for another problem than the card" in capsys.readouterr().err
    assert main(["train", str(experiment), "--from", str(first), "--out", str(second), "--set", "steps=64"]) == 0
    begun, went_on = (json.loads((out / "training.json").read_text()) for out in (first, second))
    best = next(one for one in begun["validations"] if one["rollouts"] == begun["chosen_rollouts"])
    assert went_on["validations"][0]["greedy"] == pytest.approx(best["greedy"])
    assert went_on["from"]["base"]["name"] == "lr_mmt"
    capsys.readouterr()
    assert main(["train", str(experiment), "--from", str(first), "--out", str(second), "--set", "base=dvfs"]) == 2
    assert "base comes from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("reach.cap=[0.1, 0.9]", "unknown number 'cap'"),
        ("reach.placement_cap=[0.7, 0.9]", "around the tuned 0.6"),
        ("reach.placement_cap=0.9", "reach.placement_cap"),
        ("base=tuned_thr_mmt", "thr_mmt was not tuned"),
        ("base=dvfs", "moves no VM"),
        ("base=lr_mtm", "Did you mean 'lr_mmt'"),
        ("deels=3", "Did you mean 'deals'"),
        ("main_metric=energy_kwh", "main_metric must be weighted_cost_pct to learn from"),
        ("hosts=1", "fits on no machine"),
        (
            "evolution.sigma=0.02",
            "evolution.* is read with method = 'evolution' only, and the method is 'ppo'. Add --set",
        ),
        ("train.evolution={sigma=0.02}", "Add --set method=evolution, or leave it out."),
    ],
)
def test_a_wrong_setting_is_one_clear_error(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    assert main(["train", str(experiment), "--out", str(tmp_path / "out"), "--set", setting]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
