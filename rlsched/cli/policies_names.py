"""Names of policies that are no placement heuristic: rules of other levers, and names that only a card defines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: First parts of the names that stand for what ``rlsched tune`` found, and for the best of it in hindsight.
_TUNED, _HINDSIGHT = "tuned", "hindsight"


def rules_of_other_levers() -> list[dict[str, str]]:
    """Scaling rules and consolidation policies: ``name, kind, doc``."""
    from rlsched.sim.consolidation.policy import POLICIES
    from rlsched.sim.scaling.rules.table import RULES

    rows = [{"name": rule.name, "kind": "scaling", "doc": rule.doc} for rule in RULES.values()]
    return rows + [{"name": name, "kind": "consolidation", "doc": _doc_of(name)} for name in POLICIES]


def describe_name(name: str) -> dict[str, Any] | None:
    """What is known of a name that no heuristic and no agent has; None where nothing is.

    Parameters
    ----------
    name : str
        A scaling rule, with or without numbers; a consolidation policy; or what an experiment's card calls
        one of its policies.

    Returns
    -------
    dict or None
        ``name, kind, doc``, and what goes with the kind; ``experiments`` has what each card means by the name.
    """
    from rlsched.errors import SpecError
    from rlsched.policies.scaling import find_scaling
    from rlsched.sim.consolidation.policy import DEFAULT_PARAMETER, POLICIES, ConsolidationPolicy
    from rlsched.sim.scaling.rules.table import RULES

    used = defined_by(name)
    if name.split(":")[0] in RULES:
        try:
            policy = find_scaling(name)
        except SpecError:
            if not used:
                raise
        else:
            rule = policy.table
            numbers = {one.name: policy.values[one.name] for one in rule.parameters}
            facts = {"name": name, "kind": "scaling", "doc": rule.doc, "source": rule.source, "numbers": numbers}
            return {**facts, "needs_forecast": rule.needs_forecast, "experiments": used}
    if name in POLICIES:
        facts = {"name": name, "kind": "consolidation", "doc": _doc_of(name)}
        source = "Beloglazov, Buyya, CCPE 24(13), 2012"
        detection = ConsolidationPolicy(name).detection
        numbers = {"parameter": DEFAULT_PARAMETER[detection]} if detection else {}
        return {**facts, "source": source, "numbers": numbers, "experiments": used}
    if used:
        return {"name": name, "kind": "named by experiments", "doc": "what a card calls one of its policies; to ask or "
                "evaluate it elsewhere, write out what stands behind the name", "experiments": used}  # fmt: skip
    return None


def defined_by(name: str) -> dict[str, str]:
    """Experiment → what its card means by the name; only where that says more than the name itself."""
    from rlsched.assets import list_assets

    out = {}
    for experiment, folder in list_assets("experiments").items():
        meaning = _entries(folder).get(name, "")
        if meaning and meaning != name:
            out[experiment] = meaning
    return out


def names_of_cards() -> list[str]:
    """Every name that a card gives to something of its own, each once."""
    from rlsched.assets import list_assets

    found: dict[str, None] = {}
    for folder in list_assets("experiments").values():
        found |= {name: None for name, meaning in _entries(folder).items() if meaning != name}
    return list(found)


def _entries(folder: Path) -> dict[str, str]:
    """Label → what is meant, of one experiment's policies."""
    from rlsched.spec import read_toml

    listed = read_toml(folder / "experiment.toml").get("policies", [])
    out = {}
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, str):
            out[entry] = _meaning(entry, folder) or entry
        elif isinstance(entry, Mapping):
            label = str(entry.get("label") or entry.get("name") or entry.get("policy"))
            base = str(entry.get("policy") or entry.get("name"))
            rest = {key: value for key, value in entry.items() if key not in ("policy", "label")}
            if base == label or "policy" in entry:
                rest.pop("name", None)
            if "runs" in rest:
                rest = {"runs": f"one recipe, {len(rest['runs'])} training seeds"}
                base = ""
            more = ", ".join(f"{key} = {value}" for key, value in rest.items() if key != "name")
            out[label] = ": ".join(part for part in (base, more) if part)
    return out


def _meaning(name: str, folder: Path) -> str:
    """What ``tuned...`` and ``hindsight...`` stand for, by the file that tuning left; empty for other names."""
    from rlsched.spec import read_toml

    word, _, rule = name.partition("_")
    if word not in (_TUNED, _HINDSIGHT):
        return ""
    path = folder / "tuned.toml"
    if not path.is_file():
        return f"made by 'rlsched tune {folder.name}', which has not been run"
    told = read_toml(path)
    families = told.get("families")
    if word == _HINDSIGHT:
        return "a control: the best found on the very windows that are judged, which nobody may know"
    if rule and rule != "blend":
        found, score = _of_family(families, rule)
    else:
        found, score = str(told.get("policy", "")), told.get("validation_score", "")
    return f"{found} (tuned.toml: {told.get('metric')} {_short(score)} on validation)" if found else ""


def _of_family(families: Any, rule: str) -> tuple[str, Any]:
    """The best member of one family and its score: of a table of tables, or of lines ``policy score ...``."""
    if isinstance(families, Mapping):
        one = families.get(rule, {})
        return str(one.get("policy", "")), one.get("validation_score", "")
    lines = [str(line).split(" ") for line in families] if isinstance(families, list) else []
    return next(((line[0], line[1]) for line in lines if line[0].split(":")[0] == rule), ("", ""))


def _short(score: Any) -> str:
    return f"{score:.6g}" if isinstance(score, (int, float)) else str(score)


def _doc_of(name: str) -> str:
    """A consolidation policy in words."""
    from rlsched.sim.consolidation.policy import STATIC

    if name in STATIC:
        return "Moves nothing; power follows load." if name == "dvfs" else "Moves nothing; every machine at full power."
    detection, selection = name.split("_")
    overload = {
        "thr": "load above a fixed threshold", "iqr": "a threshold from the spread (IQR) of recent load",
        "mad": "a threshold from the spread (MAD) of recent load", "lr": "load forecast by local regression",
        "lrr": "load forecast by robust local regression",
    }[detection]  # fmt: skip
    leaves = {
        "mmt": "the VM that moves fastest", "mc": "the VM most correlated with the others", "mu": "the least loaded VM",
        "rs": "a VM drawn at random",
    }[selection]  # fmt: skip
    return f"Overload: {overload}; leaves: {leaves}."
