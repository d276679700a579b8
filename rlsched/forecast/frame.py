"""The frame every network sits in: scaling per window, a mask for what is missing, quantile heads.

A *body* turns a scaled window into features. The frame does what is alike for all of them, so a
comparison of bodies compares bodies: it scales each window by its own level and deviation,
tells the body which samples are missing, makes quantiles that cannot cross, and undoes the
scaling. All of it lies inside the exported graph.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlsched.forecast.windows import CONTEXT

FLOOR = 0.001  # a thousandth of the request, or of the mean rate: less movement than this is no movement
RECENT = (3, 12, 36)  # samples over which recent movement is measured
LINEAR = 48  # samples the linear path sees
MEDIANS = (5, 12, 36)  # samples whose median is an anchor
ANCHORS = 3 + len(RECENT) + len(MEDIANS)
ANCHOR_FEATURES = 3 + 2 * len(RECENT) + ANCHORS


class Frame(nn.Module):
    """A body with everything around it.

    Parameters
    ----------
    body : nn.Module
        ``(B, L, C) -> (B, body.features)``; C is `channels_in` of the number of resources.
    n_resources, n_horizons, n_quantiles : int
    middle : int
        Row of the median among the quantiles.
    covariates, anchor, point : bool
        See `NetworkSpec`.
    """

    def __init__(
        self,
        body: nn.Module,
        features: int,
        n_resources: int,
        n_horizons: int,
        n_quantiles: int,
        middle: int,
        *,
        covariates: bool = True,
        anchor: bool = True,
        point: bool = False,
        hidden: int = 96,
    ) -> None:
        super().__init__()
        self.body = body
        self.shape = (n_resources, n_horizons, n_quantiles)
        self.middle = middle
        self.covariates, self.anchor, self.point = covariates, anchor, point
        extra = (n_resources * ANCHOR_FEATURES if anchor else 0) + (4 + 3 if covariates else 0)
        self.mix = nn.Sequential(nn.Linear(features + extra, hidden), nn.ReLU())
        self.steps = 1 if point else n_quantiles
        self.wide = self.steps + (1 + ANCHORS if anchor else 0)
        self.head = nn.Linear(hidden, n_resources * n_horizons * self.wide)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        if anchor:
            self.linear = nn.Linear(LINEAR, n_horizons, bias=False)
            nn.init.zeros_(self.linear.weight)

    def forward(self, past: Tensor, context: Tensor) -> Tensor:
        """(B, L, R) past and (B, 4) context → (B, R, H, Q) load; the median alone repeated when ``point``."""
        b = past.shape[0]
        r, h, q = self.shape
        missing = torch.isnan(past)
        mask = (~missing).to(past.dtype)
        x = torch.where(missing, torch.zeros_like(past), past)
        count = mask.sum(1)  # (B, R)
        whole = count.clamp(min=1.0)
        level = x.sum(1) / whole
        spread = (((x - level[:, None]) * mask) ** 2).sum(1) / whole
        scale = torch.sqrt(spread + FLOOR**2)
        last = _last(x, mask)
        origin = last if self.anchor else level
        z = (x - origin[:, None]) / scale[:, None] * mask  # (B, L, R)
        parts = [self.body(torch.cat([_asinh(z), mask], 2))]
        if self.anchor:
            anchors = self._anchors(x, mask, level, last)  # (B, R, H, A), in units of scale from the newest sample
            anchors = (anchors - last[:, :, None, None]) / scale[:, :, None, None]
            parts += [
                self._features(x, mask, scale, last, count / past.shape[1]),
                _asinh(anchors[:, :, 0]).flatten(1),
            ]
        if self.covariates:
            parts.append(_calendar(context))
        out = self.head(self.mix(torch.cat(parts, 1))).reshape(b, r, h, self.wide)
        centre = out[..., :1]
        if self.anchor:
            near = z[:, -LINEAR:].transpose(1, 2)  # (B, R, 48)
            if near.shape[2] < LINEAR:
                near = functional.pad(near, (LINEAR - near.shape[2], 0))
            # A quiet load is met exactly by one of the anchors; the gate keeps the rest out of its way.
            free = torch.sigmoid(out[..., 1:2]) * (centre + self.linear(near)[..., None])
            weight = torch.softmax(out[..., 2 : 2 + ANCHORS], 3)
            centre = (weight * anchors).sum(3, keepdim=True) + free
        if self.point:
            quantiles = centre.expand(b, r, h, q)
        else:
            steps = functional.softplus(out[..., self.wide - q + 1 :] - 2.0)  # begins as narrow intervals
            below = torch.flip(torch.cumsum(torch.flip(steps[..., : self.middle], [3]), 3), [3])
            above = torch.cumsum(steps[..., self.middle :], 3)
            quantiles = torch.cat([centre - below, centre, centre + above], 3)
        load = origin[:, :, None, None] + scale[:, :, None, None] * quantiles
        shown: Tensor = load if self.training else load.clamp(min=0.0)  # a load is not negative
        return shown

    def _anchors(self, x: Tensor, mask: Tensor, level: Tensor, last: Tensor) -> Tensor:
        """Plain forecasts to lean on, (B, R, H, A): newest, means, medians, level, and the window's own beginning.

        In a window of one day the beginning is the load a day before the target.
        """
        h = self.shape[1]
        parts = [last, level]
        parts += [(x * mask)[:, -n:].sum(1) / mask[:, -n:].sum(1).clamp(min=1.0) for n in RECENT]
        held = torch.where(mask > 0, x, last[:, None].expand_as(x))
        parts += [torch.sort(held[:, -n:], dim=1)[0][:, n // 2] for n in MEDIANS]
        same = torch.stack(parts, 2)[:, :, None].expand(-1, -1, h, -1)
        first = held[:, :h].transpose(1, 2)
        if first.shape[2] < h:
            first = functional.pad(first, (0, h - first.shape[2]), mode="replicate")
        return torch.cat([same, first[..., None]], 3)

    def _features(self, x: Tensor, mask: Tensor, scale: Tensor, last: Tensor, known: Tensor) -> Tensor:
        """Deviation, newest sample and recent movement of each resource, (B, R * (3 + 2 * len(RECENT)))."""
        parts = [torch.log(scale / FLOOR), torch.log(last + 0.01), known]
        away = torch.abs(x - last[:, None]) * mask
        jump = torch.abs(x[:, 1:] - x[:, :-1]) * mask[:, 1:] * mask[:, :-1]
        for n in RECENT:
            parts.append(torch.log(away[:, -n:].sum(1) / mask[:, -n:].sum(1).clamp(min=1.0) / scale + 0.01))
            pairs = (mask[:, 1:] * mask[:, :-1])[:, -n:].sum(1).clamp(min=1.0)
            parts.append(torch.log(jump[:, -n:].sum(1) / pairs / scale + 0.01))
        return torch.cat(parts, 1)


def channels_in(n_resources: int) -> int:
    """Columns a body sees: scaled load and mask of every resource."""
    return 2 * n_resources


def _last(x: Tensor, mask: Tensor) -> Tensor:
    """The newest measured sample of each resource, 0 where none was, (B, R)."""
    position = torch.arange(1, x.shape[1] + 1, dtype=x.dtype, device=x.device)[None, :, None]
    newest = (mask * position).argmax(1, keepdim=True)
    return x.gather(1, newest)[:, 0]


def _asinh(x: Tensor) -> Tensor:
    """Logarithm on both sides of 0; torch's own has no ONNX twin in the tracing exporter."""
    return torch.sign(x) * torch.log(torch.abs(x) + torch.sqrt(x * x + 1.0))


def _calendar(context: Tensor) -> Tensor:
    angle = context[:, :2] * (2.0 * torch.pi)
    unknown = torch.isnan(context[:, 2:3])
    cores = torch.where(unknown, torch.zeros_like(context[:, 2:3]), context[:, 2:3])
    rest = [cores / 4.0, unknown.to(context.dtype), context[:, len(CONTEXT) - 1 :] / 6.0]
    return torch.cat([torch.sin(angle), torch.cos(angle), *rest], 1)
