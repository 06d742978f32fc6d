"""The Python face: conversion without daemon or audio server, for other people's programs.

    config = ConversionConfig(voice="deep", sample_rate=48000, pitch_shift=-2)
    with StreamingConverter(config) as converter:
        for chunk in chunks:
            play(converter.convert_chunk(chunk))
        play(converter.flush())

The two converters are interchangeable. Together, `convert_chunk` and `flush` give as many samples as went in, plus
`latency_samples` at the front.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rwc_daemon import controls as control_table
from rwc_daemon.controls import Controls
from rwc_daemon.errors import BadAudio, Busy, NotReady, OutOfRange
from rwc_daemon.plan import Block, Plan, work_rate

if TYPE_CHECKING:
    # what follows is imported where it is used: whoever imports us may never convert anything
    from rwc_daemon.conversion.adjustable import AdjustableStream
    from rwc_daemon.conversion.any_rate import OddRateStream
    from rwc_daemon.conversion.stream import Stream
    from rwc_daemon.voices.base import Samples, Voice

DEVICES = ("auto", "cpu", "cuda")
FULL_SCALE = {"int16": 1 << 15, "int32": 1 << 31}  # of integer input; other widths have no one meaning


@dataclass(frozen=True)
class ConversionConfig:
    """What to convert with. Give `voice` (a name that `rwcctl voices` lists) or `model_path`, not both."""

    voice: str = ""
    """Id or name; empty and no model_path: "deep"."""
    model_path: str | Path | None = None
    """A .pth, .safetensors or .onnx file, used without importing it."""
    index_path: str | Path | None = None
    sample_rate: int = 48000
    """samples/s, in and out."""
    chunk_size: int = 0
    """Samples per `convert_chunk`, as a hint for the block; 0: what the voice prefers."""
    pitch_shift: float = 0.0
    """Semitones, −24 … 24."""
    formant_shift: float = 0.0
    """Semitones, −12 … 12."""
    index_rate: float = 0.75
    """0 … 1."""
    protect: float = 0.33
    """0 … 0.5."""
    f0_method: str = "auto"
    speaker: int = 0
    device: str = "auto"
    """One of DEVICES."""

    def __post_init__(self) -> None:
        if self.voice and self.model_path:
            raise OutOfRange("give voice or model_path, not both")
        if self.index_path and not self.model_path:
            raise OutOfRange("index_path goes with model_path; an imported voice has its index already")
        if self.chunk_size < 0:
            raise OutOfRange(f"chunk_size is a number of samples, 0 or more; not {self.chunk_size}")
        if self.device not in DEVICES:
            raise OutOfRange(f"device is {', '.join(DEVICES)}; not {self.device!r}")
        work_rate(self.sample_rate)
        _ = self.controls

    @property
    def controls(self) -> Controls:
        """The controls among the fields, checked. Raises OutOfRange."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        names = control_table.BY_PYTHON_NAME
        return control_table.changed(Controls(), {names[name]: value for name, value in own.items() if name in names})

    def load(self) -> Voice:
        """The voice with its weights. Raises NoSuchVoice, BadModel, MissingAsset, MissingPackage."""
        from rwc_daemon.host import paths
        from rwc_daemon.voices.repository import VoiceRepository

        repository = VoiceRepository(paths.data_dir())
        if self.model_path:
            index = Path(self.index_path) if self.index_path else None
            return repository.load_file(Path(self.model_path), index, self.device)
        return repository.load(self.voice or "deep", self.device)


class _Converter:
    """What both converters share: the voice, the controls, the order of calls."""

    latency_samples = 0

    def __init__(self, config: ConversionConfig, seed: int = 0) -> None:
        self._config, self._seed = config, seed
        self._controls = config.controls
        self._voice: Voice | None = None
        self._in_use = threading.Lock()
        self._changing = threading.Lock()
        # held while a call converts or the controls change: a change from another thread waits for the call at work

    def initialize(self) -> None:
        """Load the voice and start a fresh conversion. Calling it again starts over with the same weights."""
        self._voice = self._voice or self._config.load()
        self._begin(self._voice)

    def cleanup(self) -> None:
        """Let go of weights and memory; `initialize` makes it usable again."""
        self._voice = None

    def update(self, **changes: Any) -> None:
        """Changes controls while running: pitch_shift, formant_shift, or any control by name. All or nothing.

        Any thread may call it; it waits for a chunk that is being converted.
        Raises NoSuchControl, OutOfRange, and while converting what the voice cannot do: MissingAsset or MissingPackage
        for a tracker that is not on this machine, Unsupported for another quality.
        """
        names = control_table.BY_PYTHON_NAME
        wanted = {names.get(name, name): value for name, value in changes.items()}
        with self._changing:
            controls = control_table.changed(self._controls, wanted)
            self._take(controls)
            self._controls = controls

    def _take(self, controls: Controls) -> None:
        """Hands the controls to the conversion that runs. What it raises leaves everything as it was."""

    def __enter__(self) -> Self:
        self.initialize()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()

    def _begin(self, voice: Voice) -> None:
        raise AssertionError("each converter says how it begins")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two threads at once would mix up the memory of one conversion; one after the other is fine."""
        if not self._in_use.acquire(blocking=False):
            raise Busy("this converter is at work in another thread: give each thread a converter of its own")
        try:
            with self._changing:
                yield
        finally:
            self._in_use.release()

    def _checked(self, chunk: Samples) -> Samples:
        """Mono float32 where full scale is 1."""
        if self._voice is None:
            raise NotReady("call initialize() first, or use the converter in a with statement")
        x = np.asarray(chunk)
        if x.ndim != 1:
            raise OutOfRange(f"a chunk is one-dimensional mono float32; not of shape {x.shape}")
        if x.dtype.name in FULL_SCALE:
            return x.astype(np.float32) / np.float32(FULL_SCALE[x.dtype.name])
        if len(x) and x.dtype.kind != "f":
            raise OutOfRange(
                f"a chunk is float32 from -1 to 1, or int16 or int32, which are scaled; not {x.dtype.name}"
            )
        return x.astype(np.float32)


class StreamingConverter(_Converter):
    """Answers every chunk at once with as many samples, `latency_samples` late."""

    def _begin(self, voice: Voice) -> None:
        from rwc_daemon.conversion.adjustable import open_stream
        from rwc_daemon.conversion.any_rate import OddRateStream

        wanted, rate = voice.block, self._config.sample_rate
        if self._config.chunk_size:
            wanted = Block(1000 * self._config.chunk_size / rate, wanted.on_hop)
        self._stream: Stream | AdjustableStream | OddRateStream
        if work_rate(rate) == rate:
            stream = open_stream(voice, Plan.offline(rate, wanted), self._controls, self._seed)
            self._stream, block = stream, stream.plan.block
        else:
            self._stream = OddRateStream(voice, rate, wanted, self._controls, self._seed)
            block = self._stream.block
        # one block of silence ahead answers any chunk length at once
        self._ahead = np.zeros(block, np.float32)
        self.latency_samples = len(self._ahead) + self._stream.delay

    def _take(self, controls: Controls) -> None:
        if self._voice is not None:
            self._stream.controls = controls

    def convert_chunk(self, x: Samples) -> Samples:
        """f32[n] → f32[n], any n. Also takes int16 and int32, whose full scale becomes 1."""
        with self._alone():
            x = self._checked(x)
            ready = np.concatenate([self._ahead, self._stream.feed(x)])
            self._ahead = ready[len(x) :]
            return ready[: len(x)]

    def flush(self) -> Samples:
        """The last `latency_samples`, and a fresh start for what is fed next."""
        with self._alone():
            self._checked(np.empty(0))
            rest = np.concatenate([self._ahead, self._stream.flush()])
            self.initialize()
            return rest


class BatchConverter(_Converter):
    """Collects, and converts as a whole at `flush` with offline quality; no latency."""

    def _begin(self, voice: Voice) -> None:
        self._heard: list[Samples] = []

    def convert_chunk(self, x: Samples) -> Samples:
        """Keeps the chunk; answers nothing yet (f32[0]). Also takes int16 and int32, whose full scale becomes 1."""
        with self._alone():
            self._heard.append(self._checked(x).copy())
            return np.empty(0, np.float32)

    def flush(self) -> Samples:
        """The whole conversion, as long as what was fed."""
        from rwc_daemon.batch import convert
        from rwc_daemon.conversion.offline import OfflineConverter

        with self._alone():
            heard = np.concatenate([self._checked(np.empty(0, np.float32)), *self._heard])
            self._heard = []
            assert self._voice is not None
            rate = self._config.sample_rate
            if work_rate(rate) != rate:
                return convert.convert_samples(heard, rate, rate, self._voice, self._controls, self._seed)
            batch = OfflineConverter(self._voice, rate, self._controls, self._seed)
            batch.convert_chunk(heard)
            return batch.flush()


def convert_file(
    source: str | Path,
    target: str | Path,
    config: ConversionConfig,
    progress: Callable[[float], None] | None = None,
    overwrite: bool = False,
) -> None:
    """Convert a sound file with offline quality; `progress` hears 0 … 1.

    A target that is there already is left alone unless `overwrite`. What is odd about the source (cut off, sound on
    one channel only) is said as a warning. Raises BadAudio, MissingPackage and what `load` raises.
    """
    from rwc_daemon.batch import convert

    source, target = Path(source), Path(target)
    if not overwrite and os.path.lexists(target):
        raise BadAudio(f"{target} exists already: pass overwrite=True to replace it")
    controls = replace(config.controls, gate_db=convert.START.gate_db)  # a file's quiet parts are wanted
    done = convert.convert_file(source, target, config.load(), controls, progress=progress)
    for note in done.notes:
        warnings.warn(f"{source}: {note}", stacklevel=2)
