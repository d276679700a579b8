"""How the functions inside the consolidation kernel are compiled."""

from __future__ import annotations

from rlsched.sim.compile import bare_njit

#: For functions only compiled code calls. The door from Python that Numba would give each of them
#: unpacks some ninety arrays; without it the kernel compiles in half the time.
inner = bare_njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
