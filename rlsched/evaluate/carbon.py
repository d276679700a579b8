"""Carbon of a window: its energy times the mean intensity of the grid while it lasted.

The mean, not the product at each moment: meters hold the energy of a window, not its course. So
policies differ in carbon as they differ in energy; who moves work to a cleaner hour is not told by it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from rlsched.errors import SpecError, did_you_mean
from rlsched.spec import Spec

#: Begin and end of a window, seconds of the trace's clock → g CO2e a kWh, NaN where not known.
Intensity = Callable[[float, float], float]
UNIT = "g/kWh"
STEP_S = 300.0


class CarbonSpec(Spec):
    """``[carbon]`` of a card: a constant, or a signal.

    Parameters
    ----------
    g_per_kwh : float, optional
        The same at all times.
    source : str
        Where that number is from; needed with it.
    signal : str, optional
        Instead: a dataset of signals that ``rlsched traces list`` shows.
    part, zone : str, optional
        Of it; the part is its first by default, the zone is needed.
    from_s : float, seconds
        Moment of the signal that is second 0 of the trace's clock.
    """

    g_per_kwh: float | None = Field(default=None, ge=0)
    source: str = ""
    signal: str = ""
    part: str | None = None
    zone: str = ""
    from_s: float = 0.0

    @model_validator(mode="after")
    def _one_origin(self) -> CarbonSpec:
        if (self.g_per_kwh is None) == (not self.signal):
            raise ValueError("give g_per_kwh with its source, or signal with its zone, one of them")
        if self.g_per_kwh is not None and not self.source:
            raise ValueError("g_per_kwh needs a source: where is that number from")
        if self.signal and not self.zone:
            raise ValueError("signal needs a zone: whose intensity")
        return self

    @property
    def words(self) -> str:
        """Where the intensity is from, for the report."""
        if self.g_per_kwh is not None:
            return f"{self.g_per_kwh:g} g CO2e/kWh at all times: {self.source}"
        begins = f"second 0 of the trace at {self.from_s:g} s of it"
        return f"mean of each window, zone {self.zone} of {self.signal}, {begins}"


def not_known(_start: float, _stop: float) -> float:
    """The intensity where no card names one."""
    return float("nan")


def find_intensity(spec: CarbonSpec | None, data_root: str | Path | None = None) -> Intensity:
    """The intensity a card names; not known (NaN) where it names none.

    Raises
    ------
    SpecError
        A dataset that holds no carbon intensity, or a zone that is not in it.
    MissingDataError
        When the dataset is not on this machine.
    """
    if spec is None:
        return not_known
    if spec.g_per_kwh is not None:
        constant = spec.g_per_kwh
        return lambda _start, _stop: constant
    from rlsched.traces.columns import Signal
    from rlsched.traces.datasets import read_dataset

    read: Any = read_dataset(spec.signal, spec.part, data=data_root)
    if not isinstance(read, Signal) or read.unit != UNIT:
        held = read.unit if isinstance(read, Signal) else type(read).__name__.lower()
        raise SpecError(f"carbon.signal must name a carbon intensity in {UNIT}: {spec.signal!r} holds {held}.")
    zones = [str(one) for one in read.signal_id]
    if spec.zone not in zones:
        raise SpecError(f"carbon.zone: no zone {spec.zone!r} in {spec.signal}.{did_you_mean(spec.zone, zones)}")
    row, signal = zones.index(spec.zone), read

    def mean(start: float, stop: float) -> float:
        if not (np.isfinite(start) and np.isfinite(stop) and stop > start):
            return float("nan")  # time is only an order
        n = max(1, round((stop - start) / STEP_S))
        at = spec.from_s + start + (np.arange(n) + 0.5) * (stop - start) / n
        return float(signal.at(row, at).mean())  # NaN where a part of the window is not known

    return mean
