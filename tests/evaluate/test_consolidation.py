"""The consolidation experiment: what its card accepts, what it prints, what it says when wrong."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from rlsched.errors import SpecError, TraceError, UserError
from rlsched.evaluate.consolidation import ConsolidationExperiment, find_days, run
from rlsched.sim.consolidation.meters import METRICS
from rlsched.spec import load

CARD = Path(__file__).parents[2] / "experiments" / "cloudsim-planetlab" / "experiment.toml"


def samples(seed: int) -> str:
    return "".join(f"{(seed * 7 + 13 * k) % 60}\n" for k in range(288))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days of a few VMs each."""
    for day, n in (("20110303", 6), ("20110306", 5)):
        (tmp_path / "days" / day).mkdir(parents=True)
        for vm in range(n):
            (tmp_path / "days" / day / f"vm {vm}").write_text(samples(vm + n))
    return tmp_path / "days"


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "days.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for file in sorted(folder.glob("*/*")):
            data = file.read_bytes()
            info = tarfile.TarInfo(str(file.relative_to(folder)))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def short(traces: Path, *more: str) -> list[str]:
    return [f"traces={traces}", "hosts=6", "policies=dvfs,lr_mmt", *more]


def test_the_document_has_every_metric_of_every_run(folder: Path) -> None:
    document = run(CARD, short(folder))
    assert list(document) == ["experiment", "provenance", "rows", "summary", "verdicts"]
    assert document["experiment"] == "cloudsim-planetlab"
    keys = [(row["window"], row["policy"], row["seed"]) for row in document["rows"]]
    assert keys == [(day, policy, 0) for day in ("20110303", "20110306") for policy in ("dvfs", "lr_mmt")]
    for row in document["rows"]:
        assert set(METRICS) <= set(row)
        assert row["hosts"] == 6
        assert row["energy_kwh"] > 0
    assert [row["vms"] for row in document["rows"]] == [6, 6, 5, 5]
    text = json.dumps(document, allow_nan=False)  # no NaN: that is not JSON
    assert json.loads(text) == document


def test_archive_folder_of_days_and_one_day_give_the_same_figures(folder: Path, archive: Path) -> None:
    one = run(CARD, short(folder / "20110306"))["rows"]
    two = run(CARD, short(folder, "day=20110306"))["rows"]
    three = run(CARD, short(archive, "day=20110306"))["rows"]
    assert one == two == three
    assert len(run(CARD, short(archive, "day=20110306,20110303"))["rows"]) == 4


def test_the_same_card_gives_the_same_figures(folder: Path) -> None:
    first = run(CARD, short(folder, "policies=lr_rs", "seeds=2"))
    again = run(CARD, short(folder, "policies=lr_rs", "seeds=2"))
    for part in ("rows", "summary", "verdicts"):
        assert first[part] == again[part]


def test_semantics_and_their_options_can_be_set(folder: Path) -> None:
    cloudsim = run(CARD, short(folder))["rows"]
    default = run(CARD, short(folder, "semantics=default"))
    single = run(CARD, short(folder, "semantics_options.first_interval_free=false"))
    assert default["provenance"]["semantics"]["zero_demand_removes_vm"] is False
    assert single["provenance"]["semantics"]["zero_demand_removes_vm"] is True
    assert cloudsim != default["rows"]
    assert single["rows"][0]["energy_kwh"] > cloudsim[0]["energy_kwh"]


def test_a_policy_may_carry_parameters_and_a_label(folder: Path, tmp_path: Path) -> None:
    card = tmp_path / "mine.toml"
    card.write_text(
        f'kind = "consolidation"\ntraces = "{folder}"\nday = 20110303\nhosts = 6\nseeds = [3, 4]\n'
        'policies = ["npa", {name = "thr_mmt", parameter = 0.5, placement_cap = 0.9, label = "careful"}]\n'
    )
    document = run(card)
    assert document["experiment"] == "mine"
    assert [(row["policy"], row["parameter"], row["seed"]) for row in document["rows"]] == [
        ("npa", None, 3),
        ("careful", 0.5, 3),
        ("npa", None, 4),
        ("careful", 0.5, 4),
    ]


def test_progress_is_told_and_ends_at_one(folder: Path) -> None:
    told: list[tuple[str, float]] = []
    run(CARD, short(folder), progress=lambda text, share: told.append((text, share)))
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert told[-1] == ("done", 1.0)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("day=20110304", "no day '20110304' in .* Known: 20110303, 20110306"),
        ("day=2011", "a day is YYYYMMDD"),
        ("day=all,20110303", "'all' stands alone"),
        ("policies=lr_mtm", "Did you mean 'lr_mmt'"),
        ("policies=lr_mmt,lr_mmt", "'lr_mmt' is there 2 times"),
        ("policies=", "at least one"),
        ("seeds=-1", "seeds"),
        ("semantics=cloudsim", "Did you mean 'cloudsim_303'"),
        ("semantics_options.wake=3", "Did you mean 'wake_s'"),
        ("semantics_options.wake_s=-3", "must be a number >= 0"),
        ("polices=lr_mmt", "Did you mean 'policies'"),
        ("hosts=0", "hosts"),
        ("traces=/nowhere/at/all", "no file at /nowhere/at/all"),
        ("traces=planetlab-201", "Did you mean 'planetlab-2011'"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(folder: Path, override: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        run(CARD, [*short(folder), override])
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (samples(1)[:-3], "exactly 288 samples"),
        (samples(1) + "5\n", "exactly 288 samples .*: got 289"),
        (samples(1).replace("\n", "\n", 1).replace("7\n", "101\n", 1), "0..100: got '101'"),
        (samples(1).replace("7\n", "x\n", 1), "whole number of percent"),
    ],
)
def test_a_broken_usage_file_is_one_clear_error_that_names_it(folder: Path, content: str, says: str) -> None:
    (folder / "20110303" / "vm 3").write_text(content)
    with pytest.raises(TraceError, match=says) as caught:
        run(CARD, short(folder))
    assert "vm 3" in str(caught.value)


def test_a_single_file_and_a_folder_of_something_else_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is a single file"):
        find_days(str(folder / "20110303" / "vm 1"), ["all"])
    (tmp_path / "other" / "photos").mkdir(parents=True)
    with pytest.raises(SpecError, match="must be days, YYYYMMDD: got 'photos'"):
        find_days(str(tmp_path / "other"), ["all"])


def test_machines_too_few_for_the_vms_are_said_to_be(folder: Path) -> None:
    with pytest.raises(TraceError, match="fits on no machine at the start"):
        run(CARD, short(folder, "hosts=1"))


def test_the_card_of_the_repository_asks_for_all_days_and_the_published_policies() -> None:
    spec = load(ConsolidationExperiment, CARD).spec
    assert spec.day == ("all",)
    assert len(spec.policies) == 7
    assert spec.chosen_semantics.zero_demand_removes_vm
