"""Learn to place on a trace: about two minutes on two cores, and no data to fetch.

An experiment is a folder with a card (data, machines, splits, windows, what decides), and beside it how
to learn. The agent begins exactly at the rule it is given as `prior`, here best fit, and is kept only where
it beats it on validation windows; then both are judged on later days that neither has seen. So short a training
often ends with "no difference shown": that is the answer, and what longer ones did is in docs/learning.md.

Run it: python examples/train_your_own.py [FOLDER]
Yours: put your own trace and machines in the card ('rlsched traces describe FILE' reads them), and days in [splits].
"""

from __future__ import annotations

import sys
from pathlib import Path

from rlsched.cli.main import main

CARD = """
kind = "placement"
title = "Placing VMs, bundled sample"
main_metric = "rejected_cpu_share"
policies = ["best_fit", "first_fit", "fragmentation"]

[data]
trace = "sample/vms.parquet"           # a dataset's name, or a file beside this card

[machines]
source = "sample/machines.parquet"     # or [[machines.types]]: name, count, cpu_mcore, mem_mib

[simulation]
fragmentation = "cpu"

[references]
textbook = "best_fit"

[splits]                               # seconds of the trace
train = [0, 172_800]
validation = [172_800, 259_200]
test = [259_200, 432_000]

[windows]
kind = "time"
length = "4h"
warmup = "all"
"""
TRAIN = """
steps = 65_536
n_envs = 32
rollout = 64
minibatch = 512
learning_rate = 1e-3
anneal = true
discount = 0.998
gae_lambda = 0.98
prior_scale = 10
cluster = [20, 40]                     # machines of a training window, sampled, with as large a share of the tasks
n_windows = 24
length_s = 21_600
warmup_s = 43_200
validate_every = 8
validation_windows = 6

[placement]
candidates = 8
prior = "best_fit"                     # learning begins exactly there
shortlist = ["fragmentation", "dot_product", "first_fit"]
reward = { rejected_cpu = 100.0 }
"""

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/my-experiment")
folder.mkdir(parents=True, exist_ok=True)
(folder / "experiment.toml").write_text(CARD)
(folder / "train.toml").write_text(TRAIN)
agent = folder / "agent"
steps = (
    ["train", str(folder), "--out", str(agent)],
    ["evaluate", str(folder), "--set", f'policies=["best_fit", "first_fit", "fragmentation", "{agent}"]', "--out",
     str(folder / "results")],
)  # fmt: skip
for words in steps:
    print("\n$ rlsched", *words, flush=True)
    code = main(words)
    if code:
        sys.exit(code)
