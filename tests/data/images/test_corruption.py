"""Corrupted images are functions of images, severity and seed, and say what was done to them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latentsde.data.images import (
    LabelledImages,
    blurred,
    contrast,
    noisy,
    out_of_distribution,
    rotated,
)
from latentsde.data.images import cifar10 as cifar10_module
from latentsde.data.images import idx as idx_module
from tests.data.images.written import (
    PER_BATCH,
    binary_files,
    cifar10,
    complaint,
    mnist,
    write_folder,
    write_mnist,
)


def some_images(height: int = 16, width: int = 16, count: int = 6, note: str = "") -> LabelledImages:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)
    return LabelledImages(images, torch.arange(count) % 2, ("even", "odd"), note)


def one_image(pixels: Any) -> LabelledImages:
    image = torch.as_tensor(np.asarray(pixels, dtype=np.uint8))
    return LabelledImages(image[None, None], torch.tensor([0]), ("only",))


IDENTITIES: dict[str, Callable[[LabelledImages], LabelledImages]] = {
    "rotated": lambda images: rotated(images, 0),
    "turned around": lambda images: rotated(images, 360),
    "noisy": lambda images: noisy(images, 0, seed=1),
    "blurred": lambda images: blurred(images, 0),
    "contrast": lambda images: contrast(images, 1),
}
CORRUPTIONS: dict[str, Callable[[LabelledImages], LabelledImages]] = {
    "rotated by 30 degrees": lambda images: rotated(images, 30),
    "with noise of standard deviation 0.1 (seed 1)": lambda images: noisy(images, 0.1, seed=1),
    "blurred by 1.5 pixels": lambda images: blurred(images, 1.5),
    "contrast times 0.4": lambda images: contrast(images, 0.4),
}


@pytest.mark.parametrize("size", [(16, 16), (9, 14)])
@pytest.mark.parametrize("name", IDENTITIES)
def test_nothing_of_it_changes_nothing(name: str, size: tuple[int, int]) -> None:
    images = some_images(*size)
    assert torch.equal(IDENTITIES[name](images).images, images.images)


@pytest.mark.parametrize("how", CORRUPTIONS)
def test_labels_are_kept_and_the_note_extended(how: str) -> None:
    images = some_images(note="JPEG")
    before = images.images.clone()
    state = torch.get_rng_state()
    result = CORRUPTIONS[how](images)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(images.images, before)
    assert torch.equal(result.labels, images.labels) and result.classes == images.classes
    assert result.images.dtype == torch.uint8 and not torch.equal(result.images, before)
    assert result.note == f"JPEG; {how}" and CORRUPTIONS[how](some_images()).note == how
    assert torch.equal(CORRUPTIONS[how](images).images, result.images)


@pytest.mark.parametrize("how", CORRUPTIONS)
def test_many_images_are_corrupted_as_few(how: str) -> None:
    # More than are computed at a time; the first image's draws are the same for any number of them.
    many = some_images(8, 8, count=1203)
    found = CORRUPTIONS[how](many).images
    assert torch.equal(found[:6], CORRUPTIONS[how](many.select(range(6))).images)
    assert torch.equal(found, CORRUPTIONS[how](many).images) and len(found) == 1203
    assert len(CORRUPTIONS[how](many.select([]))) == 0


@pytest.mark.parametrize("size", [15, 16])
@pytest.mark.parametrize("quarters", [-1, 1, 2, 3, 5])
def test_quarter_turns_are_counter_clockwise_and_exact(size: int, quarters: int) -> None:
    images = some_images(size, size)
    turned = rotated(images, 90 * quarters).images
    assert torch.equal(turned, torch.rot90(images.images, quarters, (-2, -1)))


def test_ninety_degrees_take_the_right_to_the_top_also_in_a_wide_frame() -> None:
    pixels = np.zeros((5, 9))
    pixels[2, 6] = 200  # two to the right of the centre
    expected = np.zeros((5, 9))
    expected[0, 4] = 200  # two above it
    np.testing.assert_array_equal(rotated(one_image(pixels), 90).images[0, 0], expected)
    np.testing.assert_array_equal(rotated(one_image(expected), -90).images[0, 0], pixels)


def test_a_rotation_leaves_black_corners_and_the_centre() -> None:
    turned = rotated(one_image(np.full((16, 16), 100)), 45).images[0, 0]
    assert turned[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 0, 0, 0]
    assert (turned[4:12, 4:12] == 100).all()


def test_noise_is_a_function_of_the_seed() -> None:
    images = some_images()
    first = noisy(images, 0.1, seed=5).images
    torch.manual_seed(3)
    assert torch.equal(noisy(images, 0.1, seed=5).images, first)
    assert not torch.equal(noisy(images, 0.1, seed=6).images, first)


def test_noise_has_its_deviation() -> None:
    flat = LabelledImages(torch.full((60, 3, 32, 32), 128, dtype=torch.uint8), torch.zeros(60).long(), ("x",))
    errors = noisy(flat, 0.08, seed=0).images.double() - 128
    # 184,320 draws: the mean errs by 0.05, the deviation by 0.034 (one sigma), and the seed is fixed.
    assert abs(errors.mean()) < 0.2 and abs(errors.std() - 0.08 * 255) < 0.15
    assert not torch.equal(errors[0], errors[1])


def test_noise_stays_in_range() -> None:
    found = noisy(one_image(np.tile([0, 255], (32, 16))), 0.5, seed=0).images
    assert found.min() == 0 and found.max() == 255


def test_a_dot_becomes_a_gaussian() -> None:
    dot = np.zeros((31, 25))
    dot[15, 12] = 255
    profile = [np.exp(-0.5 * (np.arange(size) - size // 2) ** 2 / 1.2**2) for size in dot.shape]
    down, across = (weights / weights.sum() for weights in profile)
    expected = np.round(255 * np.outer(down, across))
    np.testing.assert_array_equal(blurred(one_image(dot), 1.2).images[0, 0], expected)


def test_blur_leaves_even_images_and_evens_out_others() -> None:
    flat = one_image(np.full((12, 20), 77))
    assert torch.equal(blurred(flat, 3).images, flat.images)
    images = some_images()
    deviations = [blurred(images, width).images.double().std() for width in (0, 0.5, 1, 2)]
    assert deviations == sorted(deviations, reverse=True)
    assert torch.equal(blurred(images, 1e-200).images, images.images)


def test_contrast_is_about_the_mean_of_each_channel() -> None:
    image = one_image([[0, 100], [0, 100]])
    assert contrast(image, 0.5).images[0, 0].tolist() == [[25, 75], [25, 75]]
    assert contrast(image, 0).images[0, 0].tolist() == [[50, 50], [50, 50]]
    assert contrast(image, 4).images[0, 0].tolist() == [[0, 250], [0, 250]]
    assert contrast(image, 9).images[0, 0].tolist() == [[0, 255], [0, 255]]
    both = LabelledImages(torch.cat([image.images, image.images + 20], 1), image.labels, image.classes)
    assert contrast(both, 0).images[0, :, 0, 0].tolist() == [50, 70]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda images: rotated(images, float("nan")), "rotated by nan degrees"),
        (lambda images: noisy(images, -0.1, 0), "std is -0.1"),
        (lambda images: blurred(images, float("inf")), "width is inf"),
        (lambda images: contrast(images, -1), "factor is -1"),
    ],
)
def test_a_severity_that_is_none_is_told(call: Callable[[LabelledImages], object], told: str) -> None:
    message = complaint(call, some_images())
    assert told in message and "finite number" in message


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small MNIST and a small CIFAR-10, that the readers take for the real ones."""
    write_mnist(tmp_path / "mnist", mnist())
    batches = cifar10()
    for channel, level in enumerate((255, 100, 10)):  # an image of one colour: the first of the test
        batches["test_batch"][0][0].reshape(3, -1)[channel] = level
    write_folder(tmp_path / "cifar10" / "cifar-10-batches-bin", binary_files(batches))
    small = functools.partial(cifar10_module.read_parts, batch=PER_BATCH)
    monkeypatch.setattr(cifar10_module, "read_parts", small)
    monkeypatch.setattr(idx_module, "read_part", functools.partial(idx_module.read_part, checksums={}))
    return tmp_path


def test_unlike_mnist_are_grey_small_images_of_cifar10(both: Path) -> None:
    like = LabelledImages(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([0]), ("0",))
    other = out_of_distribution("mnist", both, like)
    assert other.images.shape == (PER_BATCH, 1, 28, 28) and other.classes[0] == "airplane"
    assert (other.images[0] == round(0.299 * 255 + 0.587 * 100 + 0.114 * 10)).all()
    assert other.note == "CIFAR-10 test images as 1 x 28 x 28, out of distribution for mnist"


def test_unlike_cifar10_are_digits_in_three_channels(both: Path) -> None:
    like = LabelledImages(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.tensor([0]), ("0",))
    other = out_of_distribution("cifar10", both, like)
    assert other.images.shape == (3, 3, 32, 32) and other.classes == tuple("0123456789")
    assert torch.equal(other.images[:, 0], other.images[:, 1])
    assert torch.equal(other.images[:, 0], other.images[:, 2])
    assert other.labels.tolist() == mnist()["t10k-labels-idx1-ubyte"].tolist()
    original = torch.from_numpy(mnist()["t10k-images-idx3-ubyte"]).double()
    assert (other.images[:, 0].double().mean((1, 2)) - original.mean((1, 2))).abs().max() < 3
    assert other.note == "MNIST test images as 3 x 32 x 32, out of distribution for cifar10"


def test_what_cannot_be_had_is_told(both: Path, tmp_path: Path) -> None:
    four = LabelledImages(torch.zeros(1, 4, 32, 32, dtype=torch.uint8), torch.tensor([0]), ("0",))
    assert "4 channels" in complaint(out_of_distribution, "cifar10", both, four)
    assert "'svhn'" in complaint(out_of_distribution, "svhn", both, some_images())
    (empty := tmp_path / "empty").mkdir()
    message = complaint(out_of_distribution, "mnist", empty, some_images())
    assert "holds no CIFAR-10" in message and "never downloaded" in message
