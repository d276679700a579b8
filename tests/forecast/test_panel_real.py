import numpy as np
import pytest

from rlsched.errors import MissingDataError, SpecError
from rlsched.forecast.card import read_card
from rlsched.forecast.panel import read_panels
from rlsched.forecast.windows import draw_windows
from rlsched.traces.datasets import locate


@pytest.fixture(scope="module")
def needed():
    try:
        for name in ("azure-v1-cpu", "planetlab-2011", "alibaba-2018"):
            locate(name)
    except MissingDataError as error:
        pytest.skip(f"needs real traces: {error}")


def test_azure_is_cut_by_time_and_machine(needed):
    spec = read_card("forecast-azure", ("window.train=50", "window.test=50")).spec
    (panel,) = read_panels(spec)
    assert panel.ranges == {"train": (0, 4032), "validation": (4032, 5472), "test": (5472, 6852)}
    assert panel.facts["machines"] == {"train": 60, "validation": 15, "test": 25}
    test = draw_windows([panel], spec, "test", 50)
    assert test.tick.min() >= 5472
    assert np.isfinite(test.future).all()


def test_planetlab_is_cut_by_day_and_a_machine_keeps_its_role_on_all_days(needed):
    spec = read_card("forecast-planetlab").spec
    panels = read_panels(spec)
    assert [next(iter(panel.ranges)) for panel in panels] == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    roles = {}
    for panel in panels:
        for name, role in zip(panel.ids, panel.role, strict=True):
            assert roles.setdefault(name, role) == role


def test_alibaba_has_two_resources_and_refuses_a_third(needed):
    spec = read_card("forecast-alibaba").spec
    assert read_panels(spec)[0].values.shape[2] == 2
    with pytest.raises(SpecError, match="has no 'gpu_share'"):
        read_panels(read_card("forecast-alibaba", ("resources=['gpu_share']",)).spec)
    with pytest.raises(SpecError, match="holds Machines"):
        read_panels(read_card("forecast-alibaba", ("data=[{dataset='alibaba-2018', parts=['machines']}]",)).spec)


def test_samples_above_a_limit_are_missing_and_counted(needed):
    card = read_card("forecast-alibaba", ("data=[{dataset='alibaba-2018', missing_above={cpu_share=0.5}}]",))
    (panel,) = read_panels(card.spec)
    assert np.nanmax(panel.values[:, :, 0]) <= 0.5
    assert panel.facts["taken_as_missing"]["cpu_share > 0.5"] > 0
