"""``rlsched policies`` with names of other levers and of cards; ``rlsched show`` where two cards have one name."""

from __future__ import annotations

import json

import pytest

from rlsched.policies import find_policy
from rlsched.policies.scaling import find_scaling

# typer still asks click for names that click is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    from rlsched.cli.main import main

    code = main(list(words))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_name_of_cards_says_which_and_what_each_means(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "policies", "describe", "tuned_blend", "--json")
    facts = json.loads(out)
    assert code == 0
    assert set(facts["experiments"]) == {"placement-azure", "placement-demo", "placement-gpuspec", "placement-openb"}
    for meaning in facts["experiments"].values():
        assert find_policy(meaning.split(" ")[0]).weights
    assert "placement-demo: nilas: lifetime = unknown" in run(capsys, "policies", "describe", "nilas_blind")[1]


def test_a_tuned_rule_comes_with_its_own_score_and_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    from rlsched.assets import find_asset
    from rlsched.spec import read_toml

    facts = json.loads(run(capsys, "policies", "describe", "tuned_band", "--json")[1])
    told = read_toml(find_asset("experiments", "scaling-bitbrains") / "tuned.toml")["families"]["band"]
    meaning = facts["experiments"]["scaling-bitbrains"]
    assert find_scaling(meaning.split(" ")[0]).rule == "band"
    assert f"{told['validation_score']:.6g}" in meaning


@pytest.mark.parametrize(
    ("name", "kind"), [("hpa", "scaling"), ("hpa:target=0.7", "scaling"), ("lr_mmt", "consolidation")]
)
def test_rules_of_other_levers_are_listed_and_described(
    name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = json.loads(run(capsys, "policies", "describe", name, "--json")[1])
    assert (facts["name"], facts["kind"]) == (name, kind)
    assert facts["numbers"]
    listed = {row["name"]: row for row in json.loads(run(capsys, "policies", "list", "--json")[1])["policies"]}
    assert listed[name.split(":")[0]]["kind"] == kind
    assert all(row["doc"] for row in listed.values())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bestfit", "Did you mean 'best_fit'"),
        ("tuned_blen", "Did you mean 'tuned_blend'"),
        ("lr_mm", "Did you mean 'lr_mmt'"),
        ("hpa:targt=1", "Did you mean 'target'"),
        ("x.onnx", "no agent 'x.onnx'"),
    ],
)
def test_a_name_nobody_knows_is_one_error_with_the_nearest(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "policies", "describe", name)
    assert code == 2
    assert message in err


def test_of_two_cards_of_one_name_the_experiment_is_shown_and_the_other_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "show", "consolidation-planetlab")
    assert code == 0
    assert "This is experiments/consolidation-planetlab." in err
    assert "rlsched show envs/consolidation-planetlab" in err
    code, other, err = run(capsys, "show", "envs/consolidation-planetlab")
    assert (code, err) == (0, "")
    assert other != out
    assert run(capsys, "show", "experiments/consolidation-planetlab")[1] == out
    assert run(capsys, "show", "placement-demo")[2] == ""


def test_a_command_typed_wrongly_says_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "traces", "describe")[2].endswith("See 'rlsched traces describe --help'.\n")
