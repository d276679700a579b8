"""Training a network: early stopping on validation, resumable after ``kill -9``, the same for the same seed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlsched.forecast import checkpoint as store
from rlsched.forecast.card import ForecastSpec, NetworkSpec
from rlsched.forecast.frame import Frame
from rlsched.forecast.loss import pinball_torch, weighted_quantile_loss, window_weight
from rlsched.forecast.networks import build
from rlsched.forecast.rivals.base import F32, Spread, Tell
from rlsched.forecast.windows import Windows
from rlsched.rng import stream

CHECKPOINT = "checkpoint.npz"
WEIGHTS = "weights.npz"
BATCH = 1024  # windows of one prediction


class NetworkForecaster:
    """A network as a forecaster; see `rlsched.forecast.rivals.base.Forecaster`."""

    def __init__(self, spec: ForecastSpec, body: str, network: NetworkSpec, name: str) -> None:
        self.spec, self.body, self.network, self.name = spec, body, network, name
        self.quantiles = np.array(spec.window.quantiles)
        self.module: Frame = build(body, spec, network, 0)
        self.spread = Spread(self.quantiles) if network.point else None

    def fit(self, train: Windows, validation: Windows, seed: int, folder: Path | None, tell: Tell) -> dict[str, Any]:
        """Train until validation stops getting better; the best epoch's weights stay."""
        torch.set_num_threads(self.spec.training.threads)
        run = _Run(self, train, validation, seed, folder)
        while not run.over:
            run.epoch()
            run.keep()
            tell(f"{self.name} seed {seed}: epoch {run.done}, " + run.state)
        store.put_weights(self.module, run.best)
        self._spread(train)
        return {"epochs": run.done, "best_epoch": run.best_epoch, "validation": run.losses, "seed": seed,
                "parameters": sum(one.numel() for one in self.module.parameters())}  # fmt: skip

    def predict(self, windows: Windows) -> F32:
        """See `Forecaster`."""
        found = self.quantiles_of(windows)
        if self.spread is None:
            return found
        return self.spread.apply(found[..., self.module.middle], windows)

    def quantiles_of(self, windows: Windows) -> F32:
        """What the network itself answers, (B, R, H, Q)."""
        self.module.eval()
        out = []
        with torch.inference_mode():
            for low in range(0, len(windows), BATCH):
                rows = slice(low, low + BATCH)
                past, context = torch.from_numpy(windows.past[rows]), torch.from_numpy(windows.context[rows])
                out.append(self.module(past, context).numpy())
        return np.concatenate(out)

    def save(self, folder: Path) -> None:
        """Weights, and the spread of a point network."""
        arrays = store.pack(store.weights_of(self.module), "weights")
        if self.spread is not None and self.spread.errors is not None:
            arrays["spread"] = self.spread.errors
        store.save_arrays(
            folder / WEIGHTS, arrays, {"body": self.body, "network": self.network.model_dump(mode="json")}
        )

    def restore(self, folder: Path) -> None:
        """Load what :meth:`save` wrote."""
        arrays, _ = store.load_arrays(folder / WEIGHTS)
        store.put_weights(self.module, store.unpack(arrays, "weights"), folder / WEIGHTS)
        if self.spread is not None:
            self.spread.errors = arrays["spread"]

    def _spread(self, train: Windows) -> None:
        if self.spread is not None:
            self.spread.fit(self.quantiles_of(train)[..., self.module.middle], train)


class _Run:
    """One training in progress: everything that a checkpoint holds."""

    def __init__(
        self, owner: NetworkForecaster, train: Windows, validation: Windows, seed: int, folder: Path | None
    ) -> None:
        self.owner, self.train, self.validation, self.seed = owner, train, validation, seed
        self.options = owner.spec.training
        self.path = folder / CHECKPOINT if folder is not None else None
        owner.module = build(owner.body, owner.spec, owner.network, seed)
        self.module = owner.module
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=self.options.learning_rate, weight_decay=self.options.weight_decay
        )
        self.weight = torch.from_numpy(window_weight(train, self.options.loss_power))
        self.validation_weight = window_weight(validation, self.options.loss_power)
        self.past, self.context = torch.from_numpy(train.past), torch.from_numpy(train.context)
        self.future = torch.from_numpy(train.future)
        self.levels = torch.tensor([0.5] if owner.network.point else owner.spec.window.quantiles)
        self.done, self.best_epoch, self.losses = 0, 0, [self._validate()]
        self.best = store.weights_of(self.module)
        self.facts = {"seed": seed, "train": train.sha256, "card": self._card()}
        if self.path is not None and self.path.is_file():
            self._resume(self.path)

    @property
    def over(self) -> bool:
        """Whether no epoch is left, or none got better for too long."""
        return self.done >= self.options.epochs or self.done - self.best_epoch >= self.options.patience

    @property
    def state(self) -> str:
        """For the progress line."""
        return f"validation loss {self.losses[-1]:.5f}, best {min(self.losses):.5f} at epoch {self.best_epoch}"

    def epoch(self) -> None:
        """One pass of ``steps`` batches, drawn from a stream of its own, then validation."""
        options = self.options
        draw = stream(self.seed, "batches", self.done)
        wanted = options.steps * options.batch
        order = np.concatenate([draw.permutation(len(self.train)) for _ in range(-(-wanted // len(self.train)))])[
            :wanted
        ]
        self.module.train()
        for step in range(options.steps):
            at = (self.done + step / options.steps) / options.epochs
            rate = options.learning_rate * (0.05 + 0.95 * (1 + math.cos(math.pi * at)) / 2)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            rows = torch.from_numpy(order[step * options.batch : (step + 1) * options.batch])
            forecast = self.module(self.past[rows], self.context[rows])
            if self.owner.network.point:
                forecast = forecast[..., :1]
            loss = pinball_torch(forecast, self.future[rows], self.levels, self.weight[rows])
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
            self.optimizer.step()
        self.done += 1
        self.losses.append(self._validate())
        if self.losses[-1] < min(self.losses[:-1]):
            self.best_epoch, self.best = self.done, store.weights_of(self.module)

    def keep(self) -> None:
        """Write a checkpoint."""
        if self.path is None:
            return
        arrays = {
            **store.pack(store.weights_of(self.module), "now"),
            **store.pack(self.best, "best"),
            **store.pack(store.optimizer_of(self.optimizer), "optimizer"),
        }
        meta = {"done": self.done, "best_epoch": self.best_epoch, "losses": self.losses, "facts": self.facts}
        store.save_arrays(self.path, arrays, meta)

    def _resume(self, path: Path) -> None:
        arrays, meta = store.load_arrays(path)
        if meta["facts"] != self.facts:
            from rlsched.errors import SpecError

            differs = ", ".join(key for key in self.facts if meta["facts"].get(key) != self.facts[key])
            raise SpecError(
                f"a training goes on only with what it began with: {differs} differs in {path}. "
                "Put it back, or train into another --out."
            )
        store.put_weights(self.module, store.unpack(arrays, "now"), path)
        store.put_optimizer(self.optimizer, store.unpack(arrays, "optimizer"))
        self.best = store.unpack(arrays, "best")
        self.done, self.best_epoch, self.losses = meta["done"], meta["best_epoch"], meta["losses"]

    def _validate(self) -> float:
        """Pinball loss on validation, weighed like the training loss; of the median for a point network."""
        forecast = self.owner.quantiles_of(self.validation)
        levels = self.owner.quantiles
        if self.owner.network.point:
            forecast, levels = forecast[..., :1], np.array([0.5])
        return _weighted_loss(forecast, self.validation, levels, self.validation_weight)

    def _card(self) -> str:
        shown = [self.owner.spec.window.model_dump(mode="json", exclude={"test"}), self.options.model_dump(mode="json")]
        shown.append(self.owner.network.told(self.owner.body))
        shown[1].pop("seeds")
        shown[1].pop("threads")
        return json.dumps([self.owner.body, *shown], sort_keys=True)


def _weighted_loss(forecast: F32, windows: Windows, levels: Any, weight: F32) -> float:
    from rlsched.forecast.loss import pinball

    loss = pinball(forecast, windows.future, levels) * weight[:, :, None, None]
    return float(np.nanmean(loss))


def network(spec: ForecastSpec, name: str) -> NetworkForecaster:
    """A body of `rlsched.forecast.networks.BODIES` in the card's frame."""
    return NetworkForecaster(spec, name, spec.network, name)


def plain_lstm(spec: ForecastSpec, name: str) -> NetworkForecaster:
    """An LSTM that sees the window scaled by its mean and deviation, and nothing else."""
    return NetworkForecaster(spec, "lstm", NetworkSpec(covariates=False, anchor=False), name)


__all__ = ["NetworkForecaster", "network", "plain_lstm", "weighted_quantile_loss"]
