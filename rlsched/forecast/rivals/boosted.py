"""Gradient-boosted quantiles with LightGBM: one booster a quantile, the horizon as a feature."""

# ruff: noqa: ARG002 - the door is the same for all, so some arguments go unused
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rlsched.errors import MissingDataError, SpecError
from rlsched.forecast.card import ForecastSpec
from rlsched.forecast.loss import SMALL, variability
from rlsched.forecast.rivals.base import F32, F64, Tell, filled
from rlsched.forecast.rng_rows import sample_rows
from rlsched.forecast.windows import Windows
from rlsched.rng import stream_seed
from rlsched.units import SECONDS_PER_DAY

LAGS = 12
ROWS = 80_000  # (window, resource, horizon) rows a booster learns from
PARAMETERS = {
    "objective": "quantile",
    "num_leaves": 31,
    "learning_rate": 0.08,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class Boosted:
    """Change from the newest sample, in units of the window's movement."""

    def __init__(self, spec: ForecastSpec, rounds: int = 150) -> None:
        self.spec = spec
        self.quantiles = np.array(spec.window.quantiles)
        self.rounds = rounds
        self.boosters: list[Any] = []

    def fit(self, train: Windows, validation: Windows, seed: int, folder: Path | None, tell: Tell) -> dict[str, Any]:
        """See `Forecaster`; the number of trees is chosen on validation, by early stopping."""
        lightgbm = _lightgbm()
        x, y, w = self._table(train, seed)
        vx, vy, vw = self._table(validation, 0)
        data = lightgbm.Dataset(x, y, weight=w, free_raw_data=False)
        other = lightgbm.Dataset(vx, vy, weight=vw, reference=data, free_raw_data=False)
        self.boosters = []
        for q in self.quantiles:
            parameters = {**PARAMETERS, "alpha": float(q), "seed": stream_seed(seed, "boosted") % 2**31}
            stop = lightgbm.early_stopping(15, verbose=False)
            booster = lightgbm.train(parameters, data, self.rounds, valid_sets=[other], callbacks=[stop])
            self.boosters.append(booster)
            tell(f"boosted: quantile {q:g}, {booster.best_iteration} trees")
        return {"trees": [int(one.best_iteration) for one in self.boosters]}

    def predict(self, windows: Windows) -> F32:
        """See `Forecaster`; quantiles that cross are sorted, and a load is not negative."""
        features, last, unit = self._features(windows)
        b, r, f = features.shape
        horizons = np.array(windows.horizons, np.float32)
        out = np.empty((b, r, horizons.size, self.quantiles.size), np.float32)
        for k, ahead in enumerate(horizons):
            x = np.concatenate([features, np.full((b, r, 1), ahead, np.float32)], axis=2).reshape(b * r, f + 1)
            for q, booster in enumerate(self.boosters):
                out[:, :, k, q] = booster.predict(x, num_threads=1).reshape(b, r)
        out = np.sort(out, axis=3)
        load: F32 = np.maximum(last[..., None, None] + unit[..., None, None] * out, 0).astype(np.float32)
        return load

    def save(self, folder: Path) -> None:
        """One text file a quantile."""
        for q, booster in enumerate(self.boosters):
            booster.save_model(str(folder / f"booster-{q}.txt"), num_iteration=booster.best_iteration)

    def restore(self, folder: Path) -> None:
        """Load what :meth:`save` wrote."""
        lightgbm = _lightgbm()
        paths = [folder / f"booster-{q}.txt" for q in range(self.quantiles.size)]
        for path in paths:
            if not path.is_file():
                raise SpecError(f"there is no booster at {path}. Train again with 'rlsched forecast train'.")
        self.boosters = [lightgbm.Booster(model_file=str(path)) for path in paths]

    def _table(self, windows: Windows, seed: int) -> tuple[F32, F32, F32]:
        features, last, unit = self._features(windows)
        b, r, f = features.shape
        h = len(windows.horizons)
        target = (windows.future.transpose(0, 2, 1) - last[..., None]) / unit[..., None]  # (B, R, H)
        known = np.flatnonzero(np.isfinite(target) & np.isfinite(windows.past[:, -1, :])[..., None])
        rows = known[sample_rows(known.size, ROWS, seed, "boosted rows")]
        at, h_at = rows // h, rows % h
        x = np.column_stack([features.reshape(b * r, f)[at], np.array(windows.horizons, np.float32)[h_at]])
        weight = (unit.reshape(-1)[at]) ** (1 - self.spec.training.loss_power)
        return x.astype(np.float32), target.reshape(-1)[rows].astype(np.float32), weight.astype(np.float32)

    def _features(self, windows: Windows) -> tuple[F32, F64, F64]:
        x = filled(windows.past)  # (B, R, L)
        last = x[:, :, -1]
        unit = variability(windows.past) + SMALL
        change = (x - last[..., None]) / unit[..., None]
        parts = [change[:, :, -LAGS - 1 : -1]]
        stats = [np.log(unit), np.log(last + 0.01)]
        for n in (LAGS, 36, x.shape[2]):
            stats += [change[:, :, -n:].mean(2), change[:, :, -n:].max(2), change[:, :, -n:].min(2)]
            stats.append(np.abs(np.diff(change[:, :, -n:], axis=2)).mean(2))
        length = x.shape[2]
        day = np.round(SECONDS_PER_DAY / windows.step_s).astype(np.int64)
        for ahead in (0, len(windows.horizons) // 2, windows.horizons[-1]):
            at = length + ahead - day
            there = np.take_along_axis(change, np.clip(at, 0, length - 1)[:, None, None], axis=2)[:, :, 0]
            stats.append(np.where((at >= 0)[:, None] & (at < length)[:, None], there, np.nan))
        parts.append(np.stack(stats, axis=2))
        r = x.shape[1]
        parts.append(np.repeat(windows.context[:, None, :], r, axis=1).astype(np.float64))
        parts.append(np.broadcast_to(np.arange(r)[None, :, None], (len(x), r, 1)).astype(np.float64))
        return np.concatenate(parts, axis=2).astype(np.float32), last, unit


def make(spec: ForecastSpec, _name: str) -> Boosted:
    """For the table."""
    return Boosted(spec)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise MissingDataError(
            "the rival 'boosted' needs LightGBM: it is not installed. "
            "Install rlsched[forecast], or leave it out of 'forecasters'."
        ) from None
    return lightgbm
