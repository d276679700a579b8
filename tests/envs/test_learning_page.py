"""docs/learning.md prints the tables of the code, not copies of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlsched.observe.features import feature_table
from rlsched.reward.compose import REWARDS

PAGE = Path(__file__).parents[2] / "docs" / "learning.md"


def markdown(rows: list[dict[str, str]]) -> str:
    head = list(rows[0])
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    lines += [f"| {' | '.join(row[key] for key in head)} |" for row in rows]
    return "\n".join(lines)


def tables() -> dict[str, str]:
    rewards = [
        {"term": f"`{one.name}`", "formula": one.formula, "unit": one.unit, "over": one.span, "note": one.doc}
        for one in REWARDS.values()
    ]
    features = [{**row, "name": f"`{row['name']}`"} for row in feature_table()]
    return {"features": markdown(features), "rewards": markdown(rewards)}


@pytest.mark.parametrize("name", ["features", "rewards"])
def test_the_page_prints_the_table(name: str, request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text(encoding="utf-8")
    begin, end = text.index(f"<!-- {name}:"), text.index(f"<!-- /{name} -->")
    begin = text.index("\n", begin) + 1
    wanted = tables()[name] + "\n"
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text[:begin] + wanted + text[end:], encoding="utf-8")
        return
    assert text[begin:end] == wanted, "write it with --update-golden, and read it"
