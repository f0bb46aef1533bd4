"""The decoder: what an observation's likelihood is made of, from a state."""

from __future__ import annotations

from torch import Tensor, nn

from .fields import MLP


class Decoder(nn.Module):
    """A linear map and beside it a network that starts at 0: (..., inputs) -> (..., outputs)."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.network = MLP(inputs, hidden, outputs, layers=1, zero_output=True)

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.linear(inputs) + self.network(inputs)
        return out

    def linearised(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(..., outputs) and their derivatives (..., outputs, inputs)."""
        bend, slope = self.network.linearised(inputs)
        return self.linear(inputs) + bend, self.linear.weight + slope
