"""A trained forecaster in use: ONNX in, pandas frames in and out. No torch.

``rlsched.load_forecaster("vm").predict(frame)`` asks the packaged model of VMs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlsched.assets import asset_roots
from rlsched.errors import PolicyError, SpecError, TraceError, did_you_mean
from rlsched.forecast.windows import CONTEXT, make_context

if TYPE_CHECKING:
    import pandas as pd

F32 = npt.NDArray[np.float32]
KIND = "rlsched-forecaster"
SCHEMA_VERSION = 1
FILE = "forecaster.onnx"
PREFIX = "forecaster-"
BATCH = 512  # windows of one run; more do not fit the cache
STALE = 12  # steps without a sample after which a forecast says so
#: More than twice the request looks like percent; hardly any load learned from was higher.
LIKELY_SHARE = 2.0
UNITS = {"share": 1.0, "percent": 100.0}
MAX_BYTES = 256 * 2**20
COLUMNS = ("vm", "time", "cores")


@dataclass(frozen=True, eq=False)
class VmForecaster:
    """A loaded model.

    Parameters
    ----------
    name : str
    resources : tuple of str
    length : int
        Past samples it sees.
    min_measured : int
        Fewer measured samples than this are refused by :meth:`predict`.
    horizons : tuple of int
        Steps ahead, 0 is the coming interval.
    quantiles : tuple of float
    step_s : int
    metadata : dict
        Everything the file says of itself: data, split, scores.
    sha256 : str
        Of the file.
    session : onnxruntime.InferenceSession
    """

    name: str
    resources: tuple[str, ...]
    length: int
    min_measured: int
    horizons: tuple[int, ...]
    quantiles: tuple[float, ...]
    step_s: int
    metadata: dict[str, Any]
    sha256: str
    session: Any

    def quantiles_of(self, past: F32, context: F32) -> F32:
        """Ask the network as it is.

        Parameters
        ----------
        past : (B, length, R) float32
            NaN where missing; the newest sample last.
        context : (B, 4) float32
            See `rlsched.forecast.windows.make_context`.

        Returns
        -------
        (B, R, H, Q) float32
            Never descends along Q. Means nothing for a resource of which nothing was measured.
        """
        out = [
            self.session.run(None, {"past": past[low : low + BATCH], "context": context[low : low + BATCH]})[0]
            for low in range(0, len(past), BATCH)
        ]
        if not out:
            return np.empty((0, len(self.resources), len(self.horizons), len(self.quantiles)), np.float32)
        return out[0] if len(out) == 1 else np.concatenate(out)

    def predict(self, frame: pd.DataFrame, units: str | None = None) -> pd.DataFrame:
        """Forecast every VM of a frame, from its newest sample on.

        Parameters
        ----------
        frame : pandas.DataFrame
            One row a sample. ``time``: timestamps, or seconds; ``vm``: name of the VM, may be left
            out for one VM; one column a resource of the model (``cpu_share``, ``mem_share``), as a
            share of the request, NaN where missing; ``cores``: optional, cores requested. Only the
            newest ``length`` samples of a VM are used. A resource of the model that has no column
            counts as not measured.
        units : {"share", "percent"}, optional
            Of the resources, and then of the answer: 1 or 100 is all that was requested. Without it they
            are shares, and a value above 2 is refused, since it looks like percent; with ``"share"`` any
            burst is taken as it is.

        Returns
        -------
        pandas.DataFrame
            One row a VM, resource and horizon: ``vm, resource, time`` (start of the interval spoken
            about), ``steps_ahead``, one column a quantile (``q0.5``), and ``note``, which names what
            was done about an unusual history; empty otherwise.

        Raises
        ------
        TraceError
            Values negative or infinite, shares above 2 without ``units``, samples off a regular grid, another
            step than the model's, or a VM with too few samples; names VM, time and value.
        SpecError
            A column that is missing or not known, or unknown ``units``.
        """
        import pandas as pd

        if units is not None and units not in UNITS:
            raise SpecError(f"units: no unit {units!r} of load.{did_you_mean(str(units), UNITS)}")
        unit = UNITS[units or "share"]
        given = self._check_columns(list(frame.columns))
        vms = frame["vm"].to_numpy() if "vm" in frame else np.full(len(frame), "vm", object)
        if len(frame) == 0:
            raise TraceError("a frame must hold at least one sample: this one has no rows.")
        stamped = pd.api.types.is_datetime64_any_dtype(frame["time"])
        seconds = _seconds(frame["time"], stamped)
        values = np.full((len(frame), len(self.resources)), np.nan)
        for r, resource in enumerate(self.resources):
            if resource in given:
                values[:, r] = pd.to_numeric(frame[resource], errors="raise").to_numpy(np.float64, na_value=np.nan)
        if units is None:
            self._look_like_shares(values, vms, seconds)
        values /= unit
        cores = frame["cores"].to_numpy(np.float64) if "cores" in frame else np.full(len(frame), np.nan)
        names = list(dict.fromkeys(vms.tolist()))
        pasts, contexts, last, notes = [], [], [], []
        for name in names:
            rows = np.flatnonzero(vms == name)
            past, context, newest, note = self._window(name, seconds[rows], values[rows], float(cores[rows][-1]))
            pasts.append(past)
            contexts.append(context)
            last.append(newest)
            notes.append(note)
        answer = self.quantiles_of(np.stack(pasts), np.concatenate(contexts)) * np.float32(unit)
        zone = frame["time"].dt.tz if stamped else None
        return self._frame(names, np.array(last), notes, answer, np.stack(pasts), stamped, zone)

    def _look_like_shares(self, values: Any, vms: Any, seconds: Any) -> None:
        """Refuse what looks like percent."""
        with np.errstate(invalid="ignore"):
            high = np.argwhere((values > LIKELY_SHARE) & np.isfinite(values))
        if high.size:
            row, r = high[0]
            raise TraceError(
                f"{self.resources[r]} must be a share of the request, 1 for all of it: got {values[row, r]:g} at "
                f"second {seconds[row]} of VM {vms[row]!r} (and {len(high) - 1} more above {LIKELY_SHARE:g}), which "
                "looks like percent. Pass units='percent', or units='share' if it did burst that far."
            )

    def _check_columns(self, columns: list[str]) -> set[str]:
        known = (*COLUMNS, *self.resources)
        for column in columns:
            if column not in known:
                raise SpecError(
                    f"unknown column or resource {column!r} of the frame.{did_you_mean(str(column), known)}"
                )
        given = set(columns) & set(self.resources)
        if "time" not in columns or not given:
            lacks = "'time'" if "time" not in columns else f"one of {', '.join(self.resources)}"
            raise SpecError(f"a frame must have 'time' and at least one resource: it lacks {lacks}; has {columns}.")
        return given

    def _window(self, name: Any, seconds: Any, values: Any, cores: float) -> tuple[F32, F32, int, str]:
        """One VM's window: (L, R), its context, the second after its newest sample, and a note."""
        order = np.argsort(seconds, kind="stable")
        seconds, values = seconds[order], values[order]
        bad = np.argwhere(np.isinf(values) | (values < 0))
        if bad.size:
            at, r = bad[0]
            raise TraceError(
                f"{self.resources[r]} must be >= 0 and finite, or missing: got {values[at, r]} at second "
                f"{seconds[at]} of VM {name!r} (and {len(bad) - 1} more). Fix the sample or set it to NaN."
            )
        ticks, rest = np.divmod(seconds - seconds[-1], self.step_s)
        off = np.flatnonzero(rest)
        if off.size or (np.diff(ticks) == 0).any():
            what = (
                f"second {seconds[off[0]]} is {rest[off[0]]} s off"
                if off.size
                else f"second {seconds[np.flatnonzero(np.diff(ticks) == 0)[0]]} comes twice"
            )
            raise TraceError(
                f"samples must lie on a regular grid of {self.step_s} s, the step of forecaster {self.name!r}: {what} "
                f"in VM {name!r}. Average them onto {self.step_s} s first."
            )
        places = (ticks + self.length - 1).astype(np.int64)
        used = places >= 0
        past = np.full((self.length, len(self.resources)), np.nan, np.float32)
        past[places[used]] = values[used]
        measured: Any = np.isfinite(past)
        count = int(measured.any(axis=1).sum())
        if count < self.min_measured:
            raise TraceError(
                f"a forecast needs at least {self.min_measured} measured samples among the newest {self.length}: VM "
                f"{name!r} has {count}. Wait for more, or use rlsched.forecast.simple."
            )
        notes = []
        first = int(measured.any(axis=1).argmax())
        if first > 0:
            notes.append(f"short history: {self.length - first} of {self.length} samples")
        gaps = int((~measured.any(axis=1))[first:].sum())
        if gaps:
            notes.append(f"{gaps} samples missing, taken as unknown")
        age = self.length - 1 - int(np.flatnonzero(measured.any(axis=1))[-1])
        if age >= STALE:
            notes.append(f"newest measured sample is {age} steps old")
        if all(np.ptp(past[measured[:, r], r]) == 0 for r in range(past.shape[1]) if measured[:, r].any()):
            notes.append("constant load")
        end = int(seconds[-1]) + self.step_s
        context = make_context(np.array([end]), cores, np.array([-ticks[0] * self.step_s / 3600.0]))
        return past, context, end, "; ".join(notes)

    def _frame(
        self, names: list[Any], last: Any, notes: list[str], answer: F32, past: F32, stamped: bool, zone: Any
    ) -> pd.DataFrame:
        import pandas as pd

        measured = np.isfinite(past).any(axis=1)  # (B, R): no rows about what was never measured
        b, r = np.nonzero(measured)
        h = len(self.horizons)
        seconds = np.repeat(last[b], h) + np.tile(np.array(self.horizons), b.size) * self.step_s
        time: Any = seconds
        if stamped:
            time = pd.to_datetime(seconds, unit="s", utc=zone is not None)
            time = time.tz_convert(zone) if zone is not None else time
        columns: dict[str, Any] = {
            "vm": np.repeat(np.array(names, object)[b], h),
            "resource": np.repeat(np.array(self.resources, object)[r], h),
            "time": time,
            "steps_ahead": np.tile(np.array(self.horizons), b.size),
        }
        flat = answer[b, r].reshape(b.size * h, -1)
        columns |= {f"q{q:g}": flat[:, i] for i, q in enumerate(self.quantiles)}
        columns["note"] = np.repeat(np.array(notes, object)[b], h)
        return pd.DataFrame(columns)


def load_forecaster(name: str | Path) -> VmForecaster:
    """Load a trained forecaster.

    Parameters
    ----------
    name : str or Path
        ``"vm"`` for the packaged ``agents/forecaster-vm``, a folder with a ``forecaster.onnx``, or
        an ONNX file.

    Raises
    ------
    SpecError
        No forecaster of that name.
    PolicyError
        Not a forecaster of ours, damaged, or of another schema.

    Examples
    --------
    >>> load_forecaster("vm").resources  # doctest: +SKIP
    ('cpu_share', 'mem_share')
    """
    path = _find(name)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PolicyError(f"a forecaster's file must be at most {MAX_BYTES >> 20} MiB: {path} is larger.")
        data = path.read_bytes()
    except OSError as error:
        raise PolicyError(f"cannot read {path}: {error.strerror}.") from None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        stated = {key: json.loads(text) for key, text in session.get_modelmeta().custom_metadata_map.items()}
    except Exception as error:  # onnxruntime raises its own kinds
        raise PolicyError(f"{path} is not an ONNX file that onnxruntime can run: {str(error)[:200]}.") from None
    if stated.get("kind") != KIND:
        raise PolicyError(f"{path} is not a forecaster: kind must be {KIND!r}: got {stated.get('kind')!r}.")
    if stated.get("schema_version") != SCHEMA_VERSION or stated.get("context") != list(CONTEXT):
        raise PolicyError(
            f"{path} is a forecaster of another schema: version must be {SCHEMA_VERSION} with context "
            f"{', '.join(CONTEXT)}: got {stated.get('schema_version')!r} with {stated.get('context')}. Export it again."
        )
    return VmForecaster(
        name=str(stated.get("name", path.stem)),
        resources=tuple(stated["resources"]),
        length=int(stated["length"]),
        min_measured=int(stated["min_measured"]),
        horizons=tuple(stated["horizons"]),
        quantiles=tuple(stated["quantiles"]),
        step_s=int(stated["step_s"]),
        metadata=stated,
        sha256=hashlib.sha256(data).hexdigest(),
        session=session,
    )


def _find(name: str | Path) -> Path:
    path = Path(name)
    if path.is_dir() and (path / FILE).is_file():
        return path / FILE
    if path.is_file():
        return path
    # Not list_assets: a folder with card.toml is a policy there, and a forecaster decides nothing.
    files = [one for root in asset_roots("agents") for one in sorted(root.glob(f"{PREFIX}*/{FILE}"))]
    known = {one.parent.name.removeprefix(PREFIX): one for one in reversed(files)}  # the first root wins
    short = str(name).removeprefix(PREFIX)
    if short in known:
        return known[short]
    raise SpecError(f"no forecaster {str(name)!r}: it is neither a file nor a known name.{did_you_mean(short, known)}")


def _seconds(time: Any, stamped: bool) -> npt.NDArray[np.int64]:
    import pandas as pd

    if bool(time.isna().any()):
        raise TraceError(f"time must be there in every row: row {int(np.flatnonzero(time.isna())[0])} has none.")
    if stamped:
        utc = time.dt.tz_convert("UTC").dt.tz_localize(None) if time.dt.tz is not None else time
        whole: npt.NDArray[np.int64] = utc.astype("datetime64[s]").astype(np.int64).to_numpy()
        return whole
    if not pd.api.types.is_numeric_dtype(time):
        raise TraceError(f"time must be timestamps or seconds: got dtype {time.dtype}. Use pandas.to_datetime first.")
    floored: npt.NDArray[np.int64] = np.floor(time.to_numpy(np.float64)).astype(np.int64)
    return floored
