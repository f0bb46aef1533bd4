"""Data sets by name, and the real ones where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latentsde.data.images import read_binary, read_images
from latentsde.data.images.cifar10 import CLASSES
from latentsde.data.images.compact import FILE, decoded, load
from tests.data.images.written import cifar10, complaint, python_files, write_folder

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not beside this checkout")


def test_another_name_is_told(tmp_path: Path) -> None:
    assert complaint(read_images, "MNIST", tmp_path) == (
        "there are no images called 'MNIST'; choose mnist or cifar10"
    )


@pytest.mark.parametrize(("name", "file"), [("mnist", "t10k-labels-idx1-ubyte"), ("cifar10", FILE)])
def test_what_is_missing_is_named_and_not_downloaded(tmp_path: Path, name: str, file: str) -> None:
    for root, problem in ((tmp_path / "nowhere", "does not exist"), (tmp_path, "holds no")):
        message = complaint(read_images, name, root)
        assert message.startswith(f"{root} {problem}")
        assert file in message and "never downloaded" in message
    (tmp_path / "file").write_bytes(b"")
    assert "is not a folder" in complaint(read_images, name, tmp_path / "file")


def test_cifar10_is_read_by_its_name(tmp_path: Path) -> None:
    write_folder(tmp_path / "cifar-10-batches-py", python_files(cifar10()))
    assert "data_batch_1 is damaged or not the original" in complaint(read_images, "cifar10", str(tmp_path))


@real_data
def test_the_real_mnist() -> None:
    train, test = read_images("mnist", DATA)
    assert train.images.shape == (60_000, 1, 28, 28) and test.images.shape == (10_000, 1, 28, 28)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9] and test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    # The mean and deviation that everybody normalises by.
    scaled = train.images.double() / 255
    assert abs(scaled.mean() - 0.1307) < 5e-5 and abs(scaled.std() - 0.3081) < 5e-5


@real_data
def test_the_real_cifar10_as_jpeg_shows_the_lossless_images() -> None:
    lossless = read_binary(DATA / "cifar10" / "lossless_first4000.bin.gz")
    assert len(lossless) == 4000
    jpegs, offsets, labels = load(DATA / "cifar10" / FILE, "train", CLASSES)
    assert len(labels) == 50_000 and labels[:4000].tolist() == lossless.labels.tolist()
    lossy = torch.from_numpy(decoded(jpegs, offsets[:201], "the first"))
    noise = (lossy.double() - lossless.images[:200]).square().mean((1, 2, 3))
    ratio = 10 * torch.log10(255**2 / noise)
    # Of all 4000 the mean is 30.5 dB and the least 23.1; another channel order or a shift is far below.
    assert ratio.min() > 22 and abs(ratio.mean() - 30.5) < 1


@real_data
@pytest.mark.slow
def test_all_of_the_real_cifar10() -> None:
    train, test = read_images("cifar10", DATA)
    assert train.images.shape == (50_000, 3, 32, 32) and test.images.shape == (10_000, 3, 32, 32)
    assert train.note == test.note and train.note.startswith("JPEG CIFAR-10")
    scaled = train.images.double() / 255
    # As the description of the file has them.
    for found, told in (
        (scaled.mean((0, 2, 3)), (0.4913, 0.4821, 0.4465)),
        (scaled.std((0, 2, 3)), (0.2452, 0.2428, 0.2606)),
    ):
        torch.testing.assert_close(found, torch.tensor(told, dtype=torch.float64), rtol=0, atol=1e-4)
