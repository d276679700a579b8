"""One way to compile: Numba with a cache on disk, without it where none can be written.

Everything compiled goes through :func:`njit` or :func:`bare_njit`. No fast-math: kernel and
reference have to agree to the last bit, so the compiler may not reorder sums.

Numba keys its cache on the file of the outermost function alone, so a change in a file it
calls would go unnoticed. The cache therefore lies in a folder named after a digest of the
sources it may depend on: those beside it, those of ``rlsched/sim``, and those it names.

Whoever waits for the compiler is told so, once a process: the logger ``rlsched`` warns when
compiling has taken :data:`PATIENCE_S`. Code that is loaded from disk says nothing;
``logging.getLogger("rlsched").setLevel(logging.ERROR)`` keeps it quiet.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

#: Seconds of compiling in a process before it says so.
PATIENCE_S = 1.5

_PACKAGE = Path(__file__).resolve().parents[1]


def njit(function: FunctionT | None = None, **options: Any) -> Any:
    """Compile a function with ``numba.njit``, cached on disk where that is possible.

    Parameters
    ----------
    function : callable
        Left out when options are given: ``@njit(inline="always")``.
    options
        Passed on to ``numba.njit``; but ``also``, a tuple of folders below ``rlsched`` whose compiled
        functions this one calls, such as ``("sim/scaling",)``.

    Returns
    -------
    callable
        The compiled dispatcher. When no cache directory can be written (a read-only install
        without a home), the function compiles in every process, and one warning says so.
    """
    if function is None:
        return lambda wrapped: njit(wrapped, **options)
    import numba
    from numba.core import config

    _listen()
    also = options.pop("also", ())
    folder = cache_folder(Path(function.__code__.co_filename).resolve().parent, also)
    if folder is None:
        return numba.njit(function, **options)
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        return numba.njit(function, cache=True, **options)
    finally:
        config.CACHE_DIR = before


def bare_njit(function: FunctionT | None = None, **options: Any) -> Any:
    """Compile like :func:`njit`, without reference counts of arrays.

    The event loop hands tuples of some forty arrays from function to function; counting their
    references took four fifths of its time. Such a function must not create an array, and must
    not return one to Python (it would come back with the wrong shape): it fills those it is given.
    """
    if function is None:
        return lambda wrapped: bare_njit(wrapped, **options)
    return njit(function, _nrt=False, **options)


def bound(function: Any, *args: Any) -> Callable[..., Any]:
    """The machine code of a compiled function for arguments of the types of these.

    An ordinary call looks at the type of every array it is handed, which for some hundred of them
    takes five times as long as handing them over. Nobody looks here: whoever calls it must pass
    arrays of the same types, dimensions and layouts for good.

    Parameters
    ----------
    function : callable
        Of :func:`njit` or :func:`bare_njit`; compiled here if it was not yet.
    args
        Arguments of a call to come; they are looked at only.

    Returns
    -------
    callable
        The function itself where Numba is switched off.
    """
    import numba

    if not hasattr(function, "overloads"):
        return cast("Callable[..., Any]", function)
    types = tuple(numba.typeof(arg) for arg in args)
    function.compile(types)
    return cast("Callable[..., Any]", function.overloads[types].entry_point)


@functools.cache
def cache_folder(beside: Path, also: tuple[str, ...] = ()) -> Path | None:
    """The folder of compiled code for the present sources; None where none can be written.

    Parameters
    ----------
    beside : Path
        Folder of the source that is compiled.
    also : tuple of str
        Further folders below ``rlsched`` that it depends on.
    """
    digest = hashlib.sha256()
    for folder in dict.fromkeys((_PACKAGE / "sim", beside, *(_PACKAGE / name for name in also))):
        # A kernel in a folder of its own may call the rules in folders below it.
        for path in sorted(folder.glob("*.py") if folder == _PACKAGE / "sim" else folder.rglob("*.py")):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    name = f"compiled-{digest.hexdigest()[:16]}"
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    for parent in (Path(chosen),) if chosen else (_PACKAGE / "__pycache__", home / "rlsched"):
        try:
            (parent / name).mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=parent / name):
                pass
        except OSError:
            continue
        return parent / name
    warnings.warn(
        "compiled code cannot be kept on disk; each run compiles again. "
        "Set NUMBA_CACHE_DIR to a folder that can be written.",
        RuntimeWarning,
        stacklevel=3,
    )
    return None


class Announcer:
    """Says once that compiling takes long; functions that compile in no time add up.

    Numba tells when it compiles rather than loads. Callees compile while their caller does, one
    thread at a time.
    """

    def __init__(self) -> None:
        self.said = False
        self._depth, self._spent_s, self._began_s = 0, 0.0, 0.0
        self._alarm: threading.Timer | None = None

    def begin(self) -> None:
        """A function begins to compile."""
        self._depth += 1
        if self._depth > 1 or self.said:
            return
        self._began_s = time.monotonic()
        self._alarm = threading.Timer(max(0.0, PATIENCE_S - self._spent_s), self._say)
        self._alarm.daemon = True  # a process that ends does not wait for it
        self._alarm.start()

    def end(self) -> None:
        """It is compiled, or failed to."""
        self._depth -= 1
        if self._depth == 0 and self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
            self._spent_s += time.monotonic() - self._began_s

    def _say(self) -> None:
        self.said = True
        logging.getLogger("rlsched").warning("compiling the simulator, half a minute or more, once")


@functools.cache
def _listen() -> Announcer:
    """Have Numba tell an announcer of this process when it compiles."""
    from numba.core import event

    announcer = Announcer()

    class Ours(event.Listener):
        def on_start(self, one: Any) -> None:
            if _is_ours(one):
                announcer.begin()

        def on_end(self, one: Any) -> None:
            if _is_ours(one):
                announcer.end()

    event.register("numba:compile", Ours())
    return announcer


def _is_ours(one: Any) -> bool:
    function = getattr(one.data["dispatcher"], "py_func", None)
    return str(getattr(function, "__module__", "")).startswith("rlsched.")
