"""Pyro's one store of parameters, and who trains in it."""

from __future__ import annotations

from typing import Any

import pyro
from pyro.params import param_with_module_name
from torch import nn


def check_parameters(name: str, module: nn.Module) -> None:
    """ValueError where Pyro's store holds another module's parameters under this name: an optimiser would
    train those, and this module in vain.
    """
    store: Any = pyro.get_param_store()
    for key, value in module.named_parameters():
        full = param_with_module_name(name, key)
        if full in store and store[full].unconstrained() is not value:
            raise ValueError(
                f"Pyro's parameter store holds other parameters under {name!r}: "
                "pyro.clear_param_store() first, or give this one another name"
            )
