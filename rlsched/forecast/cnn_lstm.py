"""The CNN-LSTM: parallel dilated convolutions over the window, then an LSTM.

Branches with different dilation rates see patterns at several scales; their outputs are joined,
averaged (and their largest kept) over ``pool`` samples, and read by an LSTM whose last state
goes to the heads of `rlsched.forecast.frame`. Pooling is what makes an LSTM over a day of
5-minute samples cheap: 48 steps and not 288.

The hybrid of parallel dilated convolutions and an LSTM is pCNN-LSTM's (docs/forecast.md names
the source); quantile heads, the anchor at the newest sample, masks and covariates are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlsched.forecast.card import NetworkSpec


class CnnLstm(nn.Module):
    """The body; see the module.

    Parameters
    ----------
    channels_in : int
    length : int
        Samples of the window.
    spec : NetworkSpec
        Without dilations the pooled window goes straight to the LSTM; with ``hidden = 0`` the
        mean, largest and last step of the pooled convolutions go to the heads.
    """

    def __init__(self, channels_in: int, length: int, spec: NetworkSpec) -> None:
        super().__init__()
        self.pool = spec.pool
        self.kernel = spec.kernel
        self.dilations = spec.dilations
        self.front = -length % spec.pool  # so that the newest samples fill a pool of their own
        self.branches = nn.ModuleList(
            nn.Conv1d(channels_in, spec.channels, spec.kernel, dilation=rate) for rate in spec.dilations
        )
        width = 2 * (spec.channels * len(spec.dilations) if spec.dilations else channels_in)
        self.lstm = nn.LSTM(width, spec.hidden, batch_first=True) if spec.hidden else None
        self.features = spec.hidden if spec.hidden else 3 * width

    def forward(self, window: Tensor) -> Tensor:
        """(B, L, C) → (B, features)."""
        x = functional.pad(window.transpose(1, 2), (self.front, 0))  # (B, C, L)
        if self.dilations:
            # Padded in front only: no output sees a later sample.
            seen = [
                functional.relu(conv(functional.pad(x, (rate * (self.kernel - 1), 0))))
                for conv, rate in zip(self.branches, self.dilations, strict=True)
            ]
            x = torch.cat(seen, 1)
        x = torch.cat([functional.avg_pool1d(x, self.pool), functional.max_pool1d(x, self.pool)], 1)
        if self.lstm is None:
            return torch.cat([x.mean(2), x.amax(2), x[:, :, -1]], 1)
        states, _ = self.lstm(x.transpose(1, 2))
        last: Tensor = states[:, -1]
        return last
