"""Policies as a library: ``rlsched.load_policy(name)``, then ``place``, ``place_many``, ``explain``.

Needs numpy, and pandas and onnxruntime where frames and trained policies come in; no
compiler. What the compiled ``rlsched.observe`` and ``rlsched.sim.scoring`` compute is here once more in
plain numpy, for one question at a time; tests hold both together.
"""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

from rlsched.assets import list_assets
from rlsched.errors import PolicyError

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
        A heuristic of placement (``"best_fit"``), a blend (``"blend:fragmentation=12,best_fit=2"``), a
        trained agent (``"placement-gpu"``), its folder, or an ONNX file. Heuristics of scaling and
        consolidation run inside the simulator, by name in an experiment, and are not loaded.

    Returns
    -------
    Heuristic, LearnedPolicy, or a policy of another lever
        The first two have ``place``, ``place_many`` and ``explain``, and are accepted wherever the
        name of a heuristic is. A trained scaling agent has ``scale``, a consolidation agent ``thresholds``;
        asked in the words of another lever, each says how it is asked.

    Raises
    ------
    PolicyError, SpecError
        There is none of that name, or its file cannot be used.
    """
    from rlsched.policies import POLICIES, find_policy
    from rlsched.policies.blend import BLEND_PREFIX
    from rlsched.policies.learned import kind_of

    if not isinstance(name, (str, Path)):
        raise PolicyError(f"load_policy takes the name of a policy, or a path: got {type(name).__name__}.")
    text = str(name)
    if text in POLICIES or text.startswith(BLEND_PREFIX):
        return find_policy(text)
    if not isinstance(name, Path) and text not in list_assets("agents") and not re.search(r"[/\\]|\.onnx$", text):
        _refuse_other_lever(text)
        _refuse_name_of_cards(text)
        return find_policy(text)  # which says what is known
    kind = kind_of(name)
    if "forecaster" in kind:
        raise PolicyError(f"{text} is no policy: its kind is {kind!r}. Load it with rlsched.load_forecaster({text!r}).")
    module, loader = LOADERS.get(kind, ("rlsched.policies.learned", "load_policy"))
    return getattr(import_module(module), loader)(name)


def _refuse_other_lever(name: str) -> None:
    """Say what a heuristic of scaling or consolidation is, where one is asked for."""
    from rlsched.policies.scaling.policy import POLICIES as SCALING
    from rlsched.sim.consolidation.policy import POLICIES as CONSOLIDATION

    if name.startswith("forecaster-"):
        raise PolicyError(
            f"{name!r} is no policy: a forecaster decides nothing. Load it with "
            f"rlsched.load_forecaster({name.removeprefix('forecaster-')!r})."
        )
    rule = name.partition(":")[0]
    for lever, known, example in (
        ("scaling", SCALING, "scaling-surf"),
        ("consolidation", CONSOLIDATION, "consolidation-planetlab"),
    ):
        if rule in known:
            agents = ", ".join(sorted(list_assets("agents")))
            raise PolicyError(
                f"{name!r} is a heuristic of {lever}: it runs inside the simulator, and cannot be loaded to be asked. "
                f"Run it by name: rlsched evaluate {example} --set policies={shlex.quote(name)}. load_policy takes a "
                f"heuristic of placement ('best_fit'), a blend, or a trained agent: {agents}."
            )


def _refuse_name_of_cards(name: str) -> None:
    """Say that ``tuned...`` and ``hindsight...`` mean something in an experiment only, and how to load a blend."""
    from rlsched.policies.scaling.policy import POLICIES as SCALING
    from rlsched.sim.consolidation.policy import POLICIES as CONSOLIDATION

    word, _, rest = name.partition("_")
    lever = "scaling" if rest in SCALING else "consolidation" if rest == "" or rest in CONSOLIDATION else "placement"
    if word not in ("tuned", "hindsight") or (lever == "placement" and rest != "blend"):
        return
    meaning = {
        "tuned": "what 'rlsched tune' found for that experiment, in its tuned.toml",
        "hindsight": "a control, the best on the very windows that are judged",
    }[word]
    apart = "" if lever == "placement" else f"; here of {lever}, whose heuristics run in the simulator only"
    raise PolicyError(
        f"{name!r} is a name that only an experiment's card gives meaning: {meaning}{apart}. 'rlsched policies "
        f"describe {name}' shows what it stands for in each. A blend of placement is loaded by its text: "
        "rlsched.load_policy('blend:cosine=1,fragmentation=2')."
    )
