"""How a result was made, as name and text: the same in every form of a report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlsched.evaluate.results import Document


def facts_of(document: Document) -> list[tuple[str, str]]:
    """A line for everything that is known of a run: name and value."""
    p = document["provenance"]
    out: list[tuple[str, Any]] = [
        ("run", p.get("run_id")),
        ("date", p.get("date")),
        ("commit", p.get("commit")),
        ("card, SHA-256", p.get("card_sha256")),
        ("problem, SHA-256", p.get("problem_sha256")),
        ("overrides", ", ".join(p.get("set", [])) or "none"),
        ("split", p.get("split")),
        ("seeds", ", ".join(map(str, p.get("seeds", [])))),
        ("bootstrap", _pairs(p.get("bootstrap"))),
        ("comparisons", _pairs(p.get("comparisons"))),
        *((f"{one['role']}", _source(one)) for one in p.get("data", [])),
        ("data, SHA-256", _pairs({Path(name).name: sha for name, sha in p.get("data_sha256", {}).items()})),
        ("windows", _windows(p.get("windows", []))),
        ("machines", _pairs(p.get("machines"))),
        ("carbon intensity", p.get("carbon")),
        ("typical requests", p.get("typical_requests")),
        ("versions", _pairs(p.get("versions"))),
        ("measured on", _pairs(p.get("machine"))),
        ("seconds", p.get("seconds")),
    ]
    return [(name, str(value)) for name, value in out if value not in (None, "", [])]


def _source(source: Mapping[str, Any]) -> str:
    part = f", part {source['part']}" if source.get("part") else ""
    files = "; ".join(f"{name} SHA-256 {sha}" for name, sha in source.get("files", {}).items())
    return f"{source['name']}{part}{': ' if files else ''}{files}"


def _windows(windows: list[Mapping[str, Any]]) -> str:
    if not windows:
        return ""
    tasks = [one["tasks"] for one in windows if one.get("tasks") is not None]
    sizes = f", of {min(tasks):,} to {max(tasks):,} tasks with warm-up" if tasks else ""
    return f"{len(windows)}{sizes}"


def _pairs(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {text_of(one)}" for key, one in value.items())
    return "" if value is None else str(value)


def text_of(value: Any) -> str:
    """A value of a card or of the provenance as a reader wants it: yes and no, lists with commas, "not given"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e5 else f"{value:,.0f}"
    if isinstance(value, list):
        return ", ".join(_item(one) for one in value) or "none"
    return "not given" if value is None or value == "" else str(value)


def _item(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={one}" for key, one in value.items() if one not in (None, ""))
    return text_of(value)
