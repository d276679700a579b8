"""Ways to spoil a trace file, as values that Hypothesis draws and a test applies."""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import dataclass

from hypothesis import strategies as st

#: What may stand in a field instead of what did: numbers in other dress, numbers too large, and no numbers.
NUMBERS = (
    "7", "7.0", "+7", "007", " 7 ", "7e0", "70e-1", "7.", "1e3", "0.5", ".25", "0.1", "33.3333333333333333333", "-0",
    "0", "-1", "-250", "1e15", "9007199254740992", "9007199254740993", "123456789012345678901234567890", "1e300",
    "1e-300",
)  # fmt: skip
JUNK = (
    "", "NaN", "nan", "inf", "-inf", "1e999", "null", "None", "NA", "-", "0x10", "1_000", "1,5", "\u0667", "seven",
    "true", "\x00", "7\x00", '"', '"7', "'7'", "7;8", "7\t8", "9" * 400, "x" * 5000, "2021-13-45 99:99", "2021-01-01",
    "1/2", "--7", "\ufeff7", "7%", "é",
)  # fmt: skip
TOKENS = (*NUMBERS, *JUNK)
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp037")
_ENDLESS = 200_000


@dataclass(frozen=True)
class Mutation:
    """One change of a file.

    Parameters
    ----------
    kind : str
        A key of `APPLY`.
    a, b : float
        Where, in 0..1 of the rows or bytes there are.
    c : int
        Which field, which row beside it, or which of several ways.
    token : str
        What is put there.
    """

    kind: str
    a: float
    b: float
    c: int
    token: str


def delimiter_of(line: bytes) -> bytes:
    """The mark that separates the fields of a line; ``;`` with a tab is one."""
    for mark in (b";\t", b";", b",", b"\t", b" "):
        if mark in line:
            return mark
    return b","


def cell(data: bytes, row: int, column: int, token: str) -> bytes:
    """The content with one field replaced; rows and columns wrap around."""
    lines = data.split(b"\n")
    at = row % max(1, len(lines) - (not lines[-1]))
    mark = delimiter_of(lines[at])
    fields = lines[at].split(mark)
    fields[column % len(fields)] = token.encode()
    lines[at] = mark.join(fields)
    return b"\n".join(lines)


def _rows(data: bytes) -> tuple[list[bytes], bytes]:
    lines = data.split(b"\n")
    return (lines[:-1], b"\n") if not lines[-1] else (lines, b"")


def _of(share: float, n: int) -> int:
    return min(int(share * n), max(n - 1, 0))


def _cell(data: bytes, m: Mutation) -> bytes:
    return cell(data, _of(m.a, data.count(b"\n") + 1), m.c, m.token)


def _cut(data: bytes, m: Mutation) -> bytes:
    return data[: _of(m.a, len(data))]


def _swap_rows(data: bytes, m: Mutation) -> bytes:
    rows, end = _rows(data)
    i, j = _of(m.a, len(rows)), _of(m.b, len(rows))
    rows[i], rows[j] = rows[j], rows[i]
    return b"\n".join(rows) + end


def _double_row(data: bytes, m: Mutation) -> bytes:
    rows, end = _rows(data)
    rows.insert(_of(m.b, len(rows)), rows[_of(m.a, len(rows))])
    return b"\n".join(rows) + end


def _lose_row(data: bytes, m: Mutation) -> bytes:
    rows, end = _rows(data)
    del rows[_of(m.a, len(rows))]
    return b"\n".join(rows) + end


def _swap_fields(data: bytes, m: Mutation) -> bytes:
    rows, end = _rows(data)
    i = _of(m.a, len(rows))
    mark = delimiter_of(rows[i])
    fields = rows[i].split(mark)
    j, k = m.c % len(fields), _of(m.b, len(fields))
    fields[j], fields[k] = fields[k], fields[j]
    rows[i] = mark.join(fields)
    return b"\n".join(rows) + end


def _fields(data: bytes, m: Mutation) -> bytes:
    """A row with a field too many, or too few."""
    rows, end = _rows(data)
    i = _of(m.a, len(rows))
    mark = delimiter_of(rows[i])
    fields = rows[i].split(mark)
    rows[i] = mark.join([*fields, m.token.encode()] if m.c % 2 else fields[:-1])
    return b"\n".join(rows) + end


def _encode(data: bytes, m: Mutation) -> bytes:
    return data.decode("utf-8").encode(ENCODINGS[m.c % len(ENCODINGS)], "replace")


def _insert(data: bytes, m: Mutation) -> bytes:
    at = _of(m.a, len(data) + 1)
    return data[:at] + bytes([m.c % 256, _of(m.b, 256)]) + data[at:]


def _flip(data: bytes, m: Mutation) -> bytes:
    at = _of(m.a, len(data))
    return data[:at] + bytes([data[at] ^ (1 << m.c % 8)]) + data[at + 1 :]


def _endless(data: bytes, m: Mutation) -> bytes:
    line = (data.split(b"\n")[0] + b" ", b"1,", b"1 ", b"9", b'"', b"\x00")[m.c % 6]
    long = line * (_ENDLESS // len(line))
    return (long, data + long, data.replace(b"\n", b" ") + long)[m.c % 3]


def _line_ends(data: bytes, m: Mutation) -> bytes:
    return data.replace(b"\n", (b"\r\n", b"\r", b"\n\n", b"\x0b", b"\xe2\x80\xa8")[m.c % 5])


def _delimiter(data: bytes, m: Mutation) -> bytes:
    mark = delimiter_of(data.split(b"\n")[0])
    return data.replace(mark, (b";", b",", b"\t", b"|", b"  ", b",,")[m.c % 6])


def _gzip(data: bytes, m: Mutation) -> bytes:
    packed = gzip.compress(data, mtime=0)
    at = _of(m.a, len(packed))
    return (
        packed[:at],
        packed[:at] + bytes([packed[at] ^ (1 << m.c % 8)]) + packed[at + 1 :],
        packed + m.token.encode(),
        packed + packed,
        gzip.compress(packed, mtime=0),
    )[m.c % 5]


def _zip(data: bytes, m: Mutation) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(m.c % 3):
            archive.writestr(f"{number}.csv", data)
    packed = buffer.getvalue()
    return packed if m.b < 0.5 else packed[: _of(m.a, len(packed))]


APPLY = {
    "cell": _cell,
    "cut": _cut,
    "swap_rows": _swap_rows,
    "double_row": _double_row,
    "lose_row": _lose_row,
    "swap_fields": _swap_fields,
    "fields": _fields,
    "encode": _encode,
    "insert": _insert,
    "flip": _flip,
    "endless": _endless,
    "line_ends": _line_ends,
    "delimiter": _delimiter,
    "gzip": _gzip,
    "zip": _zip,
}
BINARY = ("cut", "flip", "insert", "gzip", "zip")

_share = st.floats(0, 1, exclude_max=True, allow_nan=False)


def mutations(kinds: tuple[str, ...] = tuple(APPLY)) -> st.SearchStrategy[Mutation]:
    """One change; half of them in a single field, where any other kind is allowed too."""
    others = st.sampled_from(kinds)
    kind = st.one_of(st.just("cell"), others) if "cell" in kinds else others
    return st.builds(Mutation, kind, _share, _share, st.integers(0, 2**16), st.sampled_from(TOKENS))


def apply(data: bytes, mutation: Mutation) -> bytes:
    """The spoilt content."""
    return APPLY[mutation.kind](data, mutation)
