"""Numbers as text."""

from __future__ import annotations

import pytest

from latentsde.benchmarks import wording


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.5e-9, "2.50 ns"),
        (9.996e-6, "10.0 µs"),
        (99.96e-6, "100 µs"),
        (0.9999e-3, "1.00 ms"),
        (12.3, "12.3 s"),
    ],
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.01234, "0.0123"), (1.0, "1"), (99.96, "100"), (1234.5, "1,234")]
)
def test_ratios_have_three_digits(ratio: float, text: str) -> None:
    assert wording.times(ratio) == text
