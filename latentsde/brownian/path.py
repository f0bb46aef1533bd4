"""What every sample path has: a shape, a seed, the names of its samples, and what it answers in."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import kernels
from .drawing import KERNEL_DTYPES, checked_ids, checked_seed
from .increments import Increments
from .philox import MAX_CHANNELS

Times = float | Tensor
LEVY_AREAS = (None, "space-time")


class Path(ABC):
    """A Brownian sample path of `shape` = (batch, ...) whose samples are named by `ids`.

    It is its parameters: pickles and copies hold nothing else. On the CPU a path keeps, beside them, a
    compiled object with what its last query passed; answers do not depend on it.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        seed: int,
        ids: Tensor | None,
        levy_area: str | None,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        self.shape = _checked_shape(shape)
        self.seed = checked_seed(seed)
        self.dtype = dtype
        self.device = torch.device(device)
        self.levy_area = levy_area
        self.channels = math.prod(self.shape[1:])
        samples = self.shape[0] if self.shape else 1
        if levy_area not in LEVY_AREAS:
            raise ValueError(f'levy_area must be None or "space-time", got {levy_area!r}')
        if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise ValueError(f"a path needs a floating-point dtype such as torch.float64, got {dtype!r}")
        if max(samples, self.channels) >= MAX_CHANNELS:
            raise ValueError(f"a path may have fewer than 2^31 samples and channels, got shape {self.shape}")
        if ids is None:
            self.ids = torch.arange(samples, dtype=torch.int64, device=self.device)
        else:
            # A copy: what becomes of the caller's tensor must not change the path.
            self.ids = checked_ids(ids, samples).detach().to(self.device, copy=True).contiguous()
        # What the kernels compute in; smaller types are rounded from float32.
        self._inner = dtype if dtype in KERNEL_DTYPES else torch.float32
        self._compiled: Any = None

    def __call__(self, ta: Times, tb: Times) -> Tensor:
        """W over [ta, tb], of `shape`; going backwards (ta > tb) gives -W."""
        return self.increment(ta, tb).W

    def increment(self, ta: Times, tb: Times) -> Increments:
        """W and H over [ta, tb]: numbers, or tensors (batch,) with an interval for each sample."""
        # The common case goes straight to the kernel: a few microseconds a call.
        if (
            isinstance(ta, (float, int))
            and isinstance(tb, (float, int))
            and not torch.compiler.is_compiling()
        ):
            kernel = self._kernel()
            if kernel is not None:
                w, h = self._memory(self.shape)
                pointer = 0 if h is None else h.data_ptr()
                kernel.increment(ta, tb, w.data_ptr(), pointer, torch.get_num_threads())
                return self._converted(w, h)
        ends = torch.stack(torch.broadcast_tensors(self._times(ta), self._times(tb)))
        w, h = self.increments(ends)
        return Increments(w[0], None if h is None else h[0])

    def increments(self, times: Tensor | Sequence[float]) -> Increments:
        """W and H over the consecutive intervals of `times`, (n,) or (n, batch), in any directions: (n-1,
        *shape) each, in memory of their size.
        """
        times = times if isinstance(times, Tensor) else _as_times(times)
        if torch.compiler.is_compiling():
            # A compiled graph holds one operator instead of what follows here, which calls it.
            w, h = self._operator(times.detach())
            shape = (w.shape[0], *self.shape)
            return Increments(w.view(shape), None if self.levy_area is None else h.view(shape))
        # Times stay on the CPU: there they are checked, and turned into the names of draws.
        times = times.detach().to("cpu", torch.float64).contiguous()
        if times.dim() not in (1, 2) or (times.dim() == 2 and times.shape[1] != len(self.ids)):
            raise ValueError(
                f"times must be (n,) or (n, {len(self.ids)}) with a column for each sample, "
                f"got {tuple(times.shape)}"
            )
        shape = (max(0, len(times) - 1), *self.shape)
        kernel = self._kernel()
        if kernel is None:
            w, h = self._compute(times)
            return self._converted(w.view(shape), None if self.levy_area is None else h.view(shape))
        w, area = self._memory(shape)
        pointer = 0 if area is None else area.data_ptr()
        per_sample = times.dim() == 2
        threads = torch.get_num_threads()
        kernel.increments(times.data_ptr(), len(times), per_sample, w.data_ptr(), pointer, threads)
        return self._converted(w, area)

    @abstractmethod
    def _make_kernel(self, module: Any) -> Any:
        """The compiled object of this path."""

    @abstractmethod
    def _compute(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """W and H (n-1, batch, channels) over the intervals of float64 times, without the C++ kernel."""

    @abstractmethod
    def _operator(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """The same as a call of a registered operator; H is empty where it is not asked for."""

    def _kernel(self) -> Any:
        if self._compiled is None and self.device.type == "cpu":
            module = kernels.cpu()
            if module is not None:
                self._compiled = self._make_kernel(module)
        return self._compiled

    def _memory(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
        """Room for W and H, for a kernel to write by its address."""
        # The device by name, because torch's default may be another one.
        w = torch.empty(shape, dtype=self._inner, device="cpu")
        if type(w) is not Tensor:
            raise RuntimeError(
                f"a path answers in memory, and torch made a {type(w).__name__} without any; "
                "trace it with torch.compile, where it is an operator"
            )
        return w, None if self.levy_area is None else torch.empty_like(w)

    def _gpu_kernels(self) -> Any:
        """The Triton kernels where this path is on a CUDA device and they are installed, or None."""
        return kernels.gpu() if self.device.type == "cuda" else None

    def _converted(self, w: Tensor, h: Tensor | None) -> Increments:
        if w.dtype == self.dtype:
            return Increments(w, h)
        return Increments(w.to(self.dtype), None if h is None else h.to(self.dtype))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self._ends()}, shape={self.shape}, seed={self.seed}, dtype={self.dtype})"
        )

    @abstractmethod
    def _ends(self) -> str:
        """What part of the time axis this path is on, for a reader."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The compiled object was made of them.
        if not name.startswith("_") and name in self.__dict__:
            raise AttributeError(f"the {name} of a path is fixed; make another path")
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_compiled": None}

    def _times(self, time: Times) -> Tensor:
        """A time as float64: (), or (batch,) for a time of each sample."""
        if torch.compiler.is_compiling() and not isinstance(time, Tensor):
            # `as_tensor` would make the number a constant of the graph, and each new time a new graph.
            return torch.zeros((), dtype=torch.float64) + time
        tensor = time.detach().to("cpu", torch.float64) if isinstance(time, Tensor) else _as_times(time)
        if tensor.dim() == 0 or (tensor.dim() == 1 and len(tensor) == len(self.ids)):
            return tensor
        if tensor.numel() == 1:
            return tensor.reshape(())
        raise ValueError(
            f"a time must be a number or a tensor of shape ({len(self.ids)},), one for each sample, "
            f"got shape {tuple(tensor.shape)}"
        )


def _checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        sizes = (-1,) if isinstance(shape, (str, Tensor)) else tuple(operator.index(n) for n in shape)
    except TypeError:
        sizes = (-1,)
    if min(sizes, default=0) < 0:
        raise ValueError(
            f"a shape must be a sequence of integers of at least 0 such as (32, 3), got {shape!r}"
        )
    return sizes


def _as_times(times: object) -> Tensor:
    try:
        if isinstance(times, (str, bytes)):
            raise TypeError
        return torch.as_tensor(times, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"times must be numbers, or a tensor or a sequence of them, got {times!r}") from None
