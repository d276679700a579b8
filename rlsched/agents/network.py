"""The network: one scorer shared by all candidates, a prior it starts from, a value of the situation.

It knows neither the number of machines nor that of candidates, so a policy trained on 60
machines with 16 candidates also answers for 1,200 with 32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rlsched.observe.features import CANDIDATE_NAMES, GLOBAL_NAMES

MASKED = -1e9  # logit of a masked candidate
_PRIOR = CANDIDATE_NAMES.index("prior")


class CandidateScorer(nn.Module):
    """Logit of every candidate and value of the situation.

    ``logit = prior_scale · (score − best score of the prior heuristic) + first_bonus · [candidate 0]
    + x · (W g + w) + network``, x and g the normalised features of candidate and situation.
    Candidate 0 is the prior heuristic's choice. W, w, the bonus and the last layer of the network
    start at zero, so before the first update the largest logit is that choice, whatever the
    normaliser.

    Parameters
    ----------
    hidden : int
        Width of the two layers of the scorer and of the value network.
    prior_scale : float
        How sharply the prior decides: the larger, the less is explored at the start.
    attention : bool
        Let every candidate also look at the others one by one (one head of dot-product attention over
        the set; Vaswani et al., *Attention is all you need*, 2017), besides at their mean.
    """

    candidate_mean: torch.Tensor
    candidate_scale: torch.Tensor
    global_mean: torch.Tensor
    global_scale: torch.Tensor
    prior_scale: torch.Tensor

    def __init__(self, hidden: int, prior_scale: float, attention: bool = False) -> None:
        super().__init__()
        n_candidate, n_global = len(CANDIDATE_NAMES), len(GLOBAL_NAMES)
        self.register_buffer("candidate_mean", torch.zeros(n_candidate))
        self.register_buffer("candidate_scale", torch.ones(n_candidate))
        self.register_buffer("global_mean", torch.zeros(n_global))
        self.register_buffer("global_scale", torch.ones(n_global))
        self.register_buffer("prior_scale", torch.tensor(float(prior_scale)))
        self.first_bonus = nn.Parameter(torch.zeros(()))
        self.bilinear = nn.Linear(n_global, n_candidate)
        nn.init.zeros_(self.bilinear.weight)
        nn.init.zeros_(self.bilinear.bias)
        self.embed_candidate = nn.Linear(n_candidate, hidden)
        self.embed_global = nn.Linear(n_global, hidden)
        self.embed_context = nn.Linear(hidden, hidden, bias=False)
        self.attention = attention
        if attention:
            self.ask, self.answer, self.tell = (nn.Linear(hidden, hidden) for _ in range(3))
            for layer in (self.ask, self.answer, self.tell):
                nn.init.orthogonal_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.second = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1)
        self.value_first = nn.Linear(n_global + 2 * hidden, hidden)
        self.value_second = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, 1)
        for layer in (self.embed_candidate, self.embed_global, self.embed_context, self.second):
            nn.init.orthogonal_(layer.weight, gain=2**0.5)
        for layer in (self.value_first, self.value_second):
            nn.init.orthogonal_(layer.weight, gain=2**0.5)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)
        nn.init.orthogonal_(self.value.weight, gain=0.1)
        nn.init.zeros_(self.value.bias)

    def normalise_by(self, candidates: npt.NDArray[np.float32], situations: npt.NDArray[np.float32]) -> None:
        """Fix the normaliser: mean 0 and standard deviation 1 over these rows.

        A feature that varied next to nothing is left as it is less its mean: dividing by what is
        almost zero would blow up the first value that differs. One that did not vary at all is not
        seen (scale 0): nothing has been learned about it, so the weights it meets are random.

        Parameters
        ----------
        candidates : (rows, F)
            Of real candidates only.
        situations : (rows, G)
        """
        for name, rows in (("candidate", candidates), ("global", situations)):
            wide = rows.astype(np.float64)
            std, varied = wide.std(axis=0), np.ptp(wide, axis=0) > 0
            scale = np.where(std > 1e-3, 1.0 / np.maximum(std, 1e-3), varied)
            getattr(self, f"{name}_mean").copy_(torch.from_numpy(wide.mean(axis=0)))
            getattr(self, f"{name}_scale").copy_(torch.from_numpy(scale))

    @property
    def unseen(self) -> list[str]:
        """Names of the features that the normaliser strikes out."""
        scales = (*self.candidate_scale.tolist(), *self.global_scale.tolist())
        return [name for name, scale in zip((*CANDIDATE_NAMES, *GLOBAL_NAMES), scales, strict=True) if scale == 0]

    def see_also(self, fitted: CandidateScorer) -> list[str]:
        """Take in features that are struck out here and that another network's normaliser saw vary.

        Their weights are set to zero: what is answered stays as it is, and what they are worth can be learned.

        Returns
        -------
        list of str
            Their names.
        """
        named = []
        with torch.no_grad():
            for kind, names in (("candidate", CANDIDATE_NAMES), ("global", GLOBAL_NAMES)):
                mine, theirs = getattr(self, f"{kind}_scale"), getattr(fitted, f"{kind}_scale")
                new = (mine == 0) & (theirs > 0)
                getattr(self, f"{kind}_mean")[new] = getattr(fitted, f"{kind}_mean")[new]
                mine[new] = theirs[new]
                getattr(self, f"embed_{kind}").weight[:, new] = 0.0
                if kind == "candidate":
                    self.bilinear.weight[new] = 0.0
                    self.bilinear.bias[new] = 0.0
                else:
                    self.bilinear.weight[:, new] = 0.0
                named += [name for name, one in zip(names, new.tolist(), strict=True) if one]
        return named

    def _embed(
        self, candidates: torch.Tensor, situation: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        x = (candidates - self.candidate_mean) * self.candidate_scale  # (N, K, F)
        g = (situation - self.global_mean) * self.global_scale  # (N, G)
        first = self.embed_candidate(x)  # (N, K, H)
        here = mask.to(x.dtype).unsqueeze(-1)  # (N, K, 1)
        rows = torch.relu(first) * here
        mean = rows.sum(dim=1) / torch.clamp(here.sum(dim=1), min=1.0)  # (N, H)
        return x, first, g, mean, rows

    def logits(self, candidates: torch.Tensor, situation: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logit of every candidate, (N, K); ``MASKED`` where the mask is 0."""
        x, first, g, mean, rows = self._embed(candidates, situation, mask)
        around = self.embed_global(g) + self.embed_context(mean)  # (N, H)
        hidden = first + around.unsqueeze(1)
        if self.attention:
            hidden = hidden + self._look_around(rows, mask)
        hidden = torch.relu(hidden)
        hidden = torch.relu(self.second(hidden))
        # In double: its large terms nearly cancel, and every runtime has to find the same sum.
        weight, bias = self.bilinear.weight.double(), self.bilinear.bias.double()
        slopes = nn.functional.linear(g.double(), weight, bias)  # (N, F)
        simple = (x.double() * slopes.unsqueeze(1)).sum(dim=-1).to(x.dtype)  # (N, K)
        return self._with_prior(self.score(hidden).squeeze(-1) + simple, candidates, mask)

    def _look_around(self, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What each candidate makes of the allowed ones, (N, K, H)."""
        alike = self.ask(rows) @ self.answer(rows).transpose(1, 2) / rows.shape[-1] ** 0.5  # (N, K, K)
        there = (mask > 0).unsqueeze(1)
        weights = torch.softmax(torch.where(there, alike, torch.full_like(alike, MASKED)), dim=-1)
        out: torch.Tensor = weights @ self.tell(rows)
        return out

    def values(self, candidates: torch.Tensor, situation: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Value of the situation, (N, 1); defined without any candidate too."""
        _, _, g, mean, rows = self._embed(candidates, situation, mask)
        x = torch.cat([g, mean, rows.amax(dim=1)], dim=1)
        x = torch.relu(self.value_first(x))
        out: torch.Tensor = self.value(torch.relu(self.value_second(x)))
        return out

    def forward(
        self, candidates: torch.Tensor, situation: torch.Tensor, action_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Greedy action (N,) int64 and logits (N, K): what is exported."""
        logits = self.logits(candidates, situation, action_mask)
        return torch.argmax(logits, dim=1), logits

    def _with_prior(self, scores: torch.Tensor, candidates: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        squashed = candidates[:, :, _PRIOR]  # −x / (1 + x), x: how far behind the prior's best
        behind = squashed / torch.clamp(1.0 + squashed, min=1e-6)
        bonus = (torch.arange(scores.shape[1], device=scores.device) == 0).to(scores.dtype) * self.first_bonus
        logits = self.prior_scale * behind + bonus + scores
        return torch.where(mask.to(logits.dtype) > 0, logits, torch.full_like(logits, MASKED))
