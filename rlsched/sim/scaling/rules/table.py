"""The table of scaling rules: their names, their numbers, their parameters with defaults.

Apart from the functions, so that naming a policy loads no compiler. `run` calls a rule by number.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """One number of a rule.

    Parameters
    ----------
    name : str
        With its unit as a suffix where it has one.
    default : float
        What its source says, or what is usual.
    low, high : float
        Between which it is tuned, both included.
    scale : {"linear", "log", "whole"}
        How it is tuned: evenly, evenly in the logarithm, whole numbers.
    doc : str
    """

    name: str
    default: float
    low: float
    high: float
    scale: str = "linear"
    doc: str = ""


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Parameters
    ----------
    name : str
    parameters : tuple of Parameter
        In the order the rule reads them.
    doc : str
    source : str
    needs_forecast : bool
        True when it reads the forecast table.
    """

    name: str
    parameters: tuple[Parameter, ...]
    doc: str
    source: str
    needs_forecast: bool = False


_ALPHA = Parameter("alpha", 0.5, 0.02, 1.0, doc="weight of the newest measurement in the level")
_BETA = Parameter("beta", 0.05, 0.003, 1.0, "log", "weight of the newest squared error")

(
    R_STATIC,
    R_HPA,
    R_KEDA,
    R_TRACKING,
    R_STEP,
    R_AUTOPILOT,
    R_REACTIVE_MAX,
    R_EWMA,
    R_FORECAST_SIGMA,
    R_NEWSVENDOR,
    R_MPC,
    R_BAND,
) = range(12)

_TABLE = (
    Rule(
        "static",
        (Parameter("instances", 10.0, 1.0, 60.0, "whole"),),
        "Always the same number of instances.",
        "-",
    ),
    Rule(
        "hpa",
        (
            Parameter("target", 0.6, 0.2, 1.0, doc="utilisation"),
            Parameter("tolerance", 0.1, 0.0, 0.2, doc="of the ratio to the target"),
            Parameter("down_window_s", 300.0, 0.0, 3600.0),
            Parameter("up_window_s", 0.0, 0.0, 0.0),
            Parameter("up_percent", 100.0, 100.0, 100.0, doc="a period"),
            Parameter("up_pods", 4.0, 4.0, 4.0, doc="a period"),
            Parameter("down_percent", 100.0, 100.0, 100.0, doc="a period"),
            Parameter("period_s", 15.0, 15.0, 15.0),
        ),
        "Kubernetes HorizontalPodAutoscaler on CPU utilisation.",
        "Kubernetes documentation, Horizontal Pod Autoscaling (v1.31)",
    ),
    Rule(
        "keda",
        (
            Parameter("target", 0.8, 0.3, 1.1, doc="demand an instance should get, share of its capacity"),
            Parameter("drain_s", 300.0, 300.0, 300.0, doc="in which what waits should be served"),
            Parameter("down_window_s", 300.0, 0.0, 3600.0),
        ),
        "Instances in proportion to demand and backlog, with the HPA's stabilisation.",
        "KEDA documentation, scaling deployments (v2.16)",
    ),
    Rule(
        "target_tracking",
        (
            Parameter("target", 0.6, 0.3, 1.0, doc="utilisation"),
            Parameter("low_share", 0.9, 0.7, 1.0, doc="of the target, below which it may go down"),
            Parameter("low_steps", 3.0, 1.0, 12.0, "whole", "intervals in a row below"),
            Parameter("cooldown_s", 300.0, 0.0, 1800.0, doc="after the last change, before going down"),
        ),
        "Utilisation at a target, quick up and reluctant down.",
        "AWS Application Auto Scaling user guide, target tracking",
    ),
    Rule(
        "step_scaling",
        (
            Parameter("low", 0.4, 0.05, 0.95, doc="utilisation below which it goes down"),
            Parameter("high", 0.6, 0.4, 1.0, doc="utilisation above which it goes up"),
            Parameter("width", 0.1, 0.02, 0.2, doc="beyond which the large step is taken"),
            Parameter("small_percent", 10.0, 2.0, 30.0),
            Parameter("large_percent", 30.0, 10.0, 100.0),
            Parameter("cooldown_s", 300.0, 0.0, 1800.0, doc="after the last change, before going down"),
        ),
        "A percentage more or fewer by how far utilisation has left its band.",
        "AWS EC2 Auto Scaling user guide, step scaling",
    ),
    Rule(
        "autopilot",
        (
            Parameter("percentile", 0.95, 0.5, 1.0),
            Parameter("half_life_s", 43_200.0, 300.0, 172_800.0, "log"),
            Parameter("margin", 0.1, -0.2, 0.5),
            Parameter("down_share", 0.1, 0.02, 1.0, "log", "of what is committed, at most, a decision"),
        ),
        "A percentile of fading samples with a margin, slow downwards.",
        "Rzadca et al., Autopilot, EuroSys 2020",
    ),
    Rule(
        "reactive_max",
        (
            Parameter("window_s", 900.0, 300.0, 14_400.0, "log"),
            Parameter("headroom", 0.1, -0.2, 0.6),
        ),
        "The largest demand of the last while, with headroom.",
        "Gandhi et al., AutoScale, ACM TOCS 30(4), 2012",
    ),
    Rule(
        "ewma",
        (_ALPHA, _BETA, Parameter("k", 2.0, -0.5, 4.0, doc="standard deviations")),
        "An exponentially weighted mean plus standard deviations of its error.",
        "Roberts, Technometrics 1(3), 1959",
    ),
    Rule(
        "forecast_sigma",
        (_ALPHA, _BETA, Parameter("k", 2.0, -0.5, 4.0, doc="standard deviations")),
        "The forecast table's median plus standard deviations of its error.",
        "-",
        needs_forecast=True,
    ),
    Rule(
        "newsvendor",
        (Parameter("shift", 0.0, -4.0, 4.0, doc="of the critical quantile, in log-odds"),),
        "The quantile of the forecast where one more instance just pays.",
        "Arrow, Harris, Marschak, Econometrica 19(3), 1951",
        needs_forecast=True,
    ),
    Rule(
        "mpc",
        (
            Parameter("start_weight", 1.0, 0.1, 20.0, "log", "of the cost of starts in the plan"),
            Parameter("penalty_weight", 1.0, 0.1, 4.0, "log", "of the penalty in the plan"),
        ),
        "Plans the next intervals on forecast quantiles, does the first step, plans again.",
        "Roy, Dubey, Gokhale, IEEE CLOUD 2011",
        needs_forecast=True,
    ),
    Rule(
        "band",
        (
            _ALPHA,
            _BETA,
            Parameter("k_low", 0.5, -1.0, 3.0, doc="standard deviations above the forecast to which it orders"),
            Parameter("k_width", 1.0, 0.0, 4.0, doc="standard deviations above that to which it goes down"),
            Parameter("use_table", 0.0, 0.0, 1.0, "whole", "1: around the forecast table's median"),
        ),
        "Hold while the count lies in a band around the forecast.",
        "Scarf, The optimality of (S, s) policies, 1960, for the form",
        needs_forecast=True,
    ),
)

#: Name → rule. A new one is a file, a line here, a number above, and a branch in `run.wanted`.
RULES: dict[str, Rule] = {rule.name: rule for rule in _TABLE}
