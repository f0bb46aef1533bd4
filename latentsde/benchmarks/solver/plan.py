"""How much is measured: the full plan, and the quick one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Samples, channels of the state, and width of the drift's two hidden layers."""

    batch: int
    channels: int
    hidden: int

    def __str__(self) -> str:
        return f"{self.batch}x{self.channels}x{self.hidden}"

    @classmethod
    def read(cls, text: str) -> Size:
        """The size that `str` would write like that; ValueError for any other text."""
        numbers = [int(part) for part in text.split("x")]
        if len(numbers) != 3 or min(numbers) < 1:
            raise ValueError(text)
        return cls(*numbers)


SMALL, MEDIUM, LARGE = Size(32, 4, 32), Size(256, 4, 64), Size(1024, 16, 128)
SIZES = (SMALL, MEDIUM, LARGE)


@dataclass(frozen=True)
class Plan:
    """What `latentsde bench solver` measures.

    Attributes:
        rounds: at most, of each case; every round runs ours and its peer once.
        budget: seconds a case may take before rounds are left out.
        sizes: of the problem, the smallest first: bars differ at the smallest and at the largest size.
        steps: of every solve, over the unit interval.
        compiled: whether `compile=True` is measured; it takes a minute to compile.
        quick: whether this is a shortened plan, whose numbers are rough.
    """

    rounds: int = 25
    budget: float = 15.0
    sizes: tuple[Size, ...] = SIZES
    steps: int = 200
    compiled: bool = True
    quick: bool = False


FULL = Plan()
QUICK = Plan(rounds=3, budget=0.5, sizes=(SMALL,), compiled=False, quick=True)
