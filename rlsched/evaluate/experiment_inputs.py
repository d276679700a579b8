"""What a placement experiment's card says of its trace and its machines."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from rlsched.errors import SpecError
from rlsched.spec import Spec

Option = bool | int | float | str


class DataSpec(Spec):
    """The trace.

    Parameters
    ----------
    trace : str
        A dataset ``rlsched traces list`` shows, a file beside the card, a file below
        ``traces/`` (``sample/vms.parquet``), or any other path.
    part : str, optional
        Of a dataset; its first by default.
    options : dict
        Of the reader.
    keep_share : float
        Of the tasks, drawn at random with one seed for all times, this share is there: a smaller problem
        of the same kind.
    """

    trace: str
    part: str | None = None
    options: dict[str, Option] = Field(default_factory=dict)
    keep_share: float = Field(default=1.0, gt=0, le=1)


class HostType(Spec):
    """So many equal machines."""

    name: str
    count: int = Field(ge=1)
    cpu_mcore: int = Field(ge=1)
    mem_mib: int = Field(ge=1)
    gpu_count: int = Field(default=0, ge=0, le=31)
    gpu_model: str = ""
    power_curve: str = ""
    price_per_h: float | None = Field(default=None, ge=0)


class MachinesSpec(Spec):
    """The machines: from a dataset or file, or stated type by type.

    Parameters
    ----------
    source, part, options
        As for the trace.
    types : list of HostType
        Instead of a source, in this order.
    sample : int, optional
        Each window runs on so many machines, drawn without replacement by ``windows.seed``.
    scale : float
        So many times the machines: of ``types``, each count times this, rounded; of a source, each machine
        so many times, a whole number.
    power_curve : str
        For the machines whose own is not known; ``""`` leaves it unknown, and energy with it.
    price_per_h : float, optional
        For the machines whose own is not known, US dollars; unknown leaves cost unknown.
    curves : dict of str to table
        Power curves of the card's own; see ``PowerCurve.from_card``.
    """

    source: str = ""
    part: str | None = None
    options: dict[str, Option] = Field(default_factory=dict)
    types: tuple[HostType, ...] = ()
    sample: int | None = Field(default=None, ge=1)
    scale: float = Field(default=1.0, gt=0)
    power_curve: str = ""
    price_per_h: float | None = Field(default=None, ge=0)
    curves: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("curves")
    @classmethod
    def _curves_are_curves(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        from rlsched.sim.power import PowerCurve

        for name, card in value.items():
            try:
                PowerCurve.from_card(name, card)
            except SpecError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _one_origin(self) -> MachinesSpec:
        if bool(self.source) == bool(self.types):
            raise ValueError("give source (a dataset or file) or types ([[machines.types]]), one of them")
        if self.source and self.scale != int(self.scale):
            raise ValueError("scale must be a whole number for machines of a source: sample takes fewer of them")
        for one in self.types:
            if round(one.count * self.scale) < 1:
                raise ValueError(f"scale leaves no machine of type {one.name!r}: it has {one.count}")
        names = [one.name for one in self.types]
        if len(set(names)) != len(names):
            raise ValueError(f"names of machine types must differ: got {', '.join(names)}")
        return self
