"""One sound file converted into another: what `rwcctl convert` and `convert_file` do for every file.

The result is as long as the source to the sample (at another rate: to the nearest sample), and limited below full
scale. Several channels are mixed to one; a stereo target holds it twice.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from rwc_daemon.batch.reading.reader import SoundReader
from rwc_daemon.batch.sound_file import Sound, format_of, read_sound, write_sound
from rwc_daemon.controls import Controls
from rwc_daemon.conversion.offline import OfflineConverter
from rwc_daemon.dsp.limiter import Limiter
from rwc_daemon.errors import BadAudio
from rwc_daemon.plan import HOPS_PER_SECOND
from rwc_daemon.voices.base import Progress, Samples, Voice

START = Controls(gate_db=-90.0)  # where controls start for files: a recording's pauses are left as they are
WORK_RATE = 48000  # where the source's own rate is not one that voices are made for
LOWEST_WORK_RATE, HIGHEST_WORK_RATE = 32000, 96000
LOWEST_RATE, HIGHEST_RATE = 8000, 192000  # that can be asked for
LOUDEST = 0.9995  # the limiter's ceiling; the resampler may overshoot what was held below it


@dataclass(frozen=True)
class TargetFormat:
    """What the target should be like."""

    rate: int = 0
    """samples/s; 0: the source's."""
    stereo: bool = False
    """True: as many channels as the source has, all alike; False: mono."""


@dataclass(frozen=True)
class Converted:
    """What was done."""

    source: Path
    target: Path
    seconds: float
    """Of sound."""
    took_s: float
    rate: int
    """Of the target."""
    frames: int
    """In the target."""
    downmixed: int
    """Channels that were mixed to one; 0 where the source is mono, or not all of them were taken."""
    notes: tuple[str, ...] = ()
    """What was odd about the source, each a sentence without its beginning."""

    @property
    def real_time_factor(self) -> float:
        return self.took_s / self.seconds


def convert_file(
    source: Path,
    target: Path,
    voice: Voice,
    controls: Controls,
    seed: int = 0,
    wanted: TargetFormat | None = None,
    progress: Progress | None = None,
    reader: SoundReader | None = None,
) -> Converted:
    """Reads, converts, writes. The target appears whole or not at all. Raises BadAudio and what the voice raises.

    `reader`: for many files; else one is started.
    """
    wanted = wanted or TargetFormat()
    format_of(target)
    if target.exists() and target.samefile(source):
        raise BadAudio(f"{target} is the source itself: give another target")
    began = time.perf_counter()
    sound = read_sound(source, reader)
    rate = wanted.rate or sound.rate
    x = convert_samples(sound.x, sound.rate, rate, voice, controls, seed, progress)
    channels = sound.channels if wanted.stereo else 1
    write_sound(target, Sound(x, rate, channels, sound.subtype, sound.tags))
    downmixed = sound.channels if sound.channels > 1 and not sound.picked else 0
    took_s = time.perf_counter() - began
    return Converted(source, target, sound.seconds, took_s, rate, len(x), downmixed, sound.notes)


def convert_samples(
    x: Samples,
    rate_in: int,
    rate_out: int,
    voice: Voice,
    controls: Controls,
    seed: int = 0,
    progress: Progress | None = None,
) -> Samples:
    """f32[n] @rate_in → f32[round(n · rate_out / rate_in)] @rate_out, below full scale."""
    work_rate = _work_rate(rate_in)
    frames = round(len(x) * rate_out / rate_in)
    heard = _resampled(x, rate_in, work_rate)
    converter = OfflineConverter(voice, work_rate, controls, seed, progress)
    converter.convert_chunk(heard)
    y = converter.flush()
    return _limited(_exactly(_resampled(y, work_rate, rate_out), frames), rate_out)


def _work_rate(rate: int) -> int:
    """The source's rate where voices can work at it, so that most files are not resampled."""
    fits = rate % HOPS_PER_SECOND == 0 and LOWEST_WORK_RATE <= rate <= HIGHEST_WORK_RATE
    return rate if fits else WORK_RATE


def _resampled(x: Samples, rate_in: int, rate_out: int) -> Samples:
    return x if rate_in == rate_out else soxr.resample(x, rate_in, rate_out, quality="VHQ")


def _exactly(x: Samples, frames: int) -> Samples:
    return np.pad(x, (0, max(0, frames - len(x))))[:frames]


def _limited(x: Samples, rate: int) -> Samples:
    """Below full scale, on time; untouched where it is already."""
    if np.abs(x).max(initial=0) <= LOUDEST:
        return x
    limiter = Limiter(rate)
    return limiter.feed(np.concatenate([x, np.zeros(limiter.delay, np.float32)]))[limiter.delay :]
