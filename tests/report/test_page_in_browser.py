"""The page in a real browser: no request, no error, nothing too wide; sorts, scrubs, prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmark_worlds import finished
from browser import Browser, find_chromium
from evaluate_worlds import CARD, write_experiment

from rlsched.evaluate.benchmark_document import collect, parts_of_folder
from rlsched.evaluate.placement import run
from rlsched.report.benchmark import render_benchmark
from rlsched.report.html import render

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="a browser is not here: no chromium on the PATH"),
]
POLICIES = "random,first_fit,best_fit,worst_fit,cosine,dot_product,nilas,blend:best_fit=0.25,cosine=1,norm_l2=0.125"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = write_experiment(tmp_path_factory.mktemp("page") / "tiny", CARD)
    document = run(
        card, ["bounds=lp", "judged=energy_wh_per_core_h", f"policies={POLICIES}", "references.published=nilas"]
    )
    document["provenance"]["question"] = "Does_a_word_" + "that_never_ends_" * 12 + "fit?"
    file = card.parent / "report.html"
    touch = {"date": "2026-01-01", "run_id": "r", "commit": None, "card_sha256": "f" * 64, "policies": ["best_fit"]}
    file.write_text(render(document, [touch]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def overall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page over several problems, with one that is missing."""
    place = finished(tmp_path_factory.mktemp("benchmark"))
    parts = parts_of_folder(place)
    document = collect(place, parts)
    document["provenance"]["left_out"]["a-name-that-never-ends-" * 6] = "left out"
    file = place / "report.html"
    file.write_text(render_benchmark(document, parts, place), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None  # otherwise skipped
    with Browser(CHROMIUM) as one:
        yield one


def said(browser: Browser) -> list[str]:
    """Everything in the console, and every exception."""
    browser.run("new Promise((done) => setTimeout(done, 50))")
    wanted = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    return [str(one) for one in browser.events if one.get("method") in wanted]


def requests(browser: Browser) -> list[str]:
    sent = [one for one in browser.events if one.get("method") == "Network.requestWillBeSent"]
    return [one["params"]["request"]["url"] for one in sent]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 800, 1600])
@pytest.mark.parametrize("which", ["page", "overall"])
def test_it_asks_nobody_says_nothing_and_is_as_wide_as_the_window(
    browser: Browser, request: pytest.FixtureRequest, which: str, width: int, dark: bool
) -> None:
    page: Path = request.getfixturevalue(which)
    browser.open(page, width, dark=dark)
    assert said(browser) == []
    assert requests(browser) == [page.resolve().as_uri()]
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width
    # Nothing reaches past the edge but what lies in a region that scrolls on its own.
    outside = browser.run(
        """[...document.querySelectorAll("main *")].filter((one) => !one.closest(".scroll, pre, .hidden") &&
        getComputedStyle(one).position !== "absolute" && one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => one.tagName + "." + one.className + ": " + one.textContent.slice(0, 40))"""
    )
    assert outside == []
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is not dark


def test_text_has_contrast_in_light_and_dark(browser: Browser, page: Path) -> None:
    script = """(() => {
      const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
        .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const paper = light(getComputedStyle(document.body).backgroundColor);
      const worst = {};
      for (const pick of ["body", ".quiet", ".better", ".worse", "a", ".interval", ".role"]) {
        const one = document.querySelector("main " + pick) ?? document.body;
        const ink = light(getComputedStyle(one).color);
        worst[pick] = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
      }
      return worst; })()"""
    for dark in (False, True):
        browser.open(page, 1000, dark=dark)
        found = browser.run(script)
        assert min(found.values()) >= 4.5, found  # WCAG AA


def test_tables_sort_by_mouse_and_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page, 1200)
    rows = "[...document.querySelector('#policies ~ .scroll table').tBodies[0].rows]"
    column = rows + ".map((row) => row.cells[1].dataset.v).filter((v) => v !== '').map(Number)"
    names = rows + ".map((row) => row.cells[0].textContent)"
    before = browser.run(names)
    browser.run("document.querySelectorAll('#policies ~ .scroll thead button')[1].click()")
    up = browser.run(column)
    assert up == sorted(up)
    assert len(up) >= 8
    browser.run("document.querySelectorAll('#policies ~ .scroll thead button')[1].focus()")
    browser.press("Enter")
    down = browser.run(column)
    assert down == sorted(up, reverse=True)
    assert browser.run("document.querySelectorAll('#policies ~ .scroll thead th')[1].getAttribute('aria-sort')") == (
        "descending"
    )
    # A bound has no value on the main metric here: it stays last either way.
    assert browser.run(names)[-1].startswith(("lp_bound", "capacity_bound"))
    assert sorted(browser.run(names)) == sorted(before)
    assert said(browser) == []


def test_the_timeline_scrubs_with_the_arrow_keys_and_the_pointer(browser: Browser, page: Path) -> None:
    browser.open(page, 1200)
    values = "[...document.querySelectorAll('#moments output')].map((one) => one.textContent)"
    lines = "[...document.querySelectorAll('#moments .cursor')].map((one) => one.style.left)"
    browser.run("document.querySelector('#moments input').focus()")
    browser.press("Home")
    start, left = browser.run(values), browser.run(lines)
    assert set(left) == {"0%"}
    for _ in range(20):
        browser.press("ArrowRight")
    later = browser.run(values)
    assert later != start
    assert all(later)
    assert len(set(browser.run(lines))) == 1  # one moment in every plot
    browser.press("End")
    assert set(browser.run(lines)) == {"100%"}
    place = browser.run(
        """(() => { const plot = document.querySelector("#moments .plot"); plot.scrollIntoView({block: "center"});
        const at = plot.getBoundingClientRect(); return [at.left + at.width / 4, at.top + 20]; })()"""
    )
    browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    assert float(browser.run(lines)[0].rstrip("%")) == pytest.approx(25, abs=1.5)
    assert said(browser) == []


def test_each_problem_of_a_benchmark_scrubs_and_sorts_on_its_own(browser: Browser, overall: Path) -> None:
    browser.open(overall, 1200)
    boxes = "[...document.querySelectorAll('.moments')]"
    assert browser.run(f"{boxes}.length") == 2
    lines = boxes + ".map((box) => [...new Set([...box.querySelectorAll('.cursor')].map((one) => one.style.left))])"
    browser.run("document.querySelectorAll('.moments input')[1].focus()")
    before = browser.run(lines)
    browser.press("End")
    after = browser.run(lines)
    assert after[1] == ["100%"]
    assert after[0] == before[0] != ["100%"]
    # The first table that sorts is that of the first problem; the second's stays as it is.
    names = "[...one.tBodies[0].rows].map((row) => row.cells[0].textContent)"
    rows = f"[...document.querySelectorAll('table.sortable')].map((one) => {names})"
    old = browser.run(rows)
    browser.run("document.querySelectorAll('table.sortable')[0].querySelectorAll('thead button')[0].click()")
    new = browser.run(rows)
    assert new[0] == sorted(old[0])
    assert new[1:] == old[1:]
    assert said(browser) == []


def test_links_of_a_benchmark_lead_to_their_problem(browser: Browser, overall: Path) -> None:
    browser.open(overall, 1200)
    for link in browser.run("[...document.querySelectorAll('.overall a')].map((one) => one.getAttribute('href'))"):
        browser.run(f"document.querySelector('.overall a[href=\"{link}\"]').click()")
        at = browser.run(f"document.querySelector('{link}').getBoundingClientRect().top")
        assert -2 <= at <= 900  # in the window


def test_where_policies_differ_can_be_read_on_a_phone(browser: Browser, page: Path) -> None:
    document = run(
        page.parent / "experiment.toml",
        [f"policies={POLICIES}", "references.tuned=cosine", "references.published=nilas"],
    )
    file = page.parent / "differ.html"
    file.write_text(render(document), encoding="utf-8")
    browser.open(file, 360)
    region = "document.querySelector('#differ ~ .scroll')"
    assert browser.run(f"{region}.scrollWidth > {region}.clientWidth")  # it scrolls on its own
    assert browser.run("document.documentElement.scrollWidth") <= 360
    assert browser.run(f"{region}.getAttribute('tabindex')") == "0"
    assert said(browser) == []


def test_everything_can_be_reached_with_the_tab_key(browser: Browser, page: Path) -> None:
    browser.open(page, 1200)
    seen = []
    for _ in range(400):
        browser.press("Tab")
        one = browser.run(
            """(() => { const at = document.activeElement;
            return at.tagName + ":" + (at.getAttribute("aria-label") ?? at.textContent.slice(0, 30)); })()"""
        )
        if one.startswith("BODY"):
            break
        seen.append(one)
    assert seen[0] == "A:To the answer"
    assert any(one.startswith("INPUT:Moment") for one in seen)
    assert any(one.startswith("DIV:Verdict matrix") for one in seen)
    assert sum(one.startswith("BUTTON") for one in seen) >= 8


def test_every_control_and_picture_has_a_name_for_those_who_listen(browser: Browser, page: Path) -> None:
    browser.open(page, 1200)
    tree = browser.ask("Accessibility.getFullAXTree")["nodes"]
    wanted = {"button", "slider", "link", "region", "image", "figure", "columnheader", "rowheader"}
    bare = [
        one["role"]["value"]
        for one in tree
        if one.get("role", {}).get("value") in wanted
        and not one.get("ignored")
        and not one.get("name", {}).get("value")
    ]
    assert bare == []


def test_on_paper_it_is_black_on_white_without_what_only_a_screen_can_do(browser: Browser, page: Path) -> None:
    browser.open(page, 1000, dark=True, media="print")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.querySelector('.scrub')).display") == "none"
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.pdf().startswith(b"%PDF")


def test_without_scripts_the_page_still_tells_everything(browser: Browser, page: Path) -> None:
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page, 1200)
        text = browser.ask("DOM.getDocument", depth=0)
        html = browser.ask("DOM.getOuterHTML", nodeId=text["root"]["nodeId"])["outerHTML"]
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert "<polyline" in html
    assert "Worst windows" in html


def test_it_is_small(page: Path) -> None:
    assert page.stat().st_size <= 3 * 2**20
