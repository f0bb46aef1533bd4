"""A set of labelled images is right from its construction on, and parts of it are functions of a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from latentsde.data.images import LabelledImages
from tests.data.images.written import complaint

CLASSES = ("zero", "one", "two")


def some_images(count: int = 30, note: str = "a note") -> LabelledImages:
    """Image i is filled with i, its label is i mod 3."""
    numbers = torch.arange(count)
    images = numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 5)
    return LabelledImages(images, numbers % 3, CLASSES, note)


def numbers(images: LabelledImages) -> list[int]:
    found: list[int] = images.images[:, 0, 0, 0].tolist()
    assert torch.equal(images.labels, torch.tensor(found) % 3)
    return found


PIXELS = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize(
    ("images", "labels", "classes", "told"),
    [
        (PIXELS.numpy(), LABELS, CLASSES, ("images are a ndarray", "torch.from_numpy")),
        (PIXELS[:, 0], LABELS, CLASSES, ("images have the shape (4, 2, 2)", "(N, C, H, W)")),
        (PIXELS.float(), LABELS, CLASSES, ("images are torch.float32", "torch.uint8")),
        (PIXELS[..., :0], LABELS, CLASSES, ("(4, 1, 2, 0)", "a pixel")),
        (PIXELS, [0, 1, 2, 0], CLASSES, ("labels are a list", "tensor")),
        (PIXELS, LABELS[:, None], CLASSES, ("labels have the shape (4, 1)", "(N,)")),
        (PIXELS, LABELS.int(), CLASSES, ("labels are torch.int32", "torch.int64")),
        (PIXELS, LABELS[:3], CLASSES, ("4 images and 3 labels", "one for each")),
        (
            PIXELS,
            LABELS,
            CLASSES[:2],
            ("image 2 (from 0) has the label 2", "2 classes are 0 to 1", "correct"),
        ),
        (PIXELS, LABELS - 1, CLASSES, ("image 0 (from 0) has the label -1", "3 classes are 0 to 2")),
        (PIXELS, LABELS, ["a", "b", "c"], ("['a', 'b', 'c']", "tuple")),
        (PIXELS, LABELS, ("a", "b", "a"), ("('a', 'b', 'a')", "all different")),
    ],
)
def test_what_is_no_set_of_labelled_images_is_told(
    images: Any, labels: Any, classes: Any, told: tuple[str, ...]
) -> None:
    message = complaint(LabelledImages, images, labels, classes)
    assert all(part in message for part in told), message


def test_a_set_may_be_empty() -> None:
    assert len(LabelledImages(PIXELS[:0], LABELS[:0], CLASSES)) == 0


@pytest.mark.parametrize("given", [[4, 0, 4], np.array([4, 0, 4], np.int32), torch.tensor([4, 0, 4])])
def test_a_selection_keeps_its_order_and_the_note(given: Any) -> None:
    chosen = some_images().select(given)
    assert numbers(chosen) == [4, 0, 4] and chosen.note == "a note" and chosen.classes == CLASSES
    assert len(some_images().select([])) == 0


@pytest.mark.parametrize(
    ("indices", "told"),
    [
        ([3, 30], ("no image 30 among 30", "0 to 29")),
        ([-1], ("no image -1",)),
        ([0.5], ("torch.float32", "whole numbers")),
        (torch.ones(30, dtype=torch.bool), ("torch.bool", "nonzero")),
        (torch.tensor(3), ("shape ()",)),
    ],
)
def test_what_selects_nothing_is_told(indices: list[int] | Tensor, told: tuple[str, ...]) -> None:
    message = complaint(some_images().select, indices)
    assert all(part in message for part in told), message


def test_a_split_loses_nothing_and_is_a_function_of_the_seed() -> None:
    state = torch.get_rng_state()
    rest, held_out = some_images().split(8, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(held_out) == 8 and sorted(numbers(rest) + numbers(held_out)) == list(range(30))
    torch.manual_seed(7)
    assert numbers(some_images().split(8, seed=3)[1]) == numbers(held_out)
    assert numbers(some_images().split(8, seed=4)[1]) != numbers(held_out)


def test_the_held_out_are_the_last_of_one_permutation() -> None:
    rest, held_out = some_images().split(8, seed=3)
    fewer_rest, fewer = some_images().split(5, seed=3)
    assert numbers(held_out)[-5:] == numbers(fewer)
    assert numbers(rest) + numbers(held_out) == numbers(fewer_rest) + numbers(fewer)


@pytest.mark.parametrize("count", [-1, 0, 30, 31])
def test_a_split_has_two_parts(count: int) -> None:
    assert f"{count} of 30 images" in complaint(some_images().split, count, seed=0)
