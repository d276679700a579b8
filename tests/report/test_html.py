"""The page: self-contained, escaped, complete, and legible where it is read."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rlsched.errors import MissingDataError
from rlsched.evaluate.answer import answer
from rlsched.evaluate.placement import run
from rlsched.evaluate.tune import run_tune, write_tuned
from rlsched.report.html import pareto_front, render

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Balance(HTMLParser):
    """Fails on a tag that is closed without having been opened, or left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def document(card: Path) -> dict:
    return run(card, ["judged=energy_wh_per_core_h"])


def test_the_page_is_whole_and_asks_nobody_for_anything(document: dict) -> None:
    page = render(document)
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert all(link.startswith("#") for link in parser.links)
    assert not re.search(r"<script[^>]*src|<link|@import|url\((?!#)|fetch\(|XMLHttpRequest", page)
    assert "default-src 'none'" in page  # and the browser would refuse to ask
    outside = set(re.findall(r"https?://[^\s\"'<)]+", page))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, not addresses


def test_the_answer_comes_first_and_everything_else_is_there(document: dict) -> None:
    page = render(document)
    body = page[page.index("<main>") :]
    assert body.index(answer(document)[0].replace("'", "&#39;")) < body.index("<table") < body.index("<svg")
    for wanted in ("Tiny", "Who is better on a tiny cluster?", "not given", "against best_fit (textbook)"):
        assert wanted in page
    provenance = document["provenance"]
    for wanted in (provenance["run_id"], provenance["card_sha256"], provenance["command"], "tasks.parquet"):
        assert wanted in page
    assert page.count("<figure") == 4  # two metrics with intervals, differences by window, one against the other
    for wanted in ("Verdict matrix", "Window by window", "One window over time", "Worst windows of", "turned away for"):
        assert wanted in page
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page


def test_what_a_user_wrote_is_text_and_never_markup(document: dict) -> None:
    nasty = "<script>alert(1)</script>"
    document["provenance"]["title"] = nasty
    document["provenance"]["policies"][0]["doc"] = nasty
    for row in (*document["rows"], *document["summary"]):
        row["policy"] = row["policy"].replace("first_fit", "<b>first</b>")
    for one in document["verdicts"]:
        one["a"], one["b"] = (one[key].replace("first_fit", "<b>first</b>") for key in "ab")
    page = render(document)
    assert nasty not in page
    assert "<b>first" not in page


def test_a_name_cannot_end_the_data_of_the_timeline(document: dict) -> None:
    document["timeline"]["x_label"] = "</script><script>alert(1)</script>"
    page = render(document)
    assert "</script><script>alert" not in page
    data = re.search(r'<script type="application/json" class="moments-data">(.*?)</script>', page)
    assert data is not None
    assert json.loads(data[1])["x_label"] == document["timeline"]["x_label"]


def test_bounds_and_controls_stand_in_the_table_and_are_called_that(card: Path) -> None:
    card.write_text(card.read_text() + '[tune]\nrules = ["best_fit", "cosine"]\nbudget = 4\nkeep = 2\n')
    write_tuned(run_tune(card), card.parent)
    document = run(card, ["bounds=lp", "policies=best_fit,tuned_blend,hindsight_blend"])
    page = render(document)
    rows = re.findall(r'<th scope="row">(\w+)<span class="role">(\w+)</span>', page)
    assert {("lp_bound", "bound"), ("capacity_bound", "bound"), ("hindsight_blend", "control")} <= set(rows)
    assert "gap from best_fit to lp_bound closed" in page
    assert "warm-up included" in page
    assert document["provenance"]["leader"] != "hindsight_blend"


def test_a_document_of_an_earlier_version_still_renders(document: dict) -> None:
    for key in ("bounds", "gaps", "timeline"):
        del document[key]
    for key in ("parts", "controls", "leader", "no_bound", "problem_sha256"):
        del document["provenance"][key]
    document["provenance"]["comparisons"] = {"n": 9, "correction": "none", "shown": 4, "shown_after_holm": 0}
    for one in (*document["verdicts"], *document["summary"]):
        for key in ("p", "p_holm", "p_corrected", "improvement", "detectable", "iqm", "iqm_low", "iqm_high"):
            one.pop(key, None)
    assert "Window by window" in render(document)


def test_touches_of_the_test_split_are_listed(document: dict) -> None:
    touch = {
        "date": "2026-01-01",
        "run_id": "abc",
        "commit": None,
        "card_sha256": "f" * 64,
        "policies": ["best_fit", "cosine"],
    }
    page = render(document, [touch, touch])
    assert "Every touch of the test split (2)" in page
    assert "2 policies: best_fit, cosine" in page


def test_the_same_document_renders_the_same(document: dict) -> None:
    assert render(document) == render(document)


def test_a_document_of_another_kind_renders_too() -> None:
    rows = [{"policy": "lr_mmt", "window": "20110303", "seed": 0, "energy_kwh": 2.0, "migrations": 3}]
    summary = [
        {"policy": "lr_mmt", "metric": name, "mean": 2.0, "ci_low": None, "ci_high": None, "n": 1}
        for name in ("energy_kwh", "migrations")
    ]
    page = render({"experiment": "x", "provenance": {}, "rows": rows, "summary": summary, "verdicts": []})
    assert "lr_mmt" in page
    assert "names no main metric" in page


@pytest.mark.parametrize("absent", ["jinja2", "matplotlib"])
def test_a_missing_package_says_how_to_get_it(document: dict, absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one == absent or one.startswith(f"{absent}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingDataError, match=r"pip install 'rlsched\[report\]'"):
        render(document)


def test_the_front_is_whom_nobody_beats_on_both() -> None:
    places = {"cheap": (1.0, 9.0), "good": (9.0, 1.0), "between": (5.0, 5.0), "beaten": (5.0, 6.0), "twin": (1.0, 9.0)}
    assert pareto_front(places, [True, True]) == ["cheap", "good", "between", "twin"]
    assert pareto_front(places, [False, False]) == ["cheap", "good", "beaten", "twin"]
    assert pareto_front(places, [True, False]) == ["cheap", "twin"]
