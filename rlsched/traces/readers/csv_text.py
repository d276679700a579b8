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
    hexadecimal = rb"(?:^|[" + mark + rb"\"\s])[+-]?0[xX][0-9a-fA-F]*(?=[" + mark + rb"\"\s]|$)"
    # The plain search first: it is some hundred times as quick, and nearly every file ends with it.
    if (b"0x" in data or b"0X" in data) and re.search(hexadecimal, data) is not None:
        return True
    return b'"' in data and _odd_quotes(data, mark)


def _odd_quotes(data: bytes, mark: bytes) -> bool:
    """Whether a quote may be left open, or be closed before the end of its field."""
    if data.count(b'"') % 2:
        return True
    inside = rb"[^" + mark + rb"\r\n\"]"
    early = inside + rb"\"+" + inside + rb"|(?:^|[" + mark + rb"\r\n])(?:\"\")+" + inside
    return re.search(early, data) is not None
