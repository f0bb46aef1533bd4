"""What an adjoint is: a way to take the gradients of a solve."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch

from ..march import Problem, Trajectory


class Adjoint(ABC):
    """Solves a problem so that its gradients are taken in a way of its own.

    Attributes:
        name: what `solve(adjoint=...)` calls it.
        differentiates_times: gradients with respect to ts (of ODEs) are there.
    """

    name: ClassVar[str]
    differentiates_times: ClassVar[bool] = True

    def check(self, equation: Any, method: Any, name: str) -> None:  # noqa: B027 - most have nothing to check
        """ValueError where the method is not one for this adjoint."""

    @abstractmethod
    def solve(self, problem: Problem) -> Trajectory:
        """The trajectory, on the tape in this adjoint's way."""


def nothing_to_differentiate(tensors: list[torch.Tensor]) -> bool:
    """Whether no gradient will be asked for, so that any adjoint is the plain march."""
    return not torch.is_grad_enabled() or not any(x.requires_grad for x in tensors)
