"""A profile: what is known of a workload after its rows are gone. One JSON file, readable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from rlsched.assets import asset_roots
from rlsched.errors import SpecError, did_you_mean
from rlsched.spec import Spec, validate
from rlsched.traces.store import replacing
from rlsched.traces.synthetic.arrivals import Arrivals
from rlsched.traces.synthetic.lifetimes import Lifetimes
from rlsched.traces.synthetic.sizes import Atom, Sizes
from rlsched.traces.synthetic.usage import UsagePart

PROFILE_VERSION = 1


class Origin(Spec):
    """Where the statistics are from."""

    name: str
    tasks: int = Field(default=0, ge=0, description="rows behind the task part")
    series: int = Field(default=0, ge=0, description="series behind the usage part")
    observed_s: float = Field(gt=0, description="length observed, seconds")
    sha256: dict[str, str] = Field(default_factory=dict, description="file name: hash of the files read")
    licence: str = ""
    cite: str = ""
    notes: tuple[str, ...] = Field(default=(), description="what the fit could not see, said by the fit")


class Disclosure(Spec):
    """What limits how much of a row can be read out of the profile."""

    min_count: int = Field(ge=2, description="fewest tasks (or series) behind any number")
    digits: int = Field(ge=1, le=6, description="significant digits of any number")
    sizes_exact: float = Field(default=1.0, description="share of tasks whose request is an atom as it was")
    sizes_gridded: float = Field(default=0.0, description="share rounded to a quarter octave")
    sizes_merged: float = Field(default=0.0, description="share sent to the nearest atom")


class Stream(Spec):
    """Batches of one range of sizes: they have their own rhythm, requests and lives."""

    arrivals: Arrivals
    sizes: Sizes
    lifetimes: Lifetimes | None = None


class Profile(Spec):
    """Statistics of a workload; see :func:`rlsched.traces.synthetic.fit.fit` and ``draw``."""

    kind: Literal["rlsched-profile"] = "rlsched-profile"
    version: Literal[1] = 1
    origin: Origin
    disclosure: Disclosure
    gpu_models: tuple[str, ...] = ()
    atoms: tuple[Atom, ...] = ()
    streams: tuple[Stream, ...] = ()
    usage: UsagePart | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Profile:
        every = list(range(len(self.atoms)))
        for i, stream in enumerate(self.streams):
            if len(stream.sizes.atom_share) != len(every):
                raise ValueError(f"streams.{i}.sizes.atom_share must have {len(every)} numbers, one for each atom")
            drifting = [atom for one in stream.sizes.drift for atom in one.atoms]
            if len(set(drifting)) != len(drifting) or not set(drifting) <= set(every):
                raise ValueError(f"streams.{i}.sizes.drift must name atoms 0..{len(every) - 1}, each once")
            lives = stream.lifetimes
            if lives is not None and sorted(a for curve in lives.curves for a in curve.atoms) != every:
                raise ValueError(f"streams.{i}.lifetimes.curves must cover every atom once")
        if not self.streams and self.usage is None:
            raise ValueError("a profile needs streams or usage")
        return self


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile as JSON, one short table a line; replaces the file in one step."""
    text = _pretty(profile.model_dump(mode="json", exclude_defaults=False), 0) + "\n"
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def load_profile(path: Path) -> Profile:
    """Read and check a profile.

    Raises
    ------
    SpecError
        When the file is not there, is not JSON, or breaks a rule; names every problem.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(
            f"no profile at {path}. Check the path; fit one with 'rlsched traces fit FILE {path.name}'."
        ) from None
    except OSError as error:
        raise SpecError(f"cannot read profile {path}: {error.strerror}. Check the path and its permissions.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not a JSON profile: {error}. Fit it again with 'rlsched traces fit'.") from None
    if not isinstance(values, dict) or values.get("kind") != "rlsched-profile":
        raise SpecError(f'{path} must hold an object with "kind": "rlsched-profile". Name a file that fit wrote.')
    if values.get("version") != PROFILE_VERSION:
        raise SpecError(
            f"profile version must be {PROFILE_VERSION}: got {values.get('version')!r} in {path}. "
            "Fit it again with this version of rlsched."
        )
    return validate(Profile, values, str(path))


def list_profiles() -> dict[str, Path]:
    """Packaged profiles, name → file; the first root wins as in `rlsched.assets`."""
    found: dict[str, Path] = {}
    for root in asset_roots("traces"):
        found = {**{path.stem: path for path in root.glob("profiles/*.json")}, **found}
    return dict(sorted(found.items()))


def find_profile(name: str) -> Path:
    """Find a profile by path, by packaged name (``azure-v1``) or as ``profiles/azure-v1.json``.

    Raises
    ------
    SpecError
        When there is none; names the nearest known one.
    """
    known = list_profiles()
    if Path(name).is_file():
        return Path(name)
    bare = name.removeprefix("profiles/").removesuffix(".json")
    if bare in known:
        return known[bare]
    raise SpecError(f"no profile {name!r}: it is neither a file nor a known name.{did_you_mean(bare, known)}")


def _pretty(value: Any, depth: int) -> str:
    """JSON with lists of numbers on one line, so that a person can read a table."""
    pad, end = "  " * (depth + 1), "  " * depth
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value:
        return flat
    if len(flat) <= 110 or (isinstance(value, list) and not any(isinstance(v, dict | list) for v in value)):
        return flat
    if isinstance(value, list):
        inner = [pad + _pretty(v, depth + 1) for v in value]
        return "[\n" + ",\n".join(inner) + f"\n{end}]"
    inner = [f"{pad}{json.dumps(k)}: {_pretty(v, depth + 1)}" for k, v in value.items()]
    return "{\n" + ",\n".join(inner) + f"\n{end}}}"
