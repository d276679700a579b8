"""The card: what it takes, and one clear message for everything it does not."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from rlsched import spec
from rlsched.errors import SpecError
from rlsched.evaluate.experiment import (
    PlacementExperiment,
    PolicyEntry,
    SimulationSpec,
    experiment_name,
)
from rlsched.sim.options import PlacementOptions


def load(card: Path, *overrides: str) -> PlacementExperiment:
    return spec.load(PlacementExperiment, card, overrides).spec


def test_simulation_has_the_options_of_the_simulator_and_their_defaults() -> None:
    assert list(SimulationSpec.model_fields) == [one.name for one in fields(PlacementOptions)]
    assert PlacementOptions(**SimulationSpec().model_dump()) == PlacementOptions()


def test_short_forms_are_read(card: Path) -> None:
    assert load(card, "seeds=3").seeds == (0, 1, 2)
    assert load(card, "seeds=[4, 9]").seeds == (4, 9)
    assert load(card, "seeds=4,9").seeds == (4, 9)
    entries = load(card, "policies=cosine, blend:cosine=1,best_fit=2, blend:fgd=1,devices=score,random").policies
    assert [one.policy for one in entries] == [
        "cosine",
        "blend:cosine=1,best_fit=2",
        "blend:fgd=1,devices=score",
        "random",
    ]
    assert load(card, "windows.length=90m").windows.length == 5400
    assert load(card, "windows.warmup=all").windows.warmup == "all"


def test_the_main_metric_is_shown_first(card: Path) -> None:
    assert load(card).shown == ("rejected_cpu_share", "acceptance_share", "energy_kwh", "cost_usd")


def test_a_policy_is_called_by_its_name_its_file_or_what_the_card_says() -> None:
    assert PolicyEntry(policy="best_fit").label == "best_fit"
    assert PolicyEntry(policy="runs/mine/policy.onnx").label == "policy"
    assert PolicyEntry(policy="nilas", name="nilas_blind").label == "nilas_blind"


def test_an_experiment_is_called_like_its_folder(card: Path) -> None:
    assert experiment_name(card) == "tiny"
    assert experiment_name(Path("cards/my card.toml")) == "my-card"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("windows.lenght=1h", "unknown key 'windows.lenght'. Did you mean 'length'?"),
        ("polices=best_fit", "unknown key 'polices'. Did you mean 'policies'?"),
        ("main_metric=rejected_cpu", "unknown metric 'rejected_cpu'. Did you mean 'rejected_cpu_share'?"),
        ("main_metric=cpu_alloc_share", "cpu_alloc_share has no better direction, so nobody can win on it"),
        ('judged=["window_h"]', "window_h has no better direction"),
        ('metrics=["energy"]', "unknown metric 'energy'. Did you mean 'energy_kwh'?"),
        ("policies=[]", "policies: must name at least one policy"),
        ("policies=best_fit,best_fit", "two policies are called 'best_fit'"),
        ("seeds=0", "must be a number of seeds >= 1"),
        ("seeds=[1, 1]", "must hold one seed or more, each once"),
        ("seeds=[-1]", "greater than or equal to 0"),
        ("seeds=a,b", "seeds.0: input should be a valid integer"),
        ("windows.kind=fill", 'kind = "fill" needs target_pct, count and has no length, warmup'),
        ("windows.target_pct=130", 'kind = "time" has no target_pct'),
        ("windows.length=0", "length must be > 0 seconds"),
        ("windows.length=soon", "expected a duration such as '2d4h'"),
        ("splits.test=[30_000, 40_000]", "test begins at 30000 s, before validation ends at 36000 s: they overlap"),
        ("splits.test=[40_000, 40_000]", "test must be [from, to) with from < to"),
        ("policies=[{name='mine', runs=[]}]", "give policy, or runs (the same recipe trained from several seeds)"),
        ("policies=[{runs=['a', 'b']}]", "runs need a name"),
        ("policies=[{name='mine', runs=['a', 'a']}]", "runs must differ"),
        ("bounds=milp", "input should be 'none' or 'lp'"),
        ("split=all", "input should be 'train', 'validation' or 'test'"),
        ("simulation.pue=0.5", "pue must be in 1..10: got 0.5"),
        ("simulation.emty_machines=on", "unknown key 'simulation.emty_machines'. Did you mean 'empty_machines'?"),
        ("simulation.empty_machines=maybe", "input should be 'off' or 'on'"),
        ("machines.types=[{name='a', count=1, cpu_mcore=1, mem_mib=1}]", "give source (a dataset or file) or types"),
        ("machines.source=", "give source (a dataset or file) or types"),
        ("machines.curves.mine.kind=linear", "power curve 'mine': idle_w, max_w missing"),
        ("bootstrap.resamples=5", "greater than or equal to 100"),
        ("tune.rules=best_fitt", "unknown rule 'best_fitt'. Did you mean 'best_fit'?"),
        ("data=4", "data:"),
    ],
)
def test_whatever_is_wrong_is_one_clear_error(card: Path, override: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        load(card, override)
    assert message.lower() in str(error.value).lower()


def test_every_problem_is_reported_at_once(card: Path) -> None:
    with pytest.raises(SpecError, match="3 problems") as error:
        load(card, "windows.lenght=1h", "seeds=0", "split=none")
    assert "lenght" in str(error.value)
    assert "split" in str(error.value)
