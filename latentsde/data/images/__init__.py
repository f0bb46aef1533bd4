"""Images with labels: MNIST and CIFAR-10 from files on disk, and test sets made from them."""

from latentsde.data.images.cifar10 import read_binary, read_cifar10
from latentsde.data.images.corruption import blurred, contrast, noisy, out_of_distribution, rotated
from latentsde.data.images.idx import read_idx, read_mnist
from latentsde.data.images.labelled import LabelledImages
from latentsde.data.images.reading import read_images, read_test_images
from latentsde.data.images.sources import NotFound

__all__ = [
    "LabelledImages",
    "NotFound",
    "blurred",
    "contrast",
    "noisy",
    "out_of_distribution",
    "read_binary",
    "read_cifar10",
    "read_idx",
    "read_images",
    "read_mnist",
    "read_test_images",
    "rotated",
]
