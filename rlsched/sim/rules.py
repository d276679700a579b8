"""The table of scoring rules: their names, their numbers, and what each needs.

Apart from ``scoring.py``, which computes them, so that naming a policy loads no compiler.
"""

from __future__ import annotations

import numpy as np

#: The one table of rules. A new rule is a function in `scoring.py`, a line here, and a
#: branch of `score_parts`.
RULES = (
    "first_fit",
    "best_fit",
    "dot_product",
    "norm_l2",
    "cosine",
    "gpu_packing",
    "gpu_clustering",
    "fgd",
    "fragmentation",
    "fgd_best_fit",
    "fgd_dot_product",
    "lifetime",
    "least_allocated",
    "most_allocated",
    "requested_to_capacity",
    "balanced_allocation",
)
(
    R_FIRST_FIT,
    R_BEST_FIT,
    R_DOT_PRODUCT,
    R_NORM_L2,
    R_COSINE,
    R_GPU_PACKING,
    R_GPU_CLUSTERING,
    R_FGD,
    R_FRAGMENTATION,
    R_FGD_BEST_FIT,
    R_FGD_DOT_PRODUCT,
    R_LIFETIME,
    R_LEAST,
    R_MOST,
    R_REQUESTED,
    R_BALANCED,
) = range(16)
#: Rules whose score of an unchanged machine changes with the clock: never cached.
TIMED = (R_LIFETIME,)
#: Rules that need typical requests.
NEEDS_TYPICAL = (R_FGD, R_FRAGMENTATION)
#: Rules that cost more than a dozen operations a machine: rescored one machine at a time.
COSTLY = (R_GPU_PACKING, R_FGD, R_FRAGMENTATION)
#: Temporal cost is counted in these steps, seconds (ours; Barbalho et al., MLSys 2023, and
#: Ling et al., MLSys 2025, use coarse steps for the same reason: small differences are noise).
LIFETIME_STEPS = np.array([60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400, 172800, 604800], dtype=np.float64)
