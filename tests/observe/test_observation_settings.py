"""Settings of an observation: short forms, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rlsched.observe.settings import ObservationSettings


def test_a_rules_name_is_short_for_that_rule_alone() -> None:
    settings = ObservationSettings(prior="best_fit", shortlist=["fgd", {"best_fit": 1.0, "cosine": 2.0}])
    assert settings.prior == {"best_fit": 1.0}
    assert settings.blends == ({"best_fit": 1.0}, {"fgd": 1.0}, {"best_fit": 1.0, "cosine": 2.0})
    assert ObservationSettings(shortlist="fgd, cosine").shortlist == ({"fgd": 1.0}, {"cosine": 1.0})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prior": "bestfit"}, "Did you mean 'best_fit'"),
        ({"candidates": 0}, "must be from 1"),
        ({"candidates": "some"}, "candidates"),
        ({"best": 0}, "best"),
        ({"devices": "random"}, "devices"),
        ({"kandidates": 3}, "kandidates"),
    ],
)
def test_wrong_settings_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ObservationSettings(**values)
