import json

import pytest
from forecast_small import small_panel, small_spec

from rlsched.cli.main import main
from rlsched.forecast import run


@pytest.fixture
def card(tmp_path, monkeypatch):
    panel = small_panel()
    panel.facts["step_s"] = 300
    monkeypatch.setattr(run, "read_panels", lambda spec, data: [panel])
    spec = small_spec(forecasters=("persistence", "mlp"), main="mlp").model_dump(mode="json")
    folder = tmp_path / "forecast-waves"
    folder.mkdir()
    lines = [f"{key} = {json.dumps(spec[key])}" for key in ("resources", "forecasters", "main")]
    lines += ['[[data]]\ndataset = "waves"']
    for table in ("window", "training", "network"):
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in spec[table].items())]
    (folder / "forecast.toml").write_text("\n".join(lines))
    return folder


def test_train_evaluate_export_and_compress_as_a_user_would(card, tmp_path, capsys):
    runs = str(tmp_path / "runs")
    assert main(["forecast", "train", str(card), "--out", runs]) == 0
    assert "rlsched forecast evaluate" in capsys.readouterr().out
    assert main(["forecast", "train", str(card), "--out", runs]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["forecast", "train", str(card), "--out", runs, "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["records"][0]["forecaster"] == "mlp"

    results = tmp_path / "results"
    assert main(["forecast", "evaluate", str(card), "--out", runs, "--results", str(results), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["experiment"] == "forecast-waves"
    assert {"results.json", "results.md", "test-ledger.jsonl", "fans.png", "by-horizon.png", "coverage.png"} <= {
        one.name for one in results.iterdir()
    }
    begun, ended = map(json.loads, (results / "test-ledger.jsonl").read_text().splitlines())
    assert begun["touch"] == ended["touch"]
    assert "command" not in begun
    assert ended["command"].startswith("rlsched forecast evaluate")
    assert "policies" not in ended, "there are none"
    assert main(["forecast", "evaluate", str(card), "--out", runs, "--split", "validation"]) == 0
    assert "Lowest weighted quantile loss" in capsys.readouterr().out
    assert not (tmp_path / "runs" / "evaluation-validation" / "test-ledger.jsonl").exists()

    to = tmp_path / "forecaster-waves"
    assert main(["forecast", "export", str(card), "--out", runs, "--to", str(to)]) == 0
    assert (to / "forecaster.onnx").is_file()
    assert main(["forecast", "compress", str(card), "--out", runs, "--method", "dynamic"]) == 0
    assert "dynamic" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "forecast-bitbrain"], "Did you mean 'forecast-bitbrains'"),
        (["train", "CARD", "--only", "mpl"], "Did you mean 'mlp'"),
        (["evaluate", "CARD", "--split", "tst"], "Did you mean 'test'"),
        (["evaluate", "CARD", "--out", "/tmp/nothing-here-at-all"], "for at least one seed"),
        (["compress", "CARD", "--method", "zip"], "unknown method 'zip'"),
        (["export", "CARD", "--to", "x", "--out", "/tmp/nothing-here-at-all"], "no trained network"),
        (["train", "CARD", "--set", "training.epoch=3"], "Did you mean 'epochs'"),
    ],
)
def test_a_mistake_is_explained_and_exits_2(card, capsys, tmp_path, arguments, words):
    arguments = [str(card) if one == "CARD" else one.replace("/tmp", str(tmp_path)) for one in arguments]
    assert main(["forecast", *arguments]) == 2
    assert words in capsys.readouterr().err
