"""A computation whose shapes never change: inputs lie at fixed places, and a CUDA device replays it as one graph.

Launching some hundred small kernels from Python costs more than running them; a graph launches them at once. Inputs
that come from the host travel in one copy. On a device without graphs, or with `capture` off, the same places are
filled and the computation runs as ever, so both ways can be compared anywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

ALIGNED = 16  # bytes, where each input begins
WARM_RUNS = 3  # before a capture: libraries choose their kernels then
KEPT = 8  # shapes remembered at once
Run = Callable[..., Tensor]


class Places:
    """Fixed places on `device` for inputs like `given`; those that lie on the host share one buffer."""

    def __init__(self, given: Sequence[Tensor], device: torch.device) -> None:
        self._hosted = [n for n, one in enumerate(given) if one.device.type == "cpu"]
        sizes = [-(-given[n].nbytes // ALIGNED) * ALIGNED for n in self._hosted]
        pinned = device.type == "cuda"
        self._out = torch.empty(max(1, sum(sizes)), dtype=torch.uint8, pin_memory=pinned)
        self._there = torch.empty_like(self._out, device=device)
        self._views: dict[int, Tensor] = {}
        self.inputs = [torch.empty_like(one, device=device) for one in given]
        at = 0
        for n, size in zip(self._hosted, sizes, strict=True):
            self._views[n], self.inputs[n] = (_view(buffer, at, given[n]) for buffer in (self._out, self._there))
            at += size

    def fill(self, given: Sequence[Tensor]) -> None:
        for n, one in enumerate(given):
            self._views.get(n, self.inputs[n]).copy_(one)
        self._there.copy_(self._out, non_blocking=True)


def _view(buffer: Tensor, at: int, like: Tensor) -> Tensor:
    return buffer[at : at + like.nbytes].view(like.dtype).view(like.shape)


class Static:
    """`run` for any number of shapes, each with its own places and, on CUDA, its own graph.

    A lock keeps two threads apart that use the same places: the one that plays, and the one that warms.
    """

    def __init__(self, device: str, capture: bool = True) -> None:
        self._device = torch.device(device)
        self._capture = capture and self._device.type == "cuda"
        self._stream = torch.cuda.Stream(priority=-1) if self._device.type == "cuda" else None
        self._known: dict[Hashable, Callable[[Sequence[Tensor]], Tensor]] = {}
        self._lock = threading.Lock()

    def __call__(self, name: Hashable, run: Run, given: Sequence[Tensor]) -> Tensor:
        """`run(*given)`; `name` says which computation, if not the shapes do."""
        key = (name, *(one.shape for one in given))
        with self._lock, torch.inference_mode(), torch.cuda.stream(self._stream):
            if key not in self._known:
                if len(self._known) == KEPT:
                    self._known.pop(next(iter(self._known)))
                self._known[key] = self._made(run, given)
            answer = self._known[key](given).clone()
        if self._stream is not None:
            torch.cuda.current_stream().wait_stream(self._stream)
        return answer

    def _made(self, run: Run, given: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Tensor]:
        places = Places(given, self._device)
        if not self._capture:

            def ordinary(given: Sequence[Tensor]) -> Tensor:
                places.fill(given)
                return run(*places.inputs)

            return ordinary
        places.fill(given)
        for _ in range(WARM_RUNS):
            run(*places.inputs)
        assert self._stream is not None
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # thread_local: what other threads do on the device meanwhile does not break the capture, nor it them
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            answer = run(*places.inputs)

        def replayed(given: Sequence[Tensor]) -> Tensor:
            places.fill(given)
            graph.replay()
            return answer

        return replayed
