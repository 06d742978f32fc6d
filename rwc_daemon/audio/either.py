"""Shows the graph of the server that answers first: PipeWire's registry, or JACK2 seen through our own client.

It stays with that kind of server, because this process can have one libjack only (see `libjack`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rwc_daemon.audio import libjack
from rwc_daemon.audio.graph import Graph, GraphWatch, JackGraph, Link, PipeWireGraph, Port, ignore_change
from rwc_daemon.audio.holder import FIRST
from rwc_daemon.audio.names import MicrophoneNames


class EitherGraph:
    """A graph that is empty until `follow` has found a server."""

    def __init__(self, client: Callable[[], Any], names: MicrophoneNames = FIRST) -> None:
        """`client`: gives the open `jack.Client`, or None; `names`: of the microphone that looks."""
        self._names = names
        self.on_change: Callable[[], None] = ignore_change
        self.ports_only = False
        # plain JACK2: the graph is seen only while our client is open, and has no RWC Mic but its ports
        self._client = client
        self._found: GraphWatch | None = None

    def follow(self) -> None:
        """Keeps the graph up to date from now on; may wait a moment for a server. Raises NoAudioServer."""
        if self._found is not None:
            return
        if libjack.require_server():
            registry = PipeWireGraph()
            registry.on_change = self._changed
            self._found = registry
            registry.start()
        else:
            self.ports_only, self._found = True, JackGraph(self._client)

    def _changed(self) -> None:
        self.on_change()

    def stop(self) -> None:
        if isinstance(self._found, PipeWireGraph):
            self._found.stop()

    def graph(self) -> Graph:
        return replace(self._found.graph() if self._found else Graph(), names=self._names)

    def connect(self, source: Port, sink: Port) -> None:
        if self._found:
            self._found.connect(source, sink)

    def disconnect(self, link: Link) -> None:
        if self._found:
            self._found.disconnect(link)
