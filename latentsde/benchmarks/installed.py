"""Which peers can be imported. None is a dependency."""

from __future__ import annotations

import importlib

REMEDY = "not installed: pip install 'latentsde[bench]'"


def missing(*modules: str) -> str | None:
    """What to do where one of these peers cannot be imported; None where all are there."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            return REMEDY
    return None
