"""Dates and times as text → seconds since 1970 (UTC where the text names no zone)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt


def seconds_of(array: Any) -> npt.NDArray[np.float64]:
    """A pyarrow column of ISO 8601 stamps as seconds since 1970; NaN where one is none."""
    import pandas as pd

    text = pd.Series(array.to_numpy(zero_copy_only=False), dtype=object)
    stamps = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    micros = stamps.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    return np.where(np.isnat(micros), np.nan, micros.astype(np.int64) / 1e6)


def second_of(text: str) -> float:
    """One ISO 8601 stamp as seconds since 1970; ValueError holds the rule."""
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("an ISO 8601 date and time") from None
    return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
