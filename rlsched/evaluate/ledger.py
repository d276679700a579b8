"""The ledger of test splits, where no card says which split is looked at: a user's file that is a dataset's.

``rlsched evaluate --trace FILE`` knows no splits. When the file is, byte for byte, one of a packaged
dataset whose card sets a test split apart, the run has looked at that split, and the ledger and the
report say so. A file that was changed or cut is not recognised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsched.assets import list_assets
from rlsched.errors import SpecError
from rlsched.evaluate.results import Document, file_sha256
from rlsched.traces.card import DatasetCard, Split, load_card


@dataclass(frozen=True)
class Seen:
    """A test split that a file holds.

    Parameters
    ----------
    file, dataset : str
    test : str
        What of the dataset is its test split, in words.
    card_sha256 : str
        Of the dataset's card.
    """

    file: str
    dataset: str
    test: str
    card_sha256: str

    @property
    def words(self) -> str:
        """For the report."""
        return (
            f"{self.file} is a file of the dataset {self.dataset}, whose card sets {self.test} apart as its test "
            "split: this run has looked at it, which test-ledger.jsonl notes. What is chosen by it is no longer judged "
            "on unseen data."
        )


def seen_test_splits(sources: Sequence[Mapping[str, Any]]) -> list[Seen]:
    """Test splits among the files that were read.

    Parameters
    ----------
    sources : sequence of mapping
        As in provenance: ``role, name, part, files`` (name → SHA-256). Machines have no split.
    """
    shas = {sha: name for one in sources if one["role"] == "trace" for name, sha in one["files"].items()}
    out = []
    for dataset, path in list_assets("traces").items():
        card = load_card(path).spec
        if card.splits is None:
            continue
        for file, sha in card.files.items():
            if sha in shas and (test := _test_in(card, card.splits, file)):
                out.append(Seen(shas[sha], dataset, test, file_sha256(path)))
    return out


def note_touches(seen: Sequence[Seen], document: Document, ledger: Path) -> None:
    """A line for each test split that was looked at.

    Raises
    ------
    SpecError
        When the ledger cannot be written.
    """
    provenance = document["provenance"]
    for one in seen:
        line = {
            "date": provenance["date"],
            "experiment": document["experiment"],
            "dataset": one.dataset,
            "file": one.file,
            "card_sha256": one.card_sha256,
            "policies": list(dict.fromkeys(row["policy"] for row in document["rows"])),
            "commit": provenance["commit"],
            "run_id": provenance["run_id"],
        }
        try:
            ledger.parent.mkdir(parents=True, exist_ok=True)
            with ledger.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise SpecError(f"cannot note the touch of the test split in {ledger}: {error.strerror}.") from None


def _test_in(card: DatasetCard, split: Split, file: str) -> str:
    """What of a file is the test split, in words; empty where it holds none of it."""
    holds = [name for name, part in card.parts.items() if part.path in (file, ".") or file.startswith(f"{part.path}/")]
    if split.by == "part":
        test = [name for name in split.test if name in holds]
        return f"part {', '.join(map(str, test))}" if test else ""
    if split.part not in holds:
        return ""
    if split.by == "day":
        days = [str(day) for day in split.test if str(day) in file]
        return f"day {', '.join(days)}" if days else f"days {', '.join(map(str, split.test))}"
    return f"{split.by} in [{split.test[0]}, {split.test[1]}) s of part {split.part}"
