"""``ForecastSpec``: the card of a forecasting experiment, ``experiments/forecast-*/forecast.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from rlsched.assets import asset_roots
from rlsched.errors import SpecError, UserError, did_you_mean
from rlsched.forecast.table import check_horizons, check_quantiles
from rlsched.spec import Card, Spec, load

CARD = "forecast.toml"
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


class SourceSpec(Spec):
    """Series of one dataset.

    Parameters
    ----------
    dataset : str
        A dataset card.
    parts : tuple of str
        Of it; the card's first by default. Not used where the dataset is split by parts.
    step_s : int, optional
        Average onto this step; the source's own by default. A mean needs one measured sample.
    missing_above : dict of str to float
        Resource → samples above this are taken as missing, and counted.
    train_until_s, validation_until_s : int, optional
        Ends of the first two stretches of time; those of the dataset's card by default.
    at_most : int, optional
        Series, the first by a hash of their names; all by default.
    """

    dataset: str
    parts: tuple[str, ...] = ()
    step_s: int | None = Field(default=None, gt=0)
    missing_above: dict[str, float] = Field(default_factory=dict)
    train_until_s: int | None = None
    validation_until_s: int | None = None
    at_most: int | None = Field(default=None, ge=3)


class WindowSpec(Spec):
    """What a forecaster sees and says.

    Parameters
    ----------
    length : int
        Past samples; those before a series began are missing.
    min_measured : int
        Fewer measured samples than this are no window.
    horizons : tuple of int
        Steps ahead, 0 is the coming interval.
    quantiles : tuple of float
        0.5, and the ends of the 80 and 98 % intervals, must be among them.
    train, validation, test : int
        Windows drawn of each split.
    seed : int
        Of the draw; the same windows for every forecaster and every training seed.
    """

    length: int = Field(default=288, ge=8, le=4096)
    min_measured: int = Field(default=24, ge=2)
    horizons: tuple[int, ...] = tuple(range(12))
    quantiles: tuple[float, ...] = QUANTILES
    train: int = Field(default=12_000, ge=1)
    validation: int = Field(default=2_000, ge=1)
    test: int = Field(default=4_000, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _usable(self) -> WindowSpec:
        try:
            check_horizons(list(self.horizons))
            check_quantiles(self.quantiles)
        except UserError as error:
            raise ValueError(str(error)) from None
        missing = [q for q in (0.01, 0.1, 0.5, 0.9, 0.95, 0.99) if q not in self.quantiles]
        if missing:
            raise ValueError(
                f"quantiles must hold 0.01, 0.1, 0.5, 0.9, 0.95 and 0.99, which the scores read: no {missing[0]}"
            )
        return self


class TrainingSpec(Spec):
    """How networks are trained; the same for all of a card.

    Parameters
    ----------
    seeds : int
        Trainings of every network, seeds 0, 1, ....
    epochs, steps, batch : int
        At most so many epochs of so many steps of so many windows.
    patience : int
        Epochs without a better validation loss before stopping.
    learning_rate, weight_decay : float
        Of AdamW; the rate falls along a cosine to a twentieth.
    loss_power : float
        A window's pinball loss is divided by its own variability to this power: 0 weighs every
        window by its load, as the weighted quantile loss does, 1 weighs all alike, as MASE does.
    threads : int
        Of torch.
    """

    seeds: int = Field(default=3, ge=1, le=100)
    epochs: int = Field(default=12, ge=1)
    steps: int = Field(default=45, ge=1)
    batch: int = Field(default=256, ge=1)
    patience: int = Field(default=4, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0, le=1)
    weight_decay: float = Field(default=1e-4, ge=0)
    loss_power: float = Field(default=1.0, ge=0, le=1)
    threads: int = Field(default=1, ge=1, le=256)


class NetworkSpec(Spec):
    """The CNN-LSTM and the frame every network sits in; see `rlsched.forecast.cnn_lstm`.

    Parameters
    ----------
    channels : int
        Of each convolution branch.
    kernel : int
    dilations : tuple of int
        One branch each; empty: no convolutions.
    pool : int
        Samples joined to one step of the LSTM.
    hidden : int
        Of the LSTM; 0: none, the convolutions' mean and last step go to the heads.
    covariates : bool
        Time of day and week, request size and age.
    anchor : bool
        Add the features of the recent past and the linear path to the heads; without it a
        network sees the window scaled by its mean and deviation only.
    point : bool
        Train the median alone, on absolute error; quantiles come from its errors on the
        training windows.
    """

    channels: int = Field(default=16, ge=1, le=512)
    kernel: int = Field(default=5, ge=2, le=64)
    dilations: tuple[int, ...] = (1, 4, 16)
    pool: int = Field(default=6, ge=1, le=64)
    hidden: int = Field(default=48, ge=0, le=1024)
    covariates: bool = True
    anchor: bool = True
    point: bool = False

    def told(self, body: str) -> dict[str, object]:
        """The settings that matter to a body: the convolutions and the LSTM are `cnn_lstm`'s alone."""
        frame = {"covariates", "anchor", "point"}
        return self.model_dump(mode="json", include=None if body == "cnn_lstm" else frame)


class ForecastSpec(Spec):
    """One question about forecasts.

    Parameters
    ----------
    question : str
    data : tuple of SourceSpec
    resources : tuple of str
        ``cpu_share``, ``mem_share``, or an extra column of a usage (``gpu_share``); ``rate`` for
        demands, which are divided by their mean over the training time.
    hold_out, validate_on : float
        Shares of the machines kept for the test and the validation split.
    window, training, network
    forecasters : tuple of str
        Names in `rlsched.forecast.rivals.FORECASTERS`.
    ablations : dict of str to NetworkSpec
        Further networks, trained beside the forecasters with these settings.
    main : str
        The forecaster that the others are compared with.
    """

    question: str = ""
    data: tuple[SourceSpec, ...] = Field(min_length=1)
    resources: tuple[str, ...] = Field(default=("cpu_share",), min_length=1)
    hold_out: float = Field(default=0.25, gt=0, lt=1)
    validate_on: float = Field(default=0.15, gt=0, lt=1)
    window: WindowSpec = Field(default_factory=WindowSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)
    network: NetworkSpec = Field(default_factory=NetworkSpec)
    forecasters: tuple[str, ...] = ()
    ablations: dict[str, NetworkSpec] = Field(default_factory=dict)
    main: str = "cnn_lstm"

    @field_validator("forecasters")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from rlsched.forecast.rivals import FORECASTERS

        for name in names:
            if name not in FORECASTERS:
                raise ValueError(f"no forecaster {name!r}.{did_you_mean(name, FORECASTERS)}")
        return names

    @model_validator(mode="after")
    def _adds_up(self) -> ForecastSpec:
        if self.hold_out + self.validate_on >= 1:
            raise ValueError("hold_out and validate_on must leave machines to train on: their sum must be < 1")
        if len(set(self.resources)) != len(self.resources):
            raise ValueError(f"resources must differ from each other: got {list(self.resources)}")
        return self


Split = Literal["train", "validation", "test"]


def find_card(name: str) -> Path:
    """The card of a name, a folder or a file.

    Raises
    ------
    SpecError
        When there is none; names the nearest.
    """
    path = Path(name)
    if path.is_dir():
        path = path / CARD
    if path.is_file():
        return path
    known = {one.parent.name: one for root in _roots() for one in sorted(root.glob(f"*/{CARD}"))}
    if name in known:
        return known[name]
    raise SpecError(
        f"no forecasting experiment {name!r}: it is no card, no folder with a {CARD}, and no known name."
        f"{did_you_mean(name, known)}"
    )


def read_card(name: str, overrides: tuple[str, ...] = ()) -> Card[ForecastSpec]:
    """Read and check a card; see :func:`find_card` and :func:`rlsched.spec.load`."""
    return load(ForecastSpec, find_card(name), overrides)


def _roots() -> list[Path]:
    return asset_roots("experiments")
