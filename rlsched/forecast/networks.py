"""The other bodies: MLP, max-out, linear, GRU, LSTM, dilated convolutions (TCN)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlsched.forecast.card import ForecastSpec, NetworkSpec
from rlsched.forecast.cnn_lstm import CnnLstm
from rlsched.forecast.frame import Frame, channels_in
from rlsched.rng import stream_seed

RECURRENT = 48  # newest samples that GRU and LSTM read one by one; a whole day would take six times as long
TCN_SEES = 125  # 1 + 4 * (1 + 2 + 4 + 8 + 16)


class Mlp(nn.Module):
    """Two hidden layers over the flattened window."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.features = 64
        self.layers = nn.Sequential(nn.Linear(channels * length, 96), nn.ReLU(), nn.Linear(96, 64), nn.ReLU())

    def forward(self, window: Tensor) -> Tensor:
        """(B, L, C) → (B, 64)."""
        out: Tensor = self.layers(window.flatten(1))
        return out


class Maxout(nn.Module):
    """Two layers whose units are the largest of four linear pieces (Goodfellow et al., 2013)."""

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.features = 48
        self.first, self.second = nn.Linear(channels * length, 4 * 48), nn.Linear(48, 4 * 48)

    def forward(self, window: Tensor) -> Tensor:
        """(B, L, C) → (B, 48)."""
        x = self.first(window.flatten(1)).reshape(-1, 48, 4).amax(2)
        out: Tensor = self.second(x).reshape(-1, 48, 4).amax(2)
        return out


class DLinear(nn.Module):
    """One linear map of trend and one of remainder (Zeng et al., 2023); no hidden layer.

    With the anchor of the frame, which subtracts the newest sample, it is NLinear and DLinear in one.
    """

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.features = 48
        self.trend, self.rest = nn.Linear(channels * length, 48), nn.Linear(channels * length, 48)

    def forward(self, window: Tensor) -> Tensor:
        """(B, L, C) → (B, 48)."""
        x = window.transpose(1, 2)
        trend = functional.avg_pool1d(functional.pad(x, (24, 0), mode="replicate"), 25, stride=1)
        out: Tensor = self.trend(trend.flatten(1)) + self.rest((x - trend).flatten(1))
        return out


class Recurrent(nn.Module):
    """A GRU or an LSTM over the newest samples."""

    def __init__(self, channels: int, kind: str, hidden: int = 48) -> None:
        super().__init__()
        self.features = hidden
        self.cell = (nn.GRU if kind == "gru" else nn.LSTM)(channels, hidden, batch_first=True)

    def forward(self, window: Tensor) -> Tensor:
        """(B, L, C) → (B, hidden)."""
        states, _ = self.cell(window[:, -RECURRENT:])
        last: Tensor = states[:, -1]
        return last


class Tcn(nn.Module):
    """Stacked dilated causal convolutions with residuals (Bai et al., 2018); sees the newest 125 samples."""

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        self.features = width
        self.rates = (1, 2, 4, 8, 16)
        self.enter = nn.Conv1d(channels, width, 1)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 5, dilation=rate) for rate in self.rates)

    def forward(self, window: Tensor) -> Tensor:
        """(B, L, C) → (B, width)."""
        x = self.enter(window[:, -TCN_SEES:].transpose(1, 2))
        for layer, rate in zip(self.layers, self.rates, strict=True):
            x = x + functional.relu(layer(functional.pad(x, (4 * rate, 0))))
        last: Tensor = x[:, :, -1]
        return last


#: Name → (channels, length, settings) → body with ``features``.
BODIES: dict[str, Callable[[int, int, NetworkSpec], nn.Module]] = {
    "cnn_lstm": CnnLstm,
    "mlp": lambda channels, length, _spec: Mlp(channels, length),
    "maxout": lambda channels, length, _spec: Maxout(channels, length),
    "dlinear": lambda channels, length, _spec: DLinear(channels, length),
    "gru": lambda channels, _length, _spec: Recurrent(channels, "gru"),
    "lstm": lambda channels, _length, _spec: Recurrent(channels, "lstm"),
    "tcn": lambda channels, _length, _spec: Tcn(channels),
}


def build(body: str, spec: ForecastSpec, network: NetworkSpec, seed: int) -> Frame:
    """A network with weights drawn from ``seed``; torch's own generator is left as it was."""
    r, window = len(spec.resources), spec.window
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "weights", body) % 2**63)
        inside = BODIES[body](channels_in(r), window.length, network)
        return Frame(
            inside,
            int(inside.features),  # type: ignore[arg-type]
            r,
            len(window.horizons),
            len(window.quantiles),
            window.quantiles.index(0.5),
            covariates=network.covariates,
            anchor=network.anchor,
            point=network.point,
        )
