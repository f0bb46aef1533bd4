"""The arguments of a Brownian motion, checked once at the border."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import Tensor


def number(name: str, value: object) -> float:
    """A time as a float: from a number or a tensor of one element, ValueError for anything else."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        shown = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise ValueError(f"{name} must be a number or a tensor of one element, got {shown}") from None


def tensor_info(
    size: Sequence[int] | None,
    dtype: torch.dtype | None,
    device: str | torch.device | None,
    w: Tensor | None,
    h: Tensor | None,
) -> tuple[tuple[int, ...], torch.dtype, torch.device]:
    """The size, dtype and device that the arguments agree on; ValueError where they do not."""
    given = {name: x for name, x in (("W", w), ("H", h)) if x is not None}
    for name, x in given.items():
        if not isinstance(x, Tensor) or not x.is_floating_point():
            shown = f"one of {x.dtype}" if isinstance(x, Tensor) else repr(x)
            raise ValueError(f"{name} must be a floating-point tensor, got {shown}")
    sizes = {name: tuple(x.shape) for name, x in given.items()}
    dtypes = {name: x.dtype for name, x in given.items()}
    devices = {name: x.device for name, x in given.items()}
    if size is not None:
        try:
            sizes["size"] = tuple(operator.index(n) for n in size)
        except TypeError:
            sizes["size"] = (-1,)
        if min(sizes["size"], default=0) < 0:
            raise ValueError(f"size must be a sequence of integers of at least 0, got {size!r}")
    if dtype is not None:
        dtypes["dtype"] = dtype
    if device is not None:
        devices["device"] = torch.device(device)
    if not sizes:
        raise ValueError("the shape of a Brownian motion is needed; give size, or W or H of that shape")
    for what, said in (("shape", sizes), ("dtype", dtypes), ("device", devices)):
        if len(set(said.values())) > 1:
            listed = ", ".join(f"{name}: {x}" for name, x in said.items())
            raise ValueError(f"a Brownian motion has one {what}, got {listed}; make them equal")
    found = next(iter(dtypes.values()), torch.get_default_dtype())
    if not found.is_floating_point:
        raise ValueError(f"a Brownian motion needs a floating-point dtype, got {found}")
    return next(iter(sizes.values())), found, next(iter(devices.values()), torch.device("cpu"))
