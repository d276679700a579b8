"""Starting up: importing, and compiling with an empty cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

IMPORT = "import time; t = time.perf_counter(); import rlsched; print(time.perf_counter() - t)"
COMPILE = (
    "import time; t = time.perf_counter(); from rlsched.cli.benches.replay import best_fit; "
    "best_fit(10, 100); print(time.perf_counter() - t)"
)


def _seconds(code: str, env: dict[str, str] | None = None) -> float:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return float(done.stdout)


def import_rlsched() -> Callable[[], float]:
    """Seconds of ``import rlsched`` in a fresh process."""
    _seconds(IMPORT)
    return lambda: _seconds(IMPORT)


def compile_cold() -> Callable[[], float]:
    """Seconds to import, compile and run a small best-fit replay with an empty cache."""

    def once() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return _seconds(COMPILE, {**os.environ, "NUMBA_CACHE_DIR": folder})

    return once
