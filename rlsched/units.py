"""Units and conversions. Whole numbers stay whole; nothing is rounded without being told how."""

from __future__ import annotations

import math

MCORE_PER_CORE = 1000
MGPU_PER_GPU = 1000
MIB_PER_GIB = 1024
SECONDS_PER_HOUR = 3600
SECONDS_PER_DAY = 86_400
SECONDS_PER_WEEK = 604_800
CALENDAR_S = 3e8  # an origin before 1979 is a trace's own clock, not a calendar's (Azure V1: 1,800,000)
JOULE_PER_KWH = 3.6e6  # 1 kWh = 1000 W * 3600 s


def whole(value: float, unit: str) -> int:
    """Turn a number that has to be whole into an ``int``.

    Parameters
    ----------
    value : float
        A quantity already in the target unit, e.g. ``1.75 * 1024`` MiB.
    unit : str
        Its unit, for the message.

    Raises
    ------
    ValueError
        When the value is not finite or is further than 1e-6 from a whole number.

    Examples
    --------
    >>> whole(1.75 * 1024, "MiB")
    1792
    """
    if not math.isfinite(value) or abs(value - round(value)) > 1e-6:
        raise ValueError(f"expected a whole number of {unit}: got {value!r}")
    return round(value)


def parse_duration_s(text: str) -> float:
    """Read a duration such as ``2d4h``, ``90m``, ``300`` or ``1.5h`` into seconds.

    Parameters
    ----------
    text : str
        Numbers with the suffixes d, h, m, s in any combination; no suffix means seconds.

    Raises
    ------
    ValueError
        When the text is not of that form.

    Examples
    --------
    >>> parse_duration_s("2d4h")
    187200.0
    """
    import re

    plain = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", plain):
        return float(plain)
    if not re.fullmatch(r"(\d+(\.\d+)?[dhms])+", plain):
        raise ValueError(f"expected a duration such as '2d4h', '90m' or '300': got {text!r}")
    factor = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * factor[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([dhms])", plain))


def format_duration(seconds: float) -> str:
    """Write seconds the way :func:`parse_duration_s` reads them, at most two units.

    Examples
    --------
    >>> format_duration(187_200)
    '2d4h'
    """
    if not math.isfinite(seconds):
        return "for ever"
    left = round(seconds)
    if left < 60:
        return f"{seconds:.3g}s"
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size:
            parts.append(f"{left // size}{unit}")
            left %= size
        elif parts:
            break
        if len(parts) == 2:
            break
    return "".join(parts)
