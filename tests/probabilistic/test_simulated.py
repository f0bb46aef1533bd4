"""Paths from given increments, whose posterior NUTS samples.

The test of the sampled posterior has a fixed seed; its bound is five standard errors by the effective sample
size, about one false alarm in a million for each of two figures.
"""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS
from pyro.infer.mcmc.util import initialize_model
from pyro.ops.integrator import potential_grad
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.pyro import GivenIncrements, simulated_path
from latentsde.solvers import ConstantStep, NotFinite
from latentsde.solvers.grid import read_times
from tests.path_kl import Pair
from tests.path_kl import start as start_of
from tests.probabilistic.linear_chain import DOUBLE, STEP, TIMES, VALUES, Chain, log_evidence, real, start


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("method", ["euler", "heun"])
def test_the_increments_of_a_path_give_its_solution(per_sample: bool, method: str) -> None:
    # More steps than the solver takes the noise of at once.
    ts = TIMES[:, None] * torch.linspace(0.5, 1.0, 3, dtype=DOUBLE) if per_sample else TIMES
    pair, z0, dt = Pair("diagonal", "ito" if method == "euler" else "stratonovich"), start_of(3, 2), 0.004
    points = ConstantStep(dt).grid(read_times(ts, 3)).points
    tree = VirtualBrownianTree(0.0, 1.2, (3, 2), seed=1, dtype=DOUBLE)
    W = tree.increments(points).W
    found = solve(pair, z0, ts, dt=dt, path=GivenIncrements(points, W), method=method)
    expected = solve(pair, z0, ts, dt=dt, path=tree, method=method)
    assert found.stats.steps == len(W) > 256
    torch.testing.assert_close(found.ys, expected.ys, rtol=1e-12, atol=1e-12)


def test_given_increments_answer_their_own_grid_alone() -> None:
    points = torch.linspace(0.0, 1.0, 5, dtype=DOUBLE)
    path = GivenIncrements(points, torch.arange(4.0).view(4, 1, 1))
    assert path.increments(points[1:4]).W.flatten().tolist() == [1.0, 2.0]
    for times in (points[[0, 2]], torch.tensor([0.1, 0.25], dtype=DOUBLE), points[2:] + 0.5):
        with pytest.raises(ValueError, match="own grid"):
            path.increments(times)
    with pytest.raises(ValueError, match="4 increments"):
        GivenIncrements(points, torch.zeros(5, 1, 1))


@pytest.mark.parametrize("noise_type", ["diagonal", "scalar", "additive", "general"])
def test_the_normals_are_the_increments_over_the_root_of_the_steps(noise_type: str) -> None:
    pair, z0 = Pair(noise_type), start_of(2, 3)
    columns = {"diagonal": 3, "general": 2}.get(noise_type, 1)
    normals = torch.randn(2, 12, columns, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    program = poutine.condition(simulated_path, data={"z_noise": normals})
    found = program("z", pair, z0, TIMES, dt=STEP, method="euler")
    z, outputs = z0, [z0]
    points = ConstantStep(STEP).grid(TIMES).points
    for k in range(12):
        t, h = points[k], points[k + 1] - points[k]
        W = normals[:, k] * h.sqrt()
        g = pair.g(t, z)
        z = z + pair.f(t, z) * h + (g * W if noise_type == "diagonal" else (g @ W[..., None]).squeeze(-1))
        outputs.append(z)
    torch.testing.assert_close(found, torch.stack([outputs[k] for k in (0, 5, 8, 12)], 1))


def test_plates_of_any_rank_have_normals_of_their_own() -> None:
    trace = poutine.trace(lambda: simulated_path("z", Pair(), start_of(2, 3, 2), TIMES, dt=STEP)).get_trace()
    assert trace.nodes["z_noise"]["value"].shape == (2, 3, 12, 2)
    assert trace.nodes["z"]["value"].shape == (2, 3, 4, 2)
    assert len(trace.nodes["z_noise"]["value"].unique()) == 2 * 3 * 12 * 2
    single = poutine.trace(lambda: simulated_path("z", Pair(), start_of(2), TIMES, dt=STEP)).get_trace()
    assert single.nodes["z_noise"]["value"].shape == (12, 2)
    with pyro.plate("particles", 5), pytest.raises(ValueError, match="expand z0"):
        simulated_path("z", Pair(), start_of(1, 2)[0], TIMES, dt=STEP)


def test_the_normals_get_the_gradient_of_the_path() -> None:
    theta, normals = real(0.8), torch.zeros(2, 12, 1, dtype=DOUBLE, requires_grad=True)
    program = poutine.condition(simulated_path, data={"z_noise": normals})
    path = program("z", Chain(theta, real(0.6)), start(), TIMES, dt=STEP, method="euler")
    (gradient,) = torch.autograd.grad(path[:, -1].sum(), normals)
    k = torch.arange(11, -1, -1, dtype=DOUBLE)
    expected = (0.6 * math.sqrt(STEP) * (1.0 - 0.8 * STEP) ** k).expand(2, -1)
    torch.testing.assert_close(gradient.squeeze(-1), expected)
    with pytest.raises(ValueError, match="direct"):
        program("z", Chain(theta, real(0.6)), start(), TIMES, dt=STEP, adjoint="checkpointed")


SIGMA = torch.tensor(0.6, dtype=DOUBLE)


def model() -> None:
    theta = pyro.sample("theta", dist.LogNormal(torch.zeros((), dtype=DOUBLE), 0.5))
    with pyro.plate("series", 2):
        z = simulated_path("z", Chain(theta, SIGMA), start(), TIMES, dt=STEP, method="euler")
        pyro.sample("x", dist.Normal(z[:, 1:, 0], 0.3).to_event(1), obs=VALUES)


def test_nuts_samples_the_posterior_of_a_parameter_with_the_path() -> None:
    """θ against quadrature with the evidence of the discretised chain."""
    logs = torch.linspace(-3.0, 3.0, 401, dtype=DOUBLE)
    log = torch.stack([log_evidence(x.exp(), SIGMA).sum() for x in logs])
    weights = (log - 0.5 * (logs / 0.5) ** 2).softmax(0)
    mean = (weights * logs).sum()
    deviation = (weights * (logs - mean) ** 2).sum().sqrt()

    pyro.set_rng_seed(0)
    kernel = NUTS(model, jit_compile=True, ignore_jit_warnings=True, max_tree_depth=4)
    mcmc = MCMC(kernel, num_samples=150, warmup_steps=60, disable_progbar=True)
    mcmc.run()
    draws = mcmc.get_samples()["theta"].log()
    effective = float(mcmc.diagnostics()["theta"]["n_eff"])
    assert effective > 40
    assert abs(float(draws.mean() - mean)) < 5.0 * float(deviation) / math.sqrt(effective)
    assert abs(float(draws.std() / deviation) - 1.0) < 5.0 / math.sqrt(2.0 * effective)


def test_a_proposal_under_which_the_sde_explodes_is_rejected_and_not_the_end() -> None:
    class Explosive(Chain):
        def f(self, t: Tensor, z: Tensor) -> Tensor:
            return self.theta * z**3

    def explosive() -> None:
        theta = pyro.sample("theta", dist.Normal(torch.zeros((), dtype=DOUBLE), 0.1))
        simulated_path("z", Explosive(theta, real(0.1)), start(), TIMES, dt=STEP, method="euler")

    pyro.set_rng_seed(0)
    values, potential, _, _ = initialize_model(explosive)
    assert potential_grad(potential, values)[1].isfinite()
    values["theta"] = torch.tensor(1e6, dtype=DOUBLE)
    with pytest.raises(NotFinite):
        potential(values)
    assert potential_grad(potential, values)[1].isnan()
