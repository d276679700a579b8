"""A user's files: read with a map, units held against each other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from evaluate_worlds import long_trace
from whatif_worlds import MACHINE_MAP, TRACE_MAP, even_machines, odd_files

from rlsched.errors import SpecError, TraceError
from rlsched.evaluate.whatif_inputs import check_units, read_files


def test_odd_files_become_the_columns_they_were_made_of(tmp_path: Path) -> None:
    given = read_files(*odd_files(tmp_path), columns=TRACE_MAP, machine_columns=MACHINE_MAP)
    meant = long_trace()
    for name in ("arrive_s", "depart_s", "cpu_mcore", "mem_mib"):
        np.testing.assert_array_equal(getattr(given.trace, name), getattr(meant, name))
    assert given.machines.cpu_mcore.tolist() == [6000, 8000] * 3
    assert [len(sha) for one in given.sources for sha in one["files"].values()] == [64, 64]


def test_both_files_with_unknown_names_are_told_of_at_once(tmp_path: Path) -> None:
    with pytest.raises(TraceError) as error:
        read_files(*odd_files(tmp_path))
    assert "add: --columns 'task_id=VM Name,arrive_s=Created At," in str(error.value)
    assert "add: --machine-columns machine_id=hostname," in str(error.value)


def test_requests_a_thousand_times_too_large_are_refused_with_the_reason(tmp_path: Path) -> None:
    wrong = MACHINE_MAP.replace("cpu_unit=cores,", "")
    with pytest.raises(TraceError, match="CPU 1,000 times smaller"):
        read_files(*odd_files(tmp_path), columns=TRACE_MAP, machine_columns=wrong)


def test_few_tasks_too_large_are_a_note_and_no_error() -> None:
    trace = long_trace()
    cpu = trace.cpu_mcore.copy()
    cpu[:3] = 99_000
    notes = check_units(dataclasses.replace(trace, cpu_mcore=cpu), even_machines())
    assert notes == ["3 of 240 tasks fit on no machine, even an empty one: every policy rejects them."]


def test_a_load_that_is_next_to_nothing_is_worth_a_word() -> None:
    trace = long_trace()
    tiny = dataclasses.replace(trace, cpu_mcore=np.ones(len(trace), np.int64))
    assert [note for note in check_units(tiny, even_machines()) if "% of the CPU" in note]


def test_prices_and_power_are_filled_only_where_not_known(tmp_path: Path) -> None:
    files = odd_files(tmp_path)
    given = read_files(
        *files, columns=TRACE_MAP, machine_columns=MACHINE_MAP, price_per_h=9.0, power_curve="hp_ml110_g5"
    )
    assert given.machines.price_per_h.tolist() == [1.5] * 6
    assert given.machines.power_curves == ("hp_ml110_g5",)
    with pytest.raises(SpecError, match="--price must be >= 0"):
        read_files(*files, columns=TRACE_MAP, machine_columns=MACHINE_MAP, price_per_h=-1.0)
    with pytest.raises(SpecError, match="unknown power curve"):
        read_files(*files, columns=TRACE_MAP, machine_columns=MACHINE_MAP, power_curve="hp")


def test_machines_in_the_place_of_a_trace_are_refused(tmp_path: Path) -> None:
    _, nodes = odd_files(tmp_path)
    ours = tmp_path / "ours.csv"
    ours.write_text("machine_id,cpu_mcore,mem_mib\na,1000,1024\n")
    with pytest.raises(SpecError, match="--trace must name trace"):
        read_files(ours, nodes, machine_columns=MACHINE_MAP)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(TraceError, match="must not be empty"):
        read_files(tmp_path / "empty.csv", odd_files(tmp_path)[1], machine_columns=MACHINE_MAP)
