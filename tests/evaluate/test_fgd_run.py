"""The experiment from card to document, on lists small enough to see through."""

import json
from pathlib import Path
from typing import Any

import pytest

from rlsched.errors import MissingDataError, SpecError
from rlsched.evaluate.fgd import PAPER_NAMES, find_heuristic, run
from rlsched.evaluate.kinds import find_card, kind_of
from rlsched.evaluate.results import KEYS, dump
from rlsched.policies import POLICIES

HEADER = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Two nodes of two GPUs; four pods of half a GPU and one of two."""
    rows = [f"p{i},1000,10,1,500" for i in range(4)] + ["p4,1000,10,2,1000"]
    (tmp_path / "openb_pod_list_tiny.csv").write_text(HEADER + "\n".join(rows) + "\n")
    (tmp_path / "nodes.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\na,9000,900,2,T4\nb,9000,900,2,T4\n")
    orders = "".join(f"{i},p{i}\n" for i in range(5)) + "5,p4\n"
    (tmp_path / "arrivals_seed1.csv").write_text("order,pod\n" + orders)
    (tmp_path / "node_rank_seed1.csv").write_text("rank,node\n0,b\n1,a\n")
    path = tmp_path / "experiment.toml"
    path.write_text(
        f'kind = "fgd"\npods = "{tmp_path}/openb_pod_list_tiny.csv"\nnodes = "{tmp_path}/nodes.csv"\n'
        f'orders = "{tmp_path}"\nseeds = 1\npolicies = ["FGD", "BestFit"]\ntarget_pct = 150\n'
    )
    return path


def test_the_document_is_whole_and_is_json(card: Path) -> None:
    document = run(card)
    assert set(document) == set(KEYS)
    assert json.loads(dump(document)) == document
    rows = document["rows"]
    assert len(rows) == 2 * 151
    assert {row["window"] for row in rows} == {"tiny"}
    assert [row["arrived_pct"] for row in rows[:151]] == list(range(151))
    assert document["provenance"]["orders"] == "given"
    assert set(document["provenance"]["data_sha256"]) == {
        "openb_pod_list_tiny.csv",
        "nodes.csv",
        "arrivals_seed1.csv",
        "node_rank_seed1.csv",
    }


def row_at(document: dict[str, Any], policy: str, pct: int) -> dict[str, Any]:
    return next(row for row in document["rows"] if (row["policy"], row["arrived_pct"]) == (policy, pct))


def test_the_curve_by_hand(card: Path) -> None:
    # 4000 milli-GPU. Four halves go to one node and fill it (50 %); the first pod of two takes the
    # other (100 %); the second is refused at 150 %.
    document = run(card)
    for policy in ("FGD", "BestFit"):
        assert row_at(document, policy, 50)["gpu_alloc_pct"] == 50.0
        assert row_at(document, policy, 100)["gpu_alloc_pct"] == 100.0
        assert row_at(document, policy, 100)["frag_pct_of_idle"] is None  # nothing is idle
        assert row_at(document, policy, 150)["gpu_alloc_pct"] == 100.0
    totals = document["provenance"]["runs"][0]
    assert totals["arrived_tasks"] == 6
    assert totals["rejected_tasks"] == 1
    assert totals["first_rejection_pct"] == 150.0
    assert totals["gpu_alloc_mgpu"] == 4000


def test_summary_and_verdicts_are_over_seeds_at_100_percent(card: Path) -> None:
    document = run(card, ["orders=", "seeds=1,2,3,4,5,6"])
    assert document["provenance"]["orders"] == "drawn"
    one = next(s for s in document["summary"] if (s["policy"], s["metric"]) == ("FGD", "gpu_alloc_pct"))
    there = [row for row in document["rows"] if row["policy"] == "FGD" and row["arrived_pct"] == 100]
    values = [row["gpu_alloc_pct"] for row in there if row["gpu_alloc_pct"] is not None]
    assert len(there) == 6
    assert one["n"] == len(values) > 3  # no event may fall near 100 % on so short a list
    assert one["mean"] == pytest.approx(sum(values) / len(values))
    assert {(v["a"], v["b"]) for v in document["verdicts"]} == {("BestFit", "FGD")}


def test_the_same_run_twice_gives_the_same_rows(card: Path) -> None:
    sets = ["orders=", "policies=Random,FGD"]
    assert run(card, sets)["rows"] == run(card, sets)["rows"]


def test_our_names_and_blends_are_taken_too(card: Path) -> None:
    document = run(card, ['policies=["fgd", "blend:fragmentation=12,best_fit=2"]'])
    assert {row["policy"] for row in document["rows"]} == {"fgd", "blend:fragmentation=12,best_fit=2"}
    assert document["provenance"]["references"] == {"published": "fgd"}
    theirs = run(card)
    for ours in document["rows"][:151]:
        twin = row_at(theirs, "FGD", ours["arrived_pct"])
        assert {**twin, "policy": "fgd"} == ours


def test_every_name_of_the_paper_is_one_of_ours() -> None:
    for paper, ours in PAPER_NAMES.items():
        assert find_heuristic(paper) is find_heuristic(ours) is POLICIES[ours]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("policies=Fgd", "unknown policy 'Fgd'.*The paper's names are known too"),
        ("policies=FGD,FGD", "must name each once"),
        ("policies=", "must name at least one"),
        ("seeds=x", "seeds.0"),
        ("seeds=1,1", "must name each once"),
        ("target_pct=0", "greater than or equal to 1"),
        ("order=x", "unknown key 'order'. Did you mean 'orders'"),
    ],
)
def test_a_wrong_setting_is_refused(card: Path, override: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        run(card, [override])


def test_orders_must_be_a_folder_that_is_there(card: Path) -> None:
    with pytest.raises(MissingDataError, match="must be a folder"):
        run(card, [f"orders={card}"])
    with pytest.raises(MissingDataError, match="there is nothing at"):
        run(card, [f"orders={card.parent / 'nowhere'}"])


def test_the_shipped_card_is_found_and_names_the_six_policies() -> None:
    found = find_card("fgd-atc23")
    assert kind_of(found) == "fgd"
    text = found.read_text()
    assert all(f'"{name}"' in text for name in PAPER_NAMES)
