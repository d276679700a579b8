"""``rlsched.evaluate(...)``: one call, no card."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluate_worlds import by_hand, long_trace

import rlsched
from rlsched.errors import PolicyError, SpecError
from rlsched.evaluate.library import equal_windows, evaluate
from rlsched.evaluate.results import load_document
from rlsched.policies import blend, find_heuristic
from rlsched.sim.options import PlacementOptions
from rlsched.traces.columns import Machines


def four_machines() -> rlsched.Machines:
    import numpy as np

    return rlsched.Machines(
        machine_id=np.arange(4),
        cpu_mcore=np.array([8000, 8000, 6000, 4000]),
        mem_mib=np.array([16384, 8192, 16384, 16384]),
    )


@pytest.mark.parametrize(
    "code",
    [
        "import rlsched; rlsched.evaluate",
        "import rlsched.evaluate.metrics; import rlsched; rlsched.evaluate",
        "import rlsched; from rlsched.evaluate.verdict import judge; rlsched.evaluate",
    ],
)
def test_the_name_is_a_function_and_a_package_in_any_order_of_imports(code: str) -> None:
    check = f"{code}; assert callable(rlsched.evaluate); print(rlsched.evaluate.__name__)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "rlsched.evaluate"


def test_one_window_of_the_whole_trace_by_default() -> None:
    trace, machines = by_hand()
    import dataclasses

    machines = dataclasses.replace(machines, power_curves=("hp_ml110_g4", "hp_ml110_g5"))
    results = rlsched.evaluate(trace, machines, ["first_fit", "best_fit"])
    rows = results.rows
    assert rows["window"].tolist() == ["all", "all"]
    assert rows["cost_usd"].tolist()[0] == 5.0  # as in test_metrics
    assert results.verdicts["verdict"].tolist() == ["no difference shown"]
    assert "fewer than 6 windows" in results.answer
    assert str(results).startswith(results.answer)
    assert "cost, USD" in str(results)


def test_the_table_has_the_best_first_with_intervals_and_only_what_is_known() -> None:
    results = evaluate(long_trace(), four_machines(), ["worst_fit", "best_fit", "first_fit"], windows=8)
    table = results.table()
    means = results.summary.query("metric == 'rejected_cpu_share'").set_index("policy")["mean"]
    assert list(table.index) == list(means.sort_values(kind="stable").index)
    assert table.columns[0] == "rejected CPU"
    assert table["rejected CPU"].str.fullmatch(r"[\d.]+ % \[[\d.]+, [\d.]+\]").all()
    assert "cost, USD" not in table.columns  # these machines have no price
    assert list(results.table("active_machines").columns) == ["used machines, machines"]
    assert "<td>" in results._repr_html_()
    assert "<p>" in results._repr_html_()
    with pytest.raises(SpecError, match="Did you mean 'cost_usd'"):
        results.table("cost_us")


def test_windows_seeds_and_policies_of_several_makes() -> None:
    mine = blend({"best_fit": 2, "cosine": 1})
    results = evaluate(
        long_trace(), four_machines(), ["random", find_heuristic("cosine"), mine, "best_fit"], windows=8, seeds=3
    )
    counts = results.rows.groupby("policy").size()
    assert counts["random"] == 24
    assert counts["cosine"] == 8
    assert set(results.verdicts["b"]) >= {"best_fit"}
    assert len(results.summary) == 4 * len(set(results.summary["metric"]))
    assert results.document["provenance"]["seeds"] == [0, 1, 2]


def test_results_can_be_saved(tmp_path: Path) -> None:
    results = evaluate(long_trace(), four_machines(), ["first_fit", "best_fit"])
    results.save(tmp_path / "run")
    assert load_document(tmp_path / "run") == results.document


def test_equal_windows_cover_the_trace_and_hold_the_last_task() -> None:
    trace = long_trace()
    windows = equal_windows(trace, 7)
    assert windows[0].start_s == 0
    assert windows[-1].stop_s == trace.arrive_s[-1]
    assert windows[-1].hi == len(trace)
    assert all(a.stop_s == b.start_s for a, b in itertools.pairwise(windows))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"policies": ["bestfit"]}, PolicyError, "Did you mean 'best_fit'"),
        ({"policies": []}, SpecError, "must be a list of one or more"),
        ({"policies": "best_fit"}, SpecError, "must be a list of one or more"),
        ({"policies": ["best_fit", "best_fit"]}, SpecError, "two policies are called 'best_fit'"),
        ({"main_metric": "speed"}, SpecError, "unknown metric 'speed'"),
        ({"main_metric": "window_h"}, SpecError, "nobody can win on it"),
        ({"reference": "cosine"}, SpecError, "reference must be one of the policies"),
        ({"seeds": 0}, SpecError, "seeds must be a number >= 1"),
        ({"seeds": [1, 1]}, SpecError, "seeds must be a number >= 1"),
        ({"windows": 0}, SpecError, "windows must be >= 1"),
        ({"windows": 1000}, SpecError, "must hold a task"),
        ({"policies": ["fgd"], "options": PlacementOptions()}, SpecError, "scores by fragmentation"),
    ],
)
def test_whatever_is_wrong_is_one_clear_error(options: dict, kind: type[Exception], message: str) -> None:
    given = {"policies": ["first_fit", "best_fit"], **options}
    with pytest.raises(kind, match=message):
        evaluate(long_trace(), four_machines(), given.pop("policies"), **given)


def test_a_policy_that_scores_by_fragmentation_needs_no_further_word() -> None:
    machines = Machines(np.arange(4), np.full(4, 8000), np.full(4, 16_384))
    results = evaluate(long_trace(), machines, ["best_fit", "fragmentation"])
    assert results.document["provenance"]["options"]["fragmentation"] == "cpu"
    assert set(results.summary["policy"]) == {"best_fit", "fragmentation"}
