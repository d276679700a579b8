"""The rules for one machine in plain floats: what ``rules`` computes for many, without arrays.

A scheduler asks again about a cluster of which one or two machines changed; for those, arrays of
length one cost more than the arithmetic. Operations stand in the order of ``rules``, so both
agree to the last bit; a test holds them together. Rules and requests that are not here (devices,
fragmentation of GPUs) stay with the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rlsched.policies.library import cluster as cl
from rlsched.policies.library.request import Request
from rlsched.policies.library.rules import Scale

#: Rules that are here.
SINGLE_RULES = frozenset(
    ("first_fit", "best_fit", "dot_product", "norm_l2", "cosine", "fragmentation", "balanced_allocation")
)
#: Rules that compare shares asked for with shares free.
_OF_SHARES = frozenset(("dot_product", "norm_l2", "cosine"))


class Single:
    """Scores one machine after the other by some rules.

    Parameters
    ----------
    s : Scale
    rules : iterable of str
        Of :data:`SINGLE_RULES`.
    """

    def __init__(self, s: Scale, rules: Iterable[str]) -> None:
        self.rules = frozenset(rules)
        self._typical = list(
            zip(s.typical_i[:, 0].tolist(), s.typical_i[:, 1].tolist(), s.typical_p.tolist(), strict=True)
        )
        self._shares = bool(self.rules & _OF_SHARES)

    def scores(self, whole: Sequence[int], real: Sequence[float], r: Request) -> Mapping[str, float] | None:
        """Score of each rule; None where the request, which asks for no device, does not fit.

        Parameters
        ----------
        whole, real : sequences
            The machine's column of ``Cluster.whole`` and ``Cluster.real``.
        r : Request
        """
        cpu, mem = whole[cl.CPU], whole[cl.MEM]
        if cpu < r.cpu or mem < r.mem or whole[cl.UP] != 1:
            return None
        rules, out = self.rules, {"first_fit": 0.0}
        inv_cpu, inv_mem = real[cl.INV_CPU], real[cl.INV_MEM]
        if "best_fit" in rules:
            left_cpu = (cpu - r.cpu) * inv_cpu + (math.inf if r.cpu == 0 else 0.0)
            left_mem = (mem - r.mem) * inv_mem + (math.inf if r.mem == 0 else 0.0)
            out["best_fit"] = -min(left_cpu, left_mem)
        if self._shares:
            inv_gpu = real[cl.INV_GPU]
            a, b, c = r.cpu * inv_cpu, r.mem * inv_mem, 0 * inv_gpu
            x, y, z = cpu * inv_cpu, mem * inv_mem, whole[cl.GPU] * inv_gpu
            dot = a * x + b * y + c * z
            out["dot_product"] = dot
            out["norm_l2"] = -((x - a) * (x - a) + (y - b) * (y - b) + (z - c) * (z - c))
            length = math.sqrt((a * a + b * b + c * c) * (x * x + y * y + z * z))
            out["cosine"] = dot / length if length > 0.0 else 0.0
        if "fragmentation" in rules:
            after = self.fragment(cpu - r.cpu, mem - r.mem)
            out["fragmentation"] = (real[cl.FRAG] - after) / 1000.0
        if "balanced_allocation" in rules:
            used_cpu = (whole[cl.CAP_CPU] - cpu + r.cpu) * inv_cpu
            used_mem = (whole[cl.CAP_MEM] - mem + r.mem) * inv_mem
            out["balanced_allocation"] = float(math.floor((1.0 - abs(used_cpu - used_mem) / 2.0) * 100.0))
        return out

    def fragment(self, cpu: int, mem: int) -> float:
        """Idle CPU that a typical request cannot use, millicores."""
        lost = 0.0
        for need_cpu, need_mem, share in self._typical:
            if cpu < need_cpu or mem < need_mem:
                lost += share * cpu
        return lost
