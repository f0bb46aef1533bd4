"""The Lévy area A of intervals, approximated from their increments W and space-time Lévy areas H.

For a step of length h and i ≠ j, A_ij = 1/2 ∫ (W_i dW_j - W_j dW_i) is H_i W_j - W_i H_j + a_ij, and a_ij,
the area of the bridge, has given (W, H) the mean 0 and the variance

    h²/20 + (h/5) (H_i² + H_j²)

(Foster, Lyons & Oberhauser 2020, "An optimal polynomial approximation of Brownian motion", and Foster's
thesis), which over H is h²/12 on average. Davie 2014, "KMT theory applied to approximations of SDE", takes a
normal a_ij of the average variance, Foster one of the conditional variance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .drawing import standard_normal
from .philox import derive_seed

LEVY_AREA_APPROXIMATIONS = ("davie", "foster")
_AREA = 2  # label of the stream of the areas


def levy_area(w: Tensor, h: Tensor, length: Tensor | float, approximation: str, normals: Tensor) -> Tensor:
    """A (..., m, m) of `w` and `h` (..., m) over steps of the given length >= 0, which broadcasts with
    (..., m, m); antisymmetric. `normals` (..., m, m) are standard, of which the upper triangle is used.
    """
    normals = normals.triu(1)
    if approximation == "foster":
        square = h * h
        variance = square.unsqueeze(-1) + square.unsqueeze(-2)
        normals = normals * (0.05 * length**2 + 0.2 * length * variance).sqrt()
    else:
        normals = normals * (length / 12.0**0.5)
    half = h.unsqueeze(-1) * w.unsqueeze(-2) + normals
    return half - half.transpose(-1, -2)


def levy_areas(w: Tensor, h: Tensor, times: Tensor, approximation: str, *, seed: int, ids: Tensor) -> Tensor:
    """A (n-1, batch, m, m) of `w` and `h` (n-1, batch, m) over the intervals of `times`, (n,) or (n, batch).

    What A has beside (W, H) is a function of (seed, sample, interval): the same in any batch, however the
    interval was come by, and with the other sign from its later end.
    """
    times = times.to("cpu", torch.float64)
    first, last = times[:-1], times[1:]
    low, high = torch.minimum(first, last), torch.maximum(first, last)
    # The bits of the two times, spread over the name of a sample: odd factors make them distinct names.
    name = _bits(low) * 0x1E3779B97F4A7C15 + _bits(high) * 0x2545F4914F6CDD1D
    name = name.view(len(name), -1).expand(-1, len(ids)).to(ids.device)
    names = (ids * 0x27BB2EE687B0B0FD + name).reshape(-1)
    m = w.shape[-1]
    normals = standard_normal(
        (len(names), m, m), seed=derive_seed(seed, _AREA), ids=names, dtype=w.dtype, device=w.device
    )
    shape = (len(first), -1, 1, 1)
    length = (high - low).view(shape).to(w.device, w.dtype)
    sign = torch.where(last >= first, 1.0, -1.0).view(shape).to(w.device, w.dtype)
    # The area over the reversed path is minus the area; H stays, so that W has to be turned round first.
    forwards = sign.squeeze(-1) * w
    return sign * levy_area(forwards, h, length, approximation, normals.view(len(first), len(ids), m, m))


def _bits(times: Tensor) -> Tensor:
    return (times + 0.0).contiguous().view(torch.int64)  # -0.0 is 0.0
