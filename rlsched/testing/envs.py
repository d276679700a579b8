"""The contract of an environment, to be run on anybody's own.

::

    from rlsched.testing.envs import check_env

    def test_my_environment_keeps_the_contract():
        check_env(lambda: MyEnv(render_mode=None))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from rlsched.errors import UserError

Env = gymnasium.Env[Any, Any]


def check_env(make: Callable[[], Env], *, seed: int = 0, steps: int = 150) -> None:
    """Hold an environment to the contract.

    Parameters
    ----------
    make : callable
        Makes a fresh environment; called several times, without arguments.
    seed : int
        Of episodes and actions.
    steps : int
        Steps that are followed.

    Raises
    ------
    AssertionError
        Says which clause does not hold, and at which step:

        1. every observation lies in the observation space, has its dtype, and is finite;
        2. the reward is one finite number; ``terminated`` and ``truncated`` are plain truth values;
        3. the same seed and the same actions give the same bytes, another seed another episode;
        4. what was returned stays as it was when the environment goes on;
        5. where there is a mask, something is allowed until the end, ``info`` and observation agree,
           and a masked action is refused;
        6. an action that is NaN, out of range or of a wrong shape is refused as a ``UserError``, and
           the episode goes on as if it had not been tried;
        7. a step before the first reset and one after the end are refused, and so is an unknown option.
    """
    _check_order(make(), seed)
    first = _follow(make(), seed, steps, tease=False)
    _expect(first == _follow(make(), seed, steps, tease=False), "the same seed and actions must give the same bytes")
    _expect(
        first == _follow(make(), seed, steps, tease=True),
        "a refused action must leave the episode as if it was not tried",
    )
    others = [_follow(make(), seed, steps, tease=False, other=other) for other in (1, 2, 3)]
    _expect(any(first != other for other in others), "another seed must give another episode")


def _expect(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def _check_order(env: Env, seed: int) -> None:
    """Clause 7."""
    env = env.unwrapped
    _refuses(lambda: env.step(env.action_space.sample()), "a step before the first reset")
    _refuses(lambda: env.reset(options={"no_such_option": 1}), "an unknown option of reset")
    env.action_space.seed(seed)
    env.reset(seed=seed)
    for _ in range(100_000):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            break
    else:
        raise AssertionError("an episode must end within 100,000 steps")
    _refuses(lambda: env.step(env.action_space.sample()), "a step after the end")
    env.reset()
    env.step(env.action_space.sample())


def _follow(env: Env, seed: int, steps: int, *, tease: bool, other: int = 0) -> list[bytes]:
    """Clauses 1, 2, 4, 5, 6 along a run; returns what happened as bytes."""
    env = env.unwrapped
    env.action_space.seed(seed)  # the same actions whatever the episode
    observation, info = env.reset(seed=seed + other)
    record = [_bytes(observation)]
    kept: list[tuple[int, Any, bytes]] = []
    for step in range(steps):
        place = f"step {step}"
        _check_observation(env, observation, place)
        mask = _mask_of(observation, info, place)
        kept.append((step, observation, _bytes(observation)))
        action = env.action_space.sample()
        if tease:
            for what, bad in _bad_actions(env.action_space, mask):
                _refuses(lambda bad=bad: env.step(bad), f"{place}: {what}")  # type: ignore[misc]
        observation, reward, terminated, truncated, info = env.step(action)
        for then, old, was in kept[-3:]:
            _expect(_bytes(old) == was, f"{place}: the observation returned at step {then} must stay as it was")
        number: Any = reward
        _expect(np.ndim(number) == 0 and bool(np.isfinite(number)), f"{place}: the reward must be one finite number")
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            _expect(isinstance(flag, bool), f"{place}: {name} must be a bool: got {type(flag).__name__}")
        record.append(_bytes(observation) + np.array(float(reward)).tobytes() + bytes([terminated, truncated]))
        if terminated or truncated:
            _check_observation(env, observation, f"{place}, the last observation")
            observation, info = env.reset()
            record.append(_bytes(observation))
    return record


def _parts(space: gymnasium.Space[Any], value: Any) -> list[tuple[str, gymnasium.Space[Any], Any]]:
    if isinstance(space, gymnasium.spaces.Dict):
        _expect(isinstance(value, dict) and set(value) == set(space.spaces), f"the parts must be {list(space.spaces)}")
        return [(name, space[name], value[name]) for name in space.spaces]
    return [("observation", space, value)]


def _check_observation(env: Env, observation: Any, place: str) -> None:
    for name, space, value in _parts(env.observation_space, observation):
        _expect(isinstance(value, np.ndarray), f"{place}: {name} must be an array: got {type(value).__name__}")
        _expect(value.dtype == space.dtype, f"{place}: {name} must be {space.dtype}: got {value.dtype}")
        finite = value.dtype.kind != "f" or bool(np.isfinite(value).all())
        _expect(finite, f"{place}: {name} must be finite")
        _expect(bool(space.contains(value)), f"{place}: {name} must lie in its space {space}")


def _mask_of(observation: Any, info: dict[str, Any], place: str) -> np.ndarray[Any, Any] | None:
    seen = observation.get("action_mask") if isinstance(observation, dict) else None
    told = info.get("action_mask")
    if seen is None and told is None:
        return None
    mask = np.asarray(told if seen is None else seen)
    if seen is not None and told is not None:
        _expect(np.array_equal(seen, told), f"{place}: the masks of observation and info must agree")
    _expect(bool(mask.any()), f"{place}: the mask must allow something until the episode ends")
    return mask


def _bad_actions(space: Any, mask: np.ndarray[Any, Any] | None) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    if isinstance(space, gymnasium.spaces.Box):
        for what, value in (("NaN", np.nan), ("an action far above its range", 1e30), ("infinity", np.inf)):
            out.append((what, np.full(space.shape, value, space.dtype)))
        out.append(("an action of another shape", np.zeros((*space.shape, 2), space.dtype)))
    elif isinstance(space, gymnasium.spaces.Discrete):
        first, n = int(space.start), int(space.n)
        out += [("an action below the first", np.int64(first - 1)), ("one past the last", np.int64(first + n))]
        out.append(("a fraction", np.float64(0.5)))
        if mask is not None:
            out += [("a masked action", np.int64(first + int(at))) for at in np.flatnonzero(mask == 0)[:1]]
    elif isinstance(space, gymnasium.spaces.MultiDiscrete):
        out += [("an action below the first", np.full(space.shape, -1)), ("one past the last", space.nvec.copy())]
    return out


def _refuses(tried: Callable[[], Any], what: str) -> None:
    try:
        tried()
    except UserError:
        return
    except Exception as error:
        raise AssertionError(f"{what} must be a UserError: it was {type(error).__name__}: {error}") from error
    raise AssertionError(f"{what} must be refused, and was taken")


def _bytes(observation: Any) -> bytes:
    if isinstance(observation, dict):
        return b"".join(np.asarray(observation[name]).tobytes() for name in sorted(observation))
    return np.asarray(observation).tobytes()
