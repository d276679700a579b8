"""``rlsched policies``: what there is to decide with, rules and trained agents."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from rlsched.assets import list_assets
from rlsched.cli.evaluate import Json
from rlsched.cli.policies_names import describe_name, names_of_cards, rules_of_other_levers
from rlsched.errors import PolicyError, did_you_mean

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _root() -> None:
    """List and describe policies: heuristics of placement, rules of scaling and consolidation, trained agents."""


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List heuristics of placement, rules of scaling and consolidation, and trained agents.

    Examples: rlsched policies list

    rlsched policies list --json
    """
    from rlsched.policies import POLICIES

    rows = [{"name": one.name, "kind": "heuristic", "doc": one.doc} for one in POLICIES.values()]
    rows += rules_of_other_levers()
    rows += [{"name": name, "kind": "agent", "doc": _agent_doc(name)} for name in list_assets("agents")]
    if as_json:
        typer.echo(json.dumps({"policies": rows}))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        typer.echo(f"{row['name']:<{width}}  {row['kind']:<13}  {row['doc']}")
    typer.echo(
        "Blends of rules: 'blend:RULE=WEIGHT,...'. Names that only experiments use: 'rlsched policies describe NAME'."
    )


@app.command()
def describe(
    name: Annotated[
        str, typer.Argument(help="Any name that list shows or a card uses, a blend:RULE=WEIGHT, or a policy file.")
    ],
    as_json: Json = False,
) -> None:
    """Say what a policy does, what it needs, and where it is from.

    Of a name that only experiments use, such as tuned_blend: which do, and what each means by it.

    Examples: rlsched policies describe best_fit

    rlsched policies describe tuned_blend

    rlsched policies describe runs/train-placement-openb/policy.onnx
    """
    from rlsched.policies.heuristic import Heuristic
    from rlsched.policies.learned import LearnedPolicy
    from rlsched.policies.library import load_policy

    try:
        policy = load_policy(name)
    except PolicyError as error:
        described = describe_name(name)
        if described is None:
            raise _unknown(name, error) from None
        facts = described
    else:
        if isinstance(policy, Heuristic):
            facts = _heuristic(policy)
        else:
            facts = _learned(policy) if isinstance(policy, LearnedPolicy) else _of_numbers(policy)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for key, value in facts.items():
        if key == "experiments" and value:
            typer.echo("experiments:")
            for experiment, meaning in value.items():
                typer.echo(f"  {experiment}: {meaning}")
        elif value not in ("", None, {}, []):
            typer.echo(f"{key}: {_shown(_counted(value) if key == 'data' else value)}")


def _unknown(name: str, error: PolicyError) -> PolicyError:
    """The error of a name that nobody knows; nearest among all names where it looks like one."""
    if any(mark in name for mark in ("/", "\\", ".onnx", ":")):
        return error
    from rlsched.policies import POLICIES

    known = [*POLICIES, *(row["name"] for row in rules_of_other_levers()), *list_assets("agents"), *names_of_cards()]
    return PolicyError(
        f"unknown policy {name!r}: no heuristic, no rule of scaling or consolidation, no trained agent, and no "
        f"experiment's name for one.{did_you_mean(name, known)} 'rlsched policies list' shows all."
    )


def _heuristic(policy: Any) -> dict[str, Any]:
    return {
        "name": policy.name,
        "kind": "heuristic",
        "doc": policy.doc,
        "source": policy.source,
        "choice": policy.choice,
        "rules": dict(policy.weights),
        "devices": policy.devices,
        "needs_typical_requests": policy.needs_typical,
        "needs_residents": policy.needs_residents,
    }


def _learned(policy: Any) -> dict[str, Any]:
    told = policy.metadata
    return {
        "name": policy.name,
        "kind": "agent",
        "doc": policy.doc,
        "observation": told["observation"],
        "features": f"{len(told['candidate_features'])} a candidate, {len(told['global_features'])} of the situation",
        "fragmentation": policy.fragmentation,
        "needs_typical_requests": policy.needs_typical,
        "needs_residents": policy.needs_residents,
        **{key: told[key] for key in sorted(told) if key in ("experiment", "splits", "scores", "data", "provenance")},
    }


def _of_numbers(policy: Any) -> dict[str, Any]:
    """An agent that moves the numbers of a rule: what its file says of itself."""
    told = policy.metadata
    shown = ("base", "reach", "observation", "experiment", "learned_on", "selected_on", "scores", "data", "provenance")
    return {
        "name": policy.name,
        "kind": told["kind"],
        "doc": policy.doc,
        "fields": f"{len(told['fields'])} numbers",
        **{key: told[key] for key in shown if key in told},
    }


def _agent_doc(name: str) -> str:
    """The agent's own line, or what is wrong with its file: one broken agent does not hide the others."""
    from rlsched.errors import UserError
    from rlsched.policies.library import load_policy

    try:
        return str(load_policy(name).doc)
    except UserError as error:
        return f"cannot be used: {error}"


def _counted(data: Any) -> Any:
    """What an agent learned from, with the number of files in place of their hashes, which --json prints."""
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        return data
    return [
        {key: f"{len(value)}, hashes with --json" if isinstance(value, dict) else value for key, value in one.items()}
        for one in data
    ]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
