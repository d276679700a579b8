"""The table of scaling rules: their names, their numbers, their parameters with defaults.

Apart from the functions, so that naming a policy loads no compiler. `run` calls a rule by number.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """One number of a rule.

    Parameters
    ----------
    name : str
        With its unit as a suffix where it has one.
    default : float
        What its source says, or what is usual.
    low, high : float
        Between which it is tuned, both included.
    scale : {"linear", "log", "whole"}
        How it is tuned: evenly, evenly in the logarithm, whole numbers.
    doc : str
    """

    name: str
    default: float
    low: float
    high: float
    scale: str = "linear"
    doc: str = ""

