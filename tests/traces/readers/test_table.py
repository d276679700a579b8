import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsched.errors import SpecError, TraceError
from rlsched.traces.readers import table
from rlsched.traces.readers.source import Source
from rlsched.traces.readers.table import Column, read_csv

COLUMNS = (Column("n"), Column("m", may_be_empty=True), Column("x", "float", may_be_empty=True), Column("s", "text"))


def source(text: str | bytes) -> Source:
    return Source("mine.csv", text.encode() if isinstance(text, str) else text, "0" * 64)


def test_columns_are_read_by_name_and_the_others_listed() -> None:
    read = read_csv(source("s,extra,x,n,m\nhi,?,1.5,4,\nho,?,,5e1,7\n"), COLUMNS)
    assert read["n"].tolist() == [4, 50]
    assert read["m"].tolist() == [-1, 7]
    assert read.missing["m"].tolist() == [True, False]
    np.testing.assert_array_equal(read["x"], [1.5, np.nan])
    assert read["s"].tolist() == ["hi", "ho"]
    assert read.ignored == ("extra",)


FIELD = st.one_of(
    st.integers(0, 9).map(str),
    st.integers(-(2**60), 2**60).map(str),
    st.sampled_from([2**53 - 1, 2**53, 2**53 + 1]).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(
        [
            "",
            " ",
            " 7",
            "7 ",
            "+5",
            "0x10",
            "1e3",
            "1_0",
            "nan",
            "NaN",
            "inf",
            "4.0",
            "4.5",
            "-",
            "１",
            "1e999",
            "00",
            ".5",
        ]
    ),
)


GOOD = st.tuples(
    st.integers(0, 9).map(str),
    st.sampled_from(["", "3", "-4", "9007199254740993"]),
    st.one_of(st.floats(-1e6, 1e6).map(str), st.sampled_from(["", "1e-320", " 2 ", "3.", "-0.0"])),
    st.text("ab \u00e9", max_size=3),
)


@given(rows=st.lists(st.one_of(GOOD, GOOD, GOOD, st.tuples(FIELD, FIELD, FIELD, FIELD)), min_size=1, max_size=6))
@settings(deadline=None, max_examples=400)
def test_the_fast_reader_equals_the_plain_one_wherever_it_answers(rows: list[tuple[str, ...]]) -> None:
    data = ("n,m,x,s\n" + "\n".join(",".join(row) for row in rows)).encode()
    fast = table._read_fast(data, "mine.csv", COLUMNS, ["n", "m", "x", "s"], 1, ",", ("",))
    plain = table._read_rows(data, "mine.csv", COLUMNS, ["n", "m", "x", "s"], 1, ",", ("",), "skip")
    if fast is None:
        return  # pyarrow left it to the plain reader
    assert plain.drops == []
    for column in COLUMNS:
        equal_nan = column.kind == "float"
        assert np.array_equal(fast[column.name], plain[column.name], equal_nan=equal_nan), column.name
        assert np.array_equal(fast.missing[column.name], plain.missing[column.name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n;m;x;s\n1;2;3;a\n", r"separated by a comma: the header of mine.csv is separated by a semicolon"),
        ("n\tm\tx\ts\n1\t2\t3\ta\n", r"separated by a tab.*delimiter = '\\t'"),
        ("n,m,x\n1,2,3\n", r"column 's' is missing: the header \(line 1\) of mine.csv has 'n', 'm', 'x'"),
        ("a,b\n1,2\n", r"column 'n' is missing \(and 'm', 'x', 's'\)"),
        ("n,m,x,s,n\n1,2,3,a,4\n", r"column names must be unique: 'n' appears twice"),
        ("n,m,x,s\n", r"holds only a header"),
        ("n,m,x,s\n1,2,3,a\n\n4,5,6,b\n", r"a row must have 4 fields: got 0 in row 2 \(line 3\)"),
        ("n,m,x,s\n0x10,2,3,a\n", r"n must be a whole number: got '0x10' in row 1 \(line 2\)"),
        (b"n,m,x,s\n1,2,3,\xff\n", r"must be UTF-8 text: got byte 0xff in row 1 \(line 2\)"),
        (b"\xff\xfe,m,x,s\n1,2,3,a\n", r"line 1 of mine.csv is not"),
    ],
)
def test_a_fault_of_the_file_is_one_clear_error(text: str | bytes, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        read_csv(source(text), COLUMNS)


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault() -> None:
    read = read_csv(source(b"\xef\xbb\xbfn,m,x,s\r\n1,2,3,a\r\n4,5,6,b\r\n\r\n"), COLUMNS)
    assert read["n"].tolist() == [1, 4]
    assert read["s"].tolist() == ["a", "b"]


def test_skipped_rows_are_counted_by_rule_with_their_numbers() -> None:
    text = "n,m,x,s\n" + "".join(f"{'bad' if i % 2 else i},1,1,a\n" for i in range(20))
    read = read_csv(source(text), COLUMNS, on_bad_row="skip")
    assert read["n"].tolist() == list(range(0, 20, 2))
    (drop,) = read.drops
    assert (drop.rule, drop.count, drop.rows) == ("n must be a whole number", 10, (2, 4, 6, 8, 10))
    assert read.report().rows_read == 20


def test_require_names_the_row_of_the_file_even_after_rows_were_skipped() -> None:
    read = read_csv(source("n,m,x,s\nbad,1,1,a\n-1,1,1,a\n"), COLUMNS, on_bad_row="skip")
    read.on_bad_row = "error"
    with pytest.raises(TraceError, match=r"n must be >= 0: got -1 in row 2 \(line 3\) of mine.csv"):
        read.require("n", read["n"] >= 0, ">= 0")


def test_sorting_is_stable_and_counted() -> None:
    read = read_csv(source("n,m,x,s\n2,0,0,a\n1,0,0,b\n2,0,0,c\n1,0,0,d\n"), COLUMNS)
    read.sort_by("n")
    assert read["s"].tolist() == ["b", "d", "a", "c"]
    assert read.rows.tolist() == [2, 4, 1, 3]
    assert [(drop.count, drop.rows) for drop in read.drops] == [(2, (2, 4))]


def test_an_unknown_way_with_bad_rows_is_refused() -> None:
    with pytest.raises(SpecError, match="on_bad_row must have a known value: got 'ignore'"):
        read_csv(source("n,m,x,s\n1,2,3,a\n"), COLUMNS, on_bad_row="ignore")


def test_a_number_that_overflows_is_not_infinite() -> None:
    with pytest.raises(TraceError, match="x must be a finite number: got '1e999'"):
        read_csv(source("n,m,x,s\n1,2,1e999,a\n"), COLUMNS)
    assert math.isinf(float("1e999"))


@pytest.mark.parametrize("text", ['"7"8', '"7', '""8', '"7""'])
def test_a_quote_in_the_wrong_place_is_a_fault_and_not_another_number(text: str) -> None:
    with pytest.raises(TraceError, match=r"must be well formed: line 3 of x\.csv is not"):
        read_csv(Source("x.csv", f"a,b\n1,2\n3,{text}\n".encode(), ""), (Column("a"), Column("b")))


def test_a_number_in_quotes_is_a_number() -> None:
    table = read_csv(Source("x.csv", b'a,b\n1,"7"\n', ""), (Column("a"), Column("b")))
    assert table["b"].tolist() == [7]
