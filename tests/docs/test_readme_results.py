"""The README's figures are those of the experiments' results; ``make readme`` writes them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from blocks import ROOT

sys.path.insert(0, str(ROOT / "docs"))
results = pytest.importorskip("results", reason="docs/results.py is part of the checkout")

AGAIN = "stale: run 'make readme', and read what changed"


def test_the_tables_of_the_readme_are_those_of_the_results() -> None:
    text = results.README.read_text(encoding="utf-8")
    assert results.filled(text) == text, AGAIN


def test_the_picture_is_that_of_the_results() -> None:
    assert results.PICTURE.read_text(encoding="utf-8") == results.picture(), AGAIN


def test_another_figure_is_noticed() -> None:
    text = results.README.read_text(encoding="utf-8")
    figure = re.search(r"\d+\.\d\d %", results.table())
    assert figure is not None
    assert results.filled(text.replace(figure[0], "99.99 %", 1)) == text


def test_every_role_of_a_row_is_a_policy_of_that_run() -> None:
    for name in results.QUESTIONS:
        one = results.Experiment(name)
        assert {"textbook", "published", "tuned"} <= one.roles.keys()
        assert set(one.roles.values()) <= one.means.keys()
        assert one.best in one.roles


def test_every_released_agent_has_a_row() -> None:
    for name in results.agents():
        assert f"| [`{name}`](agents/{name}/model-card.md) |" in results.learning()


def test_the_picture_is_well_formed_and_stays_inside_its_frame() -> None:
    root = ElementTree.fromstring(results.picture())
    _, _, width, height = (float(one) for one in root.attrib["viewBox"].split())
    svg = "{http://www.w3.org/2000/svg}"
    for node in root.iter(f"{svg}text"):
        assert 0 < float(node.attrib["y"]) < height
    for node in root.iter(f"{svg}circle"):
        assert results.LEFT <= float(node.attrib["cx"]) <= results.RIGHT < width
    assert "prefers-color-scheme: dark" in results.picture()
    assert Path(results.PICTURE).stat().st_size < 20_000
