"""Tests that need data from outside the checkout are counted where they are left out, and fail where asked to."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    source = CONFTEST.read_text().replace("from evaluate_worlds import write_experiment", "write_experiment = None")
    pytester.makeconftest(source)
    pytester.makepyfile(
        """
        import pytest
        def test_one(): pytest.skip("the real traces are not here: no /x")
        def test_two(): pytest.skip("the real traces are not here: no /x")
        def test_three(): pytest.skip("only on Tuesdays")
        """
    )
    return pytester


def test_a_run_says_how_many_were_left_out_and_why(inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RLSCHED_REQUIRE_DATA", raising=False)
    found = inner.runpytest("-p", "no:cacheprovider")
    found.assert_outcomes(skipped=3)
    found.stdout.fnmatch_lines(
        ["*2 tests left out: their data are not here*", "*2  the real traces are not here: no /x"]
    )


def test_with_the_switch_they_fail_and_other_skips_do_not(
    inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RLSCHED_REQUIRE_DATA", "1")
    found = inner.runpytest("-p", "no:cacheprovider")
    found.assert_outcomes(skipped=1, failed=2)
    found.stdout.fnmatch_lines(["*the real traces are not here: no /x; RLSCHED_REQUIRE_DATA=1 asks for it.*"])
