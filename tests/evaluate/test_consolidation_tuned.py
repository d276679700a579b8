"""Consolidation experiments that say who won: groups, tuned families, hindsight, bound, and what is said when wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsched.errors import SpecError, UserError
from rlsched.evaluate.answer import answer, metric_label
from rlsched.evaluate.consolidation import ConsolidationExperiment, Windows, run
from rlsched.evaluate.consolidation_metrics import COST, METRICS
from rlsched.evaluate.consolidation_tune import knobs
from rlsched.evaluate.consolidation_tuned import parse_policy, write_policy
from rlsched.sim.consolidation.policy import DETECTIONS, ConsolidationPolicy
from rlsched.spec import load

SHIPPED = Path(__file__).parents[2] / "experiments" / "consolidation-planetlab"


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Two days of eight VMs, dealt out to two clusters each."""
    for day in ("20110303", "20110306"):
        folder = tmp_path / "days" / day
        folder.mkdir(parents=True)
        for vm in range(8):
            lines = (f"{(vm * 7 + 13 * k + int(day)) % 60}\n" for k in range(288))
            (folder / f"vm {vm}").write_text("".join(lines))
    (tmp_path / "tuned.toml").write_text(
        'policy = "lr_mmt:parameter=1.3,placement_cap=0.6,evacuate_below=0.5"\n'
        'families = ["lr_mmt:parameter=1.3,placement_cap=0.6,evacuate_below=0.5 1 2"]\n'
        'finalists = ["lr_mmt:parameter=1.3,placement_cap=0.6,evacuate_below=0.5 1", '
        '"thr_mmt:parameter=0.7,placement_cap=0.9,evacuate_below=1 1.1"]\n'
    )
    path = tmp_path / "experiment.toml"
    path.write_text(
        f'kind = "consolidation"\ntraces = "{tmp_path}/days"\ngroups = 2\nhosts = 5\nmain_metric = "{COST}"\n'
        'judged = ["energy_kwh"]\nbounds = "packing"\nseeds = 2\n'
        'policies = ["dvfs", "thr_mmt", "lr_mmt", "tuned", "hindsight"]\n'
        '[references]\ntextbook = "thr_mmt"\ntuned = "tuned"\n[bootstrap]\nresamples = 200\n'
    )
    return path


def test_groups_share_no_vm_and_the_document_has_verdicts_bound_and_words(card: Path) -> None:
    windows = Windows(load(ConsolidationExperiment, card).spec)
    first, second = (windows.world(windows.days[0], group, 0) for group in (0, 1))
    assert set(first.vm_id) | set(second.vm_id) == {f"vm {i}" for i in range(8)}
    assert not set(first.vm_id) & set(second.vm_id)
    document = run(card)
    assert {row["window"] for row in document["rows"]} == {f"{d}/{g}" for d in ("20110303", "20110306") for g in (0, 1)}
    assert {one["metric"] for one in document["verdicts"]} == {COST, "energy_kwh"}
    bounds = {one["window"]: one["value"] for one in document["bounds"]}
    for row in document["rows"]:
        parts = [row[name] for name in ("energy_cost_pct", "unmet_cost_pct", "move_cost_pct")]
        assert row[COST] == pytest.approx(sum(parts))
    for window, value in bounds.items():
        costs = [row[COST] for row in document["rows"] if row["window"] == window]
        assert 0 < value < sum(costs) / len(costs)
    assert any("weighted cost" in line for line in answer(document))
    assert document["provenance"]["controls"] == {
        "hindsight": "the best on these windows of all finalists of the search"
    }
    assert document["provenance"]["leader"] != "hindsight"


def test_a_policy_tuned_for_another_problem_is_told_of(card: Path) -> None:
    data, problem = (run(card)["provenance"][key] for key in ("data_sha256", "problem_sha256"))
    tuned = card.parent / "tuned.toml"
    files = "".join(f'"{name}" = "{sha}"\n' for name, sha in data.items())
    tuned.write_text(f'problem_sha256 = "{problem}"\n{tuned.read_text()}[data_sha256]\n{files}')
    assert run(card)["provenance"]["tuned_elsewhere"] == []
    # The same data, but moves are paid otherwise.
    other = run(card, ["weights={energy=1.0, unmet=20.0, moves=0.1}"])["provenance"]
    assert other["problem_sha256"] != problem
    assert other["tuned_elsewhere"] == ["tuned", "hindsight"]


def test_hindsight_is_the_best_finalist_on_the_windows(card: Path) -> None:
    rows = run(card, ["policies=tuned,hindsight"])["rows"]
    means = {name: sum(row[COST] for row in rows if row["policy"] == name) for name in ("tuned", "hindsight")}
    assert means["hindsight"] <= means["tuned"]


def test_pue_multiplies_energy_and_its_cost_only(card: Path) -> None:
    plain, more = (run(card, ["policies=thr_mmt", f"pue={pue}"])["rows"] for pue in (1.0, 1.5))
    for a, b in zip(plain, more, strict=True):
        assert b["energy_kwh"] == pytest.approx(1.5 * a["energy_kwh"])
        assert b["energy_cost_pct"] == pytest.approx(1.5 * a["energy_cost_pct"])
        assert (b["migrations"], b["unmet_cost_pct"]) == (a["migrations"], a["unmet_cost_pct"])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("policies=tuned_thr_mmt", "thr_mmt was not tuned"),
        ("policies=tuned_lr_mtm", "Did you mean 'lr_mmt'"),
        ("main_metric=weighted_cost", "Did you mean 'weighted_cost_pct'"),
        ("main_metric=removed_vms", "no better direction"),
        ("weights.enery=2", "Did you mean 'energy'"),
        ("weights.energy=-2", "weights.energy"),
        ("split=train", "split needs a dataset whose card splits by day"),
        ("pue=0.5", "pue"),
        ("groups=0", "groups"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(card: Path, override: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        run(card, [override])


def test_without_tuned_toml_the_command_is_named(card: Path) -> None:
    (card.parent / "tuned.toml").unlink()
    with pytest.raises(SpecError, match=r"no tuned.toml beside .* with 'rlsched tune"):
        run(card)


def test_a_policy_is_read_back_from_its_text() -> None:
    policy = ConsolidationPolicy("mad_mmt", 0.31878, 0.45197, 0.22347)
    assert parse_policy(write_policy(policy)) == policy
    with pytest.raises(SpecError, match="Did you mean 'placement_cap'"):
        parse_policy("lr_mmt:placment_cap=1")


def test_families_begin_with_the_textbook() -> None:
    for detection in DETECTIONS:
        values = {knob.name: knob.default for knob in knobs(detection)}
        assert ConsolidationPolicy(f"{detection}_mmt", **values) == ConsolidationPolicy(f"{detection}_mmt")


def test_every_metric_has_a_label_and_the_shipped_card_is_valid() -> None:
    for name in METRICS:
        assert metric_label(name) != name
    spec = load(ConsolidationExperiment, SHIPPED / "experiment.toml").spec
    assert spec.split == "test"
    assert spec.main_metric == COST


def agent(path: Path, seed: int = 1) -> Path:
    """An untrained network in a policy file: it moves the tuned numbers a little, at random."""
    import torch

    from rlsched.agents.export_consolidation import export_consolidation
    from rlsched.agents.residual import ResidualNetwork
    from rlsched.policies.consolidation.residual import FIELDS, ConsolidationResidual

    torch.manual_seed(seed)
    network = ResidualNetwork(len(FIELDS), 2, 8)
    torch.nn.init.normal_(network.act.weight)
    base = ConsolidationPolicy("lr_mmt", 1.3, 0.6, 0.5)
    moves = ConsolidationResidual(base, {"parameter": (0.8, 3.0), "placement_cap": (0.2, 1.0)})
    export_consolidation(path, network, moves, 300, {"name": "tiny", "learned_on": "train"})
    return path


def test_a_trained_agent_is_judged_beside_heuristics(card: Path, tmp_path: Path) -> None:
    file = agent(tmp_path / "agents" / "mine.onnx")
    ours = f'policies=["thr_mmt", "tuned", "{file}", {{name = "{file.parent}/mine.onnx", label = "again"}}]'
    document = run(card, [ours])
    rows = {name: [row for row in document["rows"] if row["policy"] == name] for name in ("tuned", "mine", "again")}
    assert len(rows["mine"]) == len(rows["tuned"]) == 8
    costs = {name: [row[COST] for row in several] for name, several in rows.items()}
    assert costs["mine"] == costs["again"]
    assert costs["mine"] != costs["tuned"]
    assert {(row["detection"], row["parameter"], row["evacuate_below"]) for row in rows["mine"]} == {("lr", None, 0.5)}
    told = document["provenance"]["agents"]["mine"]
    assert (told["policy"], told["learned_on"], told["base"]["name"]) == ("tiny", "train", "lr_mmt")
    assert any({one["a"], one["b"]} == {"mine", "tuned"} for one in document["verdicts"])


def test_training_seeds_are_an_axis_of_their_own_beside_deals(card: Path, tmp_path: Path) -> None:
    files = [str(agent(tmp_path / "agents" / f"{seed}.onnx", seed)) for seed in range(3)]
    text = ", ".join(f'"{one}"' for one in files)
    ours = f'policies=["thr_mmt", "tuned", {{label = "mine", runs = [{text}]}}, {{name = "{files[1]}", label = "one"}}]'
    document = run(card, [ours])
    rows = [row for row in document["rows"] if row["policy"] == "mine"]
    assert len(rows) == 3 * 8
    alone = {(row["window"], row["seed"]): row[COST] for row in document["rows"] if row["policy"] == "one"}
    assert {(row["window"], row["seed"]): row[COST] for row in rows if row["run"] == 1} == alone
    assert {row["run"] for row in document["rows"] if row["policy"] != "mine"} == {None}
    mean = next(one for one in document["summary"] if (one["policy"], one["metric"]) == ("mine", COST))
    assert mean["n"] == 24
    assert mean["mean"] == pytest.approx(sum(row[COST] for row in rows) / 24)
    verdict = next(one for one in document["verdicts"] if {one["a"], one["b"]} == {"mine", "tuned"})
    tuned = [row[COST] for row in document["rows"] if row["policy"] == "tuned"]
    sign = 1 if verdict["a"] == "mine" else -1
    assert sign * verdict["difference"] == pytest.approx(mean["mean"] - sum(tuned) / 8)
    assert len(document["provenance"]["agents"]["mine"]["runs"]) == 3


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{{label = 'mine'}}", "give name, or runs"),
        ("{{runs = ['a/b', 'a/c']}}", "runs need a label"),
        ("{{label = 'mine', runs = ['a/b', 'a/b']}}", "runs must differ"),
        ("{{label = 'mine', runs = ['lr_mmt']}}", "runs are trained agents, by name, folder or file: 'lr_mmt' is none"),
        ('"{folder}/none.onnx"', "no agent '.*none.onnx'"),
        ('"{folder}/text.onnx"', "is not an ONNX model"),
        ('{{name = "{folder}/mine.onnx", placement_cap = 0.5}}', "has numbers of its own: leave placement_cap out"),
    ],
)
def test_an_agent_that_cannot_be_is_one_clear_error(card: Path, tmp_path: Path, entry: str, says: str) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    agent(tmp_path / "mine.onnx")
    with pytest.raises(UserError, match=says):
        run(card, [f"policies=[{entry.format(folder=tmp_path)}]"])
