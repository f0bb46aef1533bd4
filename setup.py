"""Build steps that metadata cannot express; everything declarative is in pyproject.toml.

The compiled CPU kernel of `latentsde.brownian` needs a C++17 compiler and nothing else: not torch, whose
version it does not depend on, and which as a build requirement would make an isolated build download a second
copy, on Linux with all of CUDA. Without a compiler the package installs all the same, with one warning here
and one at the kernel's first use.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNEL = Path("latentsde/brownian/kernels/cpu")
SOURCES = ("module.cpp", "baseline.cpp", "avx2.cpp", "avx512.cpp")
# No contraction: where a product and a sum are fused is written in the source, so that every instruction set
# and every compiler makes the same bits.
FLAGS = [
    "-std=c++17",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
]


class BuildKernel(build_ext):
    """Compile the kernel, or say what follows from not having it."""

    def build_extension(self, extension: Extension) -> None:
        try:
            super().build_extension(extension)
        except Exception as error:  # whatever a missing or old compiler raises
            reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            print(
                f"warning: latentsde's C++ kernel was not built ({reason}). The package works without it; "
                "Brownian paths are then computed by plain PyTorch, fifty to a thousand times slower. "
                "Install a C++17 compiler and install latentsde again.",
                file=sys.stderr,
            )


setup(
    ext_modules=[
        Extension(
            "latentsde.brownian.kernels._cpu",
            sources=[str(KERNEL / name) for name in SOURCES],
            depends=[str(path) for path in sorted(KERNEL.glob("*.h"))],
            extra_compile_args=FLAGS,
            extra_link_args=["-pthread"],
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
            py_limited_api=True,
            optional=True,  # the copying after the build does without it as well
            language="c++",
        )
    ],
    cmdclass={"build_ext": BuildKernel},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
