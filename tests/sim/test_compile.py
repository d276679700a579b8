"""The cache of compiled functions: never stale, never needed."""

import logging
from pathlib import Path

import pytest

from rlsched.sim import compile as compiling


def test_the_key_follows_imports_however_far_away() -> None:
    power = Path(compiling.__file__).with_name("power.py")
    assert Path(compiling.__file__).resolve() in compiling._imports(power)
    errors = Path(compiling.__file__).resolve().parents[1] / "errors.py"
    assert errors in compiling._imports(power)


def test_a_change_in_an_imported_file_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "rlsched"
    package.mkdir()
    (package / "callee.py").write_text("TWO = 2\n")
    (package / "caller.py").write_text("from rlsched.callee import TWO\n")
    monkeypatch.setattr(compiling, "_ROOT", package)
    compiling._stamp.cache_clear()
    before = compiling._stamp(package / "caller.py")
    (package / "callee.py").write_text("TWO = 3\n")
    compiling._stamp.cache_clear()
    assert compiling._stamp(package / "caller.py") != before
    compiling._stamp.cache_clear()


def test_without_a_folder_to_write_to_it_compiles_all_the_same_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from numba.core.registry import CPUDispatcher

    def refuse(self: object) -> None:
        raise RuntimeError("no locator available")

    monkeypatch.setattr(CPUDispatcher, "enable_caching", refuse)
    monkeypatch.setattr(compiling, "_said", set())
    with caplog.at_level(logging.WARNING, logger="rlsched"):
        assert compiling.njit(lambda x: x + 1)(2) == 3
        assert compiling.njit(lambda x: x + 2)(2) == 4
    assert len(caplog.records) == 1
    assert "NUMBA_CACHE_DIR" in caplog.text


def test_fastmath_is_refused() -> None:
    with pytest.raises(ValueError, match="bit for bit"):
        compiling.njit(fastmath=True)
