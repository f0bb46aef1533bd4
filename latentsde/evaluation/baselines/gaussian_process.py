"""A Gaussian process for each feature, by scikit-learn: the strong classic for small irregular series.

Rasmussen & Williams 2006, chapters 2 and 5.4.2: one set of hyperparameters for all series of a feature, found
by the sum of the series' log marginal likelihoods.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from latentsde.data import IrregularSeries, Scaler
from latentsde.evaluation.baselines.baseline import Array, Baseline, Normal, both_halves, positive_period

if TYPE_CHECKING:
    from typing_extensions import Self

FIT_SERIES = 20  # series whose likelihoods are summed
FIT_VALUES = 100  # of each, consecutive ones
FEWEST_VALUES = 3  # a series with fewer says next to nothing about lengths and noise
CONDITION_VALUES = 2000  # more visible values than these are thinned evenly: the cost is cubic
_FIT_ITERATIONS = 60


class GaussianProcess(Baseline):
    """Matérn-3/2, with a period also a locally periodic term, plus white noise; each feature apart.

    Hyperparameters are fitted on FIT_SERIES training series (fixed seed) and then kept; a prediction
    conditions on the visible values of its own series. The mean is the feature's training mean; std includes
    the white noise.

    period: in the series' time unit, or None. InputError for a period that is not a positive number.
    """

    name = "gaussian_process"

    def __init__(self, period: float | None = None, *, seed: int = 0) -> None:
        self.period = None if period is None else positive_period(period)
        self.seed = seed

    def fit(self, visible: IrregularSeries, withheld: IrregularSeries) -> Self:
        observed = both_halves(visible, withheld)
        self.scaler = Scaler.fit(observed)
        scaled = observed.with_values(self.scaler.scale(observed.values))
        self._kernels = [self._fit_kernel(scaled, f) for f in range(len(observed.features))]
        return self

    def predict(self, visible: IrregularSeries, withheld: IrregularSeries) -> Normal:
        scaled = self.scaler.scale(visible.values)
        mean, std = np.full_like(scaled, np.nan), np.full_like(scaled, np.nan)
        for f, kernel in enumerate(self._kernels):
            for s in range(len(visible)):
                rows = visible.rows(s)
                given = rows.start + np.flatnonzero(np.isfinite(scaled[rows, f]))
                asked = rows.start + np.flatnonzero(np.isfinite(withheld.values[rows, f]))
                if not len(asked):
                    continue
                given = given[:: -(-len(given) // CONDITION_VALUES) or 1]
                mean[asked, f], std[asked, f] = _condition(
                    kernel, visible.times[given], scaled[given, f], visible.times[asked]
                )
        return Normal(self.scaler.unscale(mean), std * self.scaler.std)

    def _fit_kernel(self, scaled: IrregularSeries, feature: int) -> Any:
        """The kernel of one feature with the hyperparameters of greatest likelihood."""
        from scipy.optimize import minimize

        parts = list(_subsample(scaled, feature, np.random.default_rng([self.seed, feature])))
        if not parts:
            return self._kernel(1.0, 1.0)
        steps = np.concatenate([np.diff(times) for times, _ in parts])
        kernel = self._kernel(float(np.median(steps)), max(float(np.ptp(times)) for times, _ in parts))
        processes = [_process(kernel).fit(times[:, None], values) for times, values in parts]

        def objective(theta: Array) -> tuple[float, Array]:
            total, slope = 0.0, np.zeros_like(theta)
            for process in processes:
                value, gradient = process.log_marginal_likelihood(
                    theta, eval_gradient=True, clone_kernel=False
                )
                total, slope = total - value, slope - gradient
            return total, slope

        found = minimize(
            objective,
            kernel.theta,
            jac=True,
            method="L-BFGS-B",
            bounds=kernel.bounds,
            options={"maxiter": _FIT_ITERATIONS},
        )
        return kernel.clone_with_theta(found.x)

    def _kernel(self, step: float, span: float) -> Any:
        """Where the fit starts: unit variance; step the usual time between values, span a series' length."""
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, ExpSineSquared, Matern, WhiteKernel

        lengths = (step / 4, 10 * span)
        kernel = ConstantKernel(0.8, (1e-3, 30.0)) * Matern(min(5 * step, span), lengths, nu=1.5)
        if self.period is not None:
            kernel = kernel + ConstantKernel(0.2, (1e-4, 30.0)) * ExpSineSquared(
                1.0, self.period, (0.2, 20.0), "fixed"
            ) * RBF(3 * self.period, (self.period, 100 * self.period))
        return kernel + WhiteKernel(0.05, (1e-4, 3.0))


def _subsample(
    scaled: IrregularSeries, feature: int, rng: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """(times, values) of up to FIT_SERIES series that hold enough values of the feature."""
    seen = np.isfinite(scaled.values[:, feature])
    counts = np.add.reduceat(seen, scaled.offsets[:-1])
    usable = np.flatnonzero(counts >= FEWEST_VALUES)
    for s in rng.permutation(usable)[:FIT_SERIES]:
        rows = scaled.rows(s)
        some = rows.start + np.flatnonzero(seen[rows])
        start = int(rng.integers(0, max(1, len(some) - FIT_VALUES + 1)))
        some = some[start : start + FIT_VALUES]
        yield scaled.times[some], scaled.values[some, feature]


def _process(kernel: Any) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(kernel, optimizer=None, alpha=1e-8)


def _condition(kernel: Any, times: Array, values: Array, asked: Array) -> tuple[Array, Array]:
    """Mean and std (n,) of new, noisy observations at `asked`, given values at `times` (possibly none)."""
    process = _process(kernel)
    if len(times):
        process.fit(times[:, None], values)
    mean, std = process.predict(asked[:, None], return_std=True)
    return mean, std
