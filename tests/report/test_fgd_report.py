"""The published curves beside ours: reading, tables, figures, and what is refused."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlsched.errors import MissingDataError, SpecError
from rlsched.evaluate.fgd import PAPER_NAMES
from rlsched.evaluate.fgd_curves import METRICS
from rlsched.evaluate.results import dump
from rlsched.report.fgd import FILES, as_published, lists_table, main, read_published, read_run, table_of

SEEDS = (1, 2)


def theirs(metric: str, policy: str, seed: int) -> list[float]:
    """A made-up curve: rises by a tenth a bin, shifted by policy and seed."""
    shift = list(PAPER_NAMES).index(policy) + seed / 10 + len(metric)
    return [round(shift + pct / 10, 3) for pct in range(131)]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    for metric, name in FILES.items():
        lines = ["workload,sc_policy,tune,seed," + ",".join(str(pct) for pct in range(131))]
        for number, policy in enumerate(PAPER_NAMES, start=1):
            for seed in SEEDS:
                values = ",".join(str(v) for v in theirs(metric, policy, seed))
                lines.append(f"openb_pod_list_tiny,{number:02d}-{policy},1.3,{seed},{values}")
        (folder / name).write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def write_run(folder: Path, policies: dict[str, float], orders: str = "given", last: int = 130) -> Path:
    """A run whose curves are theirs plus a number a policy."""
    rows: list[dict[str, Any]] = []
    for policy, plus in policies.items():
        for seed in SEEDS:
            for pct in range(last + 1):
                curve = {m: theirs(m, as_published(policy), seed)[min(pct, 130)] + plus for m in METRICS}
                rows.append({"policy": policy, "window": "tiny", "seed": seed, "arrived_pct": pct, **curve})
    document = {
        "experiment": "x",
        "provenance": {"kind": "fgd", "orders": orders},
        "rows": rows,
        "summary": [],
        "verdicts": [],
    }
    folder.mkdir()
    (folder / "results.json").write_text(dump(document))
    return folder


def test_equal_curves_are_counted_bin_by_bin(tmp_path: Path, published: Path) -> None:
    run = read_run(write_run(tmp_path / "run", {"FGD": 0.0, "fgd_best_fit": 0.25}))
    lines = list(table_of(run, read_published(published, "tiny", SEEDS)))
    assert len(lines) == 4
    # Their mean allocation at 100: 5 + 0.15 + 13 + 10; two seeds, three curves of 131 bins.
    assert lines[2].startswith("| FGD | 28.150 | 28.150 | 0.000 |")
    assert lines[2].endswith("| 786 of 786 |")
    assert lines[3].startswith("| BestFit | 27.150 | 27.400 | +0.250 |")
    assert lines[3].endswith("| 0 of 786 |")


def test_policies_that_were_not_published_are_left_out(tmp_path: Path, published: Path) -> None:
    assert as_published("fgd") == as_published("FGD") == "FGD"
    assert as_published("best_fit") == ""
    run = read_run(write_run(tmp_path / "run", {"FGD": 0.0}))
    values = {**run.values, "best_fit": run.values["FGD"]}
    more = type(run)(run.label, run.seeds, values, run.orders)
    assert len(list(table_of(more, read_published(published, "tiny", SEEDS)))) == 3


def test_the_table_of_lists_shows_difference_and_standard_error(tmp_path: Path, published: Path) -> None:
    run = read_run(write_run(tmp_path / "run", {"FGD": -0.5, "Random": 0.0}, orders="drawn"))
    lines = list(lists_table([(run, read_published(published, "tiny", SEEDS))]))
    assert lines[0] == "| list | Random | FGD |"
    # Seeds differ by 0.1: variance 0.005 on either side, two seeds: sqrt(0.01 / 2) = 0.07.
    assert lines[2] == "| tiny | 23.15 (0.00 ± 0.07) | 27.65 (−0.50 ± 0.07) |"


def test_an_unknown_bin_stays_unknown(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"FGD": 0.0})
    text = (
        (folder / "results.json")
        .read_text()
        .replace(f'"gpu_alloc_pct": {theirs("gpu_alloc_pct", "FGD", 1)[0]}', '"gpu_alloc_pct": null', 1)
    )
    (folder / "results.json").write_text(text)
    assert np.isnan(read_run(folder).values["FGD"]["gpu_alloc_pct"][0, 0])


@pytest.mark.parametrize(("label", "seeds"), [("other", SEEDS), ("tiny", (1, 7))])
def test_what_was_not_published_is_named(published: Path, label: str, seeds: tuple[int, ...]) -> None:
    with pytest.raises(MissingDataError, match=f"no published curve of Random on list '{label}', seed"):
        read_published(published, label, seeds)


def test_a_missing_file_is_named(published: Path) -> None:
    (published / FILES["frag_pct_of_idle"]).unlink()
    with pytest.raises(MissingDataError, match="analysis_frag_ratio_discrete"):
        read_published(published, "tiny", SEEDS)


def test_a_run_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"FGD": 0.0})
    text = (folder / "results.json").read_text()
    (folder / "results.json").write_text(text.replace('"kind": "fgd"', '"kind": "placement"'))
    with pytest.raises(SpecError, match="is not a run of an FGD experiment"):
        read_run(folder)
    with pytest.raises(SpecError, match="must reach 130 % arrived"):
        read_run(write_run(tmp_path / "short", {"FGD": 0.0}, last=100))


def test_the_command_prints_tables_and_draws_both_figures(
    tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "run", dict.fromkeys(PAPER_NAMES, 0.0))
    out = tmp_path / "figures"
    assert main([str(folder), "--published", str(published), "--out", str(out)]) == 0
    assert "| FGD | 28.150 | 28.150 | 0.000 |" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["figure-7.png", "figure-9a.png"]
    for path in out.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_command_exits_2_with_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere"), "--published", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("rlsched: no results at")
