"""The engine's end of the control channel: JSON lines over a connected socket, blocking, for one reader thread.

Sending is allowed from any thread. The daemon's end is an asyncio stream on the same lines (control/engine_process.py).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

from rwc_daemon.messages import ENGINE, Message, decode_addressed, encode


class Channel:
    """One connected stream socket that speaks `messages`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    @classmethod
    def from_fd(cls, fd: int) -> Channel:
        return cls(socket.socket(fileno=fd))

    def send(self, message: Message, stream: int = ENGINE) -> None:
        """Raises OSError once the other end is gone."""
        with self._sending:
            self._connection.sendall(encode(message, stream))

    def receive(self) -> Iterator[tuple[int, Message]]:
        """Yields every message as it comes, behind the number of its stream; ends when the other end closes. Raises
        BadMessage."""
        with self._connection.makefile("rb") as lines:
            for line in lines:
                yield decode_addressed(line)

    def close(self) -> None:
        self._connection.close()
