"""A table of forecasts: for every series and tick, quantiles of the load some steps ahead.

Environments and policies read this table; no forecaster runs inside their loop.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, TraceError

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

SCHEMA = 1  # of the saved file


@dataclass(frozen=True, eq=False)
class ForecastTable:
    """Quantile forecasts at every tick, made before that tick.

    Parameters
    ----------
    name : str
        Of the forecaster, e.g. ``"ewma"``.
    step_s : int
        Seconds a tick, ``> 0``.
    horizons : (H,) int64
        Steps ahead, ascending, ``>= 0``; horizon 0 is the coming interval.
    quantiles : (Q,) float64
        Ascending, strictly between 0 and 1.
    values : (S, T, H, Q) float32, unit of the series
        ``values[s, t, h, q]`` was made from samples strictly before ``t`` and speaks about the load
        of interval ``t + horizons[h]``. Never descends along ``q``. All NaN at a tick before
        which nothing of the series was measured.
    sha256 : str
        Of all of the above; computed when left empty.
    """

    name: str
    step_s: int
    horizons: I64
    quantiles: F64
    values: F32
    sha256: str = ""

    def __post_init__(self) -> None:
        horizons, quantiles = check_horizons(self.horizons), check_quantiles(self.quantiles)
        values = np.ascontiguousarray(self.values, dtype=np.float32)
        if values.ndim != 4 or values.shape[2:] != (horizons.size, quantiles.size):
            raise TraceError(
                f"values must have shape (series, ticks, {horizons.size} horizons, {quantiles.size} quantiles): "
                f"got {values.shape} in forecast table {self.name!r}."
            )
        if self.step_s <= 0:
            raise TraceError(f"step_s must be > 0: got {self.step_s} in forecast table {self.name!r}.")
        # One series at a time, so that a large table is not held twice.
        for s in range(values.shape[0]):
            bad = np.argwhere(np.isinf(values[s]) | (np.diff(values[s], axis=-1, prepend=values[s, ..., :1]) < 0))
            if bad.size:
                t, h = (int(one) for one in bad[0][:2])
                raise TraceError(
                    f"values must be finite or NaN and not descend along the quantiles: got {values[s, t, h].tolist()} "
                    f"at series {s}, tick {t}, horizon {horizons[h]} of forecast table {self.name!r}. "
                    "Sort the quantiles where they cross."
                )
        for array in (horizons, quantiles, values):
            array.flags.writeable = False
        put = object.__setattr__
        put(self, "horizons", horizons)
        put(self, "quantiles", quantiles)
        put(self, "values", values)
        found = self._hash()
        if self.sha256 and self.sha256 != found:
            raise TraceError(
                f"forecast table {self.name!r} is damaged: its hash is {found[:12]}… and should be "
                f"{self.sha256[:12]}…. Make the table again."
            )
        put(self, "sha256", found)

    def _hash(self) -> str:
        head = [SCHEMA, self.name, int(self.step_s), self.horizons.tolist(), self.quantiles.tolist()]
        digest = hashlib.sha256(json.dumps([*head, list(self.values.shape)]).encode())
        digest.update(self.values.data)
        return digest.hexdigest()

    def __len__(self) -> int:
        """Number of series."""
        return int(self.values.shape[0])

    def save(self, path: Path) -> None:
        """Write the table to an ``.npz`` file; it appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        head = {"schema": SCHEMA, "name": self.name, "step_s": int(self.step_s), "sha256": self.sha256}
        try:
            with partial.open("wb") as file:
                np.savez(
                    file, head=json.dumps(head), horizons=self.horizons, quantiles=self.quantiles, values=self.values
                )
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> ForecastTable:
        """Read what :meth:`save` wrote, and check its hash.

        Raises
        ------
        TraceError
            Not there, not such a file, of another schema, or damaged.
        """
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                head: dict[str, Any] = json.loads(str(file["head"]))
                if head.get("schema") != SCHEMA:
                    raise TraceError(
                        f"forecast table must have schema {SCHEMA}: got {head.get('schema')} in {path}. Make it again."
                    )
                columns = (file["horizons"], file["quantiles"], file["values"])
                return cls(str(head["name"]), int(head["step_s"]), *columns, sha256=str(head["sha256"]))
        except FileNotFoundError:
            raise TraceError(f"no forecast table at {path}. Make one with rlsched.forecast.simple.") from None
        except (OSError, ValueError, KeyError, EOFError, TypeError) as error:
            raise TraceError(f"{path} is not a forecast table of ours: {error}. Make it again.") from None
        except Exception as error:  # zipfile and zlib raise errors of their own on damaged bytes
            if isinstance(error, TraceError):
                raise
            raise TraceError(f"{path} is not a readable forecast table: {error}. Make it again.") from None


def check_horizons(horizons: Any) -> I64:
    """Ascending whole numbers ``>= 0`` as (H,) int64, or a SpecError."""
    found = np.asarray(horizons)
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iu":
        raise SpecError(f"horizons must be whole numbers of steps, at least one: got {horizons!r}.")
    if found.min() < 0 or (np.diff(found) <= 0).any():
        raise SpecError(f"horizons must be >= 0 and ascend (0 is the coming interval): got {found.tolist()}.")
    return found.astype(np.int64)


def check_quantiles(quantiles: Any) -> F64:
    """Ascending numbers strictly between 0 and 1 as (Q,) float64, or a SpecError."""
    try:
        found = np.asarray(quantiles, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecError(f"quantiles must be numbers between 0 and 1: got {quantiles!r}.") from None
    if found.ndim != 1 or found.size == 0 or not ((found > 0) & (found < 1)).all() or (np.diff(found) <= 0).any():
        raise SpecError(f"quantiles must ascend strictly between 0 and 1, at least one: got {found.tolist()}.")
    return found.copy()
