"""The departure heap: four-ary, ordered by ``(time, task)``, in arrays it is given."""

from __future__ import annotations

from typing import Any

from rlsched.sim import state as st
from rlsched.sim.compile import bare_njit


@bare_njit(inline="always")
def _before(t: Any, k: Any, at: Any, times: Any, tasks: Any) -> Any:
    return t < times[at] or (t == times[at] and k < tasks[at])


@bare_njit(inline="always")
def push_heap(times: Any, tasks: Any, size: Any, t: Any, k: Any) -> Any:
    """Add an entry; return the new size."""
    at = size
    while at > 0:
        up = (at - 1) >> 2
        if not _before(t, k, up, times, tasks):
            break
        times[at], tasks[at] = times[up], tasks[up]
        at = up
    times[at], tasks[at] = t, k
    return size + 1


@bare_njit(inline="always")
def _less(a: Any, b: Any, times: Any, tasks: Any) -> Any:
    """True when entry ``a`` comes before ``b``; without branches, which would be mispredicted."""
    return (times[a] < times[b]) | ((times[a] == times[b]) & (tasks[a] < tasks[b]))


@bare_njit(inline="always")
def _sink(times: Any, tasks: Any, size: Any, at: Any, t: Any, k: Any) -> None:
    """Put ``(t, k)`` at the hole ``at`` or below it."""
    while True:
        child = 4 * at + 1
        if child >= size:
            break
        if child + 3 < size:
            left = child + 1 if _less(child + 1, child, times, tasks) else child
            right = child + 3 if _less(child + 3, child + 2, times, tasks) else child + 2
            least = right if _less(right, left, times, tasks) else left
        else:
            least = child
            for other in range(child + 1, size):
                least = other if _less(other, least, times, tasks) else least
        if _before(t, k, least, times, tasks):
            break
        times[at], tasks[at] = times[least], tasks[least]
        at = least
    times[at], tasks[at] = t, k


@bare_njit(inline="always")
def pop_heap(times: Any, tasks: Any, size: Any) -> Any:
    """Remove the first entry; return the new size."""
    size -= 1
    if size > 0:
        _sink(times, tasks, size, 0, times[size], tasks[size])
    return size


@bare_njit
def rebuild_heap(times: Any, tasks: Any, size: Any, task_i: Any) -> Any:
    """Drop the entries of tasks that no longer run; return the new size."""
    kept = 0
    for at in range(size):
        if task_i[tasks[at], st.K_STATUS] == st.RUNNING:
            times[kept], tasks[kept] = times[at], tasks[at]
            kept += 1
    if kept > 1:
        for at in range((kept - 2) >> 2, -1, -1):
            _sink(times, tasks, kept, at, times[at], tasks[at])
    return kept
