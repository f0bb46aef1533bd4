"""Linear SDEs with the path integrated out: against the joint normal law of all observations.

Statistical tests have fixed seeds and a false-alarm rate of FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

import pyro
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, biject_to

from latentsde.pyro import LinearSDEObservations
from tests.significance import bound, covariance_z, mean_z

DOUBLE = torch.float64
TIMES = torch.tensor([0.0, 0.3, 0.3, 1.0, 4.0, 4.2], dtype=DOUBLE)
DRIFT = torch.tensor([[-1.0, 0.5], [-0.3, -2.0]], dtype=DOUBLE)
DIFFUSION = torch.tensor([[0.5, 0.0], [0.2, 0.7]], dtype=DOUBLE)
OBSERVATION = torch.tensor([[1.0, 0.4], [-0.5, 1.0], [0.3, 0.3]], dtype=DOUBLE)
NOISE = torch.tensor([0.2, 0.3, 0.1], dtype=DOUBLE)
OFFSET = torch.tensor([0.7, -0.4], dtype=DOUBLE)
MEAN = torch.tensor([0.3, -1.0], dtype=DOUBLE)
COVARIANCE = torch.tensor([[0.6, 0.1], [0.1, 0.4]], dtype=DOUBLE)


def law(drift: Tensor = DRIFT, **options: Tensor) -> LinearSDEObservations:
    given = {"times": TIMES, "mean": MEAN, "covariance": COVARIANCE, "offset": OFFSET} | options
    return LinearSDEObservations(drift, DIFFUSION, OBSERVATION, NOISE, **given)  # type: ignore[arg-type]


def joint(drift: Tensor = DRIFT, times: Tensor = TIMES) -> MultivariateNormal:
    """Of all observations, (T p): moments by Simpson's rule over thousands of short intervals, none of the
    Kalman filter's formulas.
    """

    def integral(f: object, length: Tensor) -> Tensor:
        s = torch.linspace(0.0, float(length), 2001, dtype=DOUBLE)
        weights = torch.ones(2001, dtype=DOUBLE)
        weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
        values = f(torch.linalg.matrix_exp(drift * s[:, None, None]))  # type: ignore[operator]
        return (weights.view(-1, *(1,) * (values.dim() - 1)) * values).sum(0) * float(length) / 6000.0

    noise = DIFFUSION @ DIFFUSION.T
    since = [torch.linalg.matrix_exp(drift * (t - times[0])) for t in times]
    means = [
        F @ MEAN + integral(lambda E: E @ OFFSET, t - times[0]) for F, t in zip(since, times, strict=True)
    ]
    own = [
        F @ COVARIANCE @ F.T + integral(lambda E: E @ noise @ E.mT, t - times[0])
        for F, t in zip(since, times, strict=True)
    ]
    rows = []
    for i, s in enumerate(times):
        row = []
        for j, t in enumerate(times):
            later = torch.linalg.matrix_exp(drift * (s - t).abs())
            cov = later @ own[j] if i >= j else own[i] @ later.T
            block = OBSERVATION @ cov @ OBSERVATION.T
            row.append(block + (i == j) * torch.diag(NOISE**2))
        rows.append(torch.cat(row, 1))
    return MultivariateNormal(torch.cat([OBSERVATION @ m for m in means]), torch.cat(rows))


@pytest.fixture(scope="module")
def values() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(4, 6, 3, dtype=DOUBLE)


def test_log_prob_is_that_of_the_joint_normal(values: Tensor) -> None:
    torch.testing.assert_close(
        law().log_prob(values), joint().log_prob(values.flatten(1)), rtol=1e-9, atol=1e-9
    )


def test_an_unstable_and_a_singular_drift(values: Tensor) -> None:
    for drift in (torch.tensor([[0.2, 1.0], [0.0, 0.0]], dtype=DOUBLE), torch.zeros(2, 2, dtype=DOUBLE)):
        torch.testing.assert_close(
            law(drift).log_prob(values), joint(drift).log_prob(values.flatten(1)), rtol=1e-9, atol=1e-9
        )


def test_gradients_are_those_of_the_joint_normal(values: Tensor) -> None:
    found, expected = DRIFT.clone().requires_grad_(), DRIFT.clone().requires_grad_()
    law(found).log_prob(values).sum().backward()
    joint(expected).log_prob(values.flatten(1)).sum().backward()
    assert found.grad is not None and expected.grad is not None
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-7, atol=1e-7)


def test_masked_components_are_integrated_out(values: Tensor) -> None:
    mask = torch.ones(6, 3, dtype=torch.bool)
    mask[0, 1] = mask[3] = mask[5, 0] = False
    kept, whole = mask.flatten(), joint()
    marginal = MultivariateNormal(whole.loc[kept], whole.covariance_matrix[kept][:, kept])
    spoiled = torch.where(mask, values, torch.nan)
    torch.testing.assert_close(
        law(mask=mask).log_prob(spoiled),
        marginal.log_prob(values.flatten(1)[:, kept]),
        rtol=1e-9,
        atol=1e-9,
    )


def test_a_stiff_drift_and_a_long_gap_lose_nothing() -> None:
    """Rates 1 and 200 over gaps of 10: exp(-A h) alone would be 1e868."""
    drift, times = torch.diag(torch.tensor([-1.0, -200.0])), torch.tensor([0.0, 10.0, 20.0])
    eye = torch.eye(2)
    found = LinearSDEObservations(
        drift, eye, eye, 0.1 * torch.ones(2), times, mean=torch.zeros(2), covariance=eye
    ).transitions()[2]
    torch.testing.assert_close(found[1], torch.diag(torch.tensor([0.5, 0.0025])), rtol=1e-4, atol=1e-7)


def test_ornstein_uhlenbeck_is_its_stationary_law_for_a_batch_of_parameters_and_times() -> None:
    rate = torch.tensor([[0.5], [2.0], [300.0]], dtype=DOUBLE)
    times = torch.tensor([[0.0, 0.4, 2.0], [1.0, 1.5, 1.6]], dtype=DOUBLE)
    values = torch.tensor([[0.3, -0.5, 1.0], [0.2, 0.1, 0.9]], dtype=DOUBLE)
    found = LinearSDEObservations.ornstein_uhlenbeck(rate, 0.4, 0.8, 0.2, times)  # type: ignore[arg-type]
    assert found.batch_shape == (3, 2) and found.event_shape == (3, 1)
    gaps = (times[:, :, None] - times[:, None, :]).abs()
    covariance = 0.8**2 / (2.0 * rate[..., None, None]) * torch.exp(-rate[..., None, None] * gaps)
    covariance = covariance + 0.2**2 * torch.eye(3, dtype=DOUBLE)
    expected = MultivariateNormal(torch.full((3,), 0.4, dtype=DOUBLE), covariance).log_prob(values)
    torch.testing.assert_close(found.log_prob(values[..., None]), expected, rtol=1e-10, atol=1e-10)


def test_samples_have_the_joint_law() -> None:
    torch.manual_seed(1)
    draws = law().sample((20_000,)).flatten(1)
    whole = joint()
    covariance = whole.covariance_matrix
    centred, variances = draws - whole.loc, covariance.diagonal()
    assert draws.shape == (20_000, 18)
    assert float(mean_z(centred, 0.0, variances).abs().max()) < bound(18 + 324)
    z = covariance_z(
        centred[:, :, None], centred[:, None, :], covariance, (variances[:, None], variances[None, :])
    )
    assert float(z.abs().max()) < bound(18 + 324)


def test_absurd_parameters_have_no_likelihood_and_raise_nothing() -> None:
    for rate in (1e30, 1e38):
        found = LinearSDEObservations.ornstein_uhlenbeck(
            torch.tensor(rate),
            0.0,
            torch.tensor(1e30),
            0.1,
            TIMES.float(),  # type: ignore[arg-type]
        ).log_prob(torch.ones(6, 1))
        assert not float(found) > 0


def test_a_plate_scales_it_and_inference_sees_it_as_any_distribution(values: Tensor) -> None:
    def model() -> None:
        with pyro.plate("series", 8, subsample=torch.arange(4)):
            pyro.sample("x", law(), obs=values)

    trace = pyro.poutine.trace(model).get_trace()
    torch.testing.assert_close(trace.log_prob_sum(), 2.0 * law().log_prob(values).sum())
    assert law().expand([4]).sample().shape == (4, 6, 3)
    assert isinstance(biject_to(law().support)(values), Tensor)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="increasing"):
        law(times=TIMES.flip(0))
    with pytest.raises(ValueError, match=r"mean must be \(\.\.\., 2\)"):
        law(mean=torch.zeros(3, dtype=DOUBLE))
