"""Cards of forecasters are shown as those of other experiments are."""

import json

import pytest

from rlsched.cli.main import main


def test_the_card_of_a_forecasting_experiment_is_shown_with_where_each_value_is_from(capsys):
    assert main(["show", "forecast-bitbrains", "--set", "training.seeds=2", "--json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)["values"]}
    assert (rows["training.seeds"]["value"], rows["training.seeds"]["origin"]) == (2, "--set")
    assert (rows["window.length"]["value"], rows["window.length"]["origin"]) == (288, "forecast.toml")
    assert rows["training.batch"]["origin"] == "default"


@pytest.mark.parametrize("name", ["forecast-value", "forecast-value-consolidation"])
def test_the_card_of_an_experiment_on_their_value_is_shown(name, capsys):
    assert main(["show", name]) == 0
    told = capsys.readouterr().out
    assert "persistence" in told
    assert "value.toml" in told


def test_they_are_listed_and_a_near_name_is_found(capsys):
    assert main(["show"]) == 0
    assert "Which network should be shipped as forecaster-vm?" in capsys.readouterr().out
    assert main(["show", "forecast-bitbrain"]) == 2
    assert "Did you mean 'forecast-bitbrains'" in capsys.readouterr().err
