"""Gymnasium spaces of ``rlsched/Consolidation-v0``, built from the tables of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from rlsched.envs.consolidation_problem import ConsolidationProblem, ConsolidationSettings
from rlsched.observe.consolidation_features import (
    GLOBAL_FEATURES,
    MOVE_FEATURES,
    PLAN_FEATURES,
    forecast_features,
)
from rlsched.observe.features import Feature

Space = gymnasium.spaces.Space[Any]


def global_features(problem: ConsolidationProblem, settings: ConsolidationSettings) -> tuple[Feature, ...]:
    """Columns of the flat observation, or of ``globals`` when moves are chosen one by one."""
    plan = PLAN_FEATURES if settings.actions == "moves" else ()
    return (*GLOBAL_FEATURES, *forecast_features(problem.forecast_names), *plan)


def observation_space(problem: ConsolidationProblem, settings: ConsolidationSettings) -> Space:
    """Knobs: (G,) float32. Moves: ``globals (G,)``, ``candidates (K, F)`` float32, ``action_mask (K + 1,)`` int8."""
    flat = _box(global_features(problem, settings))
    if settings.actions == "knobs":
        return flat
    k = n_candidates(settings)
    rows = _box(MOVE_FEATURES)
    table = gymnasium.spaces.Box(np.tile(rows.low, (k, 1)), np.tile(rows.high, (k, 1)), dtype=np.float32)
    return gymnasium.spaces.Dict(
        {"globals": flat, "candidates": table, "action_mask": gymnasium.spaces.MultiBinary(k + 1)}
    )


def n_candidates(settings: ConsolidationSettings) -> int:
    """Moves to choose from, ``K``."""
    return settings.candidate_vms * settings.candidate_machines


def knob_space(settings: ConsolidationSettings) -> gymnasium.spaces.Box:
    """Overload threshold, placement cap and evacuation, (3,) float32 in their own ranges."""
    low, high = np.array(list(settings.ranges.values()), np.float32).T
    return gymnasium.spaces.Box(low.copy(), high.copy(), dtype=np.float32)


def _box(features: Sequence[Feature]) -> gymnasium.spaces.Box:
    low, high = np.array([[one.low, one.high] for one in features], np.float32).T
    return gymnasium.spaces.Box(low.copy(), high.copy(), dtype=np.float32)
