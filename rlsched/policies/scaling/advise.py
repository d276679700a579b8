"""Asking a learned scaling policy by itself: a history of demand in, a number of instances and its reasons out.

Plain Python and numpy, without the simulator and its compiler; a test holds it equal to what the
policy does in the compiled one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import PolicyError
from rlsched.policies.scaling.forecasts import PooledAr
from rlsched.units import SECONDS_PER_DAY

if TYPE_CHECKING:
    from rlsched.policies.scaling.learned import LearnedScaling

F64 = npt.NDArray[np.float64]
#: As ``rlsched.sim.scaling.rules.memory`` has them; a test holds them equal.
RING, FEW_ERRORS, FIRST_SPREAD, LONGEST = 32, 3, 0.25, 2016


@dataclass(frozen=True)
class Advice:
    """How many instances there should be.

    Parameters
    ----------
    replicas : int
        Wanted for the coming interval and kept after it, booting ones included.
    low, high : int
        The band: fewer than ``low`` orders up to it, more than ``high`` goes down to it.
    base_low, base_high : int
        The band of the tuned rule that the policy moves.
    moved : dict of str to float
        The rule's numbers the policy moved, and to what.
    forecast : float
        Of the interval the band is around, units.
    sigma : float
        Spread of the forecast's errors, units.
    assumed : tuple of str
        What was not given, and what was taken instead.
    """

    replicas: int
    low: int
    high: int
    base_low: int
    base_high: int
    moved: dict[str, float]
    forecast: float
    sigma: float
    assumed: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Instance:
    """The instance type and limits of the service a policy learned with.

    Parameters
    ----------
    capacity : float
        Units one serves.
    boot_steps : int
    min_instances, max_instances : int
    """

    capacity: float
    boot_steps: int
    min_instances: int
    max_instances: int


def advise(
    policy: LearnedScaling,
    history: Any,
    current: int,
    *,
    booting: Sequence[int] | None = None,
    backlog: float | None = None,
    lost: float | None = None,
    wait_s: float | None = None,
    utilisation: float | None = None,
    time_s: float | None = None,
    capacity: float | None = None,
    limits: tuple[int, int] | None = None,
) -> Advice:
    """See :meth:`rlsched.policies.scaling.learned.LearnedScaling.scale`."""
    forecaster, learned = parts_of(policy)
    assumed: list[str] = []

    def given(name: str, value: Any, otherwise: Any, why: str) -> Any:
        if value is None:
            assumed.append(f"{name} = {otherwise} ({why})")
        return otherwise if value is None else value

    demand = _history(history, max(policy.residual.observation.reach, forecaster.lags))
    capacity = _number("capacity", given("capacity", capacity, learned.capacity, "as it learned"), least=None)
    low_n, high_n = _limits(given("limits", limits, (learned.min_instances, learned.max_instances), "as it learned"))
    boots = learned.boot_steps
    coming = given("booting", booting, (), "none boot")
    if not isinstance(coming, (list, tuple, np.ndarray)):
        raise PolicyError(f"booting must be a list of whole numbers, one an interval: got {coming!r}.")
    coming = [_whole("booting", one) for one in coming]
    if len(coming) > max(0, boots - 1):
        raise PolicyError(
            f"booting must name the instances that begin to serve 1, 2, ... intervals after the coming one, at most "
            f"{max(0, boots - 1)} as an order takes {boots} intervals: got {len(coming)}."
        )
    coming += [0] * (max(0, boots - 1) - len(coming))
    ready = _whole("current", current)
    if ready + sum(coming) > high_n:
        both, got = ("current and booting together", f"{ready} + {sum(coming)}") if any(coming) else ("current", ready)
        raise PolicyError(
            f"{both} must be at most {high_n}, the most instances there may be: got {got}. Pass the service's own "
            "limits=(fewest, most)."
        )
    told: dict[str, Any] = {
        "ready": ready,
        "booting": coming,
        "backlog": _number("backlog", given("backlog", backlog, 0.0, "nothing waits")),
        "lost": _number("lost", given("lost", lost, 0.0, "nothing was lost")),
        "utilisation": _utilisation(utilisation, demand, ready * capacity, lost or 0.0, given),
        "wait_s": _number("wait_s", given("wait_s", wait_s, 0.0, "nobody waited")),
        "time_s": _number("time_s", given("time_s", time_s, 0.0, "midnight of the first day of the trace's week")),
    }
    step_s = float(policy.metadata["step_s"])
    table = forecaster.values(demand[None])[0]  # (T + 1, H, Q)
    seen = _observation(policy, demand, told, table[-1], forecaster, capacity, high_n, step_s)
    action = policy.actions(seen[None])[0].astype(np.float64)
    values = policy.residual.base.values
    moved = {
        name: values[name] + far * float(one)
        for (name, far), one in zip(policy.residual.reach.items(), action, strict=True)
    }
    point, sigma = look_ahead(demand, table, forecaster, boots, values)
    total = ready + sum(coming)

    def band(numbers: dict[str, float]) -> tuple[int, int]:
        low = point + numbers["k_low"] * sigma + told["backlog"]
        high = low + numbers["k_width"] * sigma
        least = math.ceil(round(low / capacity, 9))
        return least, max(least, math.ceil(round(high / capacity, 9)))

    least, most = band({**values, **moved})
    wanted = min(max(min(max(total, least), most), low_n), high_n)
    return Advice(wanted, least, most, *band(values), moved, point, sigma, tuple(assumed))


def parts_of(policy: LearnedScaling) -> tuple[PooledAr, Instance]:
    """The forecaster and the instance type inside a policy file.

    Raises
    ------
    PolicyError
        When the policy moves another rule than ``band``, or its file has none of these.
    """
    if policy.residual.base.rule != "band":
        raise PolicyError(
            f"policy {policy.name!r} moves the rule {policy.residual.base.rule!r}: only 'band' can be asked by itself "
            "so far. Run it in an experiment or an environment."
        )
    missing = [key for key in ("forecaster", "instance") if not policy.metadata.get(key)]
    if missing:
        raise PolicyError(
            f"policy {policy.name!r} cannot be asked by itself: its file lacks {' and '.join(missing)} (several "
            "instance types, or no forecast of its own). Run it in an experiment or an environment."
        )
    try:
        instance = Instance(**policy.metadata["instance"])
    except TypeError:
        raise PolicyError(f"policy {policy.name!r}: metadata instance is broken. Export it again.") from None
    return PooledAr.from_dict(policy.metadata["forecaster"]), instance


def _history(history: Any, least: int) -> F64:
    try:
        demand = np.asarray(history, dtype=np.float64)
    except (TypeError, ValueError):
        raise PolicyError("history must be numbers, one an interval, oldest first.") from None
    if demand.ndim != 1 or demand.size < least:
        raise PolicyError(
            f"history must be one row of at least {least} intervals, oldest first: got shape {demand.shape}."
        )
    bad = np.flatnonzero(~(np.isfinite(demand) & (demand >= 0)))
    if bad.size:
        raise PolicyError(f"history must be >= 0 and finite: got {demand[bad[0]]} at position {bad[0]}.")
    return demand


def _number(name: str, value: Any, least: float | None = 0.0) -> float:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    fine = number and math.isfinite(value)
    if not fine or (value < least if least is not None else value <= 0):
        raise PolicyError(f"{name} must be a finite number {'>= 0' if least is not None else '> 0'}: got {value!r}.")
    return float(value)


def _limits(value: Any) -> tuple[int, int]:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise PolicyError(f"limits must be (fewest, most): got {value!r}.")
    low, high = (_whole("limits", one) for one in value)
    if low > high:
        raise PolicyError(f"limits must be (fewest, most) with 0 <= fewest <= most: got ({low}, {high}).")
    return low, high


def _utilisation(value: Any, demand: F64, could: float, lost: float, given: Any) -> float:
    """Of the last interval; what the instances of now would have had, where it is not told."""
    newest = float(demand[-1])
    guess = min(1.0, max(0.0, newest - lost) / could) if could > 0 else 0.0
    told = _number("utilisation", given("utilisation", value, guess, "of the demand by those that serve now"))
    if told > 1.0:
        raise PolicyError(f"utilisation must lie in [0, 1]: got {told}.")
    return told


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise PolicyError(f"{name} must be a whole number of instances, >= 0: got {value!r}.")
    return int(value)


def _amount(x: float, m: float) -> float:
    return x / (x + m) if x > 0.0 else 0.0


def _observation(
    policy: LearnedScaling,
    demand: F64,
    told: dict[str, Any],
    forecast: npt.NDArray[np.float32],
    forecaster: PooledAr,
    capacity: float,
    most: int,
    step_s: float,
) -> npt.NDArray[np.float32]:
    """The fields of ``scaling_fields``, by name."""
    seen = policy.residual.observation
    m = float(demand[-seen.level :].mean())
    values = {f"demand_{lag}": _amount(float(demand[-lag]), m) for lag in seen.lags}
    values["level"] = _amount(m, most * capacity)
    values["ready"] = _amount(told["ready"] * capacity, m)
    values |= {f"booting_{i + 1}": _amount(n * capacity, m) for i, n in enumerate(told["booting"])}
    values["backlog"], values["lost"] = _amount(told["backlog"], m), _amount(told["lost"], m)
    values["utilisation"] = told["utilisation"]
    values["wait"] = _amount(told["wait_s"], step_s)
    for h, ahead in enumerate(forecaster.horizons.tolist()):
        for q, share in enumerate(forecaster.quantiles.tolist()):
            values[f"forecast_{ahead}_q{share:g}"] = _amount(float(forecast[h, q]), m)
    day = 2 * math.pi * told["time_s"] / SECONDS_PER_DAY
    for name, angle in (("day", day), ("week", day / 7)):
        values[f"{name}_sin"], values[f"{name}_cos"] = math.sin(angle), math.cos(angle)
    unknown = [name for name in policy.fields if name not in values]
    if unknown:
        raise PolicyError(
            f"policy {policy.name!r} is shown {unknown[0]}, which scale() does not know. Run it in an environment."
        )
    return np.array([values[name] for name in policy.fields], np.float32)


def look_ahead(
    demand: F64, table: npt.NDArray[np.float32], forecaster: PooledAr, boots: int, values: dict[str, float]
) -> tuple[float, float]:
    """Forecast and spread as ``rlsched.sim.scaling.rules.memory.look_ahead`` has them after this history.

    As if a decision had been made before every interval since ``lags`` samples were there.
    """
    lead, alpha, beta = min(boots, RING - 1), values["alpha"], values["beta"]
    use_table = values["use_table"] > 0.5
    ring = [math.nan] * RING
    level, variance, errors, point = math.nan, 0.0, 0.0, 0.0
    first = max(0, len(demand) - LONGEST)
    for t in range(first, len(demand) + 1):
        if t > first:
            sample, told = float(demand[t - 1]), ring[(t - 1) % RING]
            ring[(t - 1) % RING] = math.nan
            if not math.isnan(told):
                errors += 1.0
                error = sample - told
                variance += max(beta, 1.0 / errors) * (error * error - variance)
            level = sample if math.isnan(level) else level + alpha * (sample - level)
            ring[(t + lead) % RING] = level
        point = 0.0 if math.isnan(level) else level
        if use_table and t >= forecaster.lags:
            top = foreseen(table[t], forecaster, boots)
            if not math.isnan(top):
                point = top
                ring[(t + lead) % RING] = top
    sigma = FIRST_SPREAD * (0.0 if math.isnan(level) else level) if errors < FEW_ERRORS else math.sqrt(variance)
    return point, sigma


def foreseen(row: npt.NDArray[np.float32], forecaster: PooledAr, boots: int, share: float = 0.5) -> float:
    """The largest median among the intervals until an order is ready; NaN without one."""
    top = math.nan
    for h, ahead in enumerate(forecaster.horizons.tolist()):
        if ahead <= boots:
            value = float(np.interp(share, forecaster.quantiles, row[h].astype(np.float64)))
            if not value <= top:
                top = value
    return top
