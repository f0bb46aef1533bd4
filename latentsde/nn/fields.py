"""The networks that stand for drifts, controls and decoders."""

from __future__ import annotations

from torch import Tensor, nn


class MLP(nn.Sequential):
    """Linear layers with tanh between: (..., inputs) -> (..., outputs).

    tanh because its output is bounded: a drift -κ z + MLP(z) then pulls back from far away whatever was learned, and a long
    sample cannot explode.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, layers: int = 2, zero_output: bool = False) -> None:
        widths = [inputs] + [hidden] * layers
        modules: list[nn.Module] = []
        for narrow, wide in zip(widths[:-1], widths[1:], strict=True):
            modules += [nn.Linear(narrow, wide), nn.Tanh()]
        last = nn.Linear(widths[-1], outputs)
        if zero_output:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        super().__init__(*modules, last)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs)
