import numpy as np
import pytest
from traces_synthetic_builders import trace

from rlsched.errors import TraceError
from rlsched.rng import stream
from rlsched.traces.synthetic.sizes import Sizes, draw_codes, fit_atoms, fit_sizes


def test_common_shapes_stay_exact_and_rare_ones_go_to_the_nearest():
    cpu = [1000] * 30 + [4000] * 25 + [3900]  # one rare request, nearer to 4000
    fit = fit_atoms(trace(cpu), 20)
    assert [(a.cpu_mcore, a.mem_mib) for a in fit.atoms] == [(1000, 1024), (4000, 1024)]
    assert fit.code.tolist() == [0] * 30 + [1] * 26
    assert (fit.exact, fit.gridded, round(fit.merged, 4)) == (55 / 56, 0.0, round(1 / 56, 4))


def test_requests_that_never_repeat_share_a_grid_cell():
    cpu = np.concatenate([np.full(30, 500), np.arange(8000, 8100)])  # a hundred different ones within 2 %
    fit = fit_atoms(trace(cpu), 20)
    assert [a.cpu_mcore for a in fit.atoms] == [500, 8192]
    assert fit.gridded == pytest.approx(100 / 130)


def test_every_atom_has_min_count_tasks():
    rng = stream(3, "sizes")
    fit = fit_atoms(trace(rng.integers(100, 64_000, 3000), rng.integers(100, 64_000, 3000)), 20)
    assert np.bincount(fit.code).min() >= 20


def test_rare_gpu_request_goes_to_an_atom_of_as_many_gpus():
    count = np.r_[np.zeros(30), np.ones(31)].astype(int)
    gpus = {"gpu_count": count, "gpu_mgpu": np.r_[np.zeros(30), np.full(30, 1000), 500].astype(int)}
    fit = fit_atoms(trace([1000] * 30 + [32_000] * 30 + [1000], **gpus), 20)
    assert fit.atoms[fit.code[-1]].gpu_count == 1


def test_nothing_common_is_refused_with_what_to_do():
    with pytest.raises(TraceError, match=r"no request shape is shared by 20 of the 12 tasks.*`min_count`"):
        fit_atoms(trace(2 ** np.arange(12)), 20)


def test_repeat_probability_is_recovered_from_batches():
    sizes = Sizes(atom_share=(0.6, 0.3, 0.1), repeat=0.7)
    batch_size = np.full(20_000, 4)
    heads = stream(1, "h").choice(3, size=batch_size.size, p=sizes.atom_share)
    code = draw_codes(sizes, heads, batch_size, stream(1, "c"))
    found = fit_sizes(code, np.repeat(np.arange(20_000), 4), 3)
    assert abs(found.repeat - 0.7) < 0.02
    assert np.abs(np.asarray(found.atom_share) - sizes.atom_share).max() < 0.02


def test_batches_that_always_repeat_are_uniform():
    heads = np.arange(100) % 2
    code = draw_codes(Sizes(atom_share=(0.5, 0.5), repeat=1.0), heads, np.full(100, 5), stream(1, "c"))
    assert (np.ptp(code.reshape(100, 5), axis=1) == 0).all()
