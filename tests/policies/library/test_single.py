"""One machine scored in plain floats is scored as in arrays, to the last bit; kept scores follow what changes."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from rlsched.policies.library.cluster import Cluster, read_cluster
from rlsched.policies.library.memory import Memory
from rlsched.policies.library.request import read_request
from rlsched.policies.library.rules import PLAIN_RULES, fits, fragment_now, part_of
from rlsched.policies.library.single import SINGLE_RULES, Single
from rlsched.policies.library.terms import Terms

TYPICAL = {
    "typical_i": np.array([[1_000, 2_048, 0, 0, -1], [7_000, 512, 0, 0, -1], [2_500, 30_000, 0, 0, -1]]),
    "typical_p": np.array([0.5, 0.2, 0.3]),
}
CPU_TERMS = Terms(fragmentation="cpu", **TYPICAL)
REQUESTS = [{"cpu_mcore": 1_000, "mem_mib": 3_000}, {"cpu_mcore": 0, "mem_mib": 7}, {"cpu_mcore": 12_345, "mem_mib": 0}]


def fleet(terms: Terms, n: int = 60) -> Cluster:
    """Machines of three makes, in use to any degree, some down, some empty, some without CPU."""
    draw = np.random.default_rng(3)
    cpu, mem = draw.choice([0, 16_000, 63_999], n), draw.choice([32_768, 100_001], n)
    columns = {
        "cpu_mcore": cpu,
        "mem_mib": mem,
        "cpu_free_mcore": (cpu * draw.choice([0.0, 0.33, 0.71, 1.0], n)).astype(np.int64),
        "mem_free_mib": (mem * draw.choice([0.01, 0.5, 1.0], n)).astype(np.int64),
        "up": draw.random(n) < 0.9,
    }
    return read_cluster(columns, terms)


@pytest.mark.parametrize("terms", [CPU_TERMS, Terms()], ids=["cpu", "none"])
def test_every_rule_agrees_with_the_arrays_to_the_last_bit(terms: Terms) -> None:
    cluster = fleet(terms)
    memory = Memory([{"best_fit": 1.0}], terms)
    scale, compared = memory.look(cluster), 0
    one = Single(scale, SINGLE_RULES)
    for told in REQUESTS:
        r = read_request(told, cluster, terms)
        rows = np.flatnonzero(fits(part_of(cluster), r))
        many = {rule: PLAIN_RULES[rule](scale, part_of(cluster, rows), r) for rule in SINGLE_RULES}
        for row in range(len(cluster)):
            ours = one.scores(cluster.whole[:, row].tolist(), cluster.real[:, row].tolist(), r)
            assert (ours is None) == (row not in rows)
            for rule in SINGLE_RULES if ours is not None else ():
                theirs = float(many[rule][rows.searchsorted(row)])
                assert struct.pack("d", ours[rule]) == struct.pack("d", theirs), (rule, row)  # type: ignore[index]
                compared += 1
    assert compared > 200


def test_fragmentation_of_one_machine_agrees_with_the_arrays() -> None:
    cluster = fleet(CPU_TERMS)
    scale = Memory([{"best_fit": 1.0}], CPU_TERMS).look(cluster)
    one = Single(scale, ("fragmentation",))
    lost = [one.fragment(cpu, mem) for cpu, mem in zip(*cluster.whole[:2].tolist(), strict=True)]
    assert lost == fragment_now(scale, part_of(cluster)).tolist()
    assert any(lost)


def test_scores_kept_while_tasks_arrive_are_those_of_a_fresh_memory() -> None:
    blends = [{"best_fit": 1.0, "cosine": 0.5}, {"fragmentation": 1.0}, {"lifetime": 1.0}]
    memory, cluster, placed = Memory(blends, CPU_TERMS, gains=True), fleet(CPU_TERMS), 0
    draw = np.random.default_rng(5)
    for _ in range(150):
        r = read_request(REQUESTS[int(draw.integers(3))], cluster, CPU_TERMS)
        total, able = memory.scores(cluster, r)
        fresh, same = Memory(blends, CPU_TERMS, gains=True).scores(cluster, r)
        assert total.tobytes() == fresh.tobytes()
        assert able.tobytes() == same.tobytes()
        rows = np.flatnonzero(able)
        counts = [int((memory.state == memory.state[row]).sum()) for row in rows]
        assert [memory.members[memory.state[row]] for row in rows] == counts
        if rows.size:
            cluster.take(int(draw.choice(rows)), (r.cpu, r.mem), (), 0, 0, 60.0)
            placed += 1
    assert placed > 50
