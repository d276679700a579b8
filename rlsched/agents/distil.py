"""From labels to a policy: what a candidate gains is regressed, and the prior is left only for a clear gain.

The regression is a ridge on the candidate's features and their products with those of the
situation, solved in closed form: a label is mostly noise (one choice changes all that follows),
and networks trained on the same labels fitted that. Leaving the prior wherever a gain is predicted
at all leads to states nobody has labels for; a margin keeps to where it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from rlsched.agents.lookahead import METER, Labels
from rlsched.agents.network import CandidateScorer
from rlsched.agents.spec import LookaheadSpec
from rlsched.agents.validate import Validation, greedy
from rlsched.observe.settings import ObservationSettings
from rlsched.sim.state import State
from rlsched.sim.world import Window, World

F64 = npt.NDArray[np.float64]
_BLOCK = 4096


class Regression:
    """Ridge regression of gains on ``x ⊗ (1, g)``, differences to candidate 0.

    Parameters
    ----------
    network : CandidateScorer
        Whose normaliser is used.
    """

    def __init__(self, network: CandidateScorer) -> None:
        n_candidate, n_global = len(network.candidate_mean), len(network.global_mean)
        self.network = network
        self.shape = (n_candidate, n_global + 1)
        size = n_candidate * (n_global + 1)
        self.square: F64 = np.zeros((size, size))
        self.product: F64 = np.zeros(size)

    def add(self, labels: Labels) -> None:
        """Take labels in."""
        for rows, there in self._blocks(labels):
            x, y = self.features(labels, rows)[there], labels.gain[rows][there].astype(np.float64)
            np.add(self.square, x.T @ x, out=self.square)
            np.add(self.product, x.T @ y, out=self.product)

    def solve(self, ridge: float) -> F64:
        """Coefficients, (F, 1 + G): of the candidate's feature alone, then times each of the situation's."""
        found: F64 = np.linalg.solve(self.square + ridge * np.eye(len(self.product)), self.product).astype(np.float64)
        return found.reshape(self.shape)

    def features(self, labels: Labels, rows: slice) -> F64:
        """``(x − x of candidate 0) ⊗ (1, g)``, (S, K, F · (1 + G))."""
        net = self.network
        x = (labels.candidates[rows] - net.candidate_mean.numpy()) * net.candidate_scale.numpy()
        g = (labels.globals[rows] - net.global_mean.numpy()) * net.global_scale.numpy()
        wide = np.concatenate([np.ones((len(g), 1)), g], axis=1)
        apart = (x - x[:, :1]).astype(np.float64)
        out: F64 = (apart[:, :, :, None] * wide[:, None, None, :]).reshape(*apart.shape[:2], -1)
        return out

    def gain_of(self, coefficients: F64, labels: Labels, margin: float) -> F64:
        """Gain of the best candidate by prediction, the first one unless another leads by the margin, (S,)."""
        flat, parts = coefficients.ravel(), []
        for rows, there in self._blocks(labels):
            predicted = np.where(there, self.features(labels, rows) @ flat, -np.inf)
            predicted[:, 0] = margin
            parts.append(np.take_along_axis(labels.gain[rows], predicted.argmax(axis=1)[:, None], axis=1)[:, 0])
        return np.concatenate(parts).astype(np.float64)

    @staticmethod
    def _blocks(labels: Labels) -> list[tuple[slice, npt.NDArray[np.bool_]]]:
        """Rows a few at a time, with the candidates that count: allowed, and not the first."""
        out = []
        for at in range(0, len(labels), _BLOCK):
            rows = slice(at, min(at + _BLOCK, len(labels)))
            there = labels.action_mask[rows] > 0
            there[:, 0] = False
            out.append((rows, there))
        return out


def judge_on(world: World, windows: Sequence[Window], count: str) -> Validation:
    """Training windows to choose a margin on: what is placed in all, GPUs or CPU."""
    meter, unit = METER[count]

    def placed(_: World, state: State) -> F64:
        found: F64 = state.arrays.counter[:, meter] / unit
        return found

    return Validation(world, windows, f"placed_{count}", placed, "up")


def distil(
    network: CandidateScorer,
    labels: Labels,
    look: LookaheadSpec,
    settings: ObservationSettings,
    judge: Validation,
    progress: Callable[[str], None] | None = None,
) -> dict[str, float]:
    """Put what the labels say into a network; it is changed.

    Parameters
    ----------
    network : CandidateScorer
        With its normaliser fixed. Its coefficients, bonus and ``prior_scale`` (0 then: the prior's
        score is one of the features) are set, the rest is left.
    labels : Labels
        Of the training split. The coefficients are of all; ``held_gain`` is of the last tenth of
        the windows, with coefficients of the others.
    look : LookaheadSpec
    settings : ObservationSettings
        To play with.
    judge : Validation
        Windows of the training split to choose the margin on; of equals the largest.
    progress : callable, optional

    Returns
    -------
    dict
        ``labels``; ``margin``, the chosen one; ``placed_at_M``, mean of what was placed on the
        judge's windows with margin M; ``held_gain`` and ``held_se``: mean gain of a decision over
        the prior's at the chosen margin, and its standard error over windows.
    """
    last = labels.window >= np.quantile(labels.window, 0.9)
    part = Regression(network)
    part.add(labels.take(~last))
    early = part.solve(look.ridge) if (~last).any() else None
    part.add(labels.take(last))
    found = part.solve(look.ridge)
    line: dict[str, float] = {"labels": float(len(labels))}
    for margin in sorted(set(look.margins), reverse=True):
        _put(network, found, margin, look.sharpness)
        line[f"placed_at_{margin:g}"] = float(judge.play(settings, greedy(network)).mean())
    line["margin"] = max(sorted(set(look.margins), reverse=True), key=lambda one: line[f"placed_at_{one:g}"])
    _put(network, found, line["margin"], look.sharpness)
    if early is not None:
        got = part.gain_of(early, labels.take(last), line["margin"])
        # Decisions of one window share what follows: the windows are what is drawn anew.
        windows = labels.take(last).window
        sums = np.array([[got[windows == one].sum(), (windows == one).sum()] for one in np.unique(windows)])
        spread = ((sums[:, 0] - got.mean() * sums[:, 1]) ** 2).sum() ** 0.5 / len(got)
        line |= {"held_gain": float(got.mean()), "held_se": float(spread)}
    if progress is not None:
        shown = ", ".join(f"{key.removeprefix('placed_at_')}: {line[key]:.6g}" for key in line if "placed_at" in key)
        progress(f"distilled {len(labels):,} labels; {judge.metric} a training window by margin: {shown}")
    return line


def _put(network: CandidateScorer, coefficients: F64, margin: float, sharpness: float) -> None:
    with torch.no_grad():
        scaled = torch.from_numpy(coefficients * sharpness).float()
        network.bilinear.bias.copy_(scaled[:, 0])
        network.bilinear.weight.copy_(scaled[:, 1:])
        network.first_bonus.fill_(margin * sharpness)
        network.prior_scale.fill_(0.0)
