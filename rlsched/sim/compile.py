"""The one place where functions are compiled: ``njit`` with a disk cache that never goes stale.

Two things Numba's own ``njit(cache=True)`` gets wrong for us, put right here:

- in an install nobody may write to, it raises at import; here the function is compiled in
  memory instead, and the log says so once;
- it checks only the file a function stands in, so after a change in a file *called from there*
  it would go on running the old machine code. Here the key is the content of the function's file
  and of every ``rlsched`` file that one imports, however far away.
"""

from __future__ import annotations

import ast
import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, overload

import numba

F = TypeVar("F", bound=Callable[..., Any])

_ROOT = Path(__file__).resolve().parents[1]  # rlsched/
_log = logging.getLogger("rlsched")
_said: set[str] = set()


@overload
def njit(function: F) -> F: ...
@overload
def njit(**options: Any) -> Callable[[F], F]: ...
def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile with Numba, from the disk cache where there is one.

    Parameters
    ----------
    function : callable, optional
        Given when used as a plain ``@njit``.
    options
        Passed on to :func:`numba.njit`, e.g. ``inline="always"`` or ``parallel=True``.
        ``fastmath`` is refused: results are compared bit by bit.

    Returns
    -------
    callable
        The compiled function; for type checkers it keeps the type of ``function``.
    """
    if options.get("fastmath"):
        raise ValueError(
            "fastmath reorders sums, and kernels have to equal their references bit for bit. Leave it out."
        )
    if function is None:
        return lambda inner: njit(inner, **options)
    compiled = numba.njit(**options)(function)
    try:
        compiled.enable_caching()
        compiled._cache._cache_file._source_stamp = _stamp(Path(function.__code__.co_filename))
    except (RuntimeError, OSError, AttributeError) as error:
        # RuntimeError: no folder to write to. AttributeError: another Numba keeps its cache elsewhere,
        # and a cache we cannot key ourselves might be stale, so it is not used.
        compiled = numba.njit(**options)(function)
        _say_once(
            f"compiled functions cannot be kept on disk ({error}); each start compiles them anew (about a minute)."
        )
    return compiled


def _say_once(text: str) -> None:
    if not _said:
        _said.add(text)
        _log.warning("%s Set NUMBA_CACHE_DIR to a folder you may write to.", text)


@cache
def _stamp(path: Path) -> str:
    """Content hash of a file and of all rlsched files reachable from its imports."""
    todo, seen = [path.resolve()], set[Path]()
    while todo:
        at = todo.pop()
        if at not in seen:
            seen.add(at)
            todo.extend(_imports(at))
    digest = hashlib.sha256()
    for file in sorted(seen):
        digest.update(file.read_bytes())
    return digest.hexdigest()


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    """Files of the ``rlsched`` modules a file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = []
    for name in names:
        head, *rest = name.split(".")
        if head == _ROOT.name and rest:
            file = _ROOT.joinpath(*rest).with_suffix(".py")
            if file.is_file():
                files.append(file)
    return tuple(files)
