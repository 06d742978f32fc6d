"""A run over many sound files: what all of them share, and what a worker process does with each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rwc_daemon.batch.convert import Converted, TargetFormat, convert_file
from rwc_daemon.batch.measure import Measurement, measure
from rwc_daemon.batch.reading.reader import SoundReader
from rwc_daemon.batch.sound_file import read_sound
from rwc_daemon.controls import Controls
from rwc_daemon.voices.base import Progress
from rwc_daemon.voices.repository import VoiceRepository


@dataclass(frozen=True)
class BatchOptions:
    """What all files of one run share."""

    data_dir: Path
    voice: str = ""
    """Id or name on the repository; empty: `model`."""
    model: Path | None = None
    index: Path | None = None
    device: str = "auto"
    controls: Controls = field(default_factory=Controls)
    seed: int = 0
    """The same for every file: one file converted alone gives the same bits."""
    wanted: TargetFormat = field(default_factory=TargetFormat)
    measured: bool = False
    """True: figures are taken of every file."""


@dataclass(frozen=True)
class FileJob:
    source: Path
    target: Path


@dataclass(frozen=True)
class FileResult:
    converted: Converted
    measured: Measurement | None
    notes: tuple[str, ...] = ()
    """Of the voice: what its user should know."""


class FileWork:
    """What one process does: the voice is loaded once, then one file after the other."""

    def __init__(self, order: BatchOptions) -> None:
        repository = VoiceRepository(order.data_dir)
        self._order = order
        self._reader = SoundReader()
        if order.model:
            self._voice = repository.load_file(order.model, order.index, order.device)
        else:
            self._voice = repository.load(order.voice, order.device)

    def __call__(self, job: FileJob, progress: Progress) -> FileResult:
        order = self._order
        converted = convert_file(
            job.source, job.target, self._voice, order.controls, order.seed, order.wanted, progress, self._reader
        )
        measured = self._measure(job) if order.measured else None
        return FileResult(converted, measured, self._voice.info.notes)

    def _measure(self, job: FileJob) -> Measurement:
        """Of what is in the two files now, not of what was meant to be."""
        before, after = read_sound(job.source, self._reader), read_sound(job.target, self._reader)
        return measure(before.x, before.rate, after.x, after.rate, self._voice.pitch_shift(self._order.controls))
