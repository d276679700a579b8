"""Kinds of experiments: the card's ``kind`` → the module that runs it, in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rlsched.assets import find_asset
from rlsched.errors import SpecError, did_you_mean
from rlsched.evaluate.keep import Keep, at_once
from rlsched.evaluate.results import Document, file_sha256
from rlsched.evaluate.touch import Touches
from rlsched.spec import Spec, apply_overrides, read_toml

Progress = Callable[[str, float], None]

#: Kind → (module with ``run``, the card's spec in it). A new kind is a module and a line here.
KINDS = {
    "placement": ("rlsched.evaluate.placement", "PlacementExperiment"),
    "consolidation": ("rlsched.evaluate.consolidation", "ConsolidationExperiment"),
    "scaling": ("rlsched.evaluate.scaling", "ScalingExperiment"),
    "fgd": ("rlsched.evaluate.fgd", "FgdExperiment"),
    "benchmark": ("rlsched.evaluate.benchmark", "BenchmarkExperiment"),
}
#: Kinds whose ``run`` keeps finished units.
KEEPING = ("placement", "scaling", "consolidation")


def find_card(name: str) -> Path:
    """The card of an experiment: a name, its folder, or the TOML file.

    Raises
    ------
    SpecError
        When there is none; names the nearest.
    """
    path = find_asset("experiments", name)
    card = path / "experiment.toml" if path.is_dir() else path
    if not card.is_file():
        raise SpecError(f"no experiment in {path}: there is no experiment.toml. Name another folder, or add one.")
    return card


def kind_of(card: Path, overrides: Sequence[str] = ()) -> str:
    """The card's kind.

    Raises
    ------
    SpecError
        When it is missing or not known.
    """
    origin: dict[str, str] = {}
    kind = apply_overrides(read_toml(card), overrides, origin).get("kind")
    if kind is None:
        raise SpecError(f"{card}: kind is required and was not given. Known: {', '.join(sorted(KINDS))}.")
    if kind not in KINDS:
        raise SpecError(f"{origin.get('kind', card)}: unknown kind {kind!r}.{did_you_mean(str(kind), KINDS)}")
    return str(kind)


def spec_of(kind: str) -> type[Spec]:
    """The spec that a kind's card fills."""
    module, name = KINDS[kind]
    found: type[Spec] = getattr(import_module(module), name)
    return found


def touches_of(card: Path, overrides: Sequence[str], ledger: Path) -> Touches:
    """The touch of a test split that running a card will be; none where it looks at another split, or knows none."""
    from rlsched.evaluate.experiment import experiment_name

    split = spec_of(kind_of(card, overrides)).model_fields.get("split")
    wanted = apply_overrides(read_toml(card), overrides, {}).get("split", split.default if split else None)
    line: dict[str, Any] = {"experiment": experiment_name(card), "card_sha256": file_sha256(card)}
    line |= {"set": list(overrides)} if overrides else {}
    return Touches(ledger, [line] if split is not None and wanted == "test" else [])


def run_experiment(
    card: Path,
    overrides: Sequence[str] = (),
    *,
    data_root: Path | None = None,
    progress: Progress | None = None,
    keep: Keep = at_once,
) -> Document:
    """Run an experiment of any kind but a benchmark; see the ``run`` of its module.

    Returns
    -------
    dict
        The document of ``docs/json.md``.

    Raises
    ------
    SpecError
        A benchmark, which is many experiments and needs a folder.
    """
    kind = kind_of(card, overrides)
    if kind == "benchmark":
        raise SpecError(
            f"{card} is a benchmark, which needs a folder: run it with 'rlsched evaluate', or an experiment of it."
        )
    module: Any = import_module(KINDS[kind][0])
    more: dict[str, Any] = {"keep": keep} if kind in KEEPING else {}
    document: Document = module.run(card, overrides, data_root=data_root, progress=progress, **more)
    return document
