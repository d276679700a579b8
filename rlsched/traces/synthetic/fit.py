"""Fit a profile to a trace: batches, then one stream a range of batch sizes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import TraceError
from rlsched.traces.advice import option
from rlsched.traces.columns import F64, I64, Trace, Usage
from rlsched.traces.synthetic.arrivals import STEP_S, WEEK_DAYS, fit_arrivals
from rlsched.traces.synthetic.batches import batches
from rlsched.traces.synthetic.busy import busy_part
from rlsched.traces.synthetic.lifetimes import Lifetimes, fit_lifetimes, observed_lives
from rlsched.traces.synthetic.mix import fit_drift
from rlsched.traces.synthetic.profile import Disclosure, Origin, Profile, Stream
from rlsched.traces.synthetic.sizes import fit_atoms, fit_sizes
from rlsched.traces.synthetic.tables import significant
from rlsched.traces.synthetic.usage import fit_usage
from rlsched.units import SECONDS_PER_DAY

#: Upper ends of the ranges of batch sizes; the last range has none.
STREAM_TOPS = (1, 4, 16, 64)
MAX_FILES = 8  # more are told by one hash
STREAM_BATCHES = 200  # a range with fewer batches joins the one below
LONGEST_LIFE = 4.0  # of the longest life or age seen: how far a fitted tail is carried on


def fit_tasks(
    trace: Trace, name: str, min_count: int = 20, digits: int = 3, observed_s: float | None = None
) -> Profile:
    """Fit the task part of a profile.

    Parameters
    ----------
    trace : Trace
    name : str
        What the profile is called.
    min_count : int
        Fewest tasks behind any number of the profile, ``>= 2``.
    digits : int
        Significant digits kept.
    observed_s : float, optional
        Length of the observation, seconds; by default up to the last arrival, in whole five minutes.

    Raises
    ------
    TraceError
        When the trace has fewer than ``10 * min_count`` tasks.
    """
    if len(trace) < 10 * min_count:
        raise TraceError(
            f"a profile needs at least {10 * min_count} tasks (ten times min_count = {min_count}): got {len(trace)} in "
            f"{trace.source or 'the trace'}. Fit a longer trace, or lower {option('min_count')} (which discloses more)."
        )
    when, observed_s, outside = busy_part(trace, observed_s)
    atoms = fit_atoms(trace, min_count)
    batch = batches(trace)
    size = np.bincount(batch)
    head_row = np.cumsum(size) - size
    life, ended, known = observed_lives(trace)
    longest = float(life[known].max()) if known.any() else 0.0
    max_s = max(float(significant(LONGEST_LIFE * longest, 1)), 1.0)  # all lives 0 is a trace too
    streams = []
    pooled: Lifetimes | None = None
    if known.any():
        pooled = fit_lifetimes(
            life[known], ended[known], atoms.code[known], batch[known], len(atoms.atoms), max_s, min_count, digits
        )
    for low, high in _ranges(size):
        chosen = (size >= low) & (size <= high)
        rows = chosen[batch]
        timed = chosen & (when[head_row] >= 0) & (when[head_row] < observed_s)
        n_atoms = len(atoms.atoms)
        mine = rows & known
        lives = fit_lifetimes(life[mine], ended[mine], atoms.code[mine], batch[mine], n_atoms, max_s, min_count, digits)
        sizes = fit_sizes(atoms.code[rows], batch[rows], n_atoms)
        share = _suppress(np.asarray(sizes.atom_share), int(chosen.sum()), min_count)
        streams.append(
            Stream(
                arrivals=fit_arrivals(when[head_row[timed]], size[timed], high, observed_s, min_count, digits),
                sizes=sizes.model_copy(
                    update={
                        "atom_share": tuple(significant(share, digits).tolist()),
                        "repeat": float(significant(sizes.repeat, digits)),
                        "drift": fit_drift(
                            atoms.code[head_row[timed]],
                            (when[head_row[timed]] // STEP_S).astype(np.int64),
                            int(np.ceil(observed_s / STEP_S)),
                            n_atoms,
                            digits,
                        ),
                    }
                ),
                lifetimes=lives if lives is not None else pooled,
            )
        )
    return Profile(
        origin=Origin(
            name=name,
            tasks=len(trace),
            observed_s=observed_s,
            sha256=_hashes(trace.meta),
            licence=str(trace.meta.get("licence", "")),
            cite=str(trace.meta.get("cite", "")),
            notes=_notes(observed_s, outside, known, ended),
        ),
        disclosure=Disclosure(
            min_count=min_count,
            digits=digits,
            sizes_exact=round(atoms.exact, 4),
            sizes_gridded=round(atoms.gridded, 4),
            sizes_merged=round(atoms.merged, 4),
        ),
        gpu_models=trace.gpu_models,
        atoms=atoms.atoms,
        streams=tuple(streams),
    )


def fit_series(usage: Usage, name: str, min_count: int = 20, digits: int = 3) -> Profile:
    """Fit the usage part of a profile; parameters and errors as :func:`fit_tasks` and ``fit_usage``."""
    part = fit_usage(usage, min_count, digits)
    longest = float(np.diff(usage.offset).max()) * usage.step_s
    notes = [] if longest >= 2 * SECONDS_PER_DAY else ["series under two days: no daily shape"]
    left_out = len(usage) - part.series
    if left_out:
        notes.append(f"{left_out} series of fewer than 12 samples were left out")
    if part.missing_share:
        notes.append(f"{part.missing_share:.2%} of the samples are missing; a draw has none missing")
    return Profile(
        origin=Origin(
            name=name,
            series=part.series,
            observed_s=longest,
            sha256=_hashes(usage.meta),
            licence=str(usage.meta.get("licence", "")),
            cite=str(usage.meta.get("cite", "")),
            notes=tuple(notes),
        ),
        disclosure=Disclosure(min_count=min_count, digits=digits),
        usage=part,
    )


def with_usage(tasks: Profile, usage: Profile) -> Profile:
    """One profile with the task part of one and the usage part of another, of the same dataset."""
    origin = tasks.origin.model_copy(
        update={
            "series": usage.origin.series,
            "sha256": {**tasks.origin.sha256, **usage.origin.sha256},
            "notes": (*tasks.origin.notes, *usage.origin.notes),
        }
    )
    return tasks.model_copy(update={"origin": origin, "usage": usage.usage})


def _ranges(size: I64) -> list[tuple[int, int]]:
    """Ranges of batch sizes with at least ``STREAM_BATCHES`` batches each; one range if there are few."""
    out: list[tuple[int, int]] = []
    low = 1
    for top in (*STREAM_TOPS, int(np.iinfo(np.int64).max)):
        if int(((size >= low) & (size <= top)).sum()) >= STREAM_BATCHES:
            out.append((low, top))
            low = top + 1
    if not out:
        return [(1, int(np.iinfo(np.int64).max))]
    first = out[0]
    out[0] = (1, first[1])
    out[-1] = (out[-1][0], int(np.iinfo(np.int64).max))  # a thin top range joins the one below
    return out


def _suppress(share: F64, heads: int, min_count: int) -> F64:
    """Atoms that began fewer than ``min_count`` batches of a stream lose their share to the others."""
    kept = np.where(share * heads >= min_count - 0.5, share, 0.0)
    return kept / kept.sum() if kept.sum() > 0 else share


def _hashes(meta: dict[str, Any]) -> dict[str, str]:
    """File name to hash; many files are told by one hash, that of their sorted hashes."""
    files = {Path(str(name)).name: str(value) for name, value in dict(meta.get("files", {})).items()}
    if len(files) <= MAX_FILES:
        return files
    joined = hashlib.sha256("\n".join(sorted(files.values())).encode()).hexdigest()
    return {f"{len(files)} files, sorted hashes one a line": joined}


def _notes(
    observed_s: float, outside: int, known: npt.NDArray[np.bool_], ended: npt.NDArray[np.bool_]
) -> tuple[str, ...]:
    out = []
    if observed_s < 2 * WEEK_DAYS * SECONDS_PER_DAY:
        out.append("under two weeks observed: week factors are 1")
    if observed_s < 2 * SECONDS_PER_DAY:
        out.append("under two days observed: day factors are 1")
    if outside:
        out.append(
            f"arrivals were fitted to the busiest {observed_s / SECONDS_PER_DAY:.1f} days; {outside} tasks outside"
        )
    if not known.all():
        out.append(f"{int((~known).sum())} tasks without a known age were left out of the lives")
    censored = int((known & ~ended).sum())
    if censored:
        out.append(f"{censored} lives are right-censored")
    return tuple(out)
