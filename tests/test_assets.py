from pathlib import Path

import pytest

from rlsched import assets
from rlsched.errors import SpecError


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a packaged copy, both made by hand."""
    package = tmp_path / "house" / "rlsched"
    (package / "_assets" / "traces").mkdir(parents=True)
    (package / "_assets" / "traces" / "both.toml").write_text("title = 'packaged'")
    outer = tmp_path / "house" / "traces"
    (outer / "profiles").mkdir(parents=True)
    (outer / "both.toml").write_text("title = 'checkout'")
    (outer / "azure.toml").write_text("")
    (outer / "profiles" / "steady.toml").write_text("")
    (tmp_path / "house" / "experiments" / "gpu").mkdir(parents=True)
    (tmp_path / "house" / "experiments" / "gpu" / "experiment.toml").write_text("")
    (tmp_path / "house" / "experiments" / "notes").mkdir()
    (tmp_path / "house" / "pyproject.toml").write_text("")
    monkeypatch.setattr(assets, "_PACKAGE", package)
    elsewhere = tmp_path / "cwd"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return tmp_path / "house"


def test_the_packaged_copy_wins_over_the_checkout(house: Path) -> None:
    assert assets.find_asset("traces", "both").read_text() == "title = 'packaged'"


def test_the_users_path_wins_over_a_packaged_name(house: Path) -> None:
    Path("both").write_text("mine")
    assert assets.find_asset("traces", "both") == Path("both")


def test_a_name_is_found_with_and_without_the_suffix_and_below_a_folder(house: Path) -> None:
    assert assets.find_asset("traces", "azure") == house / "traces" / "azure.toml"
    assert assets.find_asset("traces", "azure.toml") == house / "traces" / "azure.toml"
    assert assets.find_asset("traces", "profiles/steady") == house / "traces" / "profiles" / "steady.toml"


def test_a_folder_counts_as_an_experiment_only_with_its_card(house: Path) -> None:
    assert assets.list_assets("experiments") == {"gpu": house / "experiments" / "gpu"}
    assert assets.find_asset("experiments", "gpu") == house / "experiments" / "gpu"


def test_a_stray_folder_beside_an_installed_package_is_not_searched(house: Path) -> None:
    (house / "pyproject.toml").unlink()
    assert list(assets.list_assets("traces")) == ["both"]


def test_an_unknown_name_gets_the_nearest_known_one(house: Path) -> None:
    with pytest.raises(SpecError, match=r"no dataset card 'azur'.*Did you mean 'azure'\? Known: azure, both"):
        assets.find_asset("traces", "azur")


def test_an_empty_name_is_refused(house: Path) -> None:
    with pytest.raises(SpecError, match="no dataset card ''"):
        assets.find_asset("traces", "")


def test_an_unknown_kind_is_refused(house: Path) -> None:
    with pytest.raises(SpecError, match="Did you mean 'traces'"):
        assets.find_asset("trace", "azure")
    with pytest.raises(SpecError, match="unknown kind"):
        assets.list_assets("nothing")
