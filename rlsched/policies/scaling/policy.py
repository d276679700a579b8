"""``ScalingPolicy``: a rule of the table with its numbers, and what it buys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from rlsched.errors import PolicyError, did_you_mean
from rlsched.policies.tuning import Family
from rlsched.sim.scaling.rules.table import RULES, Rule

if TYPE_CHECKING:
    from rlsched.sim.scaling.simulate import RuleChoice

_BUYS = ("spot_share", "kind")


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
    name : str
        What it is called; its text by default.
    """

    rule: str
    params: Mapping[str, float] = field(default_factory=dict)
    spot_share: float = 0.0
    kind: int = 0
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
        parts += [f"{key}={_short(value)}" for key in _BUYS if (value := float(getattr(self, key))) != 0.0]
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
    def _defaults(self) -> dict[str, float]:
        return {one.name: one.default for one in self.table.parameters}

    def choice(self) -> RuleChoice:
        """The policy as the compiled loop takes it."""
        from rlsched.sim.scaling.simulate import RuleChoice

        number = list(RULES).index(self.rule)
        return RuleChoice(number, tuple(self.values.values()), self.kind, self.spot_share)


#: Name → policy with the numbers of its source, in the order of the documentation.
POLICIES: dict[str, ScalingPolicy] = {name: ScalingPolicy(name, name=name) for name in RULES}


def family(rule: str) -> Family:
    """The tunable family of a rule.

    Raises
    ------
    PolicyError
        When there is no such rule.
    """
    return Family(rule, find_scaling(rule).table.parameters)


def find_scaling(name: str) -> ScalingPolicy:
    """Find a scaling policy by name, or read one from its text.

    Parameters
    ----------
    name : str
        ``RULE`` or ``RULE:PARAMETER=NUMBER,...``; ``spot_share`` and ``kind`` may be among them.

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
    kind = values.pop("kind", 0.0)
    if kind != int(kind):
        raise PolicyError(f"policy {text!r}: kind must be a whole number: got {kind}.")
    policy = ScalingPolicy(rule.strip(), {}, values.pop("spot_share", 0.0), int(kind))
    return replace(policy, params=values)


def _short(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
