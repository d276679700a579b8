"""``KNOWN``: label, unit and direction of every metric of every kind of experiment, for tables and words.

Metrics of the same name mean the same and are better in the same direction (a test holds them to it).
"""

from __future__ import annotations

from rlsched.evaluate.consolidation_metrics import METRICS as CONSOLIDATION
from rlsched.evaluate.metrics import METRICS as PLACEMENT
from rlsched.evaluate.metrics import Metric
from rlsched.evaluate.scaling_metrics import METRICS as SCALING

KNOWN: dict[str, Metric] = {**CONSOLIDATION, **SCALING, **PLACEMENT}
