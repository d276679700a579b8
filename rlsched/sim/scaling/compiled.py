"""How the functions inside the scaling kernel are compiled."""

from __future__ import annotations

from rlsched.sim.compile import bare_njit

#: For functions only compiled code calls: without a door from Python they compile in half the time.
apart = bare_njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
#: For those of every step: put into their caller. A call hands over some 150 numbers that describe
#: the arrays, which took as long as the step itself.
inner = bare_njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, inline="always")
