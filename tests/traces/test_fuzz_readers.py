"""Spoilt files: a reader gives valid columns that say what the file says, or one clear error.

``CASES`` spoilt files of each reader in the quick run, ``MANY`` in the slow one.
"""

from __future__ import annotations

import gzip
import random
import shutil
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "testing"))
sys.path.append(str(Path(__file__).parent))

from mutations import APPLY, BINARY, TOKENS, Mutation, apply, cell, delimiter_of, mutations
from number_laws import LAWS, Law
from test_readers import good_files

from rlsched.errors import MissingDataError, TraceError, UserError
from rlsched.traces.columns import Columns
from rlsched.traces.read import read_any
from rlsched.traces.readers import READERS

CASES = 20
FEW = ("7", "1e0", "0.5", "12902961", "9007199254740993")  # the last is no number that float64 has
MANY = 400
_LONGEST_MESSAGE = 1500
_REMOVES, _ADDS = ("dropped", "merged"), ("split",)
_PLACES = ("row", "line", "probe", "sample", "number", "column", "header", "host", "field", "byte", "second", "Zone")

Tally = Callable[[Counter[str]], None]

quick = settings(
    max_examples=CASES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
many = settings(quick, max_examples=MANY, derandomize=True)


@dataclass(frozen=True)
class Sample:
    """A file that can be read, to be spoilt.

    Parameters
    ----------
    reader : str
    path : Path
        What is read: the file, or a folder with it.
    victim : Path
        The file that is spoilt; it lies in a copy of its folder.
    data : bytes
        Its content, unpacked where that is text.
    """

    reader: str
    path: Path
    victim: Path
    data: bytes

    @property
    def is_text(self) -> bool:
        return b"\x00" not in self.data

    def read(self, data: bytes, **options: Any) -> Columns:
        """Read the sample with other content, which is taken back afterwards."""
        self.victim.write_bytes(data)
        try:
            return read_any(self.path, format=self.reader, **options)
        finally:
            self.victim.write_bytes(self.data)


def samples_of(name: str, folder: Path) -> list[Sample]:
    """Every eye-size sample of a reader, in a folder of its own that may be written to."""
    (folder / "good").mkdir()
    files, together = good_files(name, folder / "good")
    out = []
    for number, file in enumerate(files):
        home = folder / str(number)
        copied = Path(shutil.copytree(together or (file if file.is_dir() else file.parent), home))
        path = copied if file.is_dir() else copied / file.relative_to(together or file.parent)
        victim = sorted(one for one in path.rglob("*") if one.is_file())[0] if path.is_dir() else path
        data = victim.read_bytes()
        if data.startswith(b"\x1f\x8b") and b"\x00" not in gzip.decompress(data):
            data = gzip.decompress(data)
        victim.write_bytes(data)
        out.append(Sample(name, path, victim, data))
    return out


def is_clear(sample: Sample, error: UserError, what: object) -> None:
    """One short message without the machine's words, that names the file and a place."""
    message = str(error)
    assert isinstance(error, TraceError | MissingDataError), f"{type(error).__name__} for {what}: {message}"
    assert 0 < len(message) < _LONGEST_MESSAGE, f"{len(message)} characters for {what}"
    assert "Traceback" not in message, what
    named = [sample.path.name, *(one.name for one in sample.victim.parent.iterdir())]  # a neighbour may not fit it
    assert any(name in message for name in named), f"no file in {message!r} for {what}"
    assert message.rstrip()[-1] in ".)", f"{message!r} for {what}"


def adds_up(columns: Columns, sample: Sample) -> None:
    """The columns are valid, and the account leaves no row unexplained."""
    columns.validate()
    if sample.reader == "rlsched":
        return  # its account is text of the file, which may be spoilt, too
    report = columns.report
    removed = sum(drop.count for drop in report.drops if drop.action.startswith(_REMOVES))
    added = sum(drop.count for drop in report.drops if drop.action.startswith(_ADDS))
    assert report.rows_read + added == report.rows_kept + removed


def spoil(sample: Sample, mutation: Mutation, seen: Counter[str], **options: Any) -> None:
    """Change the sample, and hold the reader to one of the two outcomes."""
    message = ""
    try:
        columns = sample.read(apply(sample.data, mutation), **options)
    except UserError as error:
        is_clear(sample, error, mutation)
        message = str(error)
    else:
        adds_up(columns, sample)
    seen["refused" if message else "read"] += 1
    if message and mutation.kind == "cell" and "empty" not in message:
        assert any(place in message for place in _PLACES), f"no place in {message!r} for {mutation}"


def _fuzz(name: str, folder: Path, size: settings) -> Counter[str]:
    seen: Counter[str] = Counter()
    found = samples_of(name, folder)

    @size
    @given(st.integers(0, len(found) - 1), mutations(), mutations(BINARY))
    def run(which: int, change: Mutation, change_bytes: Mutation) -> None:
        sample = found[which]
        spoil(sample, change if sample.is_text else change_bytes, seen)

    run()
    return seen


@pytest.mark.parametrize("name", list(READERS))
def test_a_spoilt_file_is_read_as_it_stands_or_refused_in_one_clear_message(
    name: str, tmp_path: Path, tally: Tally
) -> None:
    seen = _fuzz(name, tmp_path, quick)
    tally(seen)
    assert seen["refused"] > 0
    assert seen.total() >= CASES


@pytest.mark.slow
@pytest.mark.parametrize("name", list(READERS))
def test_hundreds_of_spoilt_files_of_each_format_are_read_or_refused(name: str, tmp_path: Path, tally: Tally) -> None:
    seen = _fuzz(name, tmp_path, many)
    tally(seen)
    assert seen.total() >= MANY // 2


def _header(sample: Sample) -> list[str]:
    line = sample.data.split(b"\n")[0]
    return [one.decode().strip() for one in line.split(delimiter_of(line))]


def _at(sample: Sample, law: Law, row: int) -> tuple[int, str]:
    """Position of the law's field, and what stands there in a row."""
    column = law.field if isinstance(law.field, int) else _header(sample).index(law.field)
    line = sample.data.split(b"\n")[row]
    fields = line.split(delimiter_of(line))
    return column, fields[column].decode() if column < len(fields) else ""


def _number(text: str) -> Fraction | None:
    try:
        number = Decimal(text.strip()) if text.isascii() and "_" not in text else Decimal("NaN")
    except InvalidOperation:
        return None
    return Fraction(number) if number.is_finite() else None


def _account(columns: Columns) -> list[tuple[str, str, int]]:
    return [(drop.rule, drop.action, drop.count) for drop in columns.report.drops]


def law_holds(law: Law, sample: Sample, base: Columns, row: int, token: str) -> str:
    """Put a token into the law's field: refused, listed in the account, or the value it must be.

    Returns
    -------
    str
        ``"refused"``, ``"listed"``, ``"held"``, or ``"apart"`` where the number is no value of its own
        (averaged with others, of a row that is dropped).
    """
    column, old = _at(sample, law, row)
    before, after = _number(old), _number(token)
    if before is None:
        return "apart"
    try:
        columns = sample.read(cell(sample.data, row, column, token), **law.options)
    except UserError as error:
        is_clear(sample, error, (law, row, token))
        return "refused"
    adds_up(columns, sample)
    if _account(columns) != _account(base):
        return "listed"
    what = f"{law.reader}: {law.field} of row {row}, {old!r} → {token!r}"
    several = law.reader == "counts_per_second" and len(token.split()) > 1  # its numbers stand between blanks
    assert after is not None or not token.strip() or several, f"{what} is no number, and was read as one"
    was, now = law.values(base), law.values(columns)
    if after is None or not np.isclose(was, law.of(before), rtol=1e-12, atol=0).any():
        return "apart"
    at = int(np.flatnonzero(np.isclose(was, law.of(before), rtol=1e-12, atol=0))[0])
    wanted = np.sort(np.append(np.delete(was, at), law.of(after)))
    assert now.size == wanted.size, f"{what}: {was.size} values became {now.size}"
    np.testing.assert_allclose(now, wanted, rtol=1e-12, atol=1e-300, err_msg=what)
    return "held"


def _rows_of(law: Law, sample: Sample) -> list[int]:
    """Lines in which the law's number is a value of its own."""
    return list(law.rows or range(len(sample.data.rstrip(b"\n").split(b"\n"))))


def _try_law(law: Law, sample: Sample, tries: list[tuple[int, str]]) -> Counter[str]:
    base = sample.read(sample.data, **law.options)
    return Counter(law_holds(law, sample, base, row, token) for row, token in tries)


def _named(law: Law) -> str:
    return f"{law.reader}-{law.field}-{law.sample}"


@pytest.mark.parametrize("law", LAWS, ids=_named)
def test_a_number_is_read_as_what_it_says_or_listed_or_refused(law: Law, tmp_path: Path, tally: Tally) -> None:
    sample = samples_of(law.reader, tmp_path)[law.sample]
    seen = _try_law(law, sample, [(row, token) for row in _rows_of(law, sample)[:6] for token in FEW])
    tally(seen)
    assert seen["held"] > 0, seen


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=_named)
def test_a_number_in_any_dress_is_read_as_what_it_says_or_listed_or_refused(
    law: Law, tmp_path: Path, tally: Tally
) -> None:
    sample = samples_of(law.reader, tmp_path)[law.sample]
    tries = [(row, token) for row in _rows_of(law, sample)[:12] for token in TOKENS]
    seen = _try_law(law, sample, tries)
    tally(seen)
    assert seen["held"] > 0
    assert seen["refused"] > 0


LIMIT_GIB = 1 / 64
_PEAK = 600 << 20  # bytes: a block of the readers that stream is 32 MiB, and they give up after four
_MIB = 1 << 20


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Gzip files of a few hundred KiB that unpack to 512 MiB: of zeros, of blanks, of line ends."""
    folder = tmp_path_factory.mktemp("bombs")
    out = []
    for name, byte in (("zeros", b"\x000"), ("blanks", b"  "), ("digits", b"99")):
        member = gzip.compress(byte * (16 * _MIB), mtime=0)
        (folder / f"{name}.csv.gz").write_bytes(member * 16)
        out.append(folder / f"{name}.csv.gz")
    return out


@pytest.mark.parametrize("name", list(READERS))
def test_a_bomb_is_refused_before_it_fills_the_memory(
    name: str, bombs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLSCHED_MAX_TRACE_GIB", str(LIMIT_GIB))
    sample = samples_of(name, tmp_path)[-1]
    for bomb in bombs:
        tracemalloc.start()
        try:
            with pytest.raises(TraceError) as raised:
                sample.read(bomb.read_bytes())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        is_clear(sample, raised.value, bomb.name)
        assert peak < _PEAK, f"{peak / _MIB:.0f} MiB for {bomb.name}"


@pytest.mark.parametrize("name", list(READERS))
def test_a_folder_in_the_place_of_the_file_is_one_clear_message(name: str, tmp_path: Path) -> None:
    sample = next(one for one in reversed(samples_of(name, tmp_path)) if one.path.is_file())
    sample.victim.unlink()
    sample.victim.mkdir()
    with pytest.raises(TraceError) as raised:
        read_any(sample.path, format=name)
    is_clear(sample, raised.value, "a folder")
    (sample.victim / "inner").mkdir()
    with pytest.raises(TraceError):
        read_any(sample.path)


def test_a_parquet_file_of_equal_values_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    zeros = pa.array(np.zeros(1_000_000))
    names = ("id", "submission_time", "duration", "cpu_count", "cpu_capacity", "mem_capacity")
    parquet.write_table(pa.table(dict.fromkeys(names, zeros)), tmp_path / "tasks.parquet", compression="zstd")
    assert (tmp_path / "tasks.parquet").stat().st_size < _MIB
    monkeypatch.setenv("RLSCHED_MAX_TRACE_GIB", str(LIMIT_GIB))
    with pytest.raises(TraceError, match=r"may unpack to at most 0.015625 GiB: .*tasks\.parquet is larger"):
        read_any(tmp_path / "tasks.parquet")


@pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")
@pytest.mark.parametrize("seed", range(30))
def test_the_command_line_says_one_line_and_exits_2(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], tally: Tally
) -> None:
    """Whatever a spoilt file does, ``describe`` prints facts or one line, and never a traceback."""
    _through_the_command_line(random.Random(seed), tmp_path, capsys, tally)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")
@pytest.mark.parametrize("seed", range(30, 530))
def test_the_command_line_says_one_line_whatever_it_is_given(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], tally: Tally
) -> None:
    _through_the_command_line(random.Random(seed), tmp_path, capsys, tally)


def _through_the_command_line(
    rng: random.Random, tmp_path: Path, capsys: pytest.CaptureFixture[str], tally: Tally
) -> None:
    from rlsched.cli.main import main

    name = rng.choice([one for one in READERS if one != "planetlab"])
    sample = samples_of(name, tmp_path)[0]
    kinds = tuple(APPLY) if sample.is_text else BINARY
    change = Mutation(rng.choice(kinds), rng.random(), rng.random(), rng.randrange(999), rng.choice(TOKENS))
    sample.victim.write_bytes(apply(sample.data, change))
    code = main(["traces", "describe", str(sample.path), "--format", name, "--json"])
    out, err = capsys.readouterr()
    tally(Counter({"refused" if code else "read": 1}))
    assert code in (0, 2), change
    assert "Traceback" not in err
    if code == 2:
        assert err.startswith("rlsched: ")
        assert err.count("\n") == 1, err
        assert out == ""
    else:
        assert err == ""


@pytest.mark.filterwarnings("ignore:'click:DeprecationWarning")
@pytest.mark.parametrize("command", ["describe", "check"])
@pytest.mark.parametrize("name", ["openb_pods", "generic", "azure_cpu_readings", "alibaba_2018_usage"])
def test_a_folder_a_bomb_and_an_endless_line_are_one_line_and_exit_2(
    name: str,
    command: str,
    bombs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tally: Tally,
) -> None:
    from rlsched.cli.main import main

    monkeypatch.setenv("RLSCHED_MAX_TRACE_GIB", str(LIMIT_GIB))
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    endless = tmp_path / "endless.csv"
    endless.write_bytes(b"7," * (20 * _MIB))
    for what in (tmp_path / "folder", endless, *bombs):
        assert main(["traces", command, str(what), "--format", name]) == 2, what
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("rlsched: ")
        assert err.count("\n") == 1
        assert what.name in err
        tally(Counter({"refused": 1}))
