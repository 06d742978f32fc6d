"""The inference and loader threads on a real link, driven cycle by cycle, with voices made for tests."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace

import numpy as np

from rwc_daemon.audio.callback import Callback
from rwc_daemon.controls import Controls
from rwc_daemon.engine.inference import Inference
from rwc_daemon.engine.load_request import LoadRequest, StreamConfig
from rwc_daemon.engine.loader import Loader
from rwc_daemon.engine.neighbours import Neighbours
from rwc_daemon.engine.thread_budget import ThreadBudget
from rwc_daemon.engine.voice_cache import VoiceCache
from rwc_daemon.errors import NoSuchVoice
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import Configure

RATE, QUANTUM = 48000, 128
OPEN = Controls(gate_db=-90)
DEADLINE_S = 20.0


class Repository:
    """Voices by id; `loads` says how often each was read, and where to."""

    def __init__(self, *voices):
        self._voices = {voice.info.id: voice for voice in voices}
        self.loads = []

    def list(self):
        return [voice.info for voice in self._voices.values()]

    def find(self, wanted):
        if wanted not in self._voices:
            raise NoSuchVoice(f"no voice '{wanted}'")
        return self._voices[wanted].info

    def load(self, wanted, device):
        self.loads.append((wanted, device))
        voice = self._voices[wanted]
        voice.device = device
        return voice


class Engine:
    """Both threads, the link, the callback, and what was said."""

    def __init__(self, *voices, budget_mb=0.0, without_gpu=""):
        self.link = SharedRings.create()
        self.callback = Callback(self.link, RATE)
        self.link.set_mode("convert")
        self.said = queue.Queue()
        self.stream_config = StreamConfig(OPEN, RATE, QUANTUM)
        self.repository = Repository(*voices)
        cache = VoiceCache(budget_mb)
        self.loader = Loader(self.repository, "auto", lambda: self.stream_config, cache, without_gpu)
        generation = self.link.new_generation()
        self.seconds = 0.0  # as the deadline controller counts them: of the graph, not of the clock on the wall
        self.busy = 0.0  # cores that other programs use
        thread_budget = ThreadBudget(2, 2, lambda: self.busy)
        clock = lambda: self.seconds  # noqa: E731
        self.inference = Inference(
            self.link, generation, self.stream_config, self.loader, self.said.put, thread_budget, Neighbours(), clock
        )
        self.order(Configure(RATE, QUANTUM))
        self.loader.start(self.order)
        self.thread = threading.Thread(target=self.inference.run)
        self.thread.start()

    def order(self, order):
        self.inference.orders.put(order)
        self.link.wake()

    def use(self, voice):
        self.loader.request(LoadRequest(voice))

    def set(self, **controls):
        config = replace(self.stream_config, controls=replace(self.stream_config.controls, **controls))
        self.order(config)
        self.stream_config = config

    def play(self, x):
        """The graph runs over x as fast as the engine follows; what RWC Mic would play."""
        out = []
        for n in range(0, len(x) - QUANTUM + 1, QUANTUM):
            out.append(self.callback.run_cycle(x[n : n + QUANTUM]))
            self.seconds += QUANTUM / RATE
            end = time.monotonic() + DEADLINE_S
            while self._behind() and time.monotonic() < end:
                time.sleep(0.0002)
        return np.concatenate(out)

    def _behind(self):
        switcher = self.inference._switcher
        return switcher is not None and (self.link.available() >= switcher.block or self.link.lag() > -QUANTUM)

    @property
    def session(self):
        """The one that plays; others may have been made to be warmed."""
        return self.inference._switcher.stream._session

    def expect(self, kind):
        """The next message of this kind, while the graph runs over noise."""
        end = time.monotonic() + DEADLINE_S
        noise = np.random.default_rng(2).normal(0, 0.05, 40 * QUANTUM).astype(np.float32)
        while time.monotonic() < end:
            self.play(noise)
            try:
                message = self.said.get(timeout=0.01)
            except queue.Empty:
                continue
            if isinstance(message, kind):
                return message
        raise AssertionError(f"the engine never said {kind.__name__}")

    def expect_voice(self, voice):
        """Until it plays, while the graph runs."""
        self.expect_until(lambda: self.inference._loaded and self.inference._loaded.voice.info.id == voice)

    def expect_blocks(self, count):
        """So many further blocks of the stream that plays."""
        noise = np.random.default_rng(3).normal(0, 0.05, count * self.inference._switcher.block)
        self.play(noise.astype(np.float32))

    def expect_until(self, what):
        """The graph runs over noise until it is so."""
        end = time.monotonic() + DEADLINE_S
        noise = np.random.default_rng(2).normal(0, 0.05, 40 * QUANTUM).astype(np.float32)
        while not what():
            assert time.monotonic() < end, "it did not come true in time"
            self.play(noise)

    def said_nothing_of(self, kind):
        return not any(isinstance(message, kind) for message in list(self.said.queue))

    def settle(self):
        """The loader has warmed what it was asked for."""
        end = time.monotonic() + DEADLINE_S
        while (self.loader._wanted or self.loader._doing) and time.monotonic() < end:
            time.sleep(0.005)

    def close(self):
        self.order(None)
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.settle()  # what it brings needs the link
        self.callback.close()
        self.link.close()
