"""The door of heuristics and of learned policies: how each chooses, and how each explains itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError, SpecError
from rlsched.observe.features import CANDIDATE_NAMES
from rlsched.policies.library.cluster import Cluster
from rlsched.policies.library.decide import Choice, Decision, Door, plain_devices, scored_devices
from rlsched.policies.library.explain import Explanation
from rlsched.policies.library.memory import Memory
from rlsched.policies.library.observe import TOUCHED, Looker, View
from rlsched.policies.library.request import Request
from rlsched.policies.library.rules import PLAIN_RULES, part_of
from rlsched.policies.library.terms import Terms, terms_of

#: Candidates that a heuristic's explanation shows.
SHOWN = 10
#: Features that an explanation names.
NAMED = 6
#: What a heuristic that measures no fragmentation needs.
_PLAIN = Terms()


class HeuristicDoor(Door):
    """Heuristics as a library; see :class:`Door`."""

    name: str
    weights: Mapping[str, float]
    choice: Any
    devices: Any
    shape: tuple[tuple[float, float], ...]

    def library_terms(self, typical: Any) -> Terms:
        """Plain, or with the caller's typical requests; whatever has GPUs is measured in GPUs."""
        needs = {"fgd", "fragmentation"} & set(self.weights)
        if typical is None:
            if needs:
                raise SpecError(
                    f"policy {self.name!r} measures fragmentation: pass typical=typical_requests(trace) of "
                    "rlsched.sim.fragmentation, made of past requests."
                )
            return _PLAIN
        measured = Terms().with_typical(typical, "gpu")
        return measured if (measured.typical_i[:, 2] > 0).any() else Terms().with_typical(typical, "cpu")

    def concerns(self, r: Request, assumed: str) -> bool:
        """Only what its rules look at."""
        told = {"busy_for_s": "lifetime", "oldest_task_s": "lifetime", "gpu_kinds": "gpu_clustering"}
        for column, rule in told.items():
            if assumed.startswith(f"no column {column}:"):
                return rule in self.weights
        if assumed.startswith(("no column in_use_s:", "no waited_s ", "no time_s ")):
            return False
        return r.gpus > 0 and assumed.startswith(("no column gpu_count:", "no column gpu_model:"))

    def choose(self, cluster: Cluster, r: Request, told: Mapping[str, float], terms: Terms, **how: Any) -> Choice:  # noqa: ARG002 - the situation is no part of a rule
        """By the weighted sum of the rules, or as the heuristic's definition says; lowest row on ties."""
        unknown = [key for key in how if key not in ("last", "seed")]
        if unknown:
            raise PolicyError(f"unknown argument {unknown[0]!r}. Known besides request and machines: last, seed.")
        memory = self._memory(terms)
        total, able = memory.scores(cluster, r)
        rows = np.flatnonzero(able)
        if not rows.size:
            return Choice(-1, float("nan"))
        draw = self._generator(how) if self.choice == "random" or self.devices == "random" else None
        if self.choice == "score":
            row = int(total[0].argmax())
        elif draw is not None:
            row = int(draw.choice(rows))
        else:
            row = self._next(rows, len(cluster), how)
        return Choice(row, float(total[0, row]), self._devices(cluster, memory, r, row, draw))

    def account(
        self, cluster: Cluster, r: Request, told: Mapping[str, float], terms: Terms, decision: Decision, against: Any
    ) -> Explanation:
        """Scores by rule of the best few machines, and what another heuristic would have done."""
        other = _heuristic(against or "best_fit")
        theirs = other._place(cluster, r, told, terms, (), _how(other))
        if not decision:
            return Explanation(self.name, decision, other.name, theirs, (), ())
        mine = self._memory(terms).scores(cluster, r)[0][0]
        its = other._memory(terms).scores(cluster, r)[0][0]
        scale = self._memory(terms).look(cluster)
        order = np.lexsort((np.arange(len(mine)), -mine))[:SHOWN]
        order = order[mine[order] > -np.inf]
        parts = {rule: PLAIN_RULES[rule](scale, part_of(cluster, order), r) for rule in self.weights}
        candidates = [
            {
                "machine_id": cluster.ids[row],
                "row": int(row),
                "equal": int(self._memory(terms).alike(cluster, int(row)).sum()),
                "score": float(mine[row]),
                "heuristic_score": float(its[row]),
                **{rule: float(values[at]) for rule, values in parts.items()},
            }
            for at, row in enumerate(order)
        ]
        return Explanation(
            self.name, decision, other.name, theirs, candidates, self._differences(cluster, r, terms, decision, theirs)
        )

    def _differences(self, cluster: Cluster, r: Request, terms: Terms, a: Decision, b: Decision) -> list[str]:
        if a.row == b.row or not self.weights:
            return []
        scale = self._memory(terms).look(cluster)
        both = part_of(cluster, np.array([a.row, b.row]))
        gains = {}
        for rule, weight in self.weights.items():
            values = PLAIN_RULES[rule](scale, both, r)
            gains[rule] = (weight * float(values[0] - values[1]), float(values[0]), float(values[1]))
        ranked = sorted(gains.items(), key=lambda one: -abs(one[1][0]))
        return [
            f"{rule}: {mine:.4g} on {a.machine_id}, {theirs:.4g} on {b.machine_id}: {part:+.4g} for {a.machine_id}"
            for rule, (part, mine, theirs) in ranked
            if part
        ] or ["equal scores: the lower row wins"]

    def _memory(self, terms: Terms) -> Memory:
        kept: tuple[Terms, Memory] | None = self.__dict__.get("_library")
        if kept is None or not _same_terms(kept[0], terms):
            kept = (terms, Memory([self.weights], terms, self.shape))
            object.__setattr__(self, "_library", kept)  # scratch of a frozen description
        return kept[1]

    def _devices(self, cluster: Cluster, memory: Memory, r: Request, row: int, draw: Any) -> tuple[int, ...]:
        if self.devices == "random" and r.shared:
            return (int(draw.choice(np.flatnonzero(cluster.device[row] >= r.mgpu))),)
        if self.devices == "score" and memory.scale is not None:
            return scored_devices(cluster, memory.scale, r, row, "fgd" in self.weights)
        return plain_devices(cluster, r, row)

    def _generator(self, how: Mapping[str, Any]) -> np.random.Generator:
        seed = how.get("seed")
        if isinstance(seed, np.random.Generator):
            return seed
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise PolicyError(
                f"policy {self.name!r} draws random numbers: pass seed, a whole number >= 0 or a numpy Generator "
                f"(a number draws the same each time): got {seed!r}."
            )
        from rlsched.rng import stream

        return stream(seed, "library", self.name)

    def _next(self, rows: npt.NDArray[np.intp], n: int, how: Mapping[str, Any]) -> int:
        last = how.get("last")
        if isinstance(last, bool) or not isinstance(last, (int, np.integer)) or not -1 <= last < n:
            raise PolicyError(
                f"policy {self.name!r} goes on from the machine chosen last: pass last, its row, or -1 at the "
                f"beginning: got {last!r}."
            )
        first = max(int(last) + (self.choice == "round_robin"), 0) % n
        return int(rows[np.argmin((rows - first) % n)])


class LearnedDoor(Door):
    """Learned placement policies as a library; see :class:`Door`."""

    name: str
    metadata: dict[str, Any]
    settings: Any
    _looker: tuple[Any, Looker] | None = None

    def library_terms(self, typical: Any) -> Terms:
        """Those of the policy file, with the caller's typical requests where they are given."""
        if self._looker is not None and self._looker[0] is typical:
            return self._looker[1].terms
        terms = terms_of(self.metadata, f"policy {self.name!r}")
        if typical is not None and terms.fragmentation != "none":
            terms = terms.with_typical(typical, terms.fragmentation)
        self._looker = (typical, Looker(self.settings, terms))
        return terms

    def concerns(self, r: Request, assumed: str) -> bool:  # noqa: ARG002
        """Only what touches a field that it reads."""
        touched = next((names for words, names in TOUCHED.items() if assumed.startswith(words)), None)
        return touched is None or not self.reads.isdisjoint(touched)

    @cached_property
    def reads(self) -> frozenset[str]:
        """Names of the fields that it reads."""
        return frozenset((*self.metadata["candidate_features"], *self.metadata["global_features"]))

    def choose(self, cluster: Cluster, r: Request, told: Mapping[str, float], terms: Terms, **how: Any) -> Choice:  # noqa: ARG002 - its looker holds them
        """The candidate with the largest logit."""
        if how:
            raise PolicyError(f"unknown argument {sorted(how)[0]!r} for policy {self.name!r}.")
        looker = self._look()
        view = looker.look(cluster, r, told)
        if not view.rows.size:
            return Choice(-1, float("nan"))
        logits = self.logits(view.observation)[0]
        at = int(logits.argmax())
        row = int(view.rows[at])
        return Choice(row, float(logits[at]), self._devices(cluster, looker, r, row))

    def account(
        self, cluster: Cluster, r: Request, told: Mapping[str, float], terms: Terms, decision: Decision, against: Any
    ) -> Explanation:
        """Logits of the candidates, what the prior would have done, and which features make the difference."""
        other = _heuristic(against) if against is not None else self.prior
        theirs = other._place(cluster, r, told, terms, (), _how(other))
        if not decision:
            return Explanation(self.name, decision, other.name, theirs, (), ())
        view = self._look().look(cluster, r, told)
        logits = self.logits(view.observation)[0]
        its = other._memory(terms).scores(cluster, r)[0][0]
        order = np.argsort(-logits[: view.rows.size], kind="stable")
        candidates = [
            {
                "machine_id": cluster.ids[view.rows[at]],
                "row": int(view.rows[at]),
                "equal": int(view.equal[at]),
                "score": float(logits[at]),
                "heuristic_score": float(its[view.rows[at]]),
                **dict(zip(CANDIDATE_NAMES, view.observation["candidates"][0, at].tolist(), strict=True)),
            }
            for at in order
        ]
        return Explanation(
            self.name, decision, other.name, theirs, candidates, self._differences(view, decision, theirs)
        )

    @property
    def prior(self) -> Any:
        """The heuristic that learning started from."""
        from rlsched.policies.blend import blend
        from rlsched.policies.heuristic import Heuristic

        weights = {rule: weight for rule, weight in self.settings.prior.items() if weight}
        return blend(weights, devices=self.settings.devices) if weights else Heuristic("first_fit")

    def logits(self, observation: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Score of every candidate, (N, K) float32."""
        raise NotImplementedError

    def _differences(self, view: View, a: Decision, b: Decision) -> list[str]:
        """Give the chosen candidate the other's value, feature by feature, and see what its lead loses."""
        if a.row == b.row:
            return []
        if b.row not in view.rows:
            return [f"{b.machine_id} is not among the candidates: neither it nor one in equal state was shortlisted"]
        mine, its = (int(np.flatnonzero(view.rows == row)[0]) for row in (a.row, b.row))
        seen = view.observation
        rows = seen["candidates"][0]
        read = np.isin(CANDIDATE_NAMES, list(self.reads))
        differ = np.flatnonzero((rows[mine] != rows[its]) & read)
        if not differ.size:
            return ["both look the same to the network: the first candidate wins"]
        n = differ.size
        swapped = np.repeat(seen["candidates"], n + 1, axis=0)
        swapped[np.arange(n), mine, differ] = rows[its, differ]
        batch = {
            "candidates": swapped,
            "globals": np.repeat(seen["globals"], n + 1, axis=0),
            "action_mask": np.repeat(seen["action_mask"], n + 1, axis=0),
        }
        logits = self.logits(batch).astype(np.float64)
        lead = logits[:, mine] - logits[:, its]
        lost = lead[-1] - lead[:-1]
        out = [f"{a.machine_id} leads {b.machine_id} by {lead[-1]:.4g}; with the other's value of one feature alone:"]
        for at in np.argsort(-np.abs(lost), kind="stable")[:NAMED]:
            name = CANDIDATE_NAMES[differ[at]]
            values = f"{rows[mine, differ[at]]:.4g} against {rows[its, differ[at]]:.4g}"
            verb = "speaks for" if lost[at] > 0 else "speaks against"
            out.append(f"{name} ({values}) {verb} {a.machine_id}: {lost[at]:+.4g}")
        return out

    def _look(self) -> Looker:
        if self._looker is None:
            self.library_terms(None)
        assert self._looker is not None
        return self._looker[1]

    def _devices(self, cluster: Cluster, looker: Looker, r: Request, row: int) -> tuple[int, ...]:
        if self.settings.devices == "score" and looker.memory.scale is not None:
            return scored_devices(cluster, looker.memory.scale, r, row, "fgd" in self.settings.prior)
        return plain_devices(cluster, r, row)


def _heuristic(found: Any) -> Any:
    from rlsched.policies import find_heuristic

    if isinstance(found, str):
        try:
            return find_heuristic(found)
        except PolicyError as error:
            raise PolicyError(f"against must name a heuristic of placement: {error}") from None
    if not isinstance(found, HeuristicDoor):
        raise PolicyError(
            f"against must be a heuristic of placement, or its name: got {getattr(found, 'name', found)!r} "
            f"({type(found).__name__}). Example: against='best_fit'"
        )
    return found


def _how(other: Any) -> dict[str, Any]:
    """What a heuristic has to be told to stand for comparison."""
    how: dict[str, Any] = {}
    if other.choice in ("round_robin", "next_fit"):
        how["last"] = -1
    if other.choice == "random" or other.devices == "random":
        how["seed"] = 0
    return how


def _same_terms(a: Terms, b: Terms) -> bool:
    if a is b:
        return True
    plain = {key: value for key, value in a.__dict__.items() if not isinstance(value, np.ndarray)}
    arrays = ("typical_i", "typical_p")
    return plain == {key: b.__dict__[key] for key in plain} and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays
    )
