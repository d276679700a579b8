"""Rules about machines, and those that hold for every noun."""

from __future__ import annotations

import numpy as np

from rlsched.traces.columns import Columns, Machines
from rlsched.traces.lint.finding import CHANGES, NOTICE, Hit, Rule, Subject, ids_of, plural
from rlsched.units import format_duration

_MOST_MCORE = 512  # every machine with at most so many millicores: cores taken for millicores
_MOST_CORES = 10_000
_MEM = (1024, 2**30)  # MiB: half of the machines with less than 1 GiB, or more than 1 PiB
_EPOCH_S = 6e8
_LATEST_S = 4.2e9


def _machines(subject: Subject) -> Machines:
    assert isinstance(subject.columns, Machines)  # the table says so
    return subject.columns


def no_capacity(subject: Subject) -> Hit | None:
    """Machines without CPU or without memory."""
    machines = _machines(subject)
    no_cpu, no_mem = machines.cpu_mcore == 0, machines.mem_mib == 0
    parts = [
        f"{plural(int(bad.sum()), 'machine')} of {len(machines):,} with {what}"
        for bad, what in ((no_cpu, "cpu_mcore 0"), (no_mem, "mem_mib 0"))
        if bad.any()
    ]
    return subject.rows(no_cpu | no_mem, ", ".join(parts))


def capacity_unit(subject: Subject) -> Hit | None:
    """Capacities in another unit than they are read in."""
    machines = _machines(subject)
    cpu, mem = machines.cpu_mcore[machines.cpu_mcore > 0], machines.mem_mib[machines.mem_mib > 0]
    parts = []
    if cpu.size and cpu.max() <= _MOST_MCORE:
        parts.append(f"no machine has more than {cpu.max()} millicores: cores taken for millicores?")
    if cpu.size and np.median(cpu) > _MOST_CORES * 1000:
        parts.append(
            f"half of the machines have {np.median(cpu) / 1000:,.0f} cores or more: millicores taken for cores?"
        )
    if mem.size and np.median(mem) < _MEM[0]:
        parts.append(f"half of the machines have {np.median(mem):g} MiB or less: GiB taken for MiB?")
    if mem.size and np.median(mem) > _MEM[1]:
        parts.append(f"half of the machines have {np.median(mem):.3g} MiB or more: KiB or bytes taken for MiB?")
    return Hit(len(machines), "; ".join(parts)) if parts else None


def gpu_without_model(subject: Subject) -> Hit | None:
    """Machines with GPUs of no named model."""
    machines = _machines(subject)
    bad = (machines.gpu_count > 0) & (machines.gpu_model < 0)
    gpus = int(machines.gpu_count[bad].sum())
    return subject.rows(bad, f"{plural(int(bad.sum()), 'machine')} with {plural(gpus, 'GPU')} of no named model")


def clock_unit(subject: Subject) -> Hit | None:
    """A first moment in January 1970, or after 2100: a stamp divided too often, or not at all."""
    columns = subject.columns
    origin = columns.meta.get("time_origin_s")
    if isinstance(origin, bool) or not isinstance(origin, (int, float)):
        return None
    reading = next(
        (
            f"{said} taken for {read}"
            for factor, said, read in (
                (1e3, "seconds", "milliseconds"),
                (1e6, "seconds", "microseconds"),
                (1e-3, "milliseconds", "seconds"),
                (1e-6, "microseconds", "seconds"),
            )
            if not _EPOCH_S <= origin < _LATEST_S
            and _EPOCH_S <= origin * factor < _LATEST_S
            # Whole seconds divided by a thousand are not whole; a clock of its own that starts late mostly is.
            and (factor < 1 or _has_fractions(columns))
        ),
        None,
    )
    if reading is None:
        return None
    text = f"time 0 is {origin:.0f} s ({format_duration(float(origin))}) after 1970 began: {reading}?"
    return Hit(len(columns), text)


def _has_fractions(columns: Columns) -> bool:
    time = getattr(columns, "arrive_s", getattr(columns, "time_s", None))
    return time is not None and bool((time != np.rint(time)).any())


def blank_in_id(subject: Subject) -> Hit | None:
    """Labels with blanks or line ends inside."""
    labels = getattr(subject.columns, subject.columns.ROW_COLUMNS[0])
    if labels.dtype.kind in "iu":
        return None
    bad = [str(one) for one in labels.tolist() if isinstance(one, str) and len(one.split()) != 1]
    if not bad:
        return None
    return Hit(
        len(bad), f"{plural(len(bad), 'label')} of {len(labels):,} with blanks, such as {bad[0]!r}", ids=ids_of(bad)
    )


HOST_RULES = (
    Rule(
        "no-capacity", "machines", CHANGES, "machines without CPU or without memory",
        "places nothing there that asks for it",
        "State the missing capacity (mem_mib= of the reader), or leave them out.",
        no_capacity,
    ),
    Rule(
        "capacity-unit", "machines", CHANGES, "capacities that are likely in another unit",
        "takes them as they are: nothing fits, or everything does", "Set cpu_unit or mem_unit in the card.",
        capacity_unit,
    ),
    Rule(
        "gpu-without-model", "machines", CHANGES, "machines with GPUs of no named model",
        "places no task there that asks for a GPU", "Name the model (gpu_model).", gpu_without_model,
    ),
)  # fmt: skip

SHARED_RULES = (
    Rule(
        "clock-unit", "any", CHANGES, "seconds taken for milliseconds, or the like (by the first moment)",
        "takes the times as they are: everything a thousand times too fast, or too slow", "Set time_unit in the card.",
        clock_unit,
    ),
    Rule(
        "blank-in-id", "any", NOTICE, "labels with blanks inside", "nothing: a label is a label",
        "Do not split listings of these names at white space.", blank_in_id,
    ),
)  # fmt: skip
