"""The kernels of `cpu` in Triton, for tensors on CUDA devices. ImportError where Triton is missing."""

from .launch import cell_increments, normals, tree_increments, words

__all__ = ["cell_increments", "normals", "tree_increments", "words"]
