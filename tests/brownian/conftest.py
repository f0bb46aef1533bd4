"""The paths' promises hold for every implementation: files that take `implementation` run with each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from latentsde.brownian import kernels


@pytest.fixture(scope="module", params=["C++", "PyTorch"])
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    """What computes paths on the CPU in this module, the compiled kernel or the reference."""
    if request.param == "C++":
        if kernels.cpu() is None:
            pytest.skip("the C++ kernel is not built: there was no compiler when latentsde was installed")
        yield request.param
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "cpu", lambda: None)
        yield request.param
