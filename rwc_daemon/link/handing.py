"""How the rings of a stream come into an engine that runs: their descriptors, over a socket of their own.

They travel beside the channel of messages, since reading lines from a socket would lose them. Each packet is the number
of one stream and its two descriptors, in the order of the OpenStream messages (unix(7), SCM_RIGHTS).
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Protocol

from rwc_daemon.errors import EngineFailed
from rwc_daemon.link.ring import SharedRings

NUMBER = struct.Struct("<Q")


class Rings(Protocol):
    """What is handed over."""

    memory_fd: int
    wake_fd: int


def handing_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends: the one that gives never waits, the one that takes does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def hand_over(connection: socket.socket, stream: int, rings: Rings) -> None:
    """Raises OSError where the other end is gone, or has taken nothing for long."""
    socket.send_fds(connection, [NUMBER.pack(stream)], [rings.memory_fd, rings.wake_fd])


def take_over(connection: socket.socket, stream: int) -> SharedRings:
    """The rings of that stream, whose OpenStream has come. Raises EngineFailed where they are no rings, or another
    stream's."""
    packet, descriptors, _, _ = socket.recv_fds(connection, NUMBER.size, 2)
    if packet == NUMBER.pack(stream) and len(descriptors) == 2:
        return SharedRings.attach(*descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    raise EngineFailed(f"the memory of stream {stream} did not come: restart rwc-daemon")
