"""Voices for tests of the path: exact, cheap, with any delay, block and cost."""

from __future__ import annotations

import time

import numpy as np

from rwc_daemon.errors import MissingAsset
from rwc_daemon.plan import Block
from rwc_daemon.voices.base import VoiceInfo
from rwc_daemon.voices.quality_ladder import ladder, short_ladder


class DelaySession:
    def __init__(self, voice, plan):
        self.delay = voice.delay
        self._voice = voice
        self._memory = np.zeros(voice.delay, np.float32)

    def convert(self, x, controls, silent=False):
        self._voice.heard.append(np.array(x))
        if self._voice.seconds_per_block:
            time.sleep(self._voice.seconds_per_block)
        joined = np.concatenate([self._memory, x * np.float32(self._voice.gain)])
        self._memory = joined[len(x) :]
        return joined[: len(x)]


class PrimedSession(DelaySession):
    """Takes past input in without a word of it."""

    def prime(self, x):
        self._memory = np.concatenate([self._memory, x * np.float32(self._voice.gain)])
        self._memory = self._memory[len(self._memory) - self.delay :]

    def ending(self):
        return self._memory


class DelayVoice:
    """The input, `gain` times, exactly `delay` samples later."""

    def __init__(self, delay=0, block=None, gain=1.0, seconds_per_block=0.0, name="delay", primes=False):
        self.info = VoiceInfo(name, name, "builtin")
        self.block = block or Block(5)
        self.delay, self.gain, self.seconds_per_block = delay, gain, seconds_per_block
        self.heard = []
        self._session = PrimedSession if primes else DelaySession

    def ladder(self, controls):
        return short_ladder(controls)

    def open(self, plan, controls, seed=0):
        return self._session(self, plan)


class CostlySession(PrimedSession):
    seen = None  # the newest controls

    def convert(self, x, controls, silent=False):
        self.seen = controls
        if self._voice.breaks and self._voice.device != "cpu":
            raise self._voice.breaks
        return super().convert(x, controls, silent)


class CostlyVoice(DelayVoice):
    """As an imported one: made for a quality and a tracker, primed, with a block by quality. `missing`: trackers that
    are not there; `breaks`: what it raises on anything but the CPU."""

    def __init__(self, name, blocks_ms=None, missing=(), breaks=None, gain=1.0, size=0):
        super().__init__(gain=gain, name=name)
        self.info = VoiceInfo(name, name, "builtin", size=size)
        self.blocks_ms = blocks_ms or {}
        self.missing, self.breaks = missing, breaks
        self.device = "auto"
        self.sessions = []

    def ladder(self, controls):
        return ladder(controls, f0=True)

    def block_for(self, controls):
        return Block(self.blocks_ms.get(controls.quality, 20))

    def open(self, plan, controls, seed=0):
        if controls.f0_method in self.missing:
            raise MissingAsset(f"no {controls.f0_method} here")
        self.sessions.append(CostlySession(self, plan))
        self.sessions[-1].made_for = controls.quality
        return self.sessions[-1]
