"""Orders of the FGD experiment: given ones checked, drawn ones by the procedure."""

from pathlib import Path

import numpy as np
import pytest

from rlsched.errors import MissingDataError, SpecError, TraceError
from rlsched.evaluate.fgd_inputs import Inputs, build_world, draw_orders, find_path, read_inputs, read_orders

PODS = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
b,1000,100,1,500,,LS,Running,5,9,5
a,2000,100,2,1000,,LS,Running,1,9,1
c,1000,100,0,0,,BE,Failed,7,9,
"""
NODES = "sn,cpu_milli,memory_mib,gpu,model\nn2,8000,9000,2,T4\nn1,8000,9000,2,G2\n"


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    (tmp_path / "openb_pod_list_tiny.csv").write_text(PODS)
    (tmp_path / "nodes.csv").write_text(NODES)
    return read_inputs(tmp_path / "openb_pod_list_tiny.csv", tmp_path / "nodes.csv")


def write_orders(folder: Path, arrivals: str = "0,c\n1,a\n2,c\n", ranks: str = "1,n2\n0,n1\n") -> Path:
    (folder / "arrivals_seed7.csv").write_text(f"order,pod\n{arrivals}")
    (folder / "node_rank_seed7.csv").write_text(f"rank,node\n{ranks}")
    return folder


def test_the_lists_are_read(inputs: Inputs) -> None:
    assert inputs.label == "tiny"
    assert inputs.capacity_mgpu == 4000
    assert inputs.pods.task_id.tolist() == ["a", "b", "c"]  # by creation time
    assert inputs.demand_mgpu.tolist() == [2000, 500, 0]


def test_given_orders_become_arrivals_and_row_order(inputs: Inputs, tmp_path: Path) -> None:
    orders = read_orders(write_orders(tmp_path), inputs, 7)
    assert inputs.pods.task_id[orders.pods].tolist() == ["c", "a", "c"]  # a pod may come again
    assert inputs.nodes.machine_id[orders.nodes].tolist() == ["n1", "n2"]  # by rank, not by line
    assert set(orders.sha256) == {"arrivals_seed7.csv", "node_rank_seed7.csv"}
    world = build_world(inputs, orders)
    assert world.trace.cpu_mcore.tolist() == [1000, 2000, 1000]
    assert (world.trace.depart_s == -1).all()
    assert world.fleets[0].machine_id.tolist() == ["n1", "n2"]


@pytest.mark.parametrize(
    ("arrivals", "ranks", "message"),
    [
        (
            "0,c\n1,x\n",
            "0,n1\n1,n2\n",
            r"pod must be a pod of the list: got 'x' in row 2 \(line 3\) of .*arrivals_seed7",
        ),
        ("0,c\n2,a\n", "0,n1\n1,n2\n", r"order must be in 0\.\.1: got 2 in row 2"),
        ("0,c\n0,a\n", "0,n1\n1,n2\n", "order must be unique: got 0 in row 2"),
        ("0,c\none,a\n", "0,n1\n1,n2\n", "order must be a whole number"),
        ("0,c\n", "0,n1\n", r"every node must have one rank: 'n2' has no rank in .*node_rank_seed7"),
        ("0,c\n", "0,n1\n1,n1\n2,n2\n", "every node must have one rank: 'n1' has more than one rank"),
        ("0,c\n", "0,n1\n1,n3\n", "node must be a node of the list: got 'n3'"),
        ("", "0,n1\n1,n2\n", "holds only a header"),
    ],
)
def test_wrong_orders_are_one_clear_error(
    inputs: Inputs, tmp_path: Path, arrivals: str, ranks: str, message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        read_orders(write_orders(tmp_path, arrivals, ranks), inputs, 7)


def test_missing_orders_say_what_is_there(inputs: Inputs, tmp_path: Path) -> None:
    write_orders(tmp_path)
    with pytest.raises(MissingDataError, match=r"no arrivals_seed8\.csv\.gz .* it holds arrivals_seed7\.csv"):
        read_orders(tmp_path, inputs, 8)
    (tmp_path / "node_rank_seed7.csv").unlink()
    with pytest.raises(MissingDataError, match=r"no node_rank_seed7\.csv\.gz .* it holds none like it"):
        read_orders(tmp_path, inputs, 7)
    with pytest.raises(MissingDataError, match="must be a folder"):
        read_orders(tmp_path / "nowhere", inputs, 7)


def test_a_setting_is_a_path_or_lies_in_the_data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "x.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    assert find_path("x.csv", "pods", tmp_path / "root") == tmp_path / "root" / "x.csv"
    (tmp_path / "x.csv").write_text("")
    assert find_path("x.csv", "pods", tmp_path / "root") == Path("x.csv")  # the path given wins
    with pytest.raises(MissingDataError, match=r"pods = 'y\.csv': there is nothing at .* nor at .*root/y\.csv"):
        find_path("y.csv", "pods", tmp_path / "root")
    with pytest.raises(MissingDataError, match="there is nothing at that path"):
        find_path("/nowhere/y.csv", "pods", tmp_path / "root")


def test_lists_without_gpus_are_refused(tmp_path: Path) -> None:
    pods, nodes = tmp_path / "pods.csv", tmp_path / "nodes.csv"
    nodes.write_text(NODES)
    pods.write_text(PODS.splitlines()[0] + "\nc,1000,100,0,0,,BE,Failed,7,9,\n")
    with pytest.raises(SpecError, match="at least one pod must ask for a GPU"):
        read_inputs(pods, nodes)
    pods.write_text(PODS)
    nodes.write_text("sn,cpu_milli,memory_mib,gpu,model\nn2,8000,9000,0,\n")
    with pytest.raises(SpecError, match="at least one node must have a GPU"):
        read_inputs(pods, nodes)


def test_short_of_the_target_pods_come_again(inputs: Inputs) -> None:
    # Demand 2500; the target is 5200. A draw of 'a' counts 1000 in the test and 2000 after it.
    for seed in range(30):
        orders = draw_orders(inputs, 130.0, seed)
        first, more = orders.pods[:3].tolist(), orders.pods[3:]
        assert sorted(first) == [0, 1, 2]
        before = 2500 + np.concatenate([[0], np.cumsum(inputs.demand_mgpu[more])])[:-1]
        assert (before + inputs.pods.gpu_mgpu[more] <= 5200).all()
        assert 4200 < 2500 + inputs.demand_mgpu[more].sum() <= 6200
        assert sorted(orders.nodes.tolist()) == [0, 1]


def test_beyond_the_target_pods_are_taken_out(inputs: Inputs) -> None:
    for seed in range(10):
        orders = draw_orders(inputs, 50.0, seed)
        assert len(set(orders.pods.tolist())) == orders.pods.size
        assert inputs.demand_mgpu[orders.pods].sum() <= 2000


def test_draws_depend_on_their_seed_alone_and_not_on_the_order_of_the_files(inputs: Inputs, tmp_path: Path) -> None:
    header, *rows = PODS.splitlines()
    turned = tmp_path / "openb_pod_list_turned.csv"
    turned.write_text("\n".join([header, *rows[::-1]]) + "\n")
    (tmp_path / "turned.csv").write_text("\n".join([NODES.splitlines()[0], *NODES.splitlines()[:0:-1]]) + "\n")
    other = read_inputs(turned, tmp_path / "turned.csv")
    for seed in range(5):
        one, two = draw_orders(inputs, 130.0, seed), draw_orders(other, 130.0, seed)
        assert inputs.pods.task_id[one.pods].tolist() == other.pods.task_id[two.pods].tolist()
        assert inputs.nodes.machine_id[one.nodes].tolist() == other.nodes.machine_id[two.nodes].tolist()


def test_typical_pods_are_told_apart_as_the_file_spells_their_models(tmp_path: Path) -> None:
    header, *_ = PODS.splitlines()
    row = "{},1000,100,1,1000,{},LS,Running,1,9,1"
    spelled = ["T4|G2", "T4|G2", "G2|T4", "G2|T4", "T4"]
    rows = [row.format(f"p{i}", text) for i, text in enumerate(spelled)]
    (tmp_path / "pods.csv").write_text("\n".join([header, *rows]) + "\n")
    (tmp_path / "nodes.csv").write_text(NODES)
    typical = read_inputs(tmp_path / "pods.csv", tmp_path / "nodes.csv").typical
    assert typical.share.tolist() == pytest.approx([0.4, 0.4, 0.2])
    assert typical.requests[0].tolist() == typical.requests[1].tolist()  # the same models in other words
