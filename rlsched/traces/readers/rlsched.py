"""Our own Parquet, written by ``rlsched traces convert`` and `rlsched.traces.store.save`."""

from __future__ import annotations

from pathlib import Path

from rlsched.errors import TraceError
from rlsched.traces import store
from rlsched.traces.columns import Columns


def sniff(head: bytes, path: Path) -> bool:
    """Whether it is a Parquet file with rlsched's metadata."""
    return head.startswith(store.PARQUET_MAGIC) and store.read_header(path) is not None


def read(path: Path) -> Columns:
    """Load the file; provenance and drop report are those of the original.

    Raises
    ------
    TraceError
        See `rlsched.traces.store.load`.
    """
    try:
        return store.load(path)
    except TraceError as error:
        if str(path) in str(error):
            raise
        # A broken rule names the original file, which may be fine.
        raise TraceError(f"a saved trace must be intact: {path} is not. {error}") from None
