"""TOML cards → validated, frozen specs.

A card is a TOML file; a spec is the frozen pydantic model it fills. Reading a card reports
*every* problem at once, each with its place and the nearest known name, and remembers where
each value came from (default, file, ``--set``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from rlsched.errors import SpecError, did_you_mean


class Spec(BaseModel):
    """Base of every spec: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


SpecT = TypeVar("SpecT", bound=Spec)


@dataclass(frozen=True)
class Card(Generic[SpecT]):
    """A spec with the origin of each of its values.

    Parameters
    ----------
    spec : Spec
        The validated values.
    origin : dict of str to str
        Dotted key → ``"default"``, the file, or ``"--set"``.
    path : Path or None
        The TOML file.
    """

    spec: SpecT
    origin: dict[str, str]
    path: Path | None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    SpecError
        When the file is not there, not readable or not TOML; names file and line.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise SpecError(f"no card at {path}. Check the path, or list what there is with 'rlsched show'.") from None
    except IsADirectoryError:
        raise SpecError(f"a card must be a TOML file: {path} is a directory. Name the file in it.") from None
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not valid TOML: {error}. Fix that place.") from None


def parse_override(text: str) -> tuple[list[str], Any]:
    """Split ``a.b=value`` into its key path and value.

    The value is read as TOML where it is TOML (``3``, ``true``, ``[1, 2]``, ``"x"``), and
    otherwise as plain text; ``1,2`` stays text for the field to split.

    Raises
    ------
    SpecError
        When there is no ``=`` or the key is empty.
    """
    key, equals, value = text.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not equals or not all(path):
        raise SpecError(f"--set needs key=value: got {text!r}. Example: --set seeds=3")
    try:
        return path, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return path, value


def apply_overrides(card: dict[str, Any], overrides: Sequence[str], origin: dict[str, str]) -> dict[str, Any]:
    """Return the card with each ``key=value`` of ``overrides`` put in; notes the origin."""
    out: dict[str, Any] = _copy(card)
    for text in overrides:
        path, value = parse_override(text)
        at = out
        for depth, part in enumerate(path[:-1]):
            below = at.setdefault(part, {})
            if not isinstance(below, dict):
                raise SpecError(f"--set {text}: {'.'.join(path[: depth + 1])!r} is a value, not a table.")
            at = below
        at[path[-1]] = value
        origin[".".join(path)] = "--set"
    return out


def validate(model: type[SpecT], values: dict[str, Any], place: str, origin: Mapping[str, str] | None = None) -> SpecT:
    """Build a spec; report every problem at once.

    Parameters
    ----------
    model : type of Spec
    values : dict
        As read from TOML.
    place : str
        Where the values are from, for the message.
    origin : mapping of str to str, optional
        Dotted key → where its value is from. A problem with one from ``--set`` says so, and the
        file is not named where all are.

    Raises
    ------
    SpecError
        One line a problem: key, rule, value, and the nearest known name for an unknown key.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        typed = [_was_set([str(part) for part in problem["loc"]], origin or {}) for problem in problems]
        lines = [_explain(model, problem) for problem in problems]
        if all(typed):
            place = "--set"
        else:
            lines = [f"--set: {line}" if was_set else line for line, was_set in zip(lines, typed, strict=True)]
        head = f"{place}: {len(lines)} problem{'s' if len(lines) > 1 else ''}"
        raise SpecError("\n  ".join([head + ":", *lines]) if len(lines) > 1 else f"{head}: {lines[0]}") from None


def load(model: type[SpecT], path: Path, overrides: Sequence[str] = ()) -> Card[SpecT]:
    """Read a card file, apply overrides, validate, and remember where values came from.

    Raises
    ------
    SpecError
        See :func:`read_toml` and :func:`validate`.
    """
    values = read_toml(path)
    origin = {key: str(path) for key, _ in flatten(values)}
    values = apply_overrides(values, overrides, origin)
    spec = validate(model, values, str(path), origin)
    full = {key: origin.get(key, _origin_of_parent(key, origin)) for key, _ in flatten(spec.model_dump())}
    return Card(spec, full, path)


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` of nested tables, in order."""
    for key, value in values.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{dotted}.")
        else:
            yield dotted, value


def _was_set(location: Sequence[str], origin: Mapping[str, str]) -> bool:
    """Whether ``--set`` gave the value at a place, a table around it, or something inside it."""
    key = ".".join(location)
    given = [name for name, where in origin.items() if where == "--set"]
    return any(key == name or key.startswith(f"{name}.") or name.startswith(f"{key}.") for name in given)


def _origin_of_parent(key: str, origin: dict[str, str]) -> str:
    while "." in key:
        key = key.rpartition(".")[0]
        if key in origin:
            return origin[key]
    return "default"


def _copy(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in values.items()}


def _fields_at(model: type[BaseModel], path: Sequence[Any]) -> list[str]:
    """Names a table accepts, following the error's location through nested models."""
    at: Any = model
    for part in path:
        if not (isinstance(at, type) and issubclass(at, BaseModel)) or part not in at.model_fields:
            return []
        at = at.model_fields[part].annotation
        for option in getattr(at, "__args__", ()):
            if isinstance(option, type) and issubclass(option, BaseModel):
                at = option
                break
    if isinstance(at, type) and issubclass(at, BaseModel):
        return list(at.model_fields)
    return []


def _explain(model: type[BaseModel], problem: Any) -> str:
    location = [part for part in problem["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    key = ".".join(str(part) for part in location) or "(card)"
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        hint = did_you_mean(str(location[-1]), known) if known else " It is not known here."
        return f"unknown key {key!r}.{hint}"
    if problem["type"] == "missing":
        return f"{key} is required and was not given."
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    shown = repr(problem.get("input"))
    shown = shown if len(shown) <= 120 else f"{shown[:117]}..."  # a whole table says less than its first values
    return f"{key}: {message}: got {shown}."
