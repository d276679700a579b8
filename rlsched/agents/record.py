"""What a training leaves: the policy file and ``training.json``, with everything needed to repeat it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlsched.agents.course import Outcome
from rlsched.agents.spec import PpoSpec

RECORD = "training.json"
POLICY = "policy.onnx"
Export = Callable[[Path, Any, dict[str, Any]], float]


def leave(
    out: Path,
    spec: PpoSpec,
    outcome: Outcome,
    facts: Mapping[str, Any],
    scores: Mapping[str, Any],
    name: str,
    export: Export,
) -> dict[str, Any]:
    """Export the chosen network and write the record.

    Parameters
    ----------
    out : Path
    spec : PpoSpec
    outcome : Outcome
    facts : mapping
        JSON values for record and policy file alike: data with hashes, split, ``fragmentation``,
        ``residents``, provenance.
    scores : mapping
        On validation: metric, better, means and intervals.
    name : str
        Of the policy.
    export : callable
        Path, network, metadata → largest difference between the file's answers and the network's.

    Returns
    -------
    dict
        The record.
    """
    metadata = {
        "name": name,
        "doc": _doc(outcome, scores, facts),
        **facts,
        "scores": dict(scores),
        "trained_rollouts": outcome.chosen,
        "trained_stage": outcome.stage,
    }
    differs = export(out / POLICY, outcome.network, metadata)
    record = {
        "name": name,
        **facts,
        "train": spec.model_dump(mode="json"),
        "scores": dict(scores),
        "chosen_rollouts": outcome.chosen,
        "chosen_stage": outcome.stage,
        "learned": outcome.learned,
        "parity": differs,
        "policy_bytes": (out / POLICY).stat().st_size,
        "steps_per_s": _mean(outcome, "steps_per_s"),
        "env_share": _mean(outcome, "env_share"),
        "distilled": outcome.distilled,
        "validations": outcome.validations,
        "curve": outcome.curve,
    }
    write_json(out / RECORD, record)
    return record


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _doc(outcome: Outcome, scores: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    began = f"the agent {facts['from']['agent']!r}" if "from" in facts else "a tuned heuristic"
    if not outcome.learned and "from" in facts:
        return f"As it came from {began}: validation preferred it; no further learning."
    if not outcome.learned:
        return "Untrained: validation preferred the prior heuristic; no learning."
    how = {"ppo": "PPO", "evolution": "Evolution strategies,"}.get(outcome.stage, "Looking ahead, distilled,")
    return f"{how} from {began} on; {scores['metric']} {scores['best']:.6g} on validation."


def _mean(outcome: Outcome, key: str) -> float | None:
    values = [line[key] for line in outcome.curve]
    return float(np.mean(values)) if values else None
