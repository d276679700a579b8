"""Power curves as data: SPECpower tables and analytic forms, by name. Loads no compiler.

A curve is a row of 11 numbers and a kind. For a table the row holds watts at 0, 10, ... 100 % of
load with straight lines between; for an analytic curve it holds idle and full power. Kernels
take both as arrays (:func:`curve_arrays`) and call :func:`rlsched.sim.power.watts`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError, did_you_mean

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

TABLE, LINEAR, SQUARE, CUBIC, SQRT, CUBIC_ROOT = range(6)
POINTS = 11  # 0, 10, ... 100 % of load, the levels SPECpower_ssj2008 measures
#: Name of a kind in a card → its number in a kernel.
KINDS: dict[str, int] = {
    "table": TABLE,
    "linear": LINEAR,
    "square": SQUARE,
    "cubic": CUBIC,
    "sqrt": SQRT,
    "cubic_root": CUBIC_ROOT,
}


@dataclass(frozen=True)
class PowerCurve:
    """Watts of one machine type against its utilisation.

    Parameters
    ----------
    kind : str
        A name of :data:`KINDS`.
    points : tuple of float, watts
        ``"table"``: power at 0, 10, ... 100 % (11 values). Others: idle and full power (2 values).
    source : str
        Where the numbers are from.

    Raises
    ------
    SpecError
        When the kind is unknown, or the number of points or a value is not allowed.
    """

    kind: str
    points: tuple[float, ...]
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SpecError(f"unknown kind of power curve {self.kind!r}.{did_you_mean(self.kind, KINDS)}")
        need = POINTS if self.kind == "table" else 2
        if len(self.points) != need:
            what = "watts at 0, 10, ... 100 % of load" if need == POINTS else "idle and full power"
            raise SpecError(
                f"a {self.kind!r} power curve needs {need} numbers ({what}): got {len(self.points)}. "
                "Give one number for each."
            )
        object.__setattr__(self, "points", tuple(float(value) for value in self.points))
        for value in self.points:
            if not (math.isfinite(value) and value >= 0):
                raise SpecError(
                    f"power must be >= 0 watts and finite: got {value} in {self.points}. Correct the curve."
                )
        if self.points[-1] < self.points[0]:
            raise SpecError(
                f"full power must be >= idle power: got {self.points[-1]} W < {self.points[0]} W. "
                "Order the numbers from idle to full load."
            )

    @property
    def idle_w(self) -> float:
        """Power of a machine that is on and does nothing, watts."""
        return self.points[0]

    @property
    def max_w(self) -> float:
        """Power at full load, watts."""
        return self.points[-1]

    def watts(self, utilisation: float) -> float:
        """Power at a utilisation of 0..1, watts.

        Raises
        ------
        ValueError
            When the utilisation is outside 0..1.
        """
        if not 0.0 <= utilisation <= 1.0:
            raise ValueError(f"utilisation must be in 0..1: got {utilisation}. Divide the load by the capacity.")
        from rlsched.sim.power import watts

        kinds, rows = curve_arrays([self])
        return float(watts(int(kinds[0]), rows[0], utilisation))

    @classmethod
    def from_card(cls, name: str, card: Mapping[str, Any]) -> PowerCurve:
        """Make a curve from the table of a card.

        Parameters
        ----------
        name : str
            What the card calls it, for messages.
        card : mapping
            ``{"watts": [11 numbers]}``, or ``{"kind": "linear", "idle_w": 70, "max_w": 150}``;
            ``"source"`` may say where the numbers are from.

        Raises
        ------
        SpecError
            With the name of the curve, for an unknown or missing key or a value of the wrong type.
        """
        known = {"kind", "watts", "idle_w", "max_w", "source"}
        for key in card:
            if key not in known:
                raise SpecError(f"power curve {name!r}: unknown key {key!r}.{did_you_mean(key, known)}")
        try:
            if "watts" in card:
                extra = sorted({"idle_w", "max_w"} & set(card))
                if extra or card.get("kind", "table") != "table":
                    raise SpecError("'watts' is a whole table; leave out kind, idle_w and max_w beside it.")
                points = [float(value) for value in card["watts"]]
                return cls("table", tuple(points), str(card.get("source", "")))
            missing = [key for key in ("kind", "idle_w", "max_w") if key not in card]
            if missing:
                raise SpecError(f"{', '.join(missing)} missing. Give watts = [11 numbers], or kind, idle_w and max_w.")
            points = [float(card["idle_w"]), float(card["max_w"])]
            return cls(str(card["kind"]), tuple(points), str(card.get("source", "")))
        except (TypeError, ValueError) as error:
            raise SpecError(f"power curve {name!r}: watts must be numbers: {error}. Correct the card.") from None
        except SpecError as error:
            raise SpecError(f"power curve {name!r}: {error}") from None


#: CloudSim gives the same result page for the G3 and the G4; the watts of each are those of its class.
_SPEC = "CloudSim 3.0.3 power.models, which cites https://www.spec.org/power_ssj2008/results/{}.html"


def _spec(result: str, *points: float) -> PowerCurve:
    return PowerCurve("table", points, _SPEC.format(result))


#: Named curves a machine list may speak of.
POWER_CURVES: dict[str, PowerCurve] = {
    "hp_ml110_g3": _spec(
        "res2011q1/power_ssj2008-20110127-00342", 105, 112, 118, 125, 131, 137, 147, 153, 157, 164, 169
    ),
    "hp_ml110_g4": _spec(
        "res2011q1/power_ssj2008-20110127-00342", 86, 89.4, 92.6, 96, 99.5, 102, 106, 108, 112, 114, 117
    ),
    "hp_ml110_g5": _spec(
        "res2011q1/power_ssj2008-20110124-00339", 93.7, 97, 101, 105, 110, 116, 121, 125, 129, 133, 135
    ),
    "ibm_x3250_x3470": _spec(
        "res2009q4/power_ssj2008-20091104-00213", 41.6, 46.7, 52.3, 57.9, 65.4, 73, 80.7, 89.5, 99.6, 105, 113
    ),
    "ibm_x3250_x3480": _spec(
        "res2010q4/power_ssj2008-20101001-00297", 42.3, 46.7, 49.7, 55.4, 61.8, 69.3, 76.1, 87, 96.1, 106, 113
    ),
    "ibm_x3550_x5670": _spec(
        "res2010q2/power_ssj2008-20100315-00239", 66, 107, 120, 131, 143, 156, 173, 191, 211, 229, 247
    ),
    "ibm_x3550_x5675": _spec(
        "res2011q2/power_ssj2008-20110406-00368", 58.4, 98, 109, 118, 128, 140, 153, 170, 189, 205, 222
    ),
}


def find_curve(name: str, custom: Mapping[str, PowerCurve] | None = None) -> PowerCurve:
    """Look a curve up by name, the caller's own ones first.

    Raises
    ------
    SpecError
        When nothing has that name; says which was probably meant.
    """
    known = {**POWER_CURVES, **(custom or {})}
    if name not in known:
        raise SpecError(f"unknown power curve {name!r}.{did_you_mean(name, known)}")
    return known[name]


def curve_arrays(curves: Sequence[PowerCurve] | Iterable[PowerCurve]) -> tuple[I64, F64]:
    """Put curves into the arrays ``watts`` takes.

    Returns
    -------
    kind : (C,) int64
        Values of :data:`KINDS`.
    table : (C, 11) float64, watts
        A table's points; for an analytic curve idle and full power in the first two columns and
        NaN in the rest.
    """
    rows = list(curves)
    kind = np.array([KINDS[curve.kind] for curve in rows], dtype=np.int64)
    table = np.full((len(rows), POINTS), np.nan)
    for row, curve in zip(table, rows, strict=True):
        row[: len(curve.points)] = curve.points
    return kind, table
