"""Ask a policy where a task should go: no simulator, no compiler, a pandas frame in, a machine out.

Run it: python examples/use_a_policy.py [NAME or path of a policy]
"""

from __future__ import annotations

import sys

import pandas as pd

import rlsched

machines = pd.DataFrame(
    {
        "cpu_mcore": [64_000, 64_000, 96_000],
        "mem_mib": [262_144, 262_144, 393_216],
        "cpu_free_mcore": [12_000, 60_000, 30_000],
        "mem_free_mib": [65_536, 250_000, 20_000],
        "gpu_count": [2, 2, 4],
        "gpu_free_mgpu": [[300, 1000], [1000, 1000], [0, 500, 1000, 1000]],
        "gpu_model": ["T4", "T4", "A10"],
        "tasks": [5, 1, 9],
    },
    index=["host-a", "host-b", "host-c"],
)
requests = pd.DataFrame(
    {
        "cpu_mcore": [8_000, 4_000, 40_000, 80_000],
        "mem_mib": [16_384, 8_192, 65_536, 8_192],
        "gpu_count": [1, 1, 2, 0],
        "gpu_mgpu": [500, 300, 1000, 0],
    }
)

policy = rlsched.load_policy(sys.argv[1] if len(sys.argv) > 1 else "best_fit")
for decision in policy.place_many(requests, machines):
    print(f"{decision.machine_id}, GPUs {decision.devices}" if decision else f"nowhere: {decision.reason}")
print(policy.explain(requests.iloc[0], machines, against="worst_fit"))
