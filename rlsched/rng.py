"""One root seed, split into named streams.

A stream depends on the root seed and on its name only, so adding a consumer leaves every
other stream untouched, and the number of environments or threads never matters.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream_seed(root: int, *names: str | int) -> int:
    """Derive the 64-bit seed of a named stream.

    Parameters
    ----------
    root : int
        The one seed of a run, ``>= 0``.
    names : str or int
        The path of the stream, e.g. ``"failures", 3``.

    Returns
    -------
    int
        Between 0 and 2**63 - 1; equal input gives equal output on every machine.
    """
    if root < 0:
        raise ValueError(f"seed must be >= 0: got {root}")
    text = "\x1f".join([str(root), *(f"{type(name).__name__}:{name}" for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(root: int, *names: str | int) -> np.random.Generator:
    """Open the named stream as a numpy generator (PCG64).

    Examples
    --------
    >>> float(stream(7, "arrivals").random()) == float(stream(7, "arrivals").random())
    True
    """
    return np.random.Generator(np.random.PCG64(stream_seed(root, *names)))
