"""Messages along a chain of independent Ornstein-Uhlenbeck processes: an exact smoother, both ways at once.

A message is an unnormalised normal in a state, held as precision λ and potential η = λ · mean, so that
"nothing is known" is λ = η = 0 and what two messages say together is their sum. Between two times a state
moves by dz = κ (m - z) dt + σ dW. No step subtracts precisions, so short gaps cost no accuracy.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Message(NamedTuple):
    """λ and η, any shapes that broadcast."""

    precision: Tensor
    potential: Tensor

    def __add__(self, other: Message) -> Message:  # type: ignore[override]
        return Message(self.precision + other.precision, self.potential + other.potential)

    @classmethod
    def of_normal(cls, mean: Tensor, std: Tensor) -> Message:
        precision = std.square().reciprocal()
        return cls(precision, precision * mean)

    def normal(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
        return self.potential / self.precision, self.precision.rsqrt()


class Transition(NamedTuple):
    """z1 = decay z0 + shift + N(0, spread) over a time that may be 0."""

    decay: Tensor
    shift: Tensor
    spread: Tensor

    @classmethod
    def over(cls, time: Tensor, rate: Tensor, level: Tensor, variance: Tensor) -> Transition:
        """Of κ = `rate` > 0, m = `level`, σ² = `variance` over `time` >= 0."""
        decay = torch.exp(-rate * time)
        gone, gone_twice = -torch.expm1(-rate * time), -torch.expm1(-2.0 * rate * time)
        return cls(decay, level * gone, variance * gone_twice / (2.0 * rate))

    def later(self, message: Message) -> Message:
        """What a message on z0 says of z1."""
        precision, potential = message
        below = self.decay.square() + self.spread * precision
        return Message(precision / below, (self.decay * potential + self.shift * precision) / below)

    def earlier(self, message: Message) -> Message:
        """What a message on z1 says of z0."""
        precision, potential = message
        below = 1.0 + self.spread * precision
        shifted = self.decay * (potential - self.shift * precision)
        return Message(self.decay.square() * precision / below, shifted / below)


def smooth(start: Message, evidence: Message, between: Transition) -> tuple[Message, Message]:
    """What is known at both ends of every interval of a chain, from its own side.

    Args:
        start: (B, L) of the state at the chain's beginning.
        evidence: (B, T, L), what the T later states are told of directly; zero for padding.
        between: (B, T, L), interval k ends in state k.

    Returns:
        `left` (B, T, L): of the state where interval k begins, all that lies there and before; `right`: of
        the state where it ends, all that lies there and after. `between.later(left) + right` is then the
        posterior at its end.
    """
    # The two passes are one recursion with other coefficients: each step adds what is found at a state,
    # notes the message, and takes it over an interval.
    square, zero = between.decay.square(), torch.zeros_like(between.decay)
    one = torch.ones_like(zero)
    found = [
        _both(torch.cat([own[:, None], more[:, :-1]], 1), more)
        for own, more in zip(start, evidence, strict=True)
    ]
    below = _both(square, one)
    kept = _both(one, square)
    moved = _both(between.shift, -between.decay * between.shift)
    decay, spread = _both(between.decay, between.decay), _both(between.spread, between.spread)
    precision = potential = torch.zeros_like(below[0])
    notes: tuple[list[Tensor], list[Tensor]] = ([], [])
    for k in range(len(below)):
        precision, potential = precision + found[0][k], potential + found[1][k]
        notes[0].append(precision)
        notes[1].append(potential)
        scale = torch.addcmul(below[k], spread[k], precision).reciprocal()
        potential = torch.addcmul(decay[k] * potential, moved[k], precision) * scale
        precision = kept[k] * precision * scale
    precisions, potentials = (torch.stack(part, 2) for part in notes)  # (2, B, T, L)
    left = Message(precisions[0], potentials[0])
    return left, Message(precisions[1].flip(1), potentials[1].flip(1))


def _both(forwards: Tensor, backwards: Tensor) -> tuple[Tensor, ...]:
    """(B, T, L) twice, to T of (2, B, L), the second from its end."""
    return torch.stack([forwards, backwards.flip(1)]).unbind(2)
