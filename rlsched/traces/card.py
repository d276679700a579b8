"""Dataset cards: what a dataset is, where its files are, how they are read and split.

A card is a TOML file in ``traces/`` (or the user's own, with ``--card``). Only ``reader`` is
needed for a file of one's own; released datasets state everything.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import Field, StrictInt, StrictStr, ValidationInfo, field_validator, model_validator

from rlsched import spec
from rlsched.assets import find_asset
from rlsched.errors import did_you_mean
from rlsched.spec import Card, Spec
from rlsched.traces.columns import Machines, Trace
from rlsched.traces.readers import READERS

Option = bool | int | float | str


class ColumnMap(Spec):
    """How the generic reader reads a CSV or Parquet file: column names and units.

    Parameters
    ----------
    kind : {"trace", "machines"}
    columns : dict of str to str
        Our column → the file's. Besides those of ``Trace`` or ``Machines``: ``duration_s``
        instead of ``depart_s``; ``gpu_models`` (a trace's allowed models, joined by ``|``).
    delimiter : str
        One character; CSV only.
    names : list of str
        Column names in order, for a CSV without a header line.
    missing : list of str
        What stands for a missing value in a CSV.
    on_bad_row : {"error", "skip"}
        ``skip`` leaves bad rows out and counts them in the report.
    time_unit : {"s", "ms", "us", "datetime"}
        Of every time column. ``datetime`` takes ISO 8601 text (UTC where it names no zone) or
        Parquet timestamps; ``duration_s`` and ``expected_s`` are then in seconds.
    time_origin : {"as_is", "first"}
        ``first`` shifts times so that the earliest arrival is 0; a datetime needs it.
    cpu_unit : {"mcore", "cores"}
    mem_unit : {"mib", "gib", "kib", "bytes"}
    gpu_unit : {"mgpu", "gpu"}
        Of ``gpu_mgpu``, the share of each device.
    rounding : {"error", "up", "down", "nearest"}
        What to do where a converted quantity is not whole; anything but ``error`` is reported.
    """

    kind: Literal["trace", "machines"] = "trace"
    columns: dict[str, str]
    delimiter: str = ","
    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ("",)
    on_bad_row: Literal["error", "skip"] = "error"
    time_unit: Literal["s", "ms", "us", "datetime"] = "s"
    time_origin: Literal["as_is", "first"] = "as_is"
    cpu_unit: Literal["mcore", "cores"] = "mcore"
    mem_unit: Literal["mib", "gib", "kib", "bytes"] = "mib"
    gpu_unit: Literal["mgpu", "gpu"] = "mgpu"
    rounding: Literal["error", "up", "down", "nearest"] = "error"

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str) -> str:
        if len(value) != 1 or value in '"\r\n':
            raise ValueError("must be one character, and neither a quote nor a line end")
        return value

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        kind = info.data.get("kind", "trace")
        known = known_columns(kind)
        faults = [
            f"unknown column {name!r} of a {kind}.{did_you_mean(name, known)}" for name in value if name not in known
        ]
        needed = ("arrive_s", "cpu_mcore") if kind == "trace" else ("machine_id", "cpu_mcore", "mem_mib")
        absent = [name for name in needed if name not in value]
        if absent:
            faults.append(f"a {kind} must name the file's column for {', '.join(absent)}.")
        if faults:
            raise ValueError(" ".join(faults))
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> ColumnMap:
        if "depart_s" in self.columns and "duration_s" in self.columns:
            raise ValueError("a map has depart_s or duration_s, not both")
        if ("gpu_mgpu" in self.columns or "gpu_models" in self.columns) and "gpu_count" not in self.columns:
            raise ValueError("a map with gpu_mgpu or gpu_models needs gpu_count")
        if self.time_unit == "datetime" and self.time_origin != "first":
            raise ValueError('time_unit = "datetime" needs time_origin = "first"')
        return self


def known_columns(kind: str) -> list[str]:
    """Our column names that a map of this kind may name."""
    if kind == "machines":
        return list(Machines.ROW_COLUMNS)
    return [name for name in Trace.ROW_COLUMNS if name != "gpu_model_mask"] + ["duration_s", "gpu_models"]


class Part(Spec):
    """One thing a dataset holds that can be read.

    Parameters
    ----------
    path : str
        Below the dataset's folder.
    reader : str
        A name in ``READERS``.
    options : dict
        Of the reader.
    title : str
    """

    path: str
    reader: str
    options: dict[str, Option] = Field(default_factory=dict)
    title: str = ""

    @field_validator("reader")
    @classmethod
    def _known_reader(cls, value: str) -> str:
        return _known_reader(value)

    @field_validator("path")
    @classmethod
    def _stays_below(cls, value: str) -> str:
        if not value or Path(value).is_absolute() or ".." in Path(value).parts:
            raise ValueError("must be a path below the dataset's folder")
        return value


class Split(Spec):
    """A split by time, fixed once: train, then validation, then test.

    Parameters
    ----------
    part : str
        The part it is about.
    by : {"arrive_s", "time_s", "day", "part"}
        ``arrive_s``: half-open ranges ``[from, to)`` of arrival, seconds on the trace's clock;
        ``time_s``: likewise of sample times of a usage, a demand or a signal; ``day``: lists of
        days; ``part``: lists of parts, for traces without times.
    train, validation, test : tuple
        Two numbers, or days, or parts.
    """

    part: str
    by: Literal["arrive_s", "time_s", "day", "part"]
    train: tuple[StrictInt, ...] | tuple[StrictStr, ...]
    validation: tuple[StrictInt, ...] | tuple[StrictStr, ...]
    test: tuple[StrictInt, ...] | tuple[StrictStr, ...]

    @model_validator(mode="after")
    def _in_order(self) -> Split:
        stretches = (self.train, self.validation, self.test)
        number = int if self.by in ("arrive_s", "time_s") else str
        for name, stretch in zip(("train", "validation", "test"), stretches, strict=True):
            if not stretch or not all(isinstance(one, number) for one in stretch):
                raise ValueError(
                    f"{name} must be {'two seconds' if number is int else f'{self.by}s as text'}: got {stretch!r}"
                )
            if number is int and len(stretch) != 2:
                raise ValueError(f"{name} must be [from, to): got {stretch!r}")
            ordered = sorted(set(stretch)) == list(stretch)  # type: ignore[type-var]
            if not ordered:
                raise ValueError(f"{name} must ascend: got {stretch!r}")
        for earlier, later in pairwise(stretches):
            follows = later[0] >= earlier[-1] if number is int else later[0] > earlier[-1]  # type: ignore[operator]
            if not follows:
                raise ValueError(f"the stretches must follow each other: {later!r} begins before {earlier!r} ends")
        return self


class DatasetCard(Spec):
    """Everything a dataset's card says.

    Parameters
    ----------
    reader : str
        A name in ``READERS``, for a card that describes the user's own file.
    table : ColumnMap, optional
        For ``reader = "generic"``.
    title, home, licence, citation, note : str
    folder : str
        Below the data root.
    parts : dict of str to Part
        The first is the one meant when none is named.
    files : dict of str to str
        File below the folder → its SHA-256.
    units : dict of str to str
        Column of the original → unit and meaning.
    splits : Split, optional
    """

    reader: str = ""
    table: ColumnMap | None = None
    title: str = ""
    home: str = ""
    licence: str = ""
    citation: str = ""
    note: str = ""
    folder: str = ""
    parts: dict[str, Part] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    units: dict[str, str] = Field(default_factory=dict)
    splits: Split | None = None

    @field_validator("reader")
    @classmethod
    def _known_reader(cls, value: str) -> str:
        return _known_reader(value) if value else value

    @field_validator("files")
    @classmethod
    def _hashes(cls, value: dict[str, str]) -> dict[str, str]:
        for path, sha in value.items():
            if len(sha) != 64 or not set(sha) <= set("0123456789abcdef"):
                raise ValueError(f"the SHA-256 of {path!r} must be 64 hexadecimal digits")
        return value

    @model_validator(mode="after")
    def _whole(self) -> DatasetCard:
        if not self.reader and not self.parts:
            raise ValueError("a card names a reader, or parts with readers")
        if (self.reader == "generic") != (self.table is not None):
            raise ValueError('reader = "generic" and a [table] belong together')
        if self.splits is not None:
            split = self.splits
            named = (split.part, *(split.train + split.validation + split.test if split.by == "part" else ()))
            for name in named:
                if name not in self.parts:
                    raise ValueError(f"splits.part: no part {str(name)!r}.{did_you_mean(str(name), self.parts)}")
        return self


def load_card(name: str | Path) -> Card[DatasetCard]:
    """Read a dataset card by name or path.

    Raises
    ------
    SpecError
        No such card, or every problem of it at once.
    """
    return spec.load(DatasetCard, find_asset("traces", name))


def _known_reader(value: str) -> str:
    if value not in READERS:
        raise ValueError(f"unknown reader {value!r}.{did_you_mean(value, READERS)}")
    return value
