"""Judge policies: policies × windows × seeds → tidy results, intervals, verdicts.

The package can be called: ``rlsched.evaluate(trace, machines, ["best_fit", "cosine"])`` is
:func:`rlsched.evaluate.library.evaluate` (``docs/adr/007-a-package-that-can-be-called.md``). Importing
it loads nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlsched.evaluate.library import Results


class _Callable(ModuleType):
    """This package, with a call operator: ``rlsched.evaluate`` is a function and a package at once."""

    def __call__(self, *args: Any, **options: Any) -> Results:
        from rlsched.evaluate.library import evaluate

        return evaluate(*args, **options)


sys.modules[__name__].__class__ = _Callable
