"""Waiting in a queue with ``c`` servers: Erlang's formulas, and how far an interval can follow them.

Plain functions of numbers, which the scaling kernel compiles as they stand. Requests arrive as a
Poisson stream and take exponential times: M/M/c. Held to a simulated M/M/c in the tests.

References
----------
Erlang 1917; Cooper, Introduction to Queueing Theory, 1981, chapter 3; Morse, Operations Research
1955 (relaxation time), see docs/scaling.md.
"""

from __future__ import annotations

import math

#: A probability to wait below this counts as 0: the sum stops there.
NEGLIGIBLE = 1e-12
#: A term that changes the sum by less than rounding does.
ROUNDED = 1e-17


def erlang_c(servers: int, utilisation: float) -> float:
    """Probability that a request has to wait in M/M/c.

    Parameters
    ----------
    servers : int
        ``>= 1``.
    utilisation : float
        Offered load per server, ``0 <= utilisation < 1``.

    Returns
    -------
    float
        In [0, 1]; exactly 0 below ``NEGLIGIBLE``.

    Examples
    --------
    >>> erlang_c(1, 0.5)
    0.5
    """
    if utilisation <= 0.0:
        return 0.0
    inverse_load = 1.0 / (utilisation * servers)
    # 1 / Erlang B = sum over j of c! / (c - j)! / load^j: from the large end, so that it soon converges,
    # and four terms at a time, so that they need not wait for each other. Behind j = c all terms are 0.
    term, inverse_b = 1.0, 1.0
    left = float(servers)
    for _ in range((servers + 3) // 4):
        first, second = left * inverse_load, (left - 1.0) * inverse_load
        third, fourth = (left - 2.0) * inverse_load, (left - 3.0) * inverse_load
        two, last = first * second, third * fourth
        inverse_b += term * ((first + two) + two * (third + last))
        term *= two * last
        left -= 4.0
        if inverse_b > 1.0 / NEGLIGIBLE:
            return 0.0
        if term < ROUNDED * inverse_b:  # the terms have been falling for long
            break
    b = 1.0 / inverse_b
    return b / (1.0 - utilisation * (1.0 - b))


def highest_utilisation(servers: int, service_s: float, step_s: float) -> float:
    """The utilisation whose queue just has time to build up within an interval.

    Erlang's waiting time grows without bound towards utilisation 1, and so does the time until
    the queue is that long. The relaxation time of the queue is about
    ``service_s / (servers (1 - sqrt(u))^2)``; solved for the interval's length it gives ``u``.

    Parameters
    ----------
    servers : int
    service_s : float, seconds
        Mean time a server works on a request.
    step_s : float, seconds

    Returns
    -------
    float
        In [0, 1); 0 when even one request fills the interval.
    """
    share = service_s / (servers * step_s)
    if share >= 1.0:
        return 0.0
    root = 1.0 - math.sqrt(share)
    return root * root


def mean_wait_s(probability: float, servers: int, utilisation: float, service_s: float) -> float:
    """Mean waiting time before service in M/M/c, seconds: ``C s / (c (1 - u))``.

    Examples
    --------
    >>> mean_wait_s(erlang_c(1, 0.5), 1, 0.5, 2.0)  # M/M/1: u / (1 - u) times the service time
    2.0
    """
    return probability * (service_s / (servers * (1.0 - utilisation)))


def wait_quantile_s(probability: float, servers: int, utilisation: float, service_s: float, quantile: float) -> float:
    """Waiting time that a share ``quantile`` of the requests stays below, seconds.

    From ``P(wait > t) = C exp(-c (1 - u) t / s)``; 0 when that many do not wait at all.
    """
    if probability <= 1.0 - quantile:
        return 0.0
    return math.log(probability / (1.0 - quantile)) * (service_s / (servers * (1.0 - utilisation)))


def reached_utilisation(utilisation: float, servers: int, service_s: float, step_s: float) -> float:
    """``min(utilisation, highest_utilisation(...))``, for ``utilisation`` in [0, 1]."""
    idle = 1.0 - utilisation
    # Since 1 - sqrt(u) >= (1 - u) / 2, far below the limit no root is needed.
    if service_s < 0.2 * idle * idle * servers * step_s:
        return utilisation
    share = service_s / (servers * step_s)
    if share >= 1.0:
        return 0.0
    root = 1.0 - math.sqrt(share)
    return min(utilisation, root * root)
