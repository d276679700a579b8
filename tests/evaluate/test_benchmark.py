"""A benchmark: what is finished is kept, what changed is refused, what is missing is said."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmark_worlds import BENCHMARK, run_here, silent, write_benchmark
from evaluate_worlds import CARD

from rlsched.errors import SpecError
from rlsched.evaluate import placement
from rlsched.evaluate.benchmark import (
    begin_anew,
    fingerprint,
    look_around,
    open_benchmark,
    run_job,
    write_state,
)
from rlsched.evaluate.benchmark_answer import benchmark_answer
from rlsched.evaluate.benchmark_document import collect, parts_of_folder, problem_of
from rlsched.evaluate.benchmark_processes import run_jobs, share_of
from rlsched.evaluate.classes import learned_in
from rlsched.evaluate.keep import Units
from rlsched.evaluate.kinds import run_experiment
from rlsched.evaluate.results import LEDGER, load_document
from rlsched.evaluate.touch import read_ledger


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return write_benchmark(tmp_path)


def test_parts_are_kept_and_told_together(card: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    benchmark = open_benchmark(card, [], out)
    assert [one.name for one in benchmark.jobs] == ["a", "a@three-machines", "b"]
    assert [one.status for one in run_here(benchmark)] == ["finished"] * 3
    assert not list((out / "units").glob("*/*.json"))  # of no use any more
    document = collect(out, parts_of_folder(out))
    assert document["provenance"]["complete"]
    assert {(one["experiment"], one["variant"]) for one in document["rows"]} == {
        ("a", ""),
        ("a", "three machines"),
        ("b", ""),
    }
    alone = run_experiment(tmp_path / "a" / "experiment.toml")
    mine = [row for row in document["rows"] if (row["experiment"], row["variant"]) == ("a", "")]
    assert [{k: v for k, v in row.items() if k not in ("experiment", "variant")} for row in mine] == alone["rows"]
    assert {one["variant"] for one in document["generality"] if one["experiment"] == "a"} == {"", "three machines"}
    answer = " ".join(benchmark_answer(document))
    assert "Of 2 problems on held-out data, a learned policy and a tuned heuristic meet in none." in answer
    assert "Not asked for: c (left out: it is optional" in answer
    # Every run on a test split is one touch in the ledger, variants too.
    assert len(read_ledger(out / LEDGER)) == 3
    assert len((out / LEDGER).read_text().splitlines()) == 6  # each as it began and as it ended
    again = look_around(benchmark)
    assert all(one.kept for one in again)


def test_units_of_a_run_that_was_stopped_are_not_played_again(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_experiment(tmp_path / "a" / "experiment.toml")
    play, asked = placement._play_one, []

    def counted(*args: Any) -> Any:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(args)
        return play(*args)

    benchmark = open_benchmark(card, ["only=a", "variants=false"], tmp_path / "out")
    monkeypatch.setattr(placement, "_play_one", counted)
    with pytest.raises(KeyboardInterrupt):
        run_here(benchmark)
    write_state(benchmark, look_around(benchmark))
    (part,) = parts_of_folder(tmp_path / "out")
    assert (part.status, part.reason) == ("waiting", "not finished; 2 finished units are kept")
    later: list[Any] = []
    monkeypatch.setattr(placement, "_play_one", lambda *args: [later.append(args), play(*args)][1])
    assert run_here(benchmark)[0].status == "finished"
    assert len(later) == 3 - 2
    assert fingerprint(load_document(tmp_path / "out" / "parts" / "a")) == fingerprint(whole)


def test_units_made_on_other_data_or_cut_off_are_made_again(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> list[float]:
        made.append(1)
        return [0.1 + 0.2, 1e-300]

    first = Units(tmp_path, {"card": "x"})
    assert first("k", make) == [0.1 + 0.2, 1e-300] == first("k", make)
    assert len(made) == 1
    Units(tmp_path, {"card": "y"})("k", make)
    assert len(made) == 2
    for file in tmp_path.glob("*.json"):
        file.write_text(file.read_text()[:10])
    assert first("k", make) == [0.1 + 0.2, 1e-300]
    assert len(made) == 3


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda folder: (folder / "a" / "experiment.toml").write_text(CARD + "\n# changed\n"), "a: other card"),
        (lambda folder: (folder / "a" / "tuned.toml").write_text("policy = 1\n"), r"a: other tuned\.toml"),
    ],
)
def test_finished_parts_of_what_has_changed_are_refused_and_can_be_forgotten(
    card: Path, tmp_path: Path, change: Callable[[Path], Any], what: str
) -> None:
    out = tmp_path / "out"
    run_here(open_benchmark(card, ["only=a", "variants=false"], out))
    change(tmp_path)
    benchmark = open_benchmark(card, ["only=a", "variants=false"], out)
    with pytest.raises(SpecError, match=f"changed in between cannot be mixed: .*{what}.*--fresh"):
        look_around(benchmark)
    begin_anew(out)
    assert [one.name for one in out.iterdir()] == [LEDGER]  # what was touched stays touched
    assert look_around(benchmark)[0].status == "waiting"


def test_a_card_that_changes_while_it_runs_makes_no_part(card: Path, tmp_path: Path) -> None:
    benchmark = open_benchmark(card, ["only=a", "variants=false"], tmp_path / "out")
    (one,) = look_around(benchmark)

    def meddle(_text: str, _share: float) -> None:
        (tmp_path / "a" / "experiment.toml").write_text(CARD + "# changed\n")

    run_job(benchmark, one, None, meddle)
    assert (one.status, one.ours) == ("failed", False)
    assert one.reason.startswith("other card than when it began")
    assert not (tmp_path / "out" / "parts").exists()


def test_parts_of_different_cards_make_no_page(card: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_here(open_benchmark(card, ["only=a"], out))
    file = out / "parts" / "a@three-machines" / "results.json"
    (out / "parts" / "a@three-machines" / "experiment.toml").unlink()
    document = json.loads(file.read_text())
    document["provenance"]["card_sha256"] = "0" * 64
    file.write_text(json.dumps(document))
    with pytest.raises(SpecError, match="results of different cards cannot be mixed: a and a@three-machines"):
        parts_of_folder(out)


def test_overlapping_splits_are_said_before_anything_runs(card: Path, tmp_path: Path) -> None:
    text = CARD.replace("test = [36_000, 72_000]", "test = [30_000, 72_000]")
    (tmp_path / "b" / "experiment.toml").write_text(text)
    with pytest.raises(SpecError, match="test begins at 30000 s, before validation ends at 36000 s: they overlap"):
        open_benchmark(card, [], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "status", "message"),
    [
        ('"policies=best_fit,worst_fit"', '"policies=best_fit,lr_mmt"', "failed", "'lr_mmt' cannot place tasks"),
        ('"policies=best_fit,worst_fit"', '"data.trace=azure-v1-2017"', "skipped", "no data folder"),
    ],
)
def test_what_is_wrong_with_one_problem_leaves_the_others_alone(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, status: str, message: str
) -> None:
    monkeypatch.setenv("RLSCHED_DATA", str(tmp_path / "none"))
    card.write_text(BENCHMARK.replace(old, new))
    a, b = run_here(open_benchmark(card, ["variants=false"], tmp_path / "out"))
    assert (a.status, b.status) == ("finished", status)
    assert message in b.reason
    document = collect(tmp_path / "out", parts_of_folder(tmp_path / "out"))
    assert not document["provenance"]["complete"]
    missing = next(line for line in benchmark_answer(document) if line.startswith("Missing"))
    assert missing.startswith(f"Missing, 1 of 2 runs: b ({status}: ")


def test_a_full_disk_ends_a_run_with_one_sentence_and_keeps_what_was_finished(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = open_benchmark(card, ["variants=false"], tmp_path / "out")
    a, b = look_around(benchmark)
    assert run_job(benchmark, a, None, silent).status == "finished"
    write = Path.write_text

    def full(self: Path, text: str, **how: Any) -> int:
        if ".partial" in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, text, **how)

    monkeypatch.setattr(Path, "write_text", full)
    run_job(benchmark, b, None, silent)
    assert (b.status, b.ours) == ("failed", False)
    assert "cannot keep finished work in" in b.reason
    assert "No space left on device" in b.reason
    assert "is kept" in b.reason
    monkeypatch.undo()
    assert load_document(tmp_path / "out" / "parts" / "a")["rows"]
    assert look_around(benchmark)[0].kept
    assert run_job(benchmark, look_around(benchmark)[1], None, silent).status == "finished"


def test_a_folder_with_something_else_is_not_written_to(card: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("words")
    with pytest.raises(SpecError, match=r"it holds 'thesis\.tex'"):
        open_benchmark(card, [], tmp_path / "mine")
    run_here(open_benchmark(card, ["only=a", "variants=false"], tmp_path / "out"))
    shutil.copy(tmp_path / "mine" / "thesis.tex", tmp_path / "out")
    with pytest.raises(SpecError, match=r"holds 'thesis\.tex', which no benchmark left there"):
        open_benchmark(card, [], tmp_path / "out")
    with pytest.raises(SpecError, match="holds a run of one experiment"):
        open_benchmark(card, [], tmp_path / "out" / "parts" / "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BENCHMARK.replace('name = "b"', 'name = "bb"'), "no experiment 'bb'"),
        (BENCHMARK.replace('name = "b"', 'name = "a"'), "'a' is there 2 times"),
        (BENCHMARK.replace('compared = ["best_fit", "first_fit"]\n', ""), "generality needs compared"),
        (BENCHMARK.replace("machines.sample=3", "machines.smaple=3"), "unknown key 'machines.smaple'"),
        (BENCHMARK.replace("machines.sample=3", "machines.scale=0.5"), "whole number for machines of a source"),
        (BENCHMARK.replace('name = "c"', 'name = "all.toml"').replace("optional = true", ""), "is a benchmark itself"),
        (BENCHMARK.replace('title = "Two tiny problems"', 'only = ["d"]\ntitle = "x"'), "only: no experiment 'd'"),
    ],
)
def test_wrong_cards_are_told_of(card: Path, tmp_path: Path, text: str, message: str) -> None:
    card.write_text(text)
    with pytest.raises(SpecError, match=message):
        open_benchmark(card, [], tmp_path / "out")


def test_the_split_is_handed_on(card: Path, tmp_path: Path) -> None:
    jobs = open_benchmark(card, ["split=validation"], tmp_path / "out").jobs
    assert all("split=validation" in one.overrides for one in jobs)
    assert not any(
        text.startswith("split=") for one in open_benchmark(card, [], tmp_path / "o2").jobs for text in one.overrides
    )


def test_progress_weighs_runs_by_how_long_they_take(card: Path, tmp_path: Path) -> None:
    found = look_around(open_benchmark(card, [], tmp_path / "out"))  # 2, 2/4 and 30 seconds
    assert share_of(found, {}) == 0.0
    assert share_of(found, {"b": ("", 0.5)}) == pytest.approx(15 / 32.5)
    found[0].status = "skipped"
    assert share_of(found, {"b": ("", 0.5)}) == pytest.approx(17 / 32.5)


def committed(name: str) -> dict[str, Any]:
    return load_document(Path(__file__).parents[2] / "experiments" / name / "results")


@pytest.mark.parametrize(
    ("name", "learned"),
    [
        ("placement-openb", "placement-gpu"),
        ("scaling-bitbrains", "scaling"),
        ("consolidation-planetlab", "consolidation"),
    ],
)
def test_gains_are_percent_of_the_opponents_mean_and_above_0_where_it_does_better(name: str, learned: str) -> None:
    document = committed(name)
    assert learned in learned_in(document)
    problem = problem_of(document)
    metric = problem["main_metric"]
    means = {one["policy"]: one["mean"] for one in document["summary"] if one["metric"] == metric}
    sign = -1 if problem["better"] == "down" else 1
    assert {(one["role"], one["against"]) for one in problem["contests"]} >= {
        ("learned", "tuned"),
        ("tuned", "published"),
    }
    for one in problem["contests"]:
        a, b = means[one["policy"]], means[one["opponent"]]
        assert one["gain_pct"] == pytest.approx(100 * sign * (a - b) / abs(b))
        assert one["gain_low"] <= one["gain_pct"] <= one["gain_high"]
        assert (one["verdict"] == "better") <= (one["gain_low"] > 0)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(card: Path, tmp_path: Path) -> None:
    prints = []
    for processes in (1, 2):
        benchmark = open_benchmark(card, [], tmp_path / f"out-{processes}")
        told: list[float] = []
        found = run_jobs(
            benchmark,
            look_around(benchmark),
            processes=processes,
            watch=lambda _all, _running, share, told=told: told.append(share),
        )
        assert [one.status for one in found] == ["finished"] * 3
        assert told == sorted(told)
        assert told[-1] == 1.0
        parts = parts_of_folder(tmp_path / f"out-{processes}")
        prints.append([fingerprint(one.document) for one in parts if one.document])
        assert len(read_ledger(tmp_path / f"out-{processes}" / LEDGER)) == 3
    assert prints[0] == prints[1]
