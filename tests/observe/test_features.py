"""The table of features, and the compiled columns it speaks of."""

from __future__ import annotations

from rlsched.observe import features as ft
from rlsched.observe import measure as pl


def test_every_feature_says_what_it_is_once() -> None:
    names = [feature.name for feature in ft.CANDIDATE_FEATURES]
    assert len(set(names)) == len(names)
    names = [feature.name for feature in ft.GLOBAL_FEATURES]
    assert len(set(names)) == len(names)
    for feature in ft.FEATURES:
        assert feature.meaning
        assert feature.unit
        assert feature.low < feature.high
        assert feature.low <= 0 <= feature.high, "an empty slot holds zeros, so zero must be in the range"


def test_compiled_columns_are_in_the_order_of_the_table() -> None:
    columns = {name[2:].lower(): value for name, value in vars(pl).items() if name.startswith("X_")}
    assert columns == {name: i for i, name in enumerate(ft.CANDIDATE_NAMES)}
    for column, name in (
        (pl.G_CPU, "request_cpu"),
        (pl.G_FITS, "request_fits"),
        (pl.G_FRAG_IDLE, "fragmented_idle"),
        (pl.G_ARRIVED_GPU, "arrived_gpu"),
    ):
        assert ft.GLOBAL_NAMES[column] == name


def test_the_printed_table_has_a_row_a_feature_and_all_columns() -> None:
    rows = ft.feature_table()
    assert [row["name"] for row in rows] == [feature.name for feature in ft.FEATURES]
    assert set(rows[0]) == {"part", "name", "shape", "dtype", "range", "unit", "meaning"}
