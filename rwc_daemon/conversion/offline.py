"""Whole sounds converted at once: by the voice's own pipeline for files where it has one, else by the ordinary stream,
its delay trimmed."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np

from rwc_daemon import controls as control_table
from rwc_daemon.controls import Controls
from rwc_daemon.conversion.chain import InputChain, OutputChain
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.base import Offline, Progress, Samples, Voice

BLOCK_MS = 200.0  # of a stream that converts a file: large blocks are cheap, and nobody waits for one


class OfflineConverter:
    """Collects, and converts as a whole at `flush`. The same input, controls and seed give the same bits."""

    latency_samples = 0

    def __init__(
        self, voice: Voice, rate: int, controls: Controls, seed: int = 0, progress: Progress | None = None
    ) -> None:
        """`rate`: samples/s, in and out."""
        self._voice, self._rate, self._controls, self._seed = voice, rate, controls, seed
        self._progress = progress
        self._heard: list[Samples] = []

    def initialize(self) -> None:
        """Start over with nothing heard."""
        self._heard = []

    def cleanup(self) -> None:
        """Forget what was heard."""
        self._heard = []

    def __enter__(self) -> Self:
        self.initialize()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()

    def update(self, **changes: Any) -> None:
        """Turn controls by name, all or nothing; what they are at `flush` counts."""
        self._controls = control_table.changed(self._controls, changes)

    def convert_chunk(self, x: Samples) -> Samples:
        """f32[n] → f32[0]: keeps it for `flush`."""
        self._heard.append(np.array(x, np.float32))
        return np.empty(0, np.float32)

    def flush(self) -> Samples:
        """Everything heard, converted: f32, as long as what was heard. Then starts over."""
        x = np.concatenate(self._heard) if self._heard else np.empty(0, np.float32)
        self._heard = []
        if not len(x):
            return x
        if isinstance(self._voice, Offline):
            return self._whole(self._voice, x)
        return self._through_stream(x)

    def _through_stream(self, x: Samples) -> Samples:
        plan = Plan.offline(self._rate, Block(BLOCK_MS, self._voice.block.on_hop))
        stream = Stream(self._voice, plan, self._controls, self._seed)
        parts = []
        for start in range(0, len(x), self._rate):
            parts.append(stream.feed(x[start : start + self._rate]))
            if self._progress:
                self._progress(min(1.0, (start + self._rate) / len(x)))
        return np.concatenate([*parts, stream.flush()])[stream.delay :]

    def _whole(self, voice: Offline, x: Samples) -> Samples:
        """The pipeline has a high-pass of its own."""
        heard = InputChain(self._rate, high_pass=False).whole(x, self._controls)
        y = voice.convert_whole(heard, self._rate, self._controls, self._seed, self._progress)
        assert y.shape == x.shape, (y.shape, x.shape)
        return OutputChain(self._rate).whole(y, self._controls)
