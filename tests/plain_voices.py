"""Voices for tests of the path: exact, cheap, with any delay, block and cost."""

from __future__ import annotations

import time

import numpy as np

from rwc_daemon.plan import Block
from rwc_daemon.voices.base import VoiceInfo


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


class DelayVoice:
    """The input, `gain` times, exactly `delay` samples later."""

    def __init__(self, delay=0, block=None, gain=1.0, seconds_per_block=0.0, name="delay", primes=False):
        self.info = VoiceInfo(name, name, "builtin")
        self.block = block or Block(5)
        self.delay, self.gain, self.seconds_per_block = delay, gain, seconds_per_block
        self.heard = []
        self._session = PrimedSession if primes else DelaySession

    def open(self, plan, controls, seed=0):
        return self._session(self, plan)
