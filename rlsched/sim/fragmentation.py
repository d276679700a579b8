"""Fragmentation of a machine: idle capacity that a typical request cannot use.

GPU form: Weng et al., "Beware of Fragmentation", USENIX ATC 2023, section 4; the order in
which the seven categories are added up follows the published program, so that rounded
figures agree to the last digit. CPU form: ours, the same idea for machines without GPUs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rlsched.errors import SpecError
from rlsched.sim import world as wd
from rlsched.sim.compile import bare_njit
from rlsched.sim.world import Typical
from rlsched.traces.columns import Trace


def typical_requests(trace: Trace, share: float = 0.95, *, models: npt.NDArray[Any] | None = None) -> Typical:
    """The most common requests that make up a share of a trace.

    Parameters
    ----------
    trace : Trace
        Training data only: a typical request is a statistic of the past.
    share : float
        Requests are taken by falling count until they cover at least this share of the rows;
        the one that crosses it is included. Ties: larger ``(cpu, gpu share, devices, models)``
        first.
    models : (K,) object of str, optional
        The allowed GPU models as the file spells them. Then requests that allow the same models in other
        words count apart and ties go by the text, as in the published program.

    Returns
    -------
    Typical
        Shares renormalised to 1. Memory is not part of a request where the trace asks for
        GPUs (as in the source), and is part of it otherwise.

    Raises
    ------
    SpecError
        When ``share`` is outside (0, 1].
    """
    if not 0 < share <= 1:
        raise SpecError(f"share of typical requests must be in (0, 1]: got {share}.")
    import pandas as pd

    with_gpu = bool((trace.gpu_count > 0).any())
    frame = pd.DataFrame(
        {
            "cpu": trace.cpu_mcore,
            "mgpu": trace.gpu_mgpu,
            "gpus": trace.gpu_count,
            "models": np.where(trace.gpu_count > 0, trace.gpu_model_mask, -1),
            "mem": 0 if with_gpu else trace.mem_mib,
        }
    )
    keys = ["cpu", "mgpu", "gpus", "models", "mem"]
    if models is not None:
        frame["text"] = np.where(trace.gpu_count > 0, models, "")
        keys[3:3] = ["text"]
    counts = frame.groupby(keys, sort=False).size().rename("count").reset_index()
    counts = counts.sort_values(["count", *keys], ascending=False, kind="stable")
    covered = counts["count"].cumsum().to_numpy()
    n = int(np.searchsorted(covered, share * len(trace) - 1e-9)) + 1
    top = counts.head(n)
    frequency = top["count"].to_numpy(np.float64) / len(trace)
    requests = top[["cpu", "mem", "gpus", "mgpu", "models"]].to_numpy(np.int64)
    # By the share of all they cover, not by the sum of the frequencies: the last bit decides ties of FGD.
    return Typical(requests, frequency / (covered[n - 1] / len(trace)), trace.gpu_models)


@bare_njit
def fragment_gpu(free_cpu, model, device, n_devices, typical_i, typical_p):  # type: ignore[no-untyped-def]
    """Expected idle milli-GPU of one machine that a typical request cannot use.

    Parameters
    ----------
    free_cpu : int64, millicores
    model : int64
    device : (>= n_devices,) int64, free milli-GPU
    n_devices : int64
    typical_i, typical_p : (J, 5) int64 and (J,) float64

    Returns
    -------
    float64
        ``0..sum(device)`` milli-GPU.
    """
    total, whole, lowest, highest = 0, 0, 1000, 0
    for k in range(n_devices):
        free = device[k]
        total += free
        whole += free == 1000
        lowest = min(lowest, free)
        highest = max(highest, free)
    if total == 0:
        return 0.0
    lack_both = 0.0
    lack_gpu = 0.0
    lack_cpu = 0.0
    cpu_only_fits = 0.0
    cpu_only_lacks = 0.0
    no_access = 0.0
    for j in range(typical_p.shape[0]):
        p = typical_p[j]
        enough_cpu = free_cpu >= typical_i[j, wd.T_CPU]
        share = typical_i[j, wd.T_MGPU]
        if share == 0:
            if enough_cpu:
                cpu_only_fits += p * total
            else:
                cpu_only_lacks += p * total
            continue
        if (typical_i[j, wd.T_MODELS] >> model) & 1 == 0:
            no_access += p * total
            continue
        usable, useful = 0, 0
        if share <= lowest:
            usable, useful = n_devices, total
        elif share == 1000:
            usable, useful = whole, 1000 * whole
        elif share <= highest:
            for k in range(n_devices):
                if device[k] >= share:
                    usable += 1
                    useful += device[k]
        if usable >= typical_i[j, wd.T_GPUS]:
            if enough_cpu:
                lack_gpu += p * (total - useful)
            else:
                lack_cpu += p * total
        elif enough_cpu:
            lack_gpu += p * total
        else:
            lack_both += p * total
    return lack_both + lack_gpu + lack_cpu + cpu_only_fits + cpu_only_lacks + no_access


@bare_njit(forceinline=True)
def fragment_cpu(free_cpu, free_mem, typical_i, typical_p):  # type: ignore[no-untyped-def]
    """Expected free millicores of one machine that a typical request cannot use.

    Returns
    -------
    float64
        ``0..free_cpu`` millicores.
    """
    lost = 0.0
    for j in range(typical_p.shape[0]):
        if free_cpu < typical_i[j, wd.T_CPU] or free_mem < typical_i[j, wd.T_MEM]:
            lost += typical_p[j] * free_cpu
    return lost


@bare_njit
def fragment(mode, free_cpu, free_mem, model, device, n_devices, typical_i, typical_p):  # type: ignore[no-untyped-def]
    """Fragmentation of one machine in the unit of ``mode``; see the two functions above."""
    if mode == wd.FRAG_GPU:
        return fragment_gpu(free_cpu, model, device, n_devices, typical_i, typical_p)
    return fragment_cpu(free_cpu, free_mem, typical_i, typical_p)
