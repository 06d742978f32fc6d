"""What `tools/bench_live` measures: the reference's loop and the live converter, block by block in one run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn

from rwc_daemon.controls import Controls
from rwc_daemon.plan import RATE_16K
from rwc_daemon.store.assets import Assets
from rwc_daemon.store.card import VoiceCard
from rwc_daemon.store.voices import VoiceStore
from rwc_daemon.voices.f0.base import Tracker
from rwc_daemon.voices.rvc.live import LiveOptions, LiveStep
from rwc_daemon.voices.rvc.sola import Geometry
from rwc_daemon.voices.rvc.synth import Synthesizer
from rwc_daemon.voices.rvc.voice import RvcVoice
from testkit import voice_maker
from testkit.yardstick.loop import ReferenceLoop, ReferenceSettings
from testkit.yardstick.step import ReferenceStep

ROWS_PER_SECOND = 50  # of content
RATE = 48000
VECTORS = 20000
NETS = ("contentvec", "rmvpe", "fcpe")


def made(folder: Path, kind: str, tiny: bool) -> tuple[VoiceCard, Assets]:
    """A voice with random weights, its index and all support files, kept in `folder` for the next run."""
    assets, store = Assets(folder / "assets"), VoiceStore(folder / "voices")
    with TemporaryDirectory() as temporary:
        for name in NETS:
            if not assets.has(name):
                assets.add(voice_maker.make_asset(Path(temporary), name, tiny), name)
        known = [card for card in store.list() if card.name == kind]
        if known:
            return known[0], assets
        width = 256 if kind.startswith("v1") else 768
        index = voice_maker.make_index(Path(temporary), width, 200 if tiny else VECTORS, name=kind)
        return store.bring_in([voice_maker.make_voice(Path(temporary), kind, tiny, kind), index], kind)[0], assets


class Stages:
    """Milliseconds spent in each net, by block. `settle` waits until the device has done what it was asked for."""

    def __init__(self, settle: Callable[[], object] = lambda: None) -> None:
        self.ms: dict[str, list[float]] = defaultdict(list)
        self._settle = settle

    def watch(self, voice: RvcVoice, tracker: Tracker) -> Tracker:
        """From now on; the tracker to use instead of `tracker`."""
        synth = voice.renderer.synth
        assert isinstance(synth, Synthesizer)
        for name, net in (("text encoder", synth.enc_p), ("flow", synth.flow), ("decoder", synth.dec)):
            self._hook(name, net)
        content = voice.renderer.content
        content.hear = self._timed("content rows", content.hear)  # type: ignore[method-assign]
        content.understand = self._timed("content", content.understand)  # type: ignore[method-assign]
        if voice.renderer.index is not None:
            voice.renderer.index.mix = self._timed("retrieval", voice.renderer.index.mix)  # type: ignore[method-assign]
        return Watched(tracker.name, self._timed("pitch", tracker.track))

    def _hook(self, name: str, net: nn.Module) -> None:
        begun: list[float] = []
        net.register_forward_pre_hook(lambda *_: begun.append(self._now()))
        net.register_forward_hook(lambda *_: self.ms[name].append(1000 * (self._now() - begun.pop())))

    def _now(self) -> float:
        self._settle()
        return time.perf_counter()

    def _timed(self, name: str, run: Callable) -> Callable:
        def timed(*args: Any, **named: Any) -> Any:
            begin = self._now()
            result = run(*args, **named)
            self.ms[name].append(1000 * (self._now() - begin))
            return result

        return timed


@dataclass(frozen=True)
class Watched:
    name: str
    track: Callable[[np.ndarray], np.ndarray]


@dataclass
class Times:
    """Of one converter."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    stages: Stages = field(default_factory=Stages)

    @contextmanager
    def block(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_ms.append(1000 * (time.perf_counter() - wall))
        self.cpu_ms.append(1000 * (time.process_time() - cpu))

    def figures(self, block_ms: float, warm: int = 3) -> dict[str, Any]:
        """Without the first `warm` blocks."""
        wall, cpu = np.array(self.wall_ms[warm:]), np.array(self.cpu_ms[warm:])
        stages = {name: round(float(np.median(ms[warm:])), 2) for name, ms in self.stages.ms.items()}
        if stages:
            stages["rest"] = round(float(np.median(wall)) - sum(stages.values()), 2)
        return {
            "stages_ms": stages,
            **{f"p{p}_ms": round(float(np.percentile(wall, p)), 2) for p in (50, 95, 99)},
            "load": round(float(wall.sum()) / (block_ms * len(wall)), 3),
            "cpu_s_per_s": round(float(cpu.sum()) / (block_ms * len(cpu)), 3),
        }


def yardstick(voice: RvcVoice, block_s: float, tracker: Tracker, controls: Controls) -> ReferenceLoop:
    """The reference's loop at its own settings: 2.5 s of context, 50 ms of crossfade."""
    settings = ReferenceSettings(RATE, block_s, envelope=controls.envelope)
    step = ReferenceStep(voice.renderer, settings.geometry, Redrawn(voice))
    return ReferenceLoop(settings, voice.info.rate, lambda x_16k: step.run(x_16k, tracker, controls))


class Redrawn:
    """Noise as the reference has it: new with every block."""

    def __init__(self, voice: RvcVoice) -> None:
        self._voice, self._n = voice, 0

    def draws(self, start: int, frames: int, window: Any) -> Any:
        self._n += 1
        return self._voice.noise(self._n).draws(0, frames, window)


def raced(x: np.ndarray, loop: ReferenceLoop, session: Any, controls: Controls) -> tuple[Times, Times, np.ndarray]:
    """Both converters over the same blocks in turn; their times, and what came out [2, n]."""
    block = loop.g.block
    theirs, ours = Times(), Times()
    out: list[list[np.ndarray]] = [[], []]
    for part in np.split(x[: len(x) // block * block], len(x) // block):
        with theirs.block():
            out[0].append(loop.feed(part))
        with ours.block():
            out[1].append(session.convert(part, controls))
    return theirs, ours, np.stack([np.concatenate(one) for one in out])


# ---- deviation from the full window on the same noise ----


@dataclass(frozen=True)
class Rendered:
    """What one way of working gave, block by block."""

    audio: np.ndarray
    """f32[blocks, samples @voice]."""
    rows: np.ndarray
    """f32[blocks, rows, C] of content, those of the block."""
    hz: np.ndarray
    """f32[blocks, frames]."""


def rendered(
    voice: RvcVoice,
    g: Geometry,
    options: LiveOptions,
    tracker: Tracker,
    x_16k: np.ndarray,
    controls: Controls,
    kind: type[LiveStep] = LiveStep,
) -> Rendered:
    """Every block of the window's way over `x_16k`."""
    step = kind(voice.renderer, g, voice.noise(0), options)
    kept: list[np.ndarray] = []
    phone = step._phone

    def remembered(rows: Any, first: int, controls: Controls) -> Any:
        at = (g.skip - first) // 2
        kept.append(rows[at : at + g.block_frames // 2].cpu().numpy())
        return phone(rows, first, controls)

    step._phone = remembered  # type: ignore[method-assign]
    audio, hz, hop = [], [], voice.renderer.config.hop
    for start in range(0, len(x_16k) - g.window_16k, g.block_16k):
        audio.append(step.run(x_16k[start : start + g.window_16k], tracker, controls)[: g.block_frames * hop])
        hz.append(step.memory.pitch.hz[g.skip - g.block_frames : g.skip])
    return Rendered(np.stack(audio), np.stack(kept), np.stack(hz))


def deviation(ours: Rendered, full: Rendered) -> dict[str, float]:
    """Log-spectral distance in dB, pitch in cents, content as a relative error: means over the blocks of `full`."""
    blocks = len(full.audio)
    ours = Rendered(ours.audio[:blocks], ours.rows[:blocks], ours.hz[:blocks])
    voiced = (ours.hz > 0) & (full.hz > 0)
    cents = np.abs(1200 * np.log2(ours.hz[voiced] / full.hz[voiced])) if voiced.any() else np.zeros(1)
    apart = np.linalg.norm(ours.rows - full.rows, axis=-1) / np.linalg.norm(full.rows, axis=-1)
    return {
        "log_spectral_db": round(float(log_spectral_db(ours.audio.ravel(), full.audio.ravel())), 2),
        "pitch_cents": round(float(cents.mean()), 2),
        "content_relative": round(float(apart.mean()), 4),
    }


def log_spectral_db(a: np.ndarray, b: np.ndarray, size: int = 1024) -> float:
    """Root mean square difference of the spectra's levels, over frames no quieter than 40 dB under the loudest."""
    window = np.hanning(size)
    spectra = []
    for one in (a, b):
        frames = np.lib.stride_tricks.sliding_window_view(one, size)[:: size // 2]
        spectra.append(np.abs(np.fft.rfft(frames * window, axis=1)) ** 2)
    loud = spectra[1].sum(axis=1) > 1e-4 * spectra[1].sum(axis=1).max()
    floor = 1e-6 * spectra[1][loud].mean()
    apart = 10 * np.log10((spectra[0][loud] + floor) / (spectra[1][loud] + floor))
    return float(np.sqrt(np.mean(apart**2, axis=1)).mean())


# ---- seams ----


def tone(seconds: float, hz: float = 217.3) -> np.ndarray:
    """A sustained vowel-like tone @RATE, f32; its period fits into no block, row or frame."""
    t = np.arange(round(seconds * RATE)) / RATE
    partials = [np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 20)]
    return np.asarray(0.1 * np.sum(partials, axis=0), np.float32)


def speech(seconds: float) -> np.ndarray:
    """Something voiced with syllables and breath between them @16k, f32."""
    t = np.arange(round(seconds * RATE_16K)) / RATE_16K
    phase = 2 * np.pi * np.cumsum(150 * 2 ** (0.2 * np.sin(2 * np.pi * 0.7 * t))) / RATE_16K
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * t)
    voiced = np.sum([np.sin(k * phase) / k for k in range(1, 20)], axis=0) * swell
    breath = np.random.default_rng(0).standard_normal(len(t)) * (1 - swell) * 0.2
    return np.asarray(0.1 * (voiced + breath), np.float32)


class Overlaps:
    """How well a new rendering agrees with the tail of the one before, where the splice has put it."""

    def __init__(self, splice: Any) -> None:
        self.residual_db: list[float] = []
        feed = splice.feed

        def watched(y: np.ndarray) -> np.ndarray:
            tail = splice.tail.copy()
            result = feed(y)
            head = y[splice.offset : splice.offset + len(tail)]
            power = float(np.square(tail, dtype=np.float64).sum() + np.square(head, dtype=np.float64).sum()) / 2
            apart = float(np.square(tail - head, dtype=np.float64).sum())
            self.residual_db.append(10 * np.log10((apart + 1e-12) / (power + 1e-12)))
            return result

        splice.feed = watched

    def median_db(self) -> float:
        """Of difference over sound; the beginning left out."""
        return round(float(np.median(self.residual_db[5:])), 1)


def block_lines_db(y: np.ndarray, block: int, lines: int = 8) -> tuple[float, float]:
    """Energy of the block's rate, and of it with its harmonics, in the envelope, over the mean level; what lies between
    the lines, which no seam makes, taken off. Harmonics that the nets' own rates have too (50 rows, 100 frames a
    second) are left out."""
    step = RATE // 1000
    frames = y[: len(y) // (step * 10) * step * 10].reshape(-1, step)
    level = np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))
    blocks = len(level) * step // block
    level = level[-(blocks * block // step) :]
    spectrum = np.abs(np.fft.rfft(level * np.hanning(len(level)))) ** 2
    energies = []
    for n in range(1, lines + 1):
        if n * RATE % (ROWS_PER_SECOND * block):
            at = n * blocks
            line, around = spectrum[at - 1 : at + 2].sum(), spectrum[at - blocks // 3 : at + blocks // 3]
            energies.append(max(line - 3 * np.median(around), 1e-3 * line) / spectrum[0])
    return round(10 * float(np.log10(energies[0])), 1), round(10 * float(np.log10(sum(energies))), 1)
