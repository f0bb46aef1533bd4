"""Seeds of the core's streams from what torchsde calls entropy."""

from __future__ import annotations

import hashlib
import operator
import secrets
import struct
from collections.abc import Sequence

Entropy = int | Sequence[int]


def fresh() -> int:
    """A new entropy from the operating system: no global generator is read."""
    return secrets.randbits(63)


def checked(entropy: Entropy) -> Entropy:
    """The entropy as plain integers; ValueError for what is none."""
    try:
        words = _words(entropy)
    except TypeError:
        words = -1
    if min(words if isinstance(words, list) else [words], default=-1) < 0:
        raise ValueError(
            f"entropy must be an integer of at least 0, a sequence of such, or None for a fresh one, "
            f"got {entropy!r}"
        )
    return words


def _words(entropy: Entropy) -> int | list[int]:
    try:
        return operator.index(entropy)  # type: ignore[arg-type]
    except TypeError:
        return [operator.index(word) for word in entropy]  # type: ignore[union-attr]


def seed_of(entropy: Entropy) -> int:
    """The core's seed in [0, 2^64): an integer below 2^64 is its own seed, others are hashed."""
    if isinstance(entropy, int) and entropy < 2**64:
        return entropy
    return _digest(repr(entropy).encode())


def area_seed(seed: int, ta: float, tb: float) -> int:
    """The seed of what the Lévy area over [ta, tb] has beside (W, H): of the interval alone, not of the
    queries before.
    """
    return _digest(struct.pack("<Qdd", seed, ta + 0.0, tb + 0.0))  # -0.0 is 0.0


def _digest(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
