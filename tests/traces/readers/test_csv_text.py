"""What pyarrow would misread is found wherever it stands, as a plain search of every field finds it."""

import random
import re

import pytest

from rlsched.traces.readers.csv_text import only_plain


def slowly(data: bytes, delimiter: str) -> bool:
    mark = re.escape(delimiter.encode())
    return re.search(rb"(?:^|[" + mark + rb"\"\s])[+-]?0[xX][0-9a-fA-F]*(?=[" + mark + rb"\"\s]|$)", data) is not None


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t", " "])
def test_a_hexadecimal_field_is_found_and_nothing_else(delimiter: str) -> None:
    rng = random.Random(0)
    letters = b"0xX+-a1 \nAg" + 2 * delimiter.encode()
    found = 0
    for _ in range(20_000):
        data = bytes(rng.choice(letters) for _ in range(rng.randrange(1, 9)))
        assert only_plain(data, delimiter) == slowly(data, delimiter), data
        found += slowly(data, delimiter)
    assert found > 50


def test_base64_is_no_hexadecimal() -> None:
    assert not only_plain(b"vm,a0xF=,b\nA0x1f,0xg,+0x1z", ",")
    assert only_plain(b"vm,-0x1f\n", ",")


def test_quotes_left_open_or_closed_early_are_found() -> None:
    assert only_plain(b'a,"b\n', ",")
    assert only_plain(b'a,"7"8\n', ",")
    assert not only_plain(b'a,"7,8"\n', ",")
