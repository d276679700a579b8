"""Every forecaster by name: rules, fitted models and networks, behind one door.

To add one: a class with ``fit``, ``predict``, ``save`` and ``restore`` (see `base.Forecaster`),
and a line in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from rlsched.forecast.card import ForecastSpec, NetworkSpec
from rlsched.forecast.rivals.base import Forecaster


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Parameters
    ----------
    where : str
        ``module:factory``; the factory takes the card's spec and the name.
    title : str
    trained : bool
        Takes long enough to be kept on disk, and depends on a seed.
    """

    where: str
    title: str
    trained: bool = False

    def build(self, spec: ForecastSpec, name: str) -> Forecaster:
        """A forecaster that was not fitted yet."""
        module, _, factory = self.where.partition(":")
        make: Callable[[ForecastSpec, str], Forecaster] = getattr(import_module(f"rlsched.forecast.{module}"), factory)
        return make(spec, name)


_NETWORK = "train:network"

FORECASTERS: dict[str, Entry] = {
    "persistence": Entry("rivals.naive:make", "the newest sample"),
    "seasonal": Entry("rivals.naive:make", "the sample a day before"),
    "moving_average": Entry("rivals.naive:make", "mean of the newest samples"),
    "ewma": Entry("rivals.naive:make", "exponentially weighted mean"),
    "ets": Entry("rivals.classical:ets", "exponential smoothing with damped trend (statsmodels)"),
    "arima": Entry("rivals.classical:arima", "ARIMA(2, 1, 1) (statsmodels)"),
    "linear_ar": Entry("rivals.linear:make", "linear autoregression, one for all series"),
    "boosted": Entry("rivals.boosted:make", "gradient-boosted quantiles (LightGBM)", trained=True),
    "dlinear": Entry(_NETWORK, "linear maps of trend and remainder", trained=True),
    "mlp": Entry(_NETWORK, "two dense layers", trained=True),
    "maxout": Entry(_NETWORK, "two max-out layers", trained=True),
    "gru": Entry(_NETWORK, "GRU", trained=True),
    "lstm": Entry(_NETWORK, "LSTM, in the same frame as ours", trained=True),
    "lstm_plain": Entry("train:plain_lstm", "LSTM, window scaled and nothing else", trained=True),
    "tcn": Entry(_NETWORK, "dilated convolutions (TCN)", trained=True),
    "cnn_lstm": Entry(_NETWORK, "parallel dilated convolutions, then an LSTM", trained=True),
}


def build(spec: ForecastSpec, name: str) -> Forecaster:
    """The forecaster or ablation of a card by its name."""
    if name in spec.ablations:
        from rlsched.forecast.train import NetworkForecaster

        return NetworkForecaster(spec, "cnn_lstm", spec.ablations[name], name)
    return FORECASTERS[name].build(spec, name)


def is_trained(spec: ForecastSpec, name: str) -> bool:
    """Whether ``rlsched forecast train`` has something to do for it."""
    return name in spec.ablations or FORECASTERS[name].trained


__all__ = ["FORECASTERS", "Entry", "Forecaster", "NetworkSpec", "build", "is_trained"]
