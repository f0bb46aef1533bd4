"""Where to compute: the names of devices, and whether there are any."""

from __future__ import annotations

import torch

from .errors import InputError, quote

DEVICES = ("cpu", "cuda")


def check_device(name: str) -> None:
    """InputError for a device that is not one of DEVICES, or that torch does not find."""
    if name not in DEVICES:
        raise InputError(f"the device {quote(name)} is not known; use --device cpu or --device cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device is available; use --device cpu")
