"""The ledger of test splits, where no card says which split is looked at: a user's file that is a dataset's.

``rlsched evaluate --trace FILE`` knows no splits. When the file is, byte for byte, one of a packaged
dataset whose card sets a test split apart, the run has looked at that split, and the ledger and the
report say so. A file that was changed or cut is not recognised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlsched.assets import list_assets
from rlsched.evaluate.results import file_sha256
from rlsched.evaluate.touch import Touches
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


def touches_of_files(seen: Sequence[Seen], experiment: str, ledger: Path) -> Touches:
    """A touch for each test split that a run on files of the user's looks at."""
    known = ("dataset", "file", "card_sha256")
    return Touches(ledger, [{"experiment": experiment, **{key: getattr(one, key) for key in known}} for one in seen])


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
