"""Results: one JSON document, the same as tidy Parquet, and a folder for both.

The document has five keys, ``experiment, provenance, rows, summary, verdicts``
(``docs/json.md``). An unknown number is ``null``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched import assets
from rlsched.errors import SpecError
from rlsched.evaluate.bootstrap import Bootstrap
from rlsched.evaluate.verdict import Verdict

Document = dict[str, Any]
KEYS = ("experiment", "provenance", "rows", "summary", "verdicts")
RESULTS_JSON = "results.json"
RESULTS_PARQUET = "results.parquet"
REPORT_HTML = "report.html"
REPORT_MD = "report.md"
CARD_COPY = "experiment.toml"
LEDGER = "test-ledger.jsonl"
TABLES = "tables"  # folder of tables as CSV or Parquet
RUN_FILES = (RESULTS_JSON, RESULTS_PARQUET, REPORT_HTML, REPORT_MD, CARD_COPY, LEDGER, TABLES)
_VERSIONS = ("numpy", "numba", "pandas", "pyarrow", "onnxruntime")


def grids(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    """Rows → policy → metric → (W, S) float64; a null is NaN.

    Windows and seeds are in the order they first appear; one column where a policy ran
    without a seed. A policy whose rows say which training ``run`` they are of has (W, S, R).

    Raises
    ------
    SpecError
        When a policy lacks a (window, seed, run) that another of its rows implies.
    """
    windows = list(dict.fromkeys(row["window"] for row in rows))
    out: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    for policy in dict.fromkeys(row["policy"] for row in rows):
        mine = {(row["window"], row["seed"], row.get("run")): row for row in rows if row["policy"] == policy}
        seeds, runs = (list(dict.fromkeys(key[at] for key in mine)) for at in (1, 2))
        cells = [(window, seed, run) for window in windows for seed in seeds for run in runs]
        missing = [key for key in cells if key not in mine]
        if missing:
            window, seed, run = missing[0]
            of = "" if run is None else f", run {run}"
            raise SpecError(f"policy {policy!r} has no row for window {window!r}, seed {seed}{of}.")
        shape = (len(windows), len(seeds), *((len(runs),) if runs != [None] else ()))
        out[policy] = {
            metric: np.array([_number(mine[key].get(metric)) for key in cells], dtype=np.float64).reshape(shape)
            for metric in metrics
        }
    return out


def summarise(
    values: Mapping[str, Mapping[str, npt.NDArray[np.float64]]],
    bootstrap: Bootstrap,
    *,
    with_iqm: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Mean and interval of every policy and metric; ``n`` values, null where unknown.

    Metrics named in ``with_iqm`` have ``iqm, iqm_low, iqm_high``, the interquartile mean, besides.
    """
    out = []
    for policy, metrics in values.items():
        for metric, grid in metrics.items():
            one = bootstrap.interval(grid)
            row = {
                "policy": policy,
                "metric": metric,
                "mean": plain(one.mean),
                "ci_low": plain(one.low),
                "ci_high": plain(one.high),
                "n": one.n,
            }
            if metric in with_iqm:
                middle = bootstrap.iqm(grid)
                row |= {"iqm": plain(middle.mean), "iqm_low": plain(middle.low), "iqm_high": plain(middle.high)}
            out.append(row)
    return out


def verdict_rows(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Verdicts as the document holds them: the fields of :class:`Verdict`, null where not known."""
    return [{one.name: plain(getattr(verdict, one.name)) for one in fields(verdict)} for verdict in verdicts]


def origin(command: str) -> dict[str, Any]:
    """What of the provenance is the same for every kind of experiment.

    Returns
    -------
    dict
        ``run_id, date, command, commit, versions, machine``; no host name and no path.
    """
    return {
        "run_id": "",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "commit": git_commit(),
        "versions": {"rlsched": _rlsched_version(), "python": platform.python_version(), **_versions()},
        "machine": {"cpus": os.cpu_count(), "platform": f"{platform.system()} {platform.machine()}"},
    }


def seal(provenance: dict[str, Any]) -> dict[str, Any]:
    """Give a finished provenance its run id: the date and a digest of the rest."""
    text = json.dumps({**provenance, "run_id": ""}, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    day = str(provenance["date"])[:19].replace("-", "").replace(":", "")
    return {**provenance, "run_id": f"{day}-{digest}"}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def agents_sha256(card: Path, overrides: Sequence[str]) -> dict[str, str]:
    """SHA-256 of every policy file the card names, by the name it has there."""
    from rlsched.policies.policy_file import is_learned
    from rlsched.spec import apply_overrides, read_toml

    listed = apply_overrides(read_toml(card), overrides, {}).get("policies", [])
    entries = listed.split(",") if isinstance(listed, str) else listed
    names = [
        str(name).strip()
        for one in entries
        for value in (one.values() if isinstance(one, dict) else (one,))
        for name in (value if isinstance(value, list) else (value,))
    ]
    out = {}
    for name in dict.fromkeys(names):
        if not is_learned(name):
            continue
        try:
            path = assets.find_asset("agents", name)
        except SpecError:
            continue  # said where it is loaded
        file = path / "policy.onnx" if path.is_dir() else path
        if file.is_file():
            out[name] = file_sha256(file)
    return out


def plain(value: Any) -> Any:
    """A value that strict JSON can hold: NaN → None, inf → ``"inf"``, tuples → lists."""
    if isinstance(value, (np.floating, np.integer)):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def git_commit() -> str | None:
    """Commit of the source checkout, with ``+changes`` where it has any; None outside one."""
    root = assets.package_dir().parent
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        # The ledger grows with every run on a test split: no change of the code.
        status = subprocess.run(
            ["git", "-C", root, "status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude)**/{LEDGER}"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


def check_out(out: Path) -> None:
    """Refuse a place that results may not be written to, before anything is computed.

    Raises
    ------
    SpecError
        A file; a folder with something in it that no earlier run left there; or no permission.
    """
    if out.exists() and not out.is_dir():
        raise SpecError(f"cannot write results to {out}: it is a file. Name a folder with --out.")
    if out.is_dir():
        entries = sorted(entry.name for entry in out.iterdir())
        foreign = [name for name in entries if name not in RUN_FILES]
        ours = RESULTS_JSON in entries or entries == [LEDGER]  # the ledger alone: a run that was interrupted
        if entries and (foreign or not ours):
            raise SpecError(
                f"cannot write results to {out}: it holds {(foreign or entries)[0]!r}, which no earlier run left "
                "there. Name an empty or a new folder with --out."
            )
    # Tried, not asked about: permissions do not tell a read-only disk, nor what root may do.
    above = out.parent
    while not above.exists():
        above = above.parent
    for folder in (out, above) if out.is_dir() else (above,):
        try:
            Path(tempfile.mkdtemp(prefix=".rlsched-", dir=folder)).rmdir()
        except OSError as error:
            raise SpecError(
                f"cannot write results to {out}: {folder} cannot be written ({error.strerror}). Name another folder "
                "with --out."
            ) from None


def write_run(document: Document, out: Path, *, card: str | None = None, page: str | None = None) -> None:
    """Write a run's folder, all or nothing; an earlier run's is replaced, its ledger kept.

    Parameters
    ----------
    document : dict
    out : Path
    card : str, optional
        Text of the card, kept beside the results.
    page : str, optional
        The report.

    Raises
    ------
    SpecError
        See :func:`check_out`.
    """
    check_out(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{out.name}.partial-", dir=out.parent))
        partial.chmod(0o777 & ~_umask())
    except OSError as error:
        raise SpecError(f"cannot write results to {out}: {error.strerror}. Name another folder with --out.") from None
    try:
        (partial / RESULTS_JSON).write_text(dump(document) + "\n", encoding="utf-8")
        write_parquet(document, partial / RESULTS_PARQUET)
        if card is not None:
            (partial / CARD_COPY).write_text(card, encoding="utf-8")
        if page is not None:
            (partial / REPORT_HTML).write_text(page, encoding="utf-8")
        if (out / LEDGER).is_file():
            shutil.copyfile(out / LEDGER, partial / LEDGER)
        _swap(partial, out)
    except OSError as error:
        raise SpecError(f"cannot write results to {out}: {error.strerror or error}. Check the disk.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_parquet(document: Document, path: Path) -> None:
    """Rows as Parquet: one row a policy, window and seed; provenance in the metadata key ``rlsched``."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = pa.Table.from_pylist(document["rows"])
    # A metric nobody knows would have no type of its own.
    fields = [pa.field(one.name, pa.float64() if pa.types.is_null(one.type) else one.type) for one in table.schema]
    header = {key: document[key] for key in ("experiment", "provenance")}
    table = table.cast(pa.schema(fields)).replace_schema_metadata({b"rlsched": dump(header).encode()})
    parquet.write_table(table, path, compression="zstd")


def dump(document: Mapping[str, Any]) -> str:
    """The document as strict JSON, one line."""
    return json.dumps(document, allow_nan=False, ensure_ascii=False)


def load_document(path: Path) -> Document:
    """Read the results of an earlier run.

    Parameters
    ----------
    path : Path
        The run's folder, or its ``results.json``.

    Raises
    ------
    SpecError
        Not there, not JSON, or without a key; says which. In a folder: a card beside the results
        that is not the one they were made with.
    """
    file = path / RESULTS_JSON if path.is_dir() else path
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"no results at {file}. Make some with 'rlsched evaluate NAME --out {path}'.") from None
    except (OSError, ValueError) as error:
        raise SpecError(f"{file} is not a results document: {error}. Run the evaluation again.") from None
    missing = [key for key in KEYS if not isinstance(document, dict) or key not in document]
    if missing:
        raise SpecError(f"{file} is not a results document: it lacks {', '.join(missing)}. Run the evaluation again.")
    card = path / CARD_COPY
    made_with = document["provenance"].get("card_sha256")
    if path.is_dir() and card.is_file() and made_with and file_sha256(card) != made_with:
        raise SpecError(
            f"{card} is not the card these results were made with: its SHA-256 begins with {file_sha256(card)[:12]}, "
            f"theirs with {str(made_with)[:12]}. Do not mix runs in one folder; run the evaluation again."
        )
    out: Document = document
    return out


def _swap(partial: Path, out: Path) -> None:
    if not out.exists():
        os.replace(partial, out)
        return
    old = Path(tempfile.mkdtemp(prefix=f"{out.name}.partial-", dir=out.parent))
    try:
        os.replace(out, old / "old")
        try:
            os.replace(partial, out)
        except OSError:
            os.replace(old / "old", out)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _versions() -> dict[str, str]:
    out = {}
    for name in _VERSIONS:
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return out


def _rlsched_version() -> str:
    from rlsched import __version__

    return __version__


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
