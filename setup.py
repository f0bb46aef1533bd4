"""Build steps that metadata cannot express; everything declarative is in pyproject.toml.

The compiled CPU kernels of `latentsde.brownian` are declared here when there are any. They have to be
optional and must not make torch a build requirement: an isolated build would then download a second torch,
on Linux with all of CUDA.
"""

from __future__ import annotations

from setuptools import setup

setup()
