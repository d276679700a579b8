"""Text of a CSV that pyarrow reads otherwise than it says: only the plain reader may judge it."""

from __future__ import annotations

import re


def only_plain(data: bytes, delimiter: str) -> bool:
    """Whether a file must go to the plain reader.

    pyarrow takes ``0x10`` for 16, ``"7"8`` for 78, and a quote that is never closed for one that is.

    Parameters
    ----------
    data : bytes
        The whole content.
    delimiter : str
        One character.
    """
    mark = re.escape(delimiter.encode())
    if _hexadecimal(data, mark):
        return True
    return b'"' in data and _odd_quotes(data, mark)


def _hexadecimal(data: bytes, mark: bytes) -> bool:
    """Whether a field is a number such as ``0x10``, with or without a sign or quotes."""
    # From the two letters outwards: some hundred times as quick as from the beginning of every field.
    for found in re.finditer(rb"0[xX][0-9a-fA-F]*(?=[" + mark + rb"\"\s]|$)", data):
        before = data[max(found.start() - 2, 0) : found.start()]
        if re.search(rb"(?:^|[" + mark + rb"\"\s])[+-]$|[" + mark + rb"\"\s]$|^$", before) is not None:
            return True
    return False


def _odd_quotes(data: bytes, mark: bytes) -> bool:
    """Whether a quote may be left open, or be closed before the end of its field."""
    if data.count(b'"') % 2:
        return True
    inside = rb"[^" + mark + rb"\r\n\"]"
    early = inside + rb"\"+" + inside + rb"|(?:^|[" + mark + rb"\r\n])(?:\"\")+" + inside
    return re.search(early, data) is not None
