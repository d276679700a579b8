"""A frame read again and again is read as it would be afresh, and refused as it would be afresh."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import rlsched
from rlsched.errors import PolicyError
from rlsched.policies.library.cluster import Cluster, read_cluster
from rlsched.policies.library.reader import Reader
from rlsched.policies.library.terms import Terms

CHANGES = [
    {"cpu_free_mcore": [5_000, 16_000, 0, 64_000]},
    {"mem_free_mib": [8_192, 32_768, 0, 0]},
    {"gpu_free_mgpu": np.array([[300, 0, -1, -1], [1000] * 4, [-1] * 4, [1000] * 4])},
    {"up": [True, True, True, True]},
    {"tasks": [2, 1, 5, 0]},
    {"tasks": [2, 0, 0, 0], "busy_for_s": [7.0, 1.0, 3.0, 2.0]},
    {"in_use_s": [1.0, 0.0, 2.0, 0.0]},
    {"gpu_kinds": np.array([[1, 1, 0, 0, 0], [0] * 5, [0] * 5, [0] * 5])},
    {"machine_id": ["a", "b", "c", "d"]},
    {"gpu_model": ["B", "B", None, "B"]},
    {"mem_mib": [32_768, 32_768, 65_536, 65_536]},
    {"cpu_mcore": np.array([16_000, 16_000, 16_000, 64_000], np.int32)},
    {"price_per_h": [1.0, np.nan, 2.0, 4.0]},
]


def same(a: Cluster, b: Cluster) -> None:
    assert list(a.ids) == list(b.ids)
    for name in ("whole", "real", "device"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes(), name
    assert (a.models, a.assumed) == (b.models, b.assumed)
    assert a.fixed.share.tobytes() == b.fixed.share.tobytes()
    assert (a.fixed.total, a.fixed.most) == (b.fixed.total, b.fixed.most)


@pytest.mark.parametrize("without", [(), ("tasks",), ("gpu_kinds", "in_use_s"), ("busy_for_s", "tasks")])
@pytest.mark.parametrize("lifetime", ["known", "unknown"])
def test_what_changed_is_read_as_it_would_be_afresh(machines: dict[str, Any], without: tuple, lifetime: str) -> None:
    terms, reader = Terms(lifetime=lifetime), Reader()
    machines["busy_for_s"] = np.array([600.0, 5.0, 60.0, 1.0])  # known of all: which have tasks changes
    frame = {name: column for name, column in machines.items() if name not in without}
    for change in [{}, {}, *CHANGES, {}, *CHANGES[::-1]]:
        frame = {**frame, **{name: np.asarray(one) for name, one in change.items() if name not in without}}
        same(reader.read(frame, terms), read_cluster(frame, terms))


@pytest.mark.parametrize("without", [(), ("tasks",), ("gpu_kinds",), ("tasks", "gpu_kinds")])
def test_rows_that_change_a_few_at_a_time_are_read_as_they_would_be_afresh(without: tuple) -> None:
    terms, reader, draw, n = Terms(), Reader(), np.random.default_rng(2), 40
    frame: dict[str, Any] = {
        "cpu_mcore": np.full(n, 16_000),
        "mem_mib": np.full(n, 32_768),
        "cpu_free_mcore": np.full(n, 16_000),
        "mem_free_mib": np.full(n, 32_768),
        "gpu_count": draw.integers(0, 3, n),
        "tasks": np.zeros(n, np.int64),
        "gpu_kinds": np.zeros((n, 5), np.int64),
    }
    frame["gpu_free_mgpu"] = np.where(np.arange(2) < frame["gpu_count"][:, None], 1000, -1)
    frame = {name: column for name, column in frame.items() if name not in without}
    for step in range(200):
        for row in draw.integers(0, n, draw.integers(0, 4)):
            taken = draw.random() < 0.7
            frame["cpu_free_mcore"][row] = draw.integers(0, 16_000) if taken else 16_000
            frame["mem_free_mib"][row] = draw.integers(0, 32_768) if taken else 32_768
            count = int(frame["gpu_count"][row])
            frame["gpu_free_mgpu"][row, :count] = draw.integers(0, 1_001, count) if taken and step > 20 else 1000
            if "tasks" in frame:
                frame["tasks"][row] = draw.integers(1, 9) if taken else 0
            if "gpu_kinds" in frame:
                frame["gpu_kinds"][row] = draw.integers(0, 3, 5) if taken else 0
        before = {name: column.copy() for name, column in frame.items()}
        same(reader.read(frame, terms), read_cluster(frame, terms))
        assert all((frame[name] == column).all() for name, column in before.items()), "the caller's stay as they were"


def test_a_column_changed_in_place_is_seen(machines: dict[str, Any]) -> None:
    terms, reader = Terms(), Reader()
    reader.read(machines, terms)
    machines["cpu_free_mcore"][0] -= 1
    machines["gpu_model"][1] = "C"
    same(reader.read(machines, terms), read_cluster(machines, terms))


def test_a_list_in_a_cell_that_changed_is_seen(machines: dict[str, Any]) -> None:
    terms, reader = Terms(), Reader()
    frame = pd.DataFrame(
        {name: pd.Series(list(column)) for name, column in machines.items() if name != "gpu_free_mgpu"}
    )
    cells = [[300, 700], [1000] * 4, [], [1000] * 4]
    frame["gpu_free_mgpu"] = pd.Series(cells)
    before = reader.read(frame, terms).device[0].tolist()
    frame["gpu_free_mgpu"].iloc[0][1] = 200
    assert reader.read(frame, terms).device[0].tolist() == [300, 200, -1, -1] != before
    same(reader.read(frame, terms), read_cluster(frame, terms))


def test_other_terms_or_other_columns_are_read_afresh(machines: dict[str, Any]) -> None:
    reader = Reader()
    for terms in (Terms(), Terms(cpu_ratio=2.0), Terms(lifetime="unknown")):
        same(reader.read(machines, terms), read_cluster(machines, terms))
        fewer = {name: column for name, column in machines.items() if name != "up"}
        same(reader.read(fewer, terms), read_cluster(fewer, terms))
        one = {name: column[:1] for name, column in machines.items()}
        same(reader.read(one, terms), read_cluster(one, terms))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("cpu_free_mcore", -1),
        ("mem_free_mib", 10**9),
        ("tasks", -2),
        ("gpu_kinds", -1),
        ("gpu_free_mgpu", 1_001),
        ("busy_for_s", np.inf),
        ("in_use_s", -1.0),
        ("cpu_mcore", -5),
    ],
)
def test_a_bad_value_is_refused_on_the_second_reading_and_again_on_the_third(
    machines: dict[str, Any], column: str, value: float
) -> None:
    policy = rlsched.load_policy("best_fit")
    request = {"cpu_mcore": 1000, "mem_mib": 1024}
    first = policy.place(request, machines)
    good = machines[column].copy()
    machines[column][0] = value
    for _ in range(2):
        with pytest.raises(PolicyError, match=f"{column} must be .*machine 'busy'"):
            policy.place(request, machines)
    machines[column][:] = good
    assert policy.place(request, machines) == first
