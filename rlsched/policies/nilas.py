"""Lifetime alignment: the machine that stays in use least longer because of the task.

**Formula.** ``-step + 0.5 best_fit``. ``step`` counts how many of 1, 5, 15, 30 min, 1, 2, 4, 12 h, 1, 2
and 7 days the task is expected to outlive the machine by, where a machine lives until its last
resident is expected to end (until now where it has none, or all are overdue). Steps are whole and
``best_fit`` lies in [-1, 0], so a weight of 0.5 only decides among equal steps.

**Lifetimes.** The world's option ``lifetime`` says what may be seen: ``known`` the true ends;
``predicted`` the trace's ``expected_s``; ``unknown`` the ages of residents only, each expected
to run as long again as the oldest has. Where a task's span is not known, ``unknown_lifetime_s``.

**Ties.** Lowest row. Devices: smallest sufficient free share, lowest index on ties.

**Needs** a world with ``residents=True``.

**Source.** Ling et al., "LAVA: Lifetime-Aware VM Allocation with Learned Distributions and Adaptation to
Mispredictions", MLSys 2025 (its NILAS scores by bucketed exit times; steps and tie-break are ours);
Barbalho et al., "Virtual Machine Allocation with Lifetime Predictions", MLSys 2023.
"""

from __future__ import annotations

from rlsched.policies.heuristic import Heuristic

NILAS = Heuristic(
    name="nilas",
    weights={"lifetime": 1.0, "best_fit": 0.5},
    doc="The machine that the task keeps in use least longer; best fit among equals.",
    source="after Ling et al. (LAVA/NILAS), MLSys 2025; Barbalho et al., MLSys 2023",
)
