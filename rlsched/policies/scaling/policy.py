"""``ScalingPolicy``: a rule of the table with its numbers, and what it buys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rlsched.errors import PolicyError, did_you_mean
from rlsched.policies.tuning import Family
from rlsched.sim.scaling.rules.table import RULES, Parameter, Rule
from rlsched.sim.scaling.world import SPOT

if TYPE_CHECKING:
    from rlsched.sim.scaling.simulate import RuleChoice
    from rlsched.sim.scaling.world import World

#: What a policy buys, beside the parameters of its rule.
_BUYS = ("spot_share", "kind", "fallback")


@dataclass(frozen=True)
class ScalingPolicy:
    """How many instances a service should have.

    Parameters
    ----------
    rule : str
        Of ``rlsched.sim.scaling.rules.table.RULES``.
    params : mapping of str to float
        Of the rule; those left out have the defaults of its source.
    spot_share : float
        Share of the instances bought on the spot market, 0..1.
    kind : int
        Instance type that is bought.
    fallback : bool
        Buy on demand what the spot market did not have in the interval before; see
        ``rlsched.sim.scaling.simulate.RuleChoice``.
    name : str
        What it is called; its text by default.
    """

    rule: str
    params: Mapping[str, float] = field(default_factory=dict)
    spot_share: float = 0.0
    kind: int = 0
    fallback: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise PolicyError(f"unknown scaling rule {self.rule!r}.{did_you_mean(self.rule, RULES)}")
        known = {one.name for one in self.table.parameters}
        for key, value in self.params.items():
            if key not in known:
                raise PolicyError(f"policy {self.rule!r}: unknown parameter {key!r}.{did_you_mean(key, known)}")
            if not np.isfinite(value):
                raise PolicyError(f"policy {self.rule!r}: {key} must be finite: got {value}.")
        if not 0.0 <= self.spot_share <= 1.0:
            raise PolicyError(f"policy {self.rule!r}: spot_share must lie in [0, 1]: got {self.spot_share}.")
        if self.kind < 0:
            raise PolicyError(
                f"policy {self.rule!r}: kind must be the number of an instance type, >= 0: got {self.kind}."
            )

    @property
    def table(self) -> Rule:
        """The rule's line of the table."""
        return RULES[self.rule]

    @property
    def text(self) -> str:
        """What :func:`parse_scaling` reads back: the rule, and what differs from its defaults."""
        parts = [f"{key}={_short(value)}" for key, value in self.values.items() if value != self._defaults[key]]
        parts += [f"{key}={_short(value)}" for key, value in self.numbers.items() if key in _BUYS]
        return self.rule + (":" + ",".join(parts) if parts else "")

    @property
    def label(self) -> str:
        """Its name, or its text."""
        return self.name or self.text

    @property
    def values(self) -> dict[str, float]:
        """Every parameter."""
        return {**self._defaults, **self.params}

    @property
    def numbers(self) -> dict[str, float]:
        """Every parameter, and what it buys where that is not the first type on demand."""
        bought = {key: float(getattr(self, key)) for key in _BUYS}
        return {**self.values, **{key: value for key, value in bought.items() if value}}

    @property
    def _defaults(self) -> dict[str, float]:
        return {one.name: one.default for one in self.table.parameters}

    def choice(self) -> RuleChoice:
        """The policy as the compiled loop takes it."""
        from rlsched.sim.scaling.simulate import RuleChoice

        number = list(RULES).index(self.rule)
        return RuleChoice(number, tuple(self.values.values()), self.kind, self.spot_share, self.fallback)


#: Name → policy with the numbers of its source, in the order of the documentation.
POLICIES: dict[str, ScalingPolicy] = {name: ScalingPolicy(name, name=name) for name in RULES}


def family(rule: str, world: World | None = None, kind: int = 0) -> Family:
    """The tunable family of a rule.

    Parameters
    ----------
    rule : str
    world : World, optional
        Where the type is sold on a spot market there, the share bought there is tuned too, and whether a
        closed market is left.
    kind : int
        The instance type that all members buy.

    Raises
    ------
    PolicyError
        When there is no such rule.
    """
    bought: tuple[Parameter, ...] = (Parameter("kind", kind, kind, kind, "whole", "instance type"),) if kind else ()
    if world is not None and (kind, SPOT) in world.pools:
        share = Parameter("spot_share", 0.0, 0.0, 1.0, doc="share on the spot market")
        bought += (share, Parameter("fallback", 0, 0, 1, "whole", "leave a closed market"))
    return Family(rule, (*find_scaling(rule).table.parameters, *bought))


def member(rule: str, values: Mapping[str, float], name: str = "") -> ScalingPolicy:
    """The member of a rule's family with these numbers, what it buys among them."""
    own = {key: value for key, value in values.items() if key not in _BUYS}
    share, kind, fallback = (float(values.get(key, 0.0)) for key in _BUYS)
    if not kind.is_integer():
        raise PolicyError(f"policy {rule!r}: kind must be a whole number: got {kind:g}.")
    if fallback not in (0.0, 1.0):
        raise PolicyError(f"policy {rule!r}: fallback must be 0 or 1: got {fallback:g}.")
    return ScalingPolicy(rule, own, share, int(kind), bool(fallback), name)


def find_scaling(name: str) -> ScalingPolicy:
    """Find a scaling policy by name, or read one from its text.

    Parameters
    ----------
    name : str
        ``RULE`` or ``RULE:PARAMETER=NUMBER,...``; ``spot_share``, ``kind`` and ``fallback`` may be among them.

    Raises
    ------
    PolicyError
        Names what is wrong, and the nearest that is known.

    Examples
    --------
    >>> find_scaling("hpa:target=0.7").text
    'hpa:target=0.7'
    """
    return POLICIES[name] if name in POLICIES else parse_scaling(name)


def parse_scaling(text: str) -> ScalingPolicy:
    """Read a policy from its text; see :func:`find_scaling`."""
    rule, colon, body = text.partition(":")
    values: dict[str, float] = {}
    for part in body.split(",") if colon else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise PolicyError(f"policy {text!r}: each part must be PARAMETER=NUMBER: got {part!r}.")
        if key in values:
            raise PolicyError(f"policy {text!r}: {key} is given twice. Keep one.")
        try:
            values[key] = float(value)
        except ValueError:
            raise PolicyError(f"policy {text!r}: {key} must be a number: got {value!r}.") from None
    return member(rule.strip(), values)


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
