"""The shipped cards of ``rlsched/Scaling-v0`` on their real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rlsched.assets import list_assets
from rlsched.envs.scaling_card import build_scaling, load_scaling_card
from rlsched.envs.scaling_vector import ScalingVectorEnv
from rlsched.errors import SpecError
from rlsched.traces.card import load_card

CARDS = sorted(name for name in list_assets("envs") if name.startswith("scaling"))
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="real data: ../shared/data is not there")

TYPE = "\n[[types]]\ncapacity = 1.0\n[service]\nmax_instances = 9\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text('kind = "scaling"\n' + text + TYPE)
    return path


#: Reading these takes ten seconds.
LARGE = ("scaling-bitbrains", "scaling-planetlab", "scaling-spot")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in CARDS]
)
def test_a_card_opens_and_its_windows_stay_inside_the_training_split(name: str) -> None:
    spec, path = load_scaling_card(name)
    if spec.demand.split is not None and not DATA.is_dir():
        pytest.skip("real data: ../shared/data is not there")
    problem = build_scaling(spec, path)
    world = problem.world
    if spec.demand.split is not None:
        assert spec.demand.split == "train"
        split = load_card(spec.demand.source).spec.splits
        assert split is not None
        if split.by in ("day", "part"):
            assert {name.split("/")[0] for name in world.names} == set(split.train)
        else:
            begin, end = (float(at) for at in split.train)
            for window in problem.windows:
                assert begin <= world.start_s + window.lo * world.step_s - spec.windows.history_s
                assert world.start_s + window.hi * world.step_s <= end
    # The most instances suffice for nearly everything, and are not absurdly many.
    most = problem.limits[1] * max(kind.capacity for kind in world.types)
    assert np.quantile(world.demand, 0.999) <= most <= 20 * world.demand.mean()
    env = ScalingVectorEnv(2, problem, spec.scaling)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)


@needs_data
@pytest.mark.slow
def test_the_spot_card_sells_three_types_on_six_markets_and_those_on_spot_close() -> None:
    problem = build_scaling(*load_scaling_card("scaling-spot"))
    world = problem.world
    assert world.pools == ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1))
    train = slice(problem.windows[0].lo, problem.windows[-1].hi)
    closed = (world.spot_available[:, train] == 0).mean(axis=1)
    assert (closed > 0).all()
    assert (closed < 0.5).all()
    dearer = world.spot_price_per_h > np.array([kind.price_per_h for kind in world.types])[:, None]
    assert (dearer == (world.spot_available == 0)).all()


@needs_data
def test_spot_prices_need_demand_of_one_clock(tmp_path: Path) -> None:
    card = write(
        tmp_path,
        '[demand]\nsource = "planetlab-2011"\nsplit = "train"\n'
        '[spot]\ntrace = "aws-spot-2015"\nmarkets = { instance = "us-east-1a-Linux-c3.xlarge" }\n',
    )
    with pytest.raises(SpecError, match="the parts of 'planetlab-2011' follow no common clock"):
        build_scaling(*load_scaling_card(card))


@needs_data
@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("azure-llm-2023", ""),
        ("nasa-1995", 'split = "train"\n'),
        ("google-2011-vms", ""),
        ("surf-lisa-week", 'split = "validation"\n'),
    ],
)
def test_other_datasets_can_be_demand(tmp_path: Path, source: str, part: str) -> None:
    step_s = {"azure-llm-2023": 60, "google-2011-vms": 3600}.get(source, 300)
    length = {"azure-llm-2023": 1200}.get(source, 43_200)
    history = {"google-2011-vms": 43_200, "azure-llm-2023": 720}.get(source, 3600)
    card = write(
        tmp_path,
        f'[demand]\nsource = "{source}"\n{part}step_s = {step_s}\ngroups = 2\n'
        f"[windows]\nlength_s = {length}\nhistory_s = {history}\n",
    )
    problem = build_scaling(*load_scaling_card(card))
    assert problem.world.step_s == step_s
    assert problem.world.demand.max() > 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[demand]\nsource = "sample/vms.parquet"\nsplit = "train"', "a file has no parts and no split"),
        ('[demand]\nsource = "sample/machines.parquet"', "must hold demand, usage or jobs: it holds Machines"),
        ('[demand]\nsource = "sample/vms.parquet"\n[windows]\nlength_s = 9e9', "no window of 9e\\+09 s"),
        ('[demand]\nsource = "sample/vms.parquet"\n[windows]\nservices = 99', "at most the 8 series"),
        ('[demand]\nsource = "no-such-data"', "no dataset card 'no-such-data'"),
        ('[demand]\nsource = "planetlab-2011"\nsplit = "train"\nparts = ["20110420"]', "not in the train split"),
    ],
)
def test_a_card_that_cannot_be_says_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        build_scaling(*load_scaling_card(write(tmp_path, text)))
