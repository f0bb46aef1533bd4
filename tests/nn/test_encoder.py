"""The recognition network sees what is observed now and later: no padding, and nothing earlier."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsde.nn import BackwardEncoder

FEATURES, EXTRA, HIDDEN = 3, 2, 5


def encoder() -> BackwardEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BackwardEncoder(FEATURES, EXTRA, HIDDEN).double()


def rows(length: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Values, mask, times and extra of one series, (1, length, ...)."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(1, length, FEATURES, generator=generator, dtype=torch.float64)
    mask = torch.rand(1, length, FEATURES, generator=generator) < 0.6
    times = torch.rand(1, length, generator=generator, dtype=torch.float64).cumsum(1)
    extra = torch.randn(1, length, EXTRA, generator=generator, dtype=torch.float64)
    return values * mask, mask, times, extra


def encode(values: Tensor, mask: Tensor, times: Tensor, extra: Tensor, lengths: list[int]) -> Tensor:
    with torch.no_grad():
        return encoder()(values, mask, times, torch.tensor(lengths), extra)


def padded(parts: tuple[Tensor, ...], width: int, fill: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rows of `rows` continued to `width`: times repeat the last one, all else is `fill`."""
    values, mask, times, extra = parts
    more = width - times.shape[1]
    return (
        torch.cat([values, torch.full((1, more, FEATURES), fill, dtype=torch.float64)], 1),
        torch.cat([mask, torch.full((1, more, FEATURES), bool(fill))], 1),
        torch.cat([times, times[:, -1:].expand(1, more)], 1),
        torch.cat([extra, torch.full((1, more, EXTRA), fill, dtype=torch.float64)], 1),
    )


def test_a_series_has_the_same_summaries_whatever_its_padding_and_company() -> None:
    series = [rows(length, seed) for seed, length in enumerate((4, 1, 7))]
    alone = [encode(*parts, [parts[2].shape[1]]) for parts in series]
    for width, fill in ((7, 0.0), (9, 0.0), (9, 1e6)):
        batch = [
            torch.cat(columns) for columns in zip(*(padded(p, width, fill) for p in series), strict=True)
        ]
        together = encode(*batch, lengths=[4, 1, 7])  # type: ignore[arg-type,misc]
        for row, own in enumerate(alone):
            torch.testing.assert_close(together[row, : own.shape[1]], own[0], rtol=1e-12, atol=1e-12)


def test_a_summary_depends_on_its_own_row_and_later_ones_alone() -> None:
    values, mask, times, extra = rows(6, 3)
    before = encode(values, mask, times, extra, [6])
    for row in range(6):
        changed = values.clone()
        changed[0, row] += 1.0
        difference = (encode(changed, mask, times, extra, [6]) - before).abs().amax(-1)[0]
        assert (difference[row + 1 :] == 0).all()
        assert (difference[: row + 1] > 0).all()


def test_the_gap_to_the_next_row_is_seen() -> None:
    values, mask, times, extra = rows(4, 4)
    times = (times * 64.0).round() / 64.0  # so that gaps are moved without rounding
    later = times + torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    difference = (
        (encode(values, mask, later, extra, [4]) - encode(values, mask, times, extra, [4])).abs().amax(-1)[0]
    )
    assert (difference[2:] == 0).all() and (difference[:2] > 0).all()
    # Times enter through their gaps only.
    shifted = encode(values, mask, times + 5.0, extra, [4])
    torch.testing.assert_close(shifted, encode(values, mask, times, extra, [4]), rtol=1e-12, atol=1e-12)


def test_a_missing_value_is_not_an_observed_zero() -> None:
    values, mask, times, extra = rows(3, 5)
    values[0, 1, 0], mask[0, 1, 0] = 0.0, False
    observed = mask.clone()
    observed[0, 1, 0] = True
    assert not torch.equal(
        encode(values, mask, times, extra, [3]), encode(values, observed, times, extra, [3])
    )
