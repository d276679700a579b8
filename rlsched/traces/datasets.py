"""Dataset name → card → local files → columns.

The data are not part of the package. They are looked for below a *data root*: the argument
(``--data DIR``), else the environment variable ``RLSCHED_DATA``, else ``../shared/data`` beside
the source checkout.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsched import assets
from rlsched.errors import MissingDataError, SpecError, TraceError, did_you_mean
from rlsched.traces.advice import option
from rlsched.traces.card import DatasetCard, Part, load_card
from rlsched.traces.columns import Columns
from rlsched.traces.read import read_any
from rlsched.traces.readers import READERS

DATA_VARIABLE = "RLSCHED_DATA"


@dataclass(frozen=True)
class Listing:
    """One dataset as ``rlsched traces list`` shows it.

    Parameters
    ----------
    name : str
    title : str
    kinds : tuple of str
        What its parts hold.
    parts : tuple of str
        The first is the default.
    files_present, files_total : int
        On this machine, and in all.
    """

    name: str
    title: str
    kinds: tuple[str, ...]
    parts: tuple[str, ...]
    files_present: int
    files_total: int


def data_root(data: str | Path | None = None) -> Path:
    """The folder datasets lie in; see the module for the order.

    Raises
    ------
    MissingDataError
        When there is no such folder.
    """
    given = str(data) if data is not None else os.environ.get(DATA_VARIABLE, "")
    if given:
        root = Path(given)
        origin = option("data") if data is not None else DATA_VARIABLE
    else:
        root = assets.package_dir().parent.parent / "shared" / "data"
        origin = "the default"
    if not root.is_dir():
        raise MissingDataError(
            f"there is no data folder: {origin} says {root}, which is not a directory. Put the datasets into a folder "
            f"(docs/datasets.md says where to get them) and name it with {DATA_VARIABLE} or {option('data')}."
        )
    return root


def list_datasets(data: str | Path | None = None) -> list[Listing]:
    """Every packaged dataset, with what of it is on this machine."""
    try:
        root: Path | None = data_root(data)
    except MissingDataError:
        if data is not None:
            raise
        root = None
    out = []
    for name, path in assets.list_assets("traces").items():
        card = load_card(path).spec
        if not card.parts:
            continue
        present = sum((root / card.folder / file).is_file() for file in card.files) if root is not None else 0
        kinds = tuple(sorted({READERS[part.reader].kind for part in card.parts.values()}))
        out.append(Listing(name, card.title, kinds, tuple(card.parts), present, len(card.files)))
    return out


def locate(name: str, part: str | None = None, data: str | Path | None = None) -> tuple[DatasetCard, Part, Path]:
    """Find the files of one part of a dataset.

    Parameters
    ----------
    name : str
        Of a packaged card, or the path of one.
    part : str, optional
        The card's first by default.
    data : str or Path, optional
        The data root.

    Returns
    -------
    (DatasetCard, Part, Path)
        The path is a file or folder that exists.

    Raises
    ------
    SpecError
        No such dataset or part.
    MissingDataError
        The files are not on this machine; says what to set and where to get them.
    """
    card = load_card(name).spec
    if not card.parts:
        raise SpecError(
            f"card {name} has no parts: it describes a file of yours. Name the file, with {option('card')} {name}."
        )
    key = next(iter(card.parts)) if part is None else part
    if key not in card.parts:
        raise SpecError(f"dataset {name} has no part {key!r}.{did_you_mean(key, card.parts)}")
    chosen = card.parts[key]
    path = data_root(data) / card.folder / chosen.path
    if not path.exists():
        raise MissingDataError(
            f"dataset {name} is not on this machine: there is no {path}. Get it from {card.home or 'its source'}, or "
            f"name the folder that holds {card.folder}/ with {DATA_VARIABLE} or {option('data')}."
        )
    return card, chosen, path


def read_dataset(name: str, part: str | None = None, *, data: str | Path | None = None, **options: Any) -> Columns:
    """Read one part of a dataset, and check its files against the card.

    Parameters
    ----------
    name, part, data
        See :func:`locate`.
    **options
        Of the reader, over the card's.

    Returns
    -------
    Trace, Machines, Usage, Demand or Signal
        ``meta`` also has ``dataset``, ``part`` and ``licence``.

    Raises
    ------
    TraceError
        A file whose SHA-256 is not the card's, or that breaks a rule.
    """
    card, chosen, path = locate(name, part, data)
    columns = read_any(path, format=chosen.reader, **{**chosen.options, **options})
    _check_hashes(card, name, columns.meta.get("files", {}), data_root(data) / card.folder)
    key = part if part is not None else next(iter(card.parts))
    meta = {**columns.meta, "dataset": str(name), "part": key, "licence": card.licence}
    return dataclasses.replace(columns, meta=meta)


def _check_hashes(card: DatasetCard, name: str, found: dict[str, str], folder: Path) -> None:
    expected = {os.path.realpath(folder / file): sha for file, sha in card.files.items()}
    for file, sha in found.items():
        wanted = expected.get(os.path.realpath(file))
        if wanted is not None and wanted != sha:
            raise TraceError(
                f"the SHA-256 of {file} must be {wanted[:12]}… (card {name}): got {sha[:12]}…. Get the file again, or "
                "read it by its path if you changed it on purpose."
            )
