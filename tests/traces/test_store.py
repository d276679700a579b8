import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rlsched import read_machines, read_trace, read_usage
from rlsched.errors import SpecError, TraceError
from rlsched.traces import store
from rlsched.traces.columns import Demand, Drop, DropReport, Trace, Usage


def rewrite(path: Path, **changes: Any) -> None:
    """Put another header into a saved file."""
    table = parquet.read_table(path)
    header = json.loads(table.schema.metadata[store.METADATA_KEY])
    table = table.replace_schema_metadata({store.METADATA_KEY: json.dumps({**header, **changes}).encode()})
    parquet.write_table(table, path)


def test_each_noun_comes_back_with_provenance_and_report(samples: Path, tmp_path: Path) -> None:
    nouns = [
        read_trace(samples / "openb_pods.csv"),
        read_trace(samples / "foreign.csv", card=samples / "foreign.toml"),
        read_machines(samples / "own_machines.csv"),
        read_usage(samples / "bitbrains"),
        Demand(["a", "b"], 60, 30, [[1.0, np.nan], [0.0, 2.5]], "cores", report=DropReport(4, 4, (Drop("x", "y", 1),))),
    ]
    for noun in nouns:
        store.save(noun, tmp_path / "x.parquet")
        back = store.load(tmp_path / "x.parquet")
        assert type(back) is type(noun)
        assert back.same_as(noun)
        assert (back.source, back.meta, back.report) == (noun.source, noun.meta, noun.report)


def test_the_reader_gives_the_original_provenance(samples: Path, tmp_path: Path) -> None:
    store.save(read_trace(samples / "openb_pods.csv"), tmp_path / "x.parquet")
    back = read_trace(tmp_path / "x.parquet")
    assert back.meta["reader"] == "openb_pods"
    assert back.source.endswith("openb_pods.csv")


@given(
    shares=st.lists(
        arrays.arrays(np.float64, st.integers(0, 5), elements=st.one_of(st.floats(0, 10), st.just(np.nan))), min_size=1
    )
)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ragged_usage_of_any_lengths_comes_back(tmp_path: Path, shares: list[np.ndarray]) -> None:
    offset = np.concatenate([[0], np.cumsum([one.size for one in shares])])
    usage = Usage(np.arange(len(shares)), offset, np.zeros(len(shares)), 300, np.concatenate(shares))
    store.save(usage, tmp_path / "x.parquet")
    assert store.load(tmp_path / "x.parquet").same_as(usage)


def test_another_schema_version_is_refused_with_the_way_out(samples: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    store.save(read_trace(samples / "openb_pods.csv"), path)
    rewrite(path, schema_version=2)
    with pytest.raises(
        TraceError, match=r"schema version must be 1: got 2 in .*x\.parquet. Convert the original again"
    ):
        read_trace(path)


def test_a_file_that_lies_about_itself_is_refused(samples: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    for changes in ({"kind": "machines"}, {"kind": "nonsense"}, {"names": {}}, {"report": 3}):
        store.save(read_trace(samples / "openb_pods.csv"), path)
        rewrite(path, **changes)
        with pytest.raises(TraceError):
            store.load(path)


def test_a_foreign_or_damaged_parquet_is_refused(tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "x.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(TraceError, match="was not saved by rlsched"):
        store.load(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(TraceError, match="a Parquet file must be whole"):
        store.load(path)
    with pytest.raises(TraceError, match="is a directory"):
        store.load(tmp_path)
    with pytest.raises(TraceError, match="is not there"):
        store.load(tmp_path / "absent")


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(samples: Path, tmp_path: Path) -> None:
    good = read_trace(samples / "openb_pods.csv")
    path = tmp_path / "x.parquet"
    store.save(good, path)
    old = path.read_bytes()
    bad: list[Trace] = [
        Trace(["a"], [-1], [5], [1], [1]),
        Trace(["a"], [0], [5], [1], [1], meta={"what": object()}),
        Trace(np.array(["a", 1], object), [0, 0], [5, 5], [1, 1], [1, 1]),
    ]
    for trace in bad:
        with pytest.raises(TraceError):
            store.save(trace, path)
    with pytest.raises(ZeroDivisionError), store.replacing(path) as temporary:
        temporary.write_text(str(1 / 0))
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.parquet"]


def test_a_place_that_cannot_be_written_is_named(samples: Path, tmp_path: Path) -> None:
    trace = read_trace(samples / "openb_pods.csv")
    with pytest.raises(SpecError, match="there is no folder"):
        store.save(trace, tmp_path / "absent" / "x.parquet")
    with pytest.raises(SpecError, match="is a directory"):
        store.save(trace, tmp_path)
