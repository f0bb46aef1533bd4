"""Memory of a convolutional layer's training step: linear in depth directly, flat with reversible steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latentsde.benchmarks.adjoint_memory import meter
from latentsde.benchmarks.adjoint_memory.meter import peak_above
from latentsde.errors import InputError
from latentsde.memory import free_bytes
from latentsde.models.classifiers.blocks import ConvolutionBlock
from latentsde.models.sde_bnn import SDEBNN, Depth
from latentsde.models.sde_bnn import layer as layer_module

STEPS = (10, 80)


def peaks(adjoint: str) -> list[float]:
    """MB of forward and backward at each of STEPS, after one to warm up."""
    torch.manual_seed(0)
    layer = SDEBNN(ConvolutionBlock(8, 16))
    h = torch.randn(32, 8, 14, 14)

    def work(steps: int) -> None:
        layer.zero_grad()
        passed = layer(h, seed=1, depth=Depth(steps, "reversible_heun", adjoint))
        (passed.h.square().mean() + passed.kl.mean()).backward()

    work(STEPS[0])
    return [peak_above(lambda steps=steps: work(steps)) for steps in STEPS]  # type: ignore[misc]


@pytest.mark.skipif(free_bytes() is None, reason="this system does not tell how much memory is free")
def test_weights_that_do_not_fit_are_refused_before_they_are_made() -> None:
    layer = SDEBNN(torch.nn.Linear(300, 300), hidden=None)
    h = torch.zeros(1, 300).expand(2**21, 300)  # of one row, as they are all alike
    with pytest.raises(InputError, match=r"2,097,152 samples of 90,300 weights at 20 steps would take"):
        layer(h, seed=0, samples=2**21)


def test_room_is_asked_for_again_where_every_step_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(layer_module, "check_room", lambda needed, *_: asked.append(needed))
    layer = SDEBNN(nn.Linear(3, 3), depth=Depth(20))
    with torch.no_grad():
        layer(torch.zeros(2, 3), seed=0)
    layer(torch.zeros(2, 3), seed=0)
    layer(torch.zeros(2, 3), seed=1)
    assert len(asked) == 2 and asked[1] == 20 * asked[0]


@pytest.mark.skipif(meter._glibc() is None, reason="only glibc tells what malloc has given out")
def test_memory_is_linear_directly_and_flat_with_reversible_steps() -> None:
    direct, reversible = peaks("direct"), peaks("reversible")
    assert direct[1] > 6.0 * direct[0]
    assert reversible[1] < 1.1 * reversible[0]
    assert reversible[0] < direct[0]
