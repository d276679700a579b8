"""``[failures]`` of a placement card: machines that fail and are repaired, drawn or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from rlsched.errors import SpecError, TraceError, did_you_mean
from rlsched.evaluate.experiment import FailuresSpec
from rlsched.evaluate.windows import Instances
from rlsched.sim.events import FAIL, REPAIR, MachineEvents
from rlsched.units import SECONDS_PER_HOUR

KINDS = {"fail": FAIL, "repair": REPAIR}


def make_failures(spec: FailuresSpec | None, instances: Instances, folder: Path) -> MachineEvents | None:
    """The failures of an experiment; None without ``[failures]``.

    Parameters
    ----------
    spec : FailuresSpec or None
    instances : Instances
        Time windows on one machine list.
    folder : Path
        Of the card.

    Raises
    ------
    SpecError
        When time is only an order (fill windows).
    TraceError
        When the file cannot be used; names line, column and value.
    """
    if spec is None:
        return None
    if not instances.clock:
        raise SpecError('[failures] needs windows.kind = "time": where pods only fill machines, no time passes.')
    if len(instances.fleets) > 1:
        raise SpecError(
            "[failures] needs one machine list: leave out machines.sample, which draws one for each window."
        )
    machines = instances.fleets[0]
    if spec.file:
        return _read(Path(spec.file) if Path(spec.file).is_absolute() else folder / spec.file, machines.machine_id)
    assert spec.mtbf_h is not None and spec.mttr_h is not None  # noqa: PT018 - held by the validator
    begin = float(instances.trace.arrive_s[0])
    end = max(window.stop_s for window in instances.windows)
    return MachineEvents.random(
        len(machines),
        begin,
        end,
        mtbf_s=spec.mtbf_h * SECONDS_PER_HOUR,
        mttr_s=spec.mttr_h * SECONDS_PER_HOUR,
        seed=spec.seed,
    )


def _read(path: Path, machine_ids: npt.NDArray[Any]) -> MachineEvents:
    import csv
    import math

    row_of = {str(label): row for row, label in enumerate(machine_ids)}
    rows: list[tuple[float, int, int]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != ["time_s", "kind", "machine_id"]:
                raise TraceError(f"{path} must have the header time_s,kind,machine_id: got {reader.fieldnames}.")
            for line, row in enumerate(reader, start=2):
                try:
                    time = float(row["time_s"])
                except (TypeError, ValueError):
                    time = math.nan
                if not math.isfinite(time):
                    raise TraceError(f"time_s must be a number: got {row['time_s']!r} in line {line} of {path}.")
                if row["kind"] not in KINDS:
                    raise TraceError(
                        f"unknown kind {row['kind']!r} in line {line} of {path}.{did_you_mean(str(row['kind']), KINDS)}"
                    )
                if row["machine_id"] not in row_of:
                    raise TraceError(
                        f"unknown machine {row['machine_id']!r} in line {line} of {path}."
                        f"{did_you_mean(str(row['machine_id']), row_of)}"
                    )
                rows.append((time, KINDS[row["kind"]], row_of[row["machine_id"]]))
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"cannot read the failures file {path}: {error}. Check the path in [failures].") from None
    return MachineEvents.of(rows, len(row_of))
