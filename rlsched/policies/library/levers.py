"""Which method a policy answers to: placing, scaling and consolidating are asked in different words.

A policy of one lever that is asked in the words of another says what it is, and how to ask it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlsched.errors import PolicyError

#: Lever → what a policy of it does, its methods, and an agent that has them.
LEVERS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "placement": ("places tasks", ("place", "place_many", "explain"), "placement-gpu"),
    "scaling": ("scales a service", ("scale",), "scaling"),
    "consolidation": ("consolidates VMs", ("thresholds",), "consolidation"),
}
_LEVER_OF = {method: lever for lever, (_, methods, _) in LEVERS.items() for method in methods}


class WrongLeverError(PolicyError, AttributeError):
    """A policy was asked in the words of another lever; an ``AttributeError``, so ``hasattr`` says False."""


class OfLever:
    """A policy of one lever: the methods of other levers are refused in words."""

    lever = ""

    if not TYPE_CHECKING:  # to a type checker, what is not there is not there

        def __getattr__(self, name: str) -> Any:
            other = _LEVER_OF.get(name)
            if other is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            does, methods, _ = LEVERS[self.lever]
            what = f"policy {self.__dict__.get('name', type(self).__name__)!r} {does} (lever {self.lever})"
            asked = ", ".join(f"{method}()" for method in methods)
            told = " What scale() answers says why." if name == "explain" and self.lever == "scaling" else ""
            raise WrongLeverError(
                f"{what} and has no {name}(): that is of lever {other}, load_policy({LEVERS[other][2]!r}) for "
                f"example. Ask this one by {asked}.{told}"
            )
