"""The nouns every other package speaks: ``Trace``, ``Machines``, ``Usage``, ``Demand``, ``Signal``.

Each is one frozen dataclass of numpy arrays; a row number is an identity. Requests and
capacities are whole numbers (``int64`` millicores, MiB, milli-GPU), so conservation is ``==``.
Measured usage is ``float64`` and missing is NaN, never 0. ``validate()`` states every invariant.
The classes live in `rlsched.traces.nouns`, one a file; this is the place to import them from.
"""

from __future__ import annotations

from rlsched.traces.nouns.base import (
    ANY_MODEL,
    F64,
    I64,
    MAX_GPU_MODELS,
    MAX_GPUS,
    MAX_QUANTITY,
    SCHEMA_VERSION,
    UNKNOWN,
    Drop,
    DropReport,
)
from rlsched.traces.nouns.demand import Demand
from rlsched.traces.nouns.machines import Machines
from rlsched.traces.nouns.signal import Signal
from rlsched.traces.nouns.trace import Trace
from rlsched.traces.nouns.usage import Usage

Columns = Trace | Machines | Usage | Demand | Signal

__all__ = [
    "ANY_MODEL",
    "F64",
    "I64",
    "MAX_GPUS",
    "MAX_GPU_MODELS",
    "MAX_QUANTITY",
    "SCHEMA_VERSION",
    "UNKNOWN",
    "Columns",
    "Demand",
    "Drop",
    "DropReport",
    "Machines",
    "Signal",
    "Trace",
    "Usage",
]
