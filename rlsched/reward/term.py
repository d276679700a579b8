"""``Term``: one named part of a reward, with its formula and unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Term:
    """What one term measures.

    Every term is minus the growth of a quantity over one decision, as a share of the
    cluster's capacity, so weights mean the same on any cluster. Nothing counts before the
    warm-up ends: a decision of the warm-up is rewarded with 0, whatever it does.

    Parameters
    ----------
    name : str
    formula : str
    unit : str
    span : {"placement", "step"}
        ``placement``: growth caused by placing the task, before the clock moves.
        ``step``: growth from one decision to the next, the clock included.
    doc : str
    source : str
    """

    name: str
    formula: str
    unit: str
    span: Literal["placement", "step"]
    doc: str
    source: str = ""
