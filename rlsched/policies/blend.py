"""Blends: weighted sums of scoring rules, the family that is tuned on training data.

**Formula.** ``sum_a w_a rule_a(machine, request)`` over the rules of ``rlsched.sim.rules.RULES``; each
rule's formula is in the file of the heuristic of that name (``lifetime`` in ``nilas.py``).

**Ties.** Lowest row. Devices: as ``devices`` says, smallest sufficient free share by default.

**Scale.** The rules are not rescaled: ``best_fit`` lies in [-1, 0], ``dot_product`` in [0, 3],
``cosine`` in [0, 1], ``norm_l2`` in [-3, 0], ``fragmentation`` in GPUs (cores on a cluster measured in
CPU), ``lifetime`` in steps of 0 to -11, those of Kubernetes and the FGD study in 0..100. Weights say
how much each counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlsched.errors import SpecError, did_you_mean
from rlsched.policies.heuristic import DEVICES, Heuristic
from rlsched.sim.rules import RULES

BLEND_PREFIX = "blend:"
DEVICES_KEY = "devices"

#: Rules worth tuning together: real-valued, so that small changes of a weight can matter, and of
#: different intent. The order is that of the tuner's vector of weights.
FAMILY = ("best_fit", "dot_product", "norm_l2", "cosine", "fragmentation", "lifetime", "balanced_allocation")


def blend(weights: Mapping[str, float], *, devices: str = "best") -> Heuristic:
    """A heuristic that scores by a weighted sum of rules.

    Parameters
    ----------
    weights : mapping of str to float
        Rule → weight; rules of weight 0 are left out, so they cost no time. The sum is taken in
        the order of ``RULES``, so the order of the mapping never matters.
    devices : {"best", "score", "random"}
        See :class:`Heuristic`; ``score`` needs ``fgd`` or ``fragmentation`` among the rules.

    Returns
    -------
    Heuristic
        Its name is the text that :func:`parse_blend` reads back.

    Raises
    ------
    SpecError
        When a rule is not known, a weight is not finite, or every weight is 0.

    Examples
    --------
    >>> blend({"best_fit": 2, "fragmentation": 12}).name
    'blend:best_fit=2,fragmentation=12'
    """
    unknown = [rule for rule in weights if rule not in RULES]
    if unknown:
        raise SpecError(f"blend: unknown rule {unknown[0]!r}.{did_you_mean(unknown[0], RULES)}")
    kept = {rule: float(weights[rule]) for rule in RULES if weights.get(rule, 0.0) != 0.0}
    if not kept:
        raise SpecError("blend: at least one weight must not be 0. Example: blend:fragmentation=12,best_fit=2")
    if devices == "score" and not {"fgd", "fragmentation"} & set(kept):
        raise SpecError("blend: devices=score chooses devices by fragmentation; add fgd or fragmentation to the rules.")
    parts = [f"{rule}={_short(weight)}" for rule, weight in kept.items()]
    if devices != "best":
        parts.append(f"{DEVICES_KEY}={devices}")
    chosen: Any = devices  # checked by Heuristic
    return Heuristic(
        name=BLEND_PREFIX + ",".join(parts),
        weights=kept,
        devices=chosen,
        doc="A weighted sum of rules.",
        source="the tunable family",
    )


def parse_blend(text: str) -> Heuristic:
    """Read a blend from its text.

    Parameters
    ----------
    text : str
        ``blend:RULE=WEIGHT,RULE=WEIGHT``; ``devices=score`` (or ``random``) may be one of the parts.

    Raises
    ------
    SpecError
        Names the part that is wrong: no ``=``, a weight that is not a number, a rule named twice
        or not known.
    """
    body = text.removeprefix(BLEND_PREFIX)
    weights: dict[str, float] = {}
    devices: str | None = None
    for part in body.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise SpecError(f"policy {text!r}: each part must be RULE=WEIGHT: got {part!r}. Known: {', '.join(RULES)}.")
        if key in weights or (key == DEVICES_KEY and devices is not None):
            raise SpecError(f"policy {text!r}: {key} is given twice. Keep one.")
        if key == DEVICES_KEY:
            if value not in DEVICES:
                raise SpecError(f"policy {text!r}: unknown devices {value!r}.{did_you_mean(value, DEVICES)}")
            devices = value
            continue
        try:
            weights[key] = float(value)
        except ValueError:
            raise SpecError(f"policy {text!r}: the weight of {key} must be a number: got {value!r}.") from None
    return blend(weights, devices=devices or "best")


def _short(weight: float) -> str:
    """The shortest text that reads back as the same number."""
    return str(int(weight)) if weight.is_integer() and abs(weight) < 1e15 else repr(weight)
