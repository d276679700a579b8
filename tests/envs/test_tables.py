"""The printed tables of every environment card against the spaces that the environment has."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import rlsched.envs  # noqa: F401 - registers the environments
from rlsched.assets import list_assets
from rlsched.envs.tables import KINDS, Row, describe_env
from rlsched.errors import MissingDataError, SpecError


def edges(rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """The ends as a space holds them: one column a row."""
    shape = rows[0].shape
    low, high = (np.stack([np.full(shape, getattr(row, end)) for row in rows], axis=-1) for end in ("low", "high"))
    return low.astype(np.float32), high.astype(np.float32)


def check(space: gymnasium.Space, rows: list[Row]) -> None:
    if isinstance(space, gymnasium.spaces.Dict):
        parts = list(dict.fromkeys(row.part for row in rows))
        assert set(parts) == set(space.spaces)
        for part in parts:
            check(space[part], [row for row in rows if row.part == part])
        return
    assert {row.dtype for row in rows} == {str(space.dtype)}
    if isinstance(space, gymnasium.spaces.MultiBinary):
        assert [row.shape for row in rows] == [(space.n,)]
        assert (rows[0].low, rows[0].high) == (0, 1)
    elif isinstance(space, gymnasium.spaces.Discrete):
        assert [(row.shape, row.low, row.high) for row in rows] == [((), space.start, space.start + space.n - 1)]
    elif isinstance(space, gymnasium.spaces.MultiDiscrete):
        assert [(row.low, row.high) for row in rows] == [(0, n - 1) for n in space.nvec]
    else:
        low, high = edges(rows)
        assert low.shape == space.shape
        assert np.array_equal(low, space.low)
        assert np.array_equal(high, space.high)


@pytest.mark.parametrize("card", list_assets("envs"))
def test_every_card_has_the_spaces_its_tables_say(card: str) -> None:
    try:
        found = describe_env(card)
    except MissingDataError as error:
        pytest.skip(str(error))
    env = gymnasium.make(found.id, card=card).unwrapped
    check(env.observation_space, list(found.observation))
    check(env.action_space, list(found.action))
    for table in (found.observation, found.action):
        names = [(row.part, row.name) for row in table]
        assert len(set(names)) == len(names)
    assert all(row.unit and row.meaning for row in (*found.observation, *found.action))
    assert found.rewards


def test_a_card_that_changes_what_is_seen_and_done_changes_its_tables(tmp_path) -> None:
    source = list_assets("envs")["placement"].read_text(encoding="utf-8")
    few = tmp_path / "few.toml"
    few.write_text(source.replace("candidates = 16", 'candidates = "all"').replace("count = 32", "count = 2"))
    found = describe_env(few)
    assert found.observation[0].shape == (75,)
    check(gymnasium.make(found.id, card=str(few)).unwrapped.observation_space, list(found.observation))


def test_a_kind_there_is_none_of_is_refused(tmp_path) -> None:
    card = tmp_path / "odd.toml"
    card.write_text('kind = "placment"\n')
    with pytest.raises(SpecError, match=r"unknown kind 'placment' of environment. Did you mean 'placement'"):
        describe_env(card)
    assert set(KINDS) == {"placement", "consolidation", "scaling"}
