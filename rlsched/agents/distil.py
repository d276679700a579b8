"""Distilling: a network learns to take the candidates from which the look ahead found most gain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from rlsched.agents.lookahead import Labels
from rlsched.agents.network import CandidateScorer
from rlsched.agents.spec import LookaheadSpec
from rlsched.rng import stream_seed


def distil(
    network: CandidateScorer,
    labels: Labels,
    look: LookaheadSpec,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> list[dict[str, float]]:
    """Train the scorer on all candidates of every labelled decision; the network is changed.

    The loss is minus the expected gain under the softmax of the logits, a policy gradient over
    all actions at once. It is linear in the gain, so noise of a label costs variance but no bias,
    and where gains say nothing the prior's choice stays. Gains are divided by their standard
    deviation. The value head is not trained.

    Parameters
    ----------
    network : CandidateScorer
        With its normaliser fixed. Its ``prior_scale`` is ``look.prior_scale`` meanwhile; at the
        end all logits are multiplied so that it is what it was: the same greedy choices, less or
        more random draws.
    labels : Labels
        Of the training split. The last tenth of its windows is held out, for the record only.
    look : LookaheadSpec
    seed : int
        Orders the minibatches.
    progress : callable, optional

    Returns
    -------
    list of dict
        A line per epoch: ``gain`` and ``held_gain``, mean gain of the greedy choice over the
        prior's, as :class:`Labels` counts; ``held_se``, its standard error; ``changed``, share of
        decisions that differ from the prior's.
    """
    before = float(network.prior_scale)
    network.prior_scale.fill_(look.prior_scale)
    tensors = [torch.from_numpy(array) for array in (labels.candidates, labels.globals, labels.action_mask)]
    gain = torch.from_numpy(labels.gain)
    scaled = gain / max(float(gain[tensors[2] > 0].std()), 1e-9)
    held = torch.from_numpy(labels.window >= np.quantile(labels.window, 0.9, method="lower"))
    train, rest = torch.nonzero(~held).squeeze(1), torch.nonzero(held).squeeze(1)
    size = min(look.minibatch, len(train))
    order = torch.Generator().manual_seed(stream_seed(seed, "distil") % 2**31)
    optimizer = torch.optim.Adam(network.parameters(), lr=look.learning_rate)
    steps, done, curve = look.epochs * (len(train) // size), 0, []
    for epoch in range(look.epochs):
        shuffled = train[torch.randperm(len(train), generator=order)]
        for at in range(0, len(shuffled) - size + 1, size):
            rows = shuffled[at : at + size]
            optimizer.param_groups[0]["lr"] = look.learning_rate * (1 - done / steps)
            chances = torch.softmax(network.logits(*(one[rows] for one in tensors)), dim=1)
            loss = -(chances * scaled[rows]).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            done += 1
        line = _score(network, tensors, gain, train, "") | _score(network, tensors, gain, rest, "held_")
        curve.append(line)
        if progress is not None:
            progress(
                f"distilled {epoch + 1}/{look.epochs}: gain a decision {line['gain']:+.4g}, "
                f"held out {line['held_gain']:+.4g} ± {1.96 * line['held_se']:.2g}, differs in {line['changed']:.0%}"
            )
    _sharpen(network, before / look.prior_scale)
    return curve


def _score(
    network: CandidateScorer, tensors: list[torch.Tensor], gain: torch.Tensor, rows: torch.Tensor, prefix: str
) -> dict[str, float]:
    if len(rows) == 0:
        return {}
    with torch.no_grad():
        chosen = network.logits(*(one[rows] for one in tensors)).argmax(dim=1)
    got = gain[rows].gather(1, chosen[:, None]).squeeze(1)
    return {
        f"{prefix}gain": float(got.mean()),
        f"{prefix}se": float(got.std() / len(got) ** 0.5),
        f"{prefix}changed": float((chosen != 0).double().mean()),
    }


def _sharpen(network: CandidateScorer, factor: float) -> None:
    """Multiply every logit."""
    with torch.no_grad():
        network.prior_scale.mul_(factor)
        network.score.weight.mul_(factor)
        network.score.bias.mul_(factor)
