"""A policy of another problem: one clear sentence, whichever problem asks for it."""

from __future__ import annotations

from importlib import import_module

from rlsched.errors import UserError

#: Problem → (what its policies do, module and table of its heuristics).
_TABLES = {
    "placement": ("place tasks", "rlsched.policies", "POLICIES"),
    "scaling": ("scale a service", "rlsched.sim.scaling.rules.table", "RULES"),
    "consolidation": ("consolidate VMs", "rlsched.sim.consolidation.policy", "POLICIES"),
}


def problem_of_policy(name: str) -> str:
    """``placement``, ``scaling`` or ``consolidation``; empty for a name, or a file, that is of none.

    Parameters
    ----------
    name : str
        A heuristic's, perhaps with its numbers, or an agent's: its name, folder or file.
    """
    bare = name.split(":")[0]
    for problem, (_, module, table) in _TABLES.items():
        if bare in getattr(import_module(module), table):
            return problem
    from rlsched.policies.learned import kind_of
    from rlsched.policies.policy_file import is_learned

    try:
        kind = kind_of(name) if is_learned(name) else ""
    except UserError:
        return ""  # what is wrong with the file is said where it is loaded
    return next((problem for problem in _TABLES if kind == f"rlsched {problem} policy"), "")


def not_of(name: str, problem: str) -> str:
    """What to say of a policy of another problem; empty for one of this, or of none."""
    its = problem_of_policy(name)
    if its in ("", problem):
        return ""
    return (
        f"policy {name!r} cannot {_TABLES[problem][0]}: it is one of {its}. Use it in an experiment with "
        f'kind = "{its}", or name one that "rlsched policies list" shows for {problem}.'
    )
