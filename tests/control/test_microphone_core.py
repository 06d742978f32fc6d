"""Several microphones of one daemon, each on a pretended graph of its own, their streams in one real engine."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path

import numpy as np
import pytest

from rwc_daemon.control.engine_pool import EnginePool
from rwc_daemon.control.events import Events
from rwc_daemon.control.microphone_core import MicrophoneCore
from rwc_daemon.host.state import StateFile
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.settings import Settings
from rwc_daemon.voices.builtin.presets import PRESETS
from rwc_daemon.voices.repository import VoiceRepository
from testkit.builtin.measures import pitch_hz
from testkit.builtin.sounds import vibrato, vowel
from testkit.pretended_audio import RATE, Graph

pytestmark = pytest.mark.realtime

DEADLINE_S, RECORDED_S = 30.0, 2.0


class OneMicrophone:
    """Somebody speaks at `spoken_hz`; what programs record lies in `graph.sound`."""

    def __init__(self, folder: Path, name: str, engines: EnginePool, spoken_hz: float) -> None:
        self.spoken_hz = spoken_hz
        self.link = SharedRings.create()
        self.file = folder / f"{name}.json"
        self.graph: Graph
        repository = VoiceRepository(folder / "data")
        self.core = MicrophoneCore(
            Settings(), self.link, self._audio, StateFile(self.file), repository, engines, Events()
        )
        spoken = itertools.cycle(vowel(vibrato(spoken_hz, 2.0, RATE), RATE).astype(np.float32) * np.float32(0.3))
        self.graph.source = lambda n: np.fromiter(spoken, np.float32, n)

    def _audio(self, link: SharedRings, settings: Settings, saved_input: str) -> object:
        self.graph = Graph(link, saved_input)
        return self.graph.audio

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not what():
                await self.core.tick(0.005)
                await asyncio.sleep(0.005)

    async def heard(self) -> np.ndarray:
        """Of two seconds from now on."""
        begin = len(self.graph.recorded)
        await self.until(lambda: sum(map(len, self.graph.recorded[begin:])) > RECORDED_S * RATE)
        return np.concatenate(self.graph.recorded[begin:])

    def pitch_of(self, sound: np.ndarray) -> float:
        found = pitch_hz(sound[-RATE:], RATE, 50.0, 500.0)
        return float(np.median(found[found > 0]))

    def wanted_hz(self, voice: str) -> float:
        return self.spoken_hz * 2 ** (PRESETS[voice].pitch / 12)


def run(folder: Path, check: Callable[[OneMicrophone, OneMicrophone], Coroutine[None, None, None]]) -> None:
    """`check` with two that are recorded."""

    async def whole() -> None:
        engines = EnginePool(folder / "data", ["--device", "cpu"])
        both = [OneMicrophone(folder, name, engines, hz) for name, hz in (("first", 110.0), ("second", 190.0))]
        for one in both:
            one.core.start()
            one.graph.record(1)
        try:
            for one in both:
                await one.until(lambda one=one: one.core.status.state == "live")
            await check(*both)
        finally:
            for one in both:
                one.core.ends()
                await one.core.stop()
                one.link.close()

    asyncio.run(whole())


def test_two_microphones_recorded_at_once_each_hear_their_own_voice(tmp_path: Path) -> None:
    async def check(first: OneMicrophone, second: OneMicrophone) -> None:
        await asyncio.gather(first.core.use("plain", {"gate_db": -90.0}), second.core.use("deep", {"gate_db": -90.0}))
        assert first.core.statistics()["engine_pid"] == second.core.statistics()["engine_pid"]
        sounds = await asyncio.gather(first.heard(), second.heard())
        for one, sound, voice in zip((first, second), sounds, ("plain", "deep"), strict=True):
            assert one.pitch_of(sound) == pytest.approx(one.wanted_hz(voice), rel=0.03)

    run(tmp_path, check)


def test_mode_controls_and_voice_of_one_are_not_those_of_the_other_nor_saved_as_such(tmp_path: Path) -> None:
    async def check(first: OneMicrophone, second: OneMicrophone) -> None:
        await first.core.use("bright", {"gate_db": -90.0})
        await second.core.use("giant", {"pitch": -2.0, "gate_db": -90.0})
        first.core.set_mode("mute")
        assert (second.core.status.mode, second.core.status.voice) == ("convert", "giant")
        assert first.core.controls.pitch == 0.0
        silent, played = await asyncio.gather(first.heard(), second.heard())
        assert not silent[-RATE:].any()
        assert np.std(played[-RATE:]) > 0.01
        await asyncio.sleep(0.5)  # what is saved is written soon
        saved = [StateFile(one.file).load()[0] for one in (first, second)]
        assert [(one.voice, one.mode, one.controls.pitch) for one in saved] == [
            ("bright", "mute", 0.0),
            ("giant", "convert", -2.0),
        ]

    run(tmp_path, check)


def test_the_death_of_their_engine_is_silence_for_both_and_then_their_own_voices_again(tmp_path: Path) -> None:
    async def check(first: OneMicrophone, second: OneMicrophone) -> None:
        await asyncio.gather(first.core.use("plain", {"gate_db": -90.0}), second.core.use("deep", {"gate_db": -90.0}))
        os.kill(first.core.statistics()["engine_pid"], signal.SIGKILL)
        for one in (first, second):
            await one.until(lambda one=one: one.core.statistics()["engine_restarts"] == 1)
            await one.until(lambda one=one: one.core.status.state == "live")
        sounds = await asyncio.gather(first.heard(), second.heard())
        for one, sound, voice in zip((first, second), sounds, ("plain", "deep"), strict=True):
            assert one.pitch_of(sound) == pytest.approx(one.wanted_hz(voice), rel=0.03)

    run(tmp_path, check)
