"""Normals of nodes by the fastest implementation there is, and standard normals named by samples."""

from __future__ import annotations

import math
import operator

import torch
from torch import Tensor

from . import kernels
from .normals import normals
from .philox import KIND_W, PLAIN_NODE, TREE_DOMAIN, unsigned_seed

KERNEL_DTYPES = (torch.float32, torch.float64)


def draw_normals(
    nodes: Tensor, ids: Tensor, channels: int, domain_and_kind: int, seed: int, dtype: torch.dtype
) -> Tensor:
    """Standard normals (n, batch, channels) of int64 nodes (n,) for all samples or (n, batch), on the device
    of the ids, int64 (batch,).
    """
    inner = dtype if dtype in KERNEL_DTYPES else torch.float32
    if ids.device.type == "cpu" and (kernel := kernels.cpu()) is not None:
        nodes, ids = nodes.contiguous(), ids.contiguous()
        out = torch.empty(len(nodes), len(ids), channels, dtype=inner, device="cpu")
        kernel.normals(
            unsigned_seed(seed),
            ids.data_ptr(),
            len(ids),
            channels,
            nodes.data_ptr(),
            len(nodes),
            nodes.dim() == 2,
            domain_and_kind,
            out.data_ptr(),
            inner == torch.float64,
            torch.get_num_threads(),
        )
    elif ids.device.type == "cuda" and (triton_kernels := kernels.gpu()) is not None:
        out = triton_kernels.normals(nodes, ids, seed, channels, domain_and_kind, inner)
    else:
        out = normals(nodes.view(len(nodes), -1), ids.unsqueeze(0), channels, domain_and_kind, seed)
    return out.to(dtype)


def checked_ids(ids: Tensor, samples: int) -> Tensor:
    """The names of samples, int64 (samples,); else a ValueError."""
    if not isinstance(ids, Tensor):
        raise ValueError(f"ids must be a tensor, int64 of shape ({samples},), got {type(ids).__name__}")
    if ids.shape != (samples,) or ids.dtype != torch.int64:
        raise ValueError(
            f"ids must be int64 of shape ({samples},), one for each sample of shape[0], "
            f"got {ids.dtype} of shape {tuple(ids.shape)}"
        )
    return ids


def checked_seed(seed: int) -> int:
    """A seed as a Python integer; ValueError for anything but an integer."""
    try:
        return operator.index(seed)
    except TypeError:
        raise ValueError(f"a seed must be an integer, got {seed!r}") from None


def standard_normal(
    shape: tuple[int, ...],
    *,
    seed: int,
    ids: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Standard normals of `shape`, shape[0] samples named by `ids` (int64, default 0..n-1), the same in any
    batch.
    """
    samples, channels = shape[0], math.prod(shape[1:])
    names = torch.arange(samples, device=device) if ids is None else checked_ids(ids, samples).to(device)
    node = torch.full((1,), PLAIN_NODE, dtype=torch.int64, device=device)
    return draw_normals(node, names, channels, TREE_DOMAIN | KIND_W, checked_seed(seed), dtype).view(shape)
