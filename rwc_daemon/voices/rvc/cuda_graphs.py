"""A computation whose shapes never change: inputs lie at fixed places, and a CUDA device replays it as one graph.

Launching some hundred small kernels from Python costs more than running them; a graph launches them at once. Inputs
that come from the host travel in one copy. On a device without graphs, or with `capture` off, the same places are
filled and the computation runs as ever, so both ways can be compared anywhere.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

log = logging.getLogger(__name__)

ALIGNED = 16  # bytes, where each input begins
WARM_RUNS = 3  # before a capture: libraries choose their kernels then
MOST_SHAPES = (
    24  # shapes remembered at once: of three nets, first blocks and later ones, for the steps of engine/voice_cache.py
)
Run = Callable[..., Tensor]
Answer = Callable[[Sequence[Tensor]], Tensor]


class Places:
    """Fixed places on `device` for inputs like `given`; those that lie on the host share one buffer."""

    def __init__(self, given: Sequence[Tensor], device: torch.device) -> None:
        self._hosted = [n for n, one in enumerate(given) if one.device.type == "cpu"]
        sizes = [-(-given[n].nbytes // ALIGNED) * ALIGNED for n in self._hosted]
        pinned = device.type == "cuda"
        self._out = torch.empty(max(1, sum(sizes)), dtype=torch.uint8, pin_memory=pinned)
        self._there = torch.empty_like(self._out, device=device)
        self._sent = torch.cuda.Event() if pinned else None
        self._views: dict[int, Tensor] = {}
        self.inputs = [torch.empty_like(one, device=device) for one in given]
        at = 0
        for n, size in zip(self._hosted, sizes, strict=True):
            self._views[n], self.inputs[n] = (_view(buffer, at, given[n]) for buffer in (self._out, self._there))
            at += size

    def fill(self, given: Sequence[Tensor]) -> None:
        if self._sent is not None:
            self._sent.synchronize()  # the device may still be reading what was given last
        for n, one in enumerate(given):
            self._views.get(n, self.inputs[n]).copy_(one)
        self._there.copy_(self._out, non_blocking=True)
        if self._sent is not None:
            self._sent.record()


def _view(buffer: Tensor, at: int, like: Tensor) -> Tensor:
    return buffer[at : at + like.nbytes].view(like.dtype).view(like.shape)


class CudaGraphCache:
    """`run` for any number of shapes, each with its own places and, on CUDA, its own graph.

    Two threads may ask, the one that plays and the one that warms: a graph is captured aside, which the other need not
    wait for, and graphs run one at a time. So they share their memory, and an answer is copied before the next.
    """

    def __init__(self, device: str, capture: bool = True) -> None:
        self._device = torch.device(device)
        on_gpu = self._device.type == "cuda"
        self._capture = capture and on_gpu
        self._stream = torch.cuda.Stream(self._device, priority=-1) if on_gpu else None
        self._aside = torch.cuda.Stream(self._device) if self._capture else None
        self._pool = torch.cuda.graph_pool_handle() if self._capture else None
        self._known: OrderedDict[Hashable, Answer] = OrderedDict()
        self._lock, self._making = threading.Lock(), threading.Lock()

    def __call__(self, name: Hashable, run: Run, given: Sequence[Tensor]) -> Tensor:
        """`run(*given)`; `name` says which computation, if not the shapes do."""
        key = (name, *(one.shape for one in given))
        with torch.inference_mode():
            answer = self._find(key)
            if answer is None:
                with self._making:
                    answer = self._find(key) or self._made(run, given)
                self._keep(key, answer)
            with self._lock, self._in_turn(self._stream):
                return answer(given).clone()

    def _find(self, key: Hashable) -> Answer | None:
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def _keep(self, key: Hashable, answer: Answer) -> None:
        with self._lock:
            self._known[key] = answer
            while len(self._known) > MOST_SHAPES:
                self._known.popitem(last=False)

    @contextmanager
    def _in_turn(self, stream: torch.cuda.Stream | None) -> Iterator[None]:
        """On `stream`, behind what the caller has asked of the device; the caller goes on behind it."""
        if stream is None:
            yield
            return
        callers = torch.cuda.current_stream(self._device)
        stream.wait_stream(callers)
        with torch.cuda.stream(stream):
            yield
        callers.wait_stream(stream)

    def _made(self, run: Run, given: Sequence[Tensor]) -> Answer:
        places = Places(given, self._device)

        def ordinary(given: Sequence[Tensor]) -> Tensor:
            places.fill(given)
            return run(*places.inputs)

        if not self._capture:
            return ordinary
        with self._in_turn(self._aside):
            for _ in range(WARM_RUNS):
                ordinary(given)
        try:
            return self._captured(run, places)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            log.warning("this GPU captures no CUDA graph, its kernels are launched one by one: %s", error)
            self._capture = False
            return ordinary

    def _captured(self, run: Run, places: Places) -> Answer:
        graph = torch.cuda.CUDAGraph()
        # thread_local: what other threads do on the device meanwhile does not break the capture, nor it them
        with torch.cuda.graph(graph, self._pool, self._aside, capture_error_mode="thread_local"):
            answer = run(*places.inputs)

        def replayed(given: Sequence[Tensor]) -> Tensor:
            places.fill(given)
            graph.replay()
            return answer

        return replayed
