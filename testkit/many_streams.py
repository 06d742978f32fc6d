"""Several streams as one engine has them, in this process, each on its own rings, with voices made for tests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np

from rwc_daemon.audio.callback import Callback
from rwc_daemon.controls import Controls, to_dict
from rwc_daemon.engine.live_stream import LiveStream, Shared
from rwc_daemon.engine.neighbours import Neighbours
from rwc_daemon.engine.voice_cache import VoiceCache
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import Configure, LoadVoice, Message, SetControls, VoiceOn
from testkit.plain_voices import DelaySession, DelayVoice
from testkit.whole_engine import DEADLINE_S, QUANTUM, RATE, Repository


class BadVoice(DelayVoice):
    """Well while it is warmed; once `bad` is set it raises, hangs (asleep or busy) or gives no numbers."""

    def __init__(self, name, way):
        super().__init__(name=name)
        self.way, self.bad, self.over = way, False, False
        self._session = BadSession


class BadSession(DelaySession):
    def convert(self, x, controls, silent=False):
        voice = self._voice
        if voice.bad and voice.way == "raises":
            raise ZeroDivisionError("a bad voice")
        while voice.bad and voice.way == "hangs" and not voice.over:
            time.sleep(0.001)
        while voice.bad and voice.way == "spins" and not voice.over:
            pass
        y = super().convert(x, controls, silent)
        return y * np.float32(np.nan) if voice.bad and voice.way == "nan" else y


class OneStream:
    """One of them, from both ends."""

    def __init__(self, shared: Shared, number: int) -> None:
        self.link = SharedRings.create()
        self.callback = Callback(self.link, RATE)
        self.link.set_mode("convert")
        self.said: list[Message] = []
        self.ended: list[BaseException | None] = []
        self.heard = np.empty(0, np.float32)
        self.played = np.empty(0, np.float32)
        self._noise = np.random.default_rng(number)
        engine_end = SharedRings.attach(*map(os.dup, (self.link.memory_fd, self.link.wake_fd)))
        self.stream = LiveStream(engine_end, self.link.new_generation(), shared, self.said.append, self.ended.append)
        self.stream.start()

    def use(self, voice: str, slack_ms: float = 0.0) -> None:
        self.stream.obey(SetControls(to_dict(Controls(gate_db=-90))))
        self.stream.obey(Configure(RATE, QUANTUM, slack_ms))
        self.stream.obey(LoadVoice(voice))

    @property
    def converts(self) -> bool:
        return any(isinstance(message, VoiceOn) for message in self.said) and self._inference.plays

    @property
    def _inference(self):
        return self.stream._inference

    @property
    def behind(self) -> bool:
        switcher = self._inference._switcher
        return switcher is not None and (self.link.available() >= switcher.block or self.link.lag() > -QUANTUM)

    def cycle(self) -> None:
        x = self._noise.normal(0, 0.05, QUANTUM).astype(np.float32)
        self.heard = np.concatenate([self.heard, x])
        self.played = np.concatenate([self.played, self.callback.run_cycle(x)])

    def close(self) -> None:
        self.stream.close()
        self.stream.join(DEADLINE_S)
        assert not self.stream._thread.is_alive()
        self.callback.close()
        self.link.close()


class ManyStreams:
    def __init__(self, *voices, budget_mb=0.0):
        self.neighbours = Neighbours()
        self.repository = Repository(*voices)
        cache = VoiceCache(budget_mb, self.neighbours.use)
        self._shared = Shared(self.repository, "cpu", "", cache, self.neighbours)
        self.streams: list[OneStream] = []

    def open(self, voice: str) -> OneStream:
        """Returns once it converts."""
        stream = OneStream(self._shared, len(self.streams))
        self.streams.append(stream)
        stream.use(voice)
        for _ in self.cycles():
            if stream.converts:
                return stream
        raise AssertionError(f"'{voice}' never converted: {stream.said}")

    def cycles(self) -> Iterator[None]:
        """The graph runs as fast as the streams follow; ends at the deadline."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            self.cycle()
            yield

    def cycle(self, waits=None) -> None:
        """One of the graph; it waits for `waits`, by default for all of them."""
        for stream in self.streams:
            stream.cycle()
        end = time.monotonic() + DEADLINE_S
        while any(stream.behind for stream in (self.streams if waits is None else waits)):
            assert time.monotonic() < end, "a stream stands still"
            time.sleep(0.0002)

    def play(self, cycles: int, waits=None) -> None:
        for _ in range(cycles):
            self.cycle(waits)

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
