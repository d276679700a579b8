"""The page over all problems: whole, small, nothing twice, and frank about what is missing."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from benchmark_worlds import finished, write_benchmark
from test_html import Balance

from rlsched.evaluate.benchmark import look_around, open_benchmark, write_state
from rlsched.evaluate.benchmark_document import collect, parts_of_folder
from rlsched.report.benchmark import overall_rows, render_benchmark, render_benchmark_markdown, tables_of_benchmark
from rlsched.report.export import write_tables


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="module")
def page(place: Path) -> str:
    parts = parts_of_folder(place)
    return render_benchmark(collect(place, parts), parts, place)


def test_it_is_whole_asks_nobody_and_no_place_has_two_names(page: str) -> None:
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert all(link.startswith("#") and link[1:] in ids for link in parser.links)
    assert "default-src 'none'" in page
    assert len(page.encode()) < 3 * 2**20


def test_the_answer_is_first_then_the_matrix_then_each_problem(page: str) -> None:
    ids = ("answer", "over-all", "generality", "p-a", "a-answer", "p-b", "missing", "how")
    order = [page.index(f'id="{one}"') for one in ids]
    assert order == sorted(order)
    assert "three machines" in page
    assert "Every touch of a test split (3)" in page
    assert '<h2 id="a-' not in page  # a problem's own headings are one level down
    assert page.count('class="moments"') == 2


def test_the_tuned_one_is_held_against_the_published_and_everybody_else_against_it(place: Path) -> None:
    document = collect(place, parts_of_folder(place))
    row = next(one for one in overall_rows(document) if one["experiment"] == "a")
    marks = {cell["policy"]: cell["mark"]["against"] for cell in row["cells"] if cell}
    assert marks == {"best_fit": "first_fit", "worst_fit": "first_fit", "first_fit": "worst_fit"}
    assert row["cells"][-1] is None  # nobody learned


def test_tables_and_markdown_tell_the_same(place: Path, tmp_path: Path) -> None:
    parts = parts_of_folder(place)
    document = collect(place, parts)
    files = write_tables(document, tmp_path / "tables", "csv", tables_of_benchmark(document))
    assert sorted(one.stem for one in files) == ["classes", "contests", "generality", "rows", "summary", "verdicts"]
    with (tmp_path / "tables" / "contests.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(one["experiment"], one["role"], one["against"]) for one in rows} >= {("a", "tuned", "published")}
    text = render_benchmark_markdown(document, parts)
    assert text.startswith("# Two tiny problems\n")
    assert "## Other sizes and loads, a: rejected CPU" in text
    assert "\n## Tiny\n" in text


def test_an_unfinished_run_makes_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    place = finished(tmp_path, "only=a")
    state = json.loads((place / "benchmark.json").read_text())
    for name, status, reason in (("b", "waiting", ""), ("c", "skipped", "no <data>")):
        state["jobs"].append({**state["jobs"][0], "name": name, "experiment": name, "status": status, "reason": reason})
    (place / "benchmark.json").write_text(json.dumps(state))
    parts = parts_of_folder(place)
    page = render_benchmark(collect(place, parts), parts, place)
    missing = page[page.index('id="missing"') :]
    assert "<dt>b</dt><dd>waiting: not run yet</dd>" in missing
    assert "<dt>c</dt><dd>skipped: no &lt;data&gt;</dd>" in missing
    assert 'id="p-a"' in page


def test_before_anything_has_finished_there_is_a_page_too(tmp_path: Path) -> None:
    benchmark = open_benchmark(write_benchmark(tmp_path), [], tmp_path / "out")
    write_state(benchmark, look_around(benchmark))
    parts = parts_of_folder(tmp_path / "out")
    page = render_benchmark(collect(tmp_path / "out", parts), parts, tmp_path / "out")
    assert "No problem has finished yet, so nobody is said to have won." in page
    assert "Missing, 3 of 3 runs" in page
