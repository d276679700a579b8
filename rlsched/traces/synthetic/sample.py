"""A sample: one card that names a profile, how to draw from it, and the cluster to run it on."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from rlsched.spec import Spec, load
from rlsched.traces.columns import Machines, Trace
from rlsched.traces.synthetic.cluster import Hosts, build_cluster
from rlsched.traces.synthetic.draw import draw_tasks
from rlsched.traces.synthetic.profile import find_profile, load_profile


class Draw(Spec):
    """Arguments of :func:`rlsched.traces.synthetic.draw.draw_tasks`."""

    days: float = Field(gt=0)
    scale: float = Field(default=1.0, gt=0)
    seed: int = Field(default=0, ge=0)
    warm_days: float = Field(default=0.0, ge=0)
    max_batch: int | None = Field(default=None, ge=1)


class Sample(Spec):
    """The card."""

    profile: str = Field(description="a file, or a packaged name such as azure-v1")
    draw: Draw
    hosts: tuple[Hosts, ...] = Field(min_length=1)


def draw_sample(card: Path) -> tuple[Trace, Machines]:
    """Draw what a card describes.

    Parameters
    ----------
    card : Path
        A TOML file with the keys of :class:`Sample`.

    Raises
    ------
    SpecError
        When the card or the profile is not there or breaks a rule.
    """
    spec = load(Sample, card).spec
    profile = load_profile(find_profile(spec.profile))
    trace = draw_tasks(profile, **spec.draw.model_dump())
    return trace, build_cluster(spec.hosts, card.name)
