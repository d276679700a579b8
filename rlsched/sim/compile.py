"""One way to compile: Numba with a cache on disk, without it where none can be written.

Everything compiled goes through :func:`njit` here. No fast-math: kernel and reference have to
agree to the last bit, so the compiler may not reorder sums.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_warned = False


def njit(function: FunctionT | None = None, **options: Any) -> Any:
    """Compile a function with ``numba.njit``, cached on disk where that is possible.

    Parameters
    ----------
    function : callable
        Left out when options are given: ``@njit(inline="always")``.
    options
        Passed on to ``numba.njit``.

    Returns
    -------
    callable
        The compiled dispatcher. When no cache directory can be written (a read-only install
        without a home), the function compiles in every process, and one warning says so.
    """
    if function is None:
        return lambda wrapped: njit(wrapped, **options)
    import numba

    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError as error:  # "cannot cache function ...: no locator available"
        global _warned
        if not _warned:
            _warned = True
            warnings.warn(
                f"compiled code cannot be kept on disk ({error}); each run compiles again. "
                "Set NUMBA_CACHE_DIR to a folder that can be written.",
                RuntimeWarning,
                stacklevel=2,
            )
        return numba.njit(function, **options)
