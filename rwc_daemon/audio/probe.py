"""Plays into the daemon and records RWC Mic in one graph clock: latency to the sample.

Two JACK clients: a single one would close a ring through the microphone's node, and PipeWire's graph would stand
still. The playing one is chosen as the daemon's input by its name, "rwc-probe"; when it closes, the daemon falls back
to its microphone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rwc_daemon.audio import holder, libjack
from rwc_daemon.audio.callback import ProbeCallback
from rwc_daemon.audio.graph import GraphWatch, JackGraph, PipeWireGraph, Port
from rwc_daemon.errors import NoAudioServer, NotReady

NAME = "rwc-probe"
RECORDER = "{name}-record"
POLL_S = 0.01
CLOSE_TIMEOUT_S = 2.0


class Probe:
    """Use it in a `with`. Raises NoAudioServer on entry."""

    def __init__(self, name: str = NAME) -> None:
        self._name = name
        self._recorder_name = RECORDER.format(name=name)
        self._clients: list[Any] = []
        self._callback = ProbeCallback()
        self._pipewire: PipeWireGraph | None = None
        self._watch: GraphWatch = JackGraph(lambda: self._clients[0] if self._clients else None)
        self.rate = 0
        # samples/s of the graph

    def __enter__(self) -> Probe:
        library = libjack.load()
        try:
            for name in (self._name, self._recorder_name):
                self._clients.append(_open(library, name))
            self._callback.register(*self._clients)
        except NoAudioServer:
            self._close()
            raise
        for client in self._clients:
            client.activate()
        self.rate = int(self._clients[0].samplerate)
        if library.is_pipewire:
            self._watch = self._pipewire = PipeWireGraph()
            self._pipewire.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pipewire:
            self._pipewire.stop()
        self._close()

    def _close(self) -> None:
        clients, self._clients = self._clients, []
        closer = threading.Thread(target=_close, args=(clients, self._callback), daemon=True)
        closer.start()
        closer.join(CLOSE_TIMEOUT_S)

    def record_from(self, node: str = holder.NODE, timeout_s: float = 3.0) -> None:
        """Links a node's first output to us; on plain JACK2 that is "rwc". Raises NotReady."""
        self._link(
            lambda: (self._port(node, True), self._port(self._recorder_name, False)), timeout_s, f"record '{node}'"
        )

    def play_into(self, node: str, timeout_s: float = 3.0) -> None:
        """Links us to a node's first input. The daemon does that itself when "rwc-probe" is its input."""
        self._link(lambda: (self._port(self._name, True), self._port(node, False)), timeout_s, f"play into '{node}'")

    def wait_until_played_into(self, node: str = "rwc", timeout_s: float = 3.0) -> None:
        """Until the daemon has linked us to its input. Raises NotReady."""

        def linked() -> bool:
            graph, sink = self._watch.graph(), self._port(node, False)
            source = self._port(self._name, True)
            return bool(sink and source and any(link.source == source.id for link in graph.links_into(sink)))

        _wait_for(linked, timeout_s, f"'{node}' did not take '{self._name}' as its input")

    def round_trip(self, signal: np.ndarray, rate: int) -> np.ndarray:
        """Plays f32[n] at `rate`, which must be the graph's; f32[n] recorded in the same cycles. Raises NotReady."""
        assert rate == self.rate, (rate, self.rate)
        recorded = self._callback.arm(signal)
        _wait_for(lambda: self._callback.done, 2 * signal.size / rate + 5, "the audio graph stands still")
        return recorded

    def start(self, signal: np.ndarray) -> np.ndarray:
        """Like `round_trip`, but comes back at once; the answer fills as it is recorded."""
        return self._callback.arm(signal)

    def _port(self, node: str, output: bool) -> Port | None:
        graph = self._watch.graph()
        return next(iter(graph.ports_of(graph.node(node), output)), None)

    def _link(self, ends: Callable[[], tuple[Port | None, Port | None]], timeout_s: float, what: str) -> None:
        def linked() -> bool:
            source, sink = ends()
            if not source or not sink:
                return False
            if any(link.source == source.id for link in self._watch.graph().links_into(sink)):
                return True
            self._watch.connect(source, sink)
            return False

        _wait_for(linked, timeout_s, f"cannot {what}: it is not in the audio graph")


def _open(library: libjack.LibJack, name: str) -> Any:
    jack = library.module
    try:
        return jack.Client(name, use_exact_name=True, no_start_server=True)
    except jack.JackOpenError as error:
        raise NoAudioServer(f"{library.server} takes no client '{name}': does another one run?") from error


def _close(clients: list[Any], callback: ProbeCallback) -> None:
    for client in clients:
        client.close()
    del callback  # only now may its memory go


def _wait_for(true: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise NotReady(f"{what} (waited {timeout_s:.0f} s)")
        time.sleep(POLL_S)
