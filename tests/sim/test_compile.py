"""Compiled functions whose arguments are looked at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlsched.sim.compile import bare_njit, bound


@bare_njit
def _add_to(out: Any, amounts: Any) -> None:
    for i in range(out.shape[0]):
        out[i] += amounts[i]


def test_a_bound_function_does_what_the_function_does_with_any_arrays_of_the_same_types() -> None:
    add = bound(_add_to, np.zeros(2), np.zeros(2, np.int64))
    for size in (1, 5):
        plain, direct = np.zeros(size), np.zeros(size)
        _add_to(plain, np.arange(size))
        add(direct, np.arange(size))
        assert (plain == direct).all()
        assert direct[-1] == size - 1


def test_binding_looks_at_arguments_and_changes_none_of_them() -> None:
    out = np.zeros(3)
    bound(_add_to, out, np.ones(3, np.int64))
    assert (out == 0).all()


def test_an_ordinary_function_is_its_own_bound_function() -> None:
    assert bound(len, [1, 2]) is len


def test_a_bound_function_still_wants_all_arguments() -> None:
    with pytest.raises(TypeError):
        bound(_add_to, np.zeros(2), np.zeros(2, np.int64))(np.zeros(2))
