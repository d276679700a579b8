"""Policies as a library: ``rlsched.load_policy(name)``, then ``place``, ``place_many``, ``explain``.

Needs numpy, and pandas and onnxruntime where frames and trained policies come in; no
compiler. What the compiled ``rlsched.observe`` and ``rlsched.sim.scoring`` compute is here once more in
plain numpy, for one question at a time; tests hold both together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["load_policy"]


def load_policy(name: str | Path) -> Any:
    """Load a policy of any kind to ask it.

    Parameters
    ----------
    name : str or Path
        A heuristic (``"best_fit"``), a blend (``"blend:fragmentation=12,best_fit=2"``), a trained
        agent (``"placement-gpu"``), its folder, or an ONNX file.

    Returns
    -------
    Heuristic or LearnedPolicy
        Both have ``place``, ``place_many`` and ``explain``, and both are accepted wherever the
        name of a heuristic is.

    Raises
    ------
    PolicyError, SpecError
        There is none of that name, or its file cannot be used.
    """
    if isinstance(name, Path):
        from rlsched.policies.learned import load_policy as load_learned

        return load_learned(name)
    from rlsched.policies import find_policy

    return find_policy(name)
