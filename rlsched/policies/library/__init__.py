"""Policies as a library: ``rlsched.load_policy(name)``, then ``place``, ``place_many``, ``explain``.

Needs numpy, and pandas and onnxruntime where frames and trained policies come in; no
compiler. What the compiled ``rlsched.observe`` and ``rlsched.sim.scoring`` compute is here once more in
plain numpy, for one question at a time; tests hold both together.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from rlsched.assets import list_assets

#: Kind that a policy file states → module and loader; any other is for the loader of placement to judge.
LOADERS = {
    "rlsched scaling policy": ("rlsched.policies.scaling.learned", "load_scaling"),
    "rlsched consolidation policy": ("rlsched.policies.consolidation.learned", "load_consolidation"),
}

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
    Heuristic, LearnedPolicy, or a policy of another lever
        The first two have ``place``, ``place_many`` and ``explain``, and are accepted wherever the
        name of a heuristic is. A trained scaling agent has ``scale``, a consolidation agent ``thresholds``.

    Raises
    ------
    PolicyError, SpecError
        There is none of that name, or its file cannot be used.
    """
    from rlsched.policies import POLICIES, find_policy
    from rlsched.policies.blend import BLEND_PREFIX
    from rlsched.policies.learned import kind_of

    text = str(name)
    if text in POLICIES or text.startswith(BLEND_PREFIX):
        return find_policy(text)
    if not isinstance(name, Path) and text not in list_assets("agents") and not re.search(r"[/\\]|\.onnx$", text):
        return find_policy(text)  # which says what is known
    kind = kind_of(name)
    module, loader = LOADERS.get(kind, ("rlsched.policies.learned", "load_policy"))
    return getattr(import_module(module), loader)(name)
