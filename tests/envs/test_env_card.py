"""Environment cards: the packaged ones open, and wrong ones say why."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest

import rlsched.envs  # noqa: F401 - registers the environment
from rlsched.assets import list_assets
from rlsched.envs.card import load_card
from rlsched.errors import SpecError

CARD = """
kind = "placement"
[data]
trace = "sample/vms.parquet"
machines = "sample/machines.parquet"
until_s = 90000
[windows]
kind = "time"
count = 2
length_s = 3600
warmup_s = 3600
[placement]
prior = "best_fit"
"""


def test_the_default_environment_opens_without_arguments_and_runs() -> None:
    env = gymnasium.make("rlsched/Placement-v0")
    obs, info = env.reset(seed=0)
    assert (info["action_mask"] == obs["action_mask"]).all()
    for _ in range(20):
        obs, reward, *_ = env.step(np.int64(0))
    assert np.isfinite(reward)
    vector = gymnasium.make_vec("rlsched/Placement-v0", num_envs=3)
    obs, _ = vector.reset(seed=0)
    assert obs["candidates"].shape[0] == 3


def test_every_packaged_placement_card_can_be_read() -> None:
    cards = {name: path for name, path in list_assets("envs").items() if name.startswith("placement")}
    assert "placement" in cards
    for path in cards.values():
        assert load_card(path)[0].kind == "placement"


def test_a_card_of_ones_own_opens(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(CARD)
    env = gymnasium.make("rlsched/Placement-v0", card=str(path))
    obs, _ = env.reset(seed=0)
    assert obs["action_mask"].sum() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("length_s = 3600\n", ""), "needs length_s"),
        (('kind = "time"', 'kind = "fill"'), "needs machines, target_pct and has no length_s, warmup_s"),
        (('prior = "best_fit"', 'prior = "bestfit"'), "Did you mean 'best_fit'"),
        (("until_s = 90000", "untill_s = 90000"), "Did you mean 'until_s'"),
        (("until_s = 90000", "until_s = 600"), "the training split has"),
        (
            ('machines = "sample/machines.parquet"', 'machines = "sample/vms.parquet"'),
            "must hold Machines: it holds Trace",
        ),
        (("[placement]", "[simulation]\npeu = 1.0\n[placement]"), "peu"),
    ],
)
def test_a_wrong_card_says_why(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = tmp_path / "mine.toml"
    assert change[0] in CARD
    path.write_text(CARD.replace(*change, 1))
    with pytest.raises(SpecError, match=message):
        gymnasium.make("rlsched/Placement-v0", card=str(path))


def test_an_unknown_card_is_named() -> None:
    with pytest.raises(SpecError, match=r"no environment card 'placemant'.*Did you mean 'placement'"):
        gymnasium.make("rlsched/Placement-v0", card="placemant")
