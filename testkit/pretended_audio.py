"""A hand-written audio floor: a clock calls the real native callback on the real rings, no server is needed.

Everything above and below is real: core, supervisor, engine process, shared memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from rwc_daemon.audio.callback import Callback
from rwc_daemon.audio.graph import Graph as View
from rwc_daemon.audio.graph import Node as Device
from rwc_daemon.audio.input_choice import InputChoice
from rwc_daemon.audio.routing import Input
from rwc_daemon.audio.volume import VolumeHold
from rwc_daemon.control.audio_backend import AudioBackend
from rwc_daemon.errors import NoAudioServer, NoSuchInput
from rwc_daemon.link.ring import SharedRings

RATE = 48000


class Graph:
    """The pretended server: what is true of it, and what was recorded of RWC Mic."""

    def __init__(self, link: SharedRings, saved_input: str) -> None:
        self.link, self.saved_input = link, saved_input
        self.quantum = 256
        self.down = False
        self.stalled = False
        self.source: Callable[[int], np.ndarray] = lambda n: np.zeros(n, np.float32)
        self.recorded: list[np.ndarray] = []
        self.opened = 0
        self.listeners = 0
        self.watch = Watch()
        parts = (Client(self), self.watch, Node(self), Routes(self), Recorders(self), Leftovers(), Output())
        self.audio = AudioBackend(*parts)  # type: ignore[arg-type]

    def record(self, count: int) -> None:
        """So many recorders from now on."""
        self.listeners = count
        self.watch.on_change()

    @property
    def sound(self) -> np.ndarray:
        return np.concatenate(self.recorded) if self.recorded else np.zeros(0, np.float32)


class Client:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._clock: threading.Thread | None = None
        self._run = False
        self.on_change: Callable[[str], None] = lambda what: None
        self.server = "pretended 1.0"
        self.latency = 0
        self.name = "rwc"

    @property
    def is_open(self) -> bool:
        return self._run

    @property
    def rate(self) -> int:
        return RATE if self._run else 0

    @property
    def quantum(self) -> int:
        return self._graph.quantum if self._run else 0

    def open(self) -> None:
        if self._graph.down:
            raise NoAudioServer("neither PipeWire nor JACK answers: start one")
        if self._run:
            return
        self._run = True
        self._graph.opened += 1
        self._clock = threading.Thread(target=self._cycle, daemon=True)
        self._clock.start()

    def close(self) -> None:
        self._run = False
        if self._clock is not None:
            self._clock.join()

    def _cycle(self) -> None:
        graph = self._graph
        callback = Callback(graph.link, RATE)
        start, samples, quantum = time.monotonic(), 0, graph.quantum
        while self._run:
            if graph.quantum != quantum:
                quantum = graph.quantum
                self.on_change("quantum")
            samples += quantum
            time.sleep(max(0.0, start + samples / RATE - time.monotonic()))
            if not graph.stalled:
                played = callback.run_cycle(graph.source(quantum), samples, time.monotonic_ns())
                graph.recorded.append(played)
        callback.close()

    def set_latency(self, delay_samples: int) -> None:
        self.latency = delay_samples

    def input_latency_ms(self) -> float:
        return 2.0

    def output_latency_ms(self) -> float:
        return 3.0

    def policy(self) -> str:
        return "other"

    def alive(self) -> bool:
        return self._run and not self._graph.stalled


class Node:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def ensure(self) -> str:
        if self._graph.down:
            raise NoAudioServer("neither PipeWire nor JACK answers: start one")
        return "loopback"

    def stop(self) -> None:
        pass


class Routes:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._names = ("usb", "webcam", "rwc-probe")
        self.choice = graph.saved_input
        self.engaged = False
        self.channel, self.side = "auto", ""

    @property
    def current(self) -> str:
        return "usb" if self.choice == "default" else self.choice

    def inputs(self) -> list[Input]:
        return [Input(name, name.title(), name == "usb", name == self.current, 1, False) for name in self._names[:2]]

    def choose(self, name: str) -> None:
        if name not in (*self._names, "default"):
            raise NoSuchInput(f"no input '{name[:60]}'; known: default, {', '.join(self._names[:2])}")
        self.choice = name

    def decide(self) -> InputChoice:
        return InputChoice(
            Device(self.current, self.current, self.current, self.current, "AudioBackend/Source", *[False] * 2, 0)
        )

    def reconcile(self) -> None:
        if self._graph.down:
            raise NoAudioServer("neither PipeWire nor JACK answers: start one")


class Watch:
    ports_only = False

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None

    def graph(self) -> View:
        return View()

    def follow(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Recorders:
    ports_only = False

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.volume = VolumeHold()

    def look(self) -> int:
        return self._graph.listeners


class Leftovers:
    """No client is left over here."""

    def remove(self) -> int:
        return 0


class Output:
    """What is fed comes out."""

    def stands_still(self) -> bool:
        return False
