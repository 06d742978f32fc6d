"""JACK clients of ours that should not be there: they would hold the microphone with nobody recording.

At most one is right, while our client is open, and none while it is closed. What is too much is closed where its server
was taken for dead by mistake, and else destroyed in the server:
libjack would crash if it closed one of those later, so nothing here does.
"""

from __future__ import annotations

import os
import time

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.audio.graph import GraphWatch, Node, run_quietly
from rwc_daemon.audio.server_dump import nodes_of, server_objects

PATIENCE_S = 3.0  # a client that is just being closed stays in the graph for a moment


class Strays:
    """Finds strays of one client. Call `remove` from the thread that opens and closes it."""

    def __init__(self, watch: GraphWatch, client: AudioClient, patience_s: float = PATIENCE_S, pid: int = 0) -> None:
        """`pid`: whose clients are meant; 0: this process's."""
        self._watch, self._client, self._patience_s = watch, client, patience_s
        self._pid = pid or os.getpid()
        self._since_s: dict[str, float] = {}
        # serial of a node too many → monotonic seconds when it was first seen

    def remove(self) -> int:
        """Answers how many were closed or destroyed. Blocks for some 10 ms only where there are any."""
        closed = self._client.close_left_behind()
        now, too_many = time.monotonic(), self._too_many()
        self._since_s = {node.serial: self._since_s.get(node.serial, now) for node in too_many}
        old = [node for node in too_many if now - self._since_s[node.serial] > self._patience_s]
        ours = [node for node in old if node.id in nodes_of(server_objects(), self._pid)] if old else []
        for node in ours:
            run_quietly("pw-cli", "destroy", node.id)
        return closed + len(ours)

    def _too_many(self) -> list[Node]:
        """The newest node of our name is the open client's."""
        nodes = [node for node in self._watch.graph().nodes.values() if node.name == self._client.name]
        nodes.sort(key=lambda node: int(node.serial) if node.serial.isdigit() else 0)
        return nodes[:-1] if self._client.is_open else nodes
