"""``SpotSpec``: the spot markets of a card, from measured prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from rlsched.errors import SpecError, did_you_mean
from rlsched.sim.scaling.options import InstanceType
from rlsched.sim.scaling.spot import on_grid
from rlsched.spec import Spec
from rlsched.traces.columns import Demand, Signal

F64 = npt.NDArray[np.float64]


class SpotSpec(Spec):
    """Where spot prices come from, and when a market is closed.

    Parameters
    ----------
    trace : str
        A dataset of prices in USD/h.
    part : str, optional
        Of the dataset; its first by default.
    markets : table of instance type → market
        Types that are not named are not sold on a spot market.
    shift_s : float, seconds
        Added to the demand's clock: two traces rarely begin on the same day.
    bid : float
        What is bid at most, in prices on demand. While the market's price at the beginning of an interval is above
        it, no spot instance of the type can be had, and those there are taken back.
    """

    trace: str
    part: str | None = None
    markets: dict[str, str]
    shift_s: float = Field(default=0.0, allow_inf_nan=False)
    bid: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @field_validator("markets")
    @classmethod
    def _some(cls, value: dict[str, str]) -> dict[str, str]:
        if not value:
            raise ValueError("must name a market for one instance type at least")
        return value


@dataclass(frozen=True)
class SpotMarkets:
    """Spot prices of every instance type on the grid of a demand.

    Parameters
    ----------
    price_per_h : (K, T) float64, USD/h
        NaN for a type that is not sold there.
    available : (K, T) float64, instances
        Infinite, or 0 while a market is closed.
    source : dict
        For provenance: name, part, SHA-256 by file name.
    """

    price_per_h: F64
    available: F64
    source: dict[str, Any]


def read_spot(
    spec: SpotSpec, types: Sequence[InstanceType], demand: Demand, data_root: str | Path | None = None
) -> SpotMarkets:
    """Read the markets of a card.

    Raises
    ------
    SpecError
        An instance type or a market there is not, a type with a constant spot price of its own, a dataset of
        something else.
    TraceError
        Where a price is not known in an interval.
    MissingDataError
        When the dataset is not on this machine.
    """
    from rlsched.traces.datasets import read_dataset

    names = [kind.name for kind in types]
    for name in spec.markets:
        if name not in names:
            raise SpecError(f"spot.markets: unknown instance type {name!r}.{did_you_mean(name, names)}")
    read = read_dataset(spec.trace, spec.part, data=data_root)
    if not isinstance(read, Signal) or read.unit != "USD/h":
        held = f"a signal in {read.unit}" if isinstance(read, Signal) else type(read).__name__.lower()
        raise SpecError(f"spot.trace must hold prices in USD/h: {spec.trace!r} holds {held}. Try aws-spot-2015.")
    known = [str(one) for one in read.signal_id]
    shape = (len(types), demand.rate.shape[1])
    price, available = np.full(shape, np.nan), np.full(shape, np.inf)
    for k, kind in enumerate(types):
        market = spec.markets.get(kind.name)
        if market is None:
            if kind.spot_price_per_h is not None:
                price[k] = kind.spot_price_per_h
            continue
        if kind.spot_price_per_h is not None:
            raise SpecError(f"{kind.name!r} has both spot_price_per_h and a market in [spot]: leave one out.")
        if market not in known:
            raise SpecError(f"spot.markets: no market {market!r} in {spec.trace}.{did_you_mean(market, known)}")
        price[k] = on_grid(read, known.index(market), demand, spec.shift_s)
        available[k] = np.where(price[k] > spec.bid * kind.price_per_h, 0.0, np.inf)
    files = {Path(path).name: sha for path, sha in read.meta.get("files", {}).items()}
    source = {"role": "spot prices", "name": spec.trace, "part": read.meta["part"], "files": files}
    return SpotMarkets(price, available, source)
