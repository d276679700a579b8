"""rlsched: replay real cluster traces, learn placement and scaling, judge every policy on held-out data.

The names below are the promise; the rest may change. Importing the package is cheap: each
name loads what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Demand": "rlsched.traces.columns",
    "Machines": "rlsched.traces.columns",
    "Signal": "rlsched.traces.columns",
    "Trace": "rlsched.traces.columns",
    "Usage": "rlsched.traces.columns",
    "load_forecaster": "rlsched.forecast.predictor",
    "load_policy": "rlsched.policies.library",
    "read_demand": "rlsched.traces.read",
    "read_machines": "rlsched.traces.read",
    "read_signal": "rlsched.traces.read",
    "read_trace": "rlsched.traces.read",
    "read_usage": "rlsched.traces.read",
}

__all__ = [
    "Demand",
    "Machines",
    "Signal",
    "Trace",
    "Usage",
    "__version__",
    "evaluate",
    "load_forecaster",
    "load_policy",
    "read_demand",
    "read_machines",
    "read_signal",
    "read_trace",
    "read_usage",
]

if TYPE_CHECKING:
    from rlsched.evaluate.library import evaluate
    from rlsched.forecast.predictor import load_forecaster
    from rlsched.policies.library import load_policy
    from rlsched.traces.columns import Demand, Machines, Signal, Trace, Usage
    from rlsched.traces.read import read_demand, read_machines, read_signal, read_trace, read_usage


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name == "evaluate":  # a package that can be called, docs/adr/007-a-package-that-can-be-called.md
        return import_module("rlsched.evaluate")
    raise AttributeError(f"module 'rlsched' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
