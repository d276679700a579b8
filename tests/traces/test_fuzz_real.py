"""The first rows of real files, spoilt: read as they stand, or refused in one clear message.

``CASES`` spoilt files of each format in the quick run, ``MANY`` in the slow one; one part of the
datasets for each format whose file can be cut to its first rows and still be read.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

sys.path.append(str(Path(__file__).parent))

from mutations import BINARY, Mutation, mutations
from test_fuzz_readers import Sample, many, quick, spoil

from rlsched.errors import UserError
from rlsched.traces.card import load_card
from rlsched.traces.datasets import list_datasets, locate
from rlsched.traces.readers.source import list_tree, read_source

ROWS = 40
_MOST_BYTES = 60_000  # after the cut
CASES, MANY = 4, 150


def parts() -> list[tuple[str, str, str]]:
    """(reader, dataset, part): the first part of the cards for each reader."""
    found: dict[str, tuple[str, str, str]] = {}
    for listing in list_datasets(None):
        for name, part in load_card(listing.name).spec.parts.items():
            found.setdefault(part.reader, (part.reader, listing.name, name))
    return list(found.values())


def real_sample(dataset: str, part: str, real: Path, folder: Path) -> tuple[Sample, dict[str, Any]]:
    """The head of a real file in a folder of its own, and the options of its card; skips where it cannot be cut."""
    _, chosen, path = locate(dataset, part, real)
    file = list_tree(path)[0] if path.is_dir() else path
    data = read_source(file).data
    if b"\x00" not in data[:4096]:
        data = b"".join(data.splitlines(keepends=True)[:ROWS])
    if len(data) > _MOST_BYTES:
        pytest.skip(f"{len(data):,} bytes that cannot be cut to some rows")
    home = folder / path.name if path.is_dir() else folder
    copied = home / file.relative_to(path) if path.is_dir() else home / file.name
    copied.parent.mkdir(parents=True, exist_ok=True)
    copied.write_bytes(data)
    sample = Sample(chosen.reader, home if path.is_dir() else copied, copied, data)
    try:
        sample.read(data, **chosen.options)
    except UserError as error:
        pytest.skip(f"its first rows alone are no trace: {str(error)[:80]}")
    return sample, dict(chosen.options)


def _fuzz(sample: Sample, options: dict[str, Any], size: settings) -> Counter[str]:
    seen: Counter[str] = Counter()

    @size
    @given(mutations() if sample.is_text else mutations(BINARY))
    def run(change: Mutation) -> None:
        spoil(sample, change, seen, **options)

    run()
    return seen


@pytest.mark.parametrize(("reader", "dataset", "part"), parts(), ids=lambda one: one)
def test_spoilt_real_rows_are_read_as_they_stand_or_refused(
    reader: str, dataset: str, part: str, real: Path, tmp_path: Path, tally: Callable[[Counter[str]], None]
) -> None:
    sample, options = real_sample(dataset, part, real, tmp_path)
    seen = _fuzz(sample, options, settings(quick, max_examples=CASES))
    tally(seen)
    assert seen.total() >= CASES


@pytest.mark.slow
@pytest.mark.parametrize(("reader", "dataset", "part"), parts(), ids=lambda one: one)
def test_many_spoilt_real_rows_are_read_as_they_stand_or_refused(
    reader: str, dataset: str, part: str, real: Path, tmp_path: Path, tally: Callable[[Counter[str]], None]
) -> None:
    sample, options = real_sample(dataset, part, real, tmp_path)
    seen = _fuzz(sample, options, settings(many, max_examples=MANY))
    tally(seen)
    assert seen["refused"] > 0
    assert seen.total() >= MANY // 2
