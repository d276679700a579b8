"""Training: decisions learned from a second, environment, networks and updates included, validation not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

#: Rollouts of one run: the figure is over all of them.
ROLLOUTS = 3


def training(experiment: str, *sets: str) -> Callable[[], float]:
    """PPO as ``rlsched train`` runs it, with the settings of the experiment's ``train.toml``.

    Raises
    ------
    MissingDataError
        Where the experiment's data are not.
    """
    from rlsched.agents.course import Kept, Silent, learn_once
    from rlsched.rng import stream_seed

    course = _course(experiment, sets)
    spec = course.spec
    env = course.open_env()
    model = course.new_model(env, spec.learning_rate)
    course.fit_normaliser(model.policy.network, env)
    env.seed(stream_seed(spec.seed, "episodes") % 2**31)
    model.set_logger(Kept(None, []))
    _, callback = model._setup_learn(spec.steps, Silent())

    def once() -> float:
        begin = time.perf_counter()
        for _ in range(ROLLOUTS):
            learn_once(model, env, callback, spec, 0)
        return float(ROLLOUTS * spec.n_envs * spec.rollout / (time.perf_counter() - begin))

    once()
    return once


def _course(experiment: str, sets: Sequence[str]) -> Any:
    """What is trained, by kind."""
    from rlsched.agents.course import use_threads
    from rlsched.cli.train_consolidation import PreparedConsolidation
    from rlsched.cli.train_inputs import prepare
    from rlsched.cli.train_scaling import PreparedScaling
    from rlsched.evaluate.kinds import find_card

    ready = prepare(find_card(experiment), sets, "rlsched bench")
    use_threads(ready.spec)
    if isinstance(ready, PreparedScaling):
        from rlsched.agents.scaling_course import ScalingCourse

        return ScalingCourse(ready.spec, ready.problem, ready.validation, ready.residual)
    if isinstance(ready, PreparedConsolidation):
        from rlsched.agents.consolidation_course import ConsolidationCourse, settings_of

        settings = settings_of(ready.residual, ready.reward, ready.pue)
        return ConsolidationCourse(ready.spec, ready.problem, ready.validation, ready.residual, settings)
    from rlsched.agents.train import PlacementCourse

    return PlacementCourse(ready.spec, ready.problem, ready.validation)
