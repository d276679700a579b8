"""The README's tables and picture of results, from ``experiments/*/results/results.json`` and ``benchmarks/results``.

``python docs/results.py`` writes them (``make readme``); a test holds the README to what this makes, so a
figure that no run gave cannot stand there.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rlsched.evaluate.answer import metric_unit, show_difference, show_interval, show_value  # noqa: E402 - see above

README, PICTURE = ROOT / "README.md", ROOT / "docs" / "_static" / "results.svg"
ROLES = {"textbook": "textbook", "published": "best published", "tuned": "tuned", "learned": "learned"}
#: Experiment → what its main metric says, in the reader's words; the order is the table's.
QUESTIONS = {
    "placement-openb": "GPUs in use when 130 % are asked for (Alibaba GPU 2023)",
    "placement-azure": "CPU turned away on an overloaded cluster (Azure V1)",
    "scaling-bitbrains": "Cost of half a day of four services (Bitbrains)",
    "scaling-planetlab": "Cost of a day of groups of VMs (PlanetLab)",
    "scaling-surf": "Cost of half a day of job bursts (SURF Lisa)",
    "scaling-spot": "Cost of half a day of four services, spot markets too (Bitbrains, AWS 2015)",
    "consolidation-planetlab": "Energy, unmet demand and moves, weighted (PlanetLab)",
}
PICTURED = ("placement-openb", "scaling-bitbrains", "consolidation-planetlab")
NAMES = {
    "best_fit": "best fit", "fgd": "FGD", "nilas": "NILAS", "hpa": "HPA", "autopilot": "Autopilot",
    "thr_mmt": "THR-MMT", "lr_mmt": "LR-MMT", "tuned_blend": "tuned blend", "tuned_band": "tuned band",
    "tuned_reactive_max": "tuned largest of 4 h",
}  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """An experiment's results on its test split."""

    name: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """``results.json``."""
        found: dict[str, Any] = json.loads((ROOT / "experiments" / self.name / "results" / "results.json").read_text())
        if found["provenance"]["split"] != "test":
            raise SystemExit(f"experiments/{self.name}/results are not of the test split: run it again.")
        return found

    @property
    def metric(self) -> str:
        """What decides."""
        return str(self.document["provenance"]["main_metric"])

    @property
    def windows(self) -> int:
        """Held-out windows."""
        return len({row["window"] for row in self.document["rows"]})

    @cached_property
    def means(self) -> dict[str, dict[str, Any]]:
        """Policy → its mean on the main metric."""
        return {one["policy"]: one for one in self.document["summary"] if one["metric"] == self.metric}

    @cached_property
    def roles(self) -> dict[str, str]:
        """Role → policy; ``learned`` is the agent that was made for this experiment, where it was run."""
        out = dict(self.document["provenance"]["references"])
        own = [name for name, card in agents().items() if card["experiment"] == self.name and name in self.means]
        return {**out, "learned": own[0]} if own else out

    @property
    def best(self) -> str:
        """The role with the best mean."""
        low = show_direction(self.metric) == "down"
        return (min if low else max)(self.roles, key=lambda role: self.means[self.roles[role]]["mean"])

    def value(self, policy: str) -> str:
        """A mean with its unit."""
        unit = metric_unit(self.metric)
        return f"{show_value(self.metric, self.means[policy]['mean'])}{f' {unit}' if unit else ''}"

    def interval(self, policy: str) -> str:
        """Its interval."""
        mean = self.means[policy]
        return show_interval(self.metric, mean["ci_low"], mean["ci_high"])

    def verdict(self, a: str, b: str) -> dict[str, Any]:
        """Policy ``a`` against ``b`` on the main metric."""
        return next(
            one for one in self.document["verdicts"] if (one["a"], one["b"], one["metric"]) == (a, b, self.metric)
        )


def show_direction(metric: str) -> str:
    """``up`` or ``down``."""
    from rlsched.evaluate.metrics import find_metric

    known = find_metric(metric)
    if known is None:
        raise SystemExit(f"unknown metric {metric!r}.")
    return known.better


def agents() -> dict[str, dict[str, Any]]:
    """Name → card of every released agent that decides something."""
    return {path.parent.name: tomllib.loads(path.read_text()) for path in sorted(ROOT.glob("agents/*/card.toml"))}


def shown(name: str) -> str:
    """A policy as the tables call it."""
    return NAMES.get(name, f"`{name}`" if name in agents() else name.replace("_", " "))


def table() -> str:
    """One row an experiment, one column a role; the best in bold, with its interval."""
    lines = [f"| question, held-out windows | {' | '.join(ROLES.values())} | command |", "| --- " * 6 + "|"]
    for name, question in QUESTIONS.items():
        one = Experiment(name)
        cells = [f"{question}, {one.windows}"]
        for role in ROLES:
            if role not in one.roles:
                cells.append("–")
                continue
            policy = one.roles[role]
            label = "" if role in ("learned", "tuned") and shown(policy) == role else f"{shown(policy)} "
            value = f"**{one.value(policy)}**" if role == one.best else one.value(policy)
            cells.append(f"{label}{value} {one.interval(policy)}")
        lines.append(f"| {' | '.join([*cells, f'`rlsched evaluate {name}`'])} |")
    return "\n".join(lines)


def learning() -> str:
    """Each agent against the best published rule and the tuned one, and how many are shown to be better."""
    lines = [
        "| agent | against the best published rule | against the tuned rule | made with |",
        "| --- " * 4 + "|",
    ]
    won = run = 0
    for name, card in agents().items():
        one = Experiment(card["experiment"])
        told = f"[`{name}`](agents/{name}/model-card.md)"
        if name not in one.means:
            lines.append(f"| {told} | not run on held-out windows | | `{card['made_with']}` |")
            continue
        cells = []
        for role in ("published", "tuned"):
            found = one.verdict(name, one.roles[role])
            interval = show_interval(one.metric, found["ci_low"], found["ci_high"])
            unit = metric_unit(one.metric)
            amount = f"{show_difference(one.metric, found['difference'])}{f' {unit}' if unit else ''}"
            cells.append(f"{amount} {interval}, {found['verdict']}")
        run += 1
        won += found["verdict"] == "better"
        lines.append(f"| {told} | {' | '.join(cells)} | `{card['made_with']}` |")
    verb = "is" if won == 1 else "are"
    head = f"**{won} of {run} released agents {verb} shown to beat the tuned rule:**"
    return f"{head}\n\n" + "\n".join(lines)


#: Experiment → what was forecast. The order is the table's.
FORECASTS = {
    "forecast-bitbrains": "Bitbrains", "forecast-planetlab": "PlanetLab", "forecast-azure": "Azure",
    "forecast-google": "Google 2011", "forecast-google2019": "Google 2019", "forecast-alibaba": "Alibaba 2018",
    "forecast-rates": "request rates", "forecast-genai": "GenAI GPU duty",
}  # fmt: skip
MAIN, PLAIN = "cnn_lstm", "lstm_plain"
FORECASTERS = {"boosted": "LightGBM", "tcn": "TCN", "mlp": "MLP", "gru": "GRU", "lstm": "LSTM in the same frame"}
SAME = "no difference shown"


def forecasts() -> str:
    """The CNN-LSTM against the best other single forecaster and a plain LSTM, by weighted quantile loss."""
    lines = ["| load | CNN-LSTM | best other single forecaster | plain LSTM | training seeds |", "| --- " * 5 + "|"]
    best = plain = 0
    for name, what in FORECASTS.items():
        found = json.loads((ROOT / "experiments" / name / "results" / "results.json").read_text())
        losses = {one["forecaster"]: one["mean"] for one in found["summary"] if one["metric"] == "wql"}
        said = {one["b"]: one["verdict"] for one in found["verdicts"] if (one["a"], one["metric"]) == (MAIN, "wql")}
        seeds = len({one["seed"] for one in found["rows"] if one["forecaster"] == MAIN})
        singles = {one: loss for one, loss in losses.items() if not one.startswith("ensemble") and one != MAIN}
        rival = min(singles, key=lambda one: singles[one])
        best += losses[MAIN] < losses[rival]
        plain += losses[MAIN] < losses[PLAIN]
        cells = [what, f"{losses[MAIN]:.4f}"]
        for one in (rival, PLAIN):
            label = f"{FORECASTERS.get(one, one.replace('_', ' '))} " if one != PLAIN else ""
            verdict = said[one] if said[one] == SAME else f"CNN-LSTM is {said[one]}"
            cells.append(f"{label}{losses[one]:.4f}: {verdict}")
        lines.append(f"| {' | '.join([*cells, str(seeds)])} |")
    n = len(FORECASTS)
    head = (
        "Weighted quantile loss on machines and days never seen: the CNN-LSTM's is below a plain LSTM's on "
        f"{plain} of {n} loads, and the lowest of the single forecasters on {best}."
    )
    return f"{head}\n\n" + "\n".join(lines)


#: What the README says of speed: (words, benches, what a value is shown in); a bench a figure.
SPEED = (
    ("best fit over 1,000 / 10,000 / 100,000 machines",
     ("replay.best_fit.m1000", "replay.best_fit.m10000", "replay.best_fit.m100000"), "decisions a second"),
    ("2.7 million VMs over 10,000 machines, columns to meters", ("replay.azure_scale",), ""),
    ("`Placement-v0`, 1,000 machines, 16 candidates: 64 copies / one copy",
     ("env.placement.vec64.m1000", "env.placement.single.m1000"), "steps a second"),
    ("`Scaling-v0`, 64 copies", ("env.scaling.vec64",), "steps a second"),
    ("`Consolidation-v0`, 64 copies of 100 machines × 150 VMs, steady knobs / redrawn every tick",
     ("env.consolidation.vec64", "env.consolidation.vec64.random"), "ticks a second"),
    ("PPO on placement / scaling / consolidation, everything included",
     ("train.placement", "train.scaling", "train.consolidation"), "decisions a second"),
    ("`load_policy(...).place` over 1,000 machines, without compiler", ("policy.place.m1000",), ""),
    ("a CSV of 1 million rows / Parquet of 10 million", ("read.csv_1m", "read.parquet_10m"), ""),
    ("one FGD run (10,866 arrivals, 1,213 nodes)", ("golden.fgd_run",), ""),
    ("one PlanetLab day with LR-MMT, as CloudSim does it", ("golden.cloudsim_day_lr_mmt",), ""),
)  # fmt: skip


def measured() -> dict[str, Any]:
    """The newest output of ``rlsched bench --json`` that is kept."""
    found: dict[str, Any] = json.loads(max((ROOT / "benchmarks" / "results").glob("*.json")).read_text())
    return found


def speed() -> str:
    """The table of speeds: medians of one run of ``rlsched bench``."""
    run = measured()
    values = {one["name"]: (one["value"], one["unit"]) for one in run["results"]}
    head = f"| speed, one core (`rlsched bench`, {run['date'][:10]}, {run['machine']['processor']}) | |\n|---|---|\n"
    lines = [f"| {what} | {' / '.join(_speed(*values[one]) for one in names)} {unit}".rstrip() + " |"
             for what, names, unit in SPEED]  # fmt: skip
    return head + "\n".join(lines)


def _speed(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.2g} s" if value >= 0.01 else f"{1000 * value:.2g} ms"
    return f"{value / 1e6:.1f} million" if value >= 1e6 else f"{float(f'{value:.3g}'):,.0f}"


def filled(text: str) -> str:
    """The README with its tables as they should be."""
    for mark, made in (("results", table()), ("learning", learning()), ("forecasts", forecasts()), ("speed", speed())):
        head, rest = text.split(f"<!-- {mark}: made by docs/results.py -->\n", 1)
        _, tail = rest.split(f"<!-- /{mark} -->", 1)
        text = f"{head}<!-- {mark}: made by docs/results.py -->\n{made}\n<!-- /{mark} -->{tail}"
    return text


# --- the picture ------------------------------------------------------------------------------------

WIDTH, LEFT, RIGHT, ROW = 640, 190, 500, 24
STEPS = {"your trace": "CSV, Parquet", "simulator": "compiled", "policies": "rules, PPO", "verdict": "with interval"}
STYLE = """
text { font: 15px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 13px; fill: #59636e; }
.head { font-weight: 600; }
.page { fill: #ffffff; stroke: #d1d9e0; }
.box { fill: #eef4fb; stroke: #4a7ebb; }
.line { stroke: #59636e; stroke-width: 2; fill: none; }
.rule { stroke: #59636e; fill: #59636e; }
.learned { stroke: #b35900; fill: #b35900; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } .small { fill: #a9b4c0; }
  .page { fill: #0d1117; stroke: #3d444d; } .box { fill: #14243a; stroke: #6ea0dc; }
  .line { stroke: #a9b4c0; } .rule { stroke: #a9b4c0; fill: #a9b4c0; } .learned { stroke: #ffa657; fill: #ffa657; }
}
""".strip()


def picture() -> str:
    """What it is, in one picture: the way from trace to verdict, and three verdicts. SVG, light and dark."""
    parts = [_flow()]
    y = 118
    for name in PICTURED:
        one = Experiment(name)
        parts.append(_panel(one, y))
        y += 56 + ROW * len(one.roles)
    title = "From a trace to a verdict; and what came out on held-out windows"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{title}">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{y - 1}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _flow() -> str:
    wide, gap = 132, 28
    out = []
    for i, (name, below) in enumerate(STEPS.items()):
        x = 14 + i * (wide + gap)
        middle = x + wide / 2
        out.append(f'<rect class="box" x="{x}" y="18" width="{wide}" height="58" rx="6"/>')
        out.append(f'<text class="head" x="{middle:g}" y="42" text-anchor="middle">{name}</text>')
        out.append(f'<text class="small" x="{middle:g}" y="62" text-anchor="middle">{below}</text>')
        if i:
            out.append(f'<path class="line" d="M{x - gap + 4} 47 H{x - 6} m-6 -5 l6 5 l-6 5"/>')
    return "\n".join(out)


def _panel(one: Experiment, y: int) -> str:
    """A row a role: name, mean with its interval on a common scale, value."""
    means = [one.means[policy] for policy in one.roles.values()]
    low, high = min(m["ci_low"] for m in means), max(m["ci_high"] for m in means)

    def at(value: float) -> str:
        return f"{LEFT + (value - low) / (high - low) * (RIGHT - LEFT):.1f}"

    better = "lower" if show_direction(one.metric) == "down" else "higher"
    note = f"{better} is better; mean of {one.windows} held-out windows, 95 % interval"
    out = [
        f'<text class="head" x="14" y="{y}">{escape(QUESTIONS[one.name])}</text>',
        f'<text class="small" x="14" y="{y + 18}">{note}</text>',
    ]
    for i, (role, policy) in enumerate(one.roles.items()):
        mean, line = one.means[policy], y + 40 + ROW * i
        kind = "learned" if role == "learned" else "rule"
        name = shown(policy).strip("`")
        label = role if name.startswith(role) or role == "learned" else f"{role}: {name}"
        out.append(f'<text x="30" y="{line + 5}">{escape(label)}</text>')
        out.append(
            f'<line class="{kind}" x1="{at(mean["ci_low"])}" x2="{at(mean["ci_high"])}" y1="{line}" y2="{line}" '
            f'stroke-width="2"/><circle class="{kind}" cx="{at(mean["mean"])}" cy="{line}" r="5"/>'
        )
        out.append(f'<text x="{WIDTH - 16}" y="{line + 5}" text-anchor="end">{escape(one.value(policy))}</text>')
    return "\n".join(out)


def main() -> None:
    """Write both, each whole."""
    for path, text in ((README, filled(README.read_text(encoding="utf-8"))), (PICTURE, picture())):
        part = path.with_name(f"{path.name}.partial")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
