"""The exception tree, drawn once.

::

    RlschedError
    ├── UserError            the input is wrong; the command line prints it and exits 2
    │   ├── TraceError       a file or its columns break a rule
    │   ├── SpecError        a card, an option or a name is wrong
    │   ├── PolicyError      a policy file or a policy's answer is wrong
    │   └── MissingDataError a dataset or a package that is not there
    └── OurBug               an invariant of ours broke; exits 1 with a traceback

Every message says, in one breath: the thing, the rule, the value, the place, the next step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RlschedError(Exception):
    """Base of everything rlsched raises on purpose."""


class UserError(RlschedError):
    """The input is wrong. The command line prints the message and exits with code 2."""


class TraceError(UserError):
    """A trace file, or columns made from one, break a rule."""


class SpecError(UserError):
    """A card, an option or a name is wrong. One message reports every problem found."""


class PolicyError(UserError):
    """A policy file cannot be used, or a policy answered something that is not allowed."""


class MissingDataError(UserError):
    """A dataset or an optional package is not there; the message says how to get it."""


class OurBug(RlschedError):
    """An invariant of ours does not hold. Please report it; the message says what to attach."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Say which known names there are and which one was probably meant.

    Parameters
    ----------
    name : str
        What the user wrote.
    known : iterable of str
        The names that would have been accepted.

    Returns
    -------
    str
        ``" Did you mean 'best_fit'? Known: best_fit, random."`` with a leading blank;
        the guess is left out when nothing is near, the list where it is the guess alone. Of
        more than twenty names, the eight nearest are listed and the others counted.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    if near and names == near:
        return guess  # the list would say it again
    if len(names) > 20:
        nearest = sorted(difflib.get_close_matches(name, names, n=8, cutoff=0.0))
        return f"{guess} Known: {', '.join(nearest)}, and {len(names) - len(nearest)} more."
    return f"{guess} Known: {', '.join(names) if names else '(none)'}."
