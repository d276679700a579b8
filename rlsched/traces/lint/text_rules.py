"""Rules about the text of a file: what a header promises and the numbers do not keep."""

from __future__ import annotations

import re

import numpy as np

from rlsched.traces.lint.finding import NOTICE, Hit, Rule, Subject

_LABEL = re.compile(r"(?P<name>.*?(?:time|stamp|date|epoch).*?)[ _\[(]+(?P<unit>s|sec|ms|us|ns)[\])]?", re.IGNORECASE)
_PER_SECOND = {"s": 1.0, "sec": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
#: Seconds since 1970 of the years 2000 to 2100: what a stamp can be.
_EPOCH = (946_684_800, 4_102_444_800)


def _epoch_unit(value: float) -> str | None:
    """The unit in which a number is a moment of the years 2000 to 2100; None where there is none."""
    for unit in ("s", "ms", "us", "ns"):
        if _EPOCH[0] <= value / _PER_SECOND[unit] < _EPOCH[1]:
            return unit
    return None


def unit_label(subject: Subject) -> Hit | None:
    """A header that names another unit of time than the stamps below it are in."""
    head = subject.head
    if head is None:
        return None
    for at, name in enumerate(head.names):
        match = _LABEL.fullmatch(name)
        values = head.numbers(at) if match else []
        if match is None or not values:
            continue
        said = match["unit"].lower()
        meant = _epoch_unit(float(np.median(values)))
        if meant is None or _PER_SECOND[said] == _PER_SECOND[meant]:
            continue
        step = float(np.median(np.diff(values))) if len(values) > 1 else 0.0
        steps = f"; steps of {step:g} would be {step / _PER_SECOND[said]:g} s" if step > 0 else ""
        text = (
            f"column {name!r} says {said}, and {values[0]:.0f} is {meant} since 1970 "
            f"(read as {said}: {values[0] / _PER_SECOND[said]:.0f} s, in 1970{steps})"
            if _PER_SECOND[said] > _PER_SECOND[meant]
            else f"column {name!r} says {said}, and {values[0]:.0f} is {meant} since 1970{steps}"
        )
        return Hit(len(values), f"{text}; first file looked at: {head.name}", (1, 2, 3)[: len(values)], "file")
    return None


TEXT_RULES = (
    Rule(
        "unit-label",
        "file",
        NOTICE,
        "a header that says ms over stamps in seconds, or the like",
        "nothing: the reader of a public format takes the stamps for what they are, and the generic one "
        "believes the card, not the header",
        "In a card, state the unit of the stamps (time_unit), not that of the header.",
        unit_label,
    ),
)
