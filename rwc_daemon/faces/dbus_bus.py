"""The session bus, opened and closed properly: what dbus-next 0.2.3 leaves undone, in one file.

Its writer takes a full socket for a lost one, so that a burst of signals would cut the daemon off; its `disconnect`
keeps the descriptor; without an address in the environment it would ask X11.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any

from dbus_next import Message
from dbus_next.aio import MessageBus
from dbus_next.aio.message_bus import _MessageWriter
from dbus_next.errors import AuthError, DBusError, InvalidAddressError

from rwc_daemon.errors import NoSessionBus

NO_BUS = "no D-Bus session bus answers: log in to a desktop session, or use './tools/start --run COMMAND'"


class PatientWriter(_MessageWriter):
    """Waits for room in the socket."""

    def __init__(self, bus: MessageBus) -> None:
        super().__init__(bus)
        self._unsent = memoryview(b"")
        self._sent: asyncio.Future[None] | None = None

    def write_callback(self) -> None:
        """Called by the loop while the socket has room and something waits."""
        try:
            self._write()
        except BlockingIOError:
            return  # called again when there is room
        except OSError as lost:
            if self._sent is not None and not self._sent.done():
                self._sent.set_exception(lost)
            self.bus._finalize(lost)

    def _write(self) -> None:
        while self._unsent or not self.messages.empty():
            if not self._unsent:
                message, _, self._sent = self.messages.get_nowait()
                self._unsent = memoryview(message)
            self._unsent = self._unsent[self.sock.send(self._unsent) :]
            if not self._unsent and self._sent is not None and not self._sent.done():
                self._sent.set_result(None)
        self.loop.remove_writer(self.fd)


async def open_bus(address: str | None = None) -> MessageBus:
    """The session bus, connected; by default that of the environment, then the user's own. Raises NoSessionBus."""
    address = address or os.environ.get("DBUS_SESSION_BUS_ADDRESS") or _user_bus()
    if not address:
        raise NoSessionBus(NO_BUS)
    try:
        bus = MessageBus(bus_address=address)
        bus._writer = PatientWriter(bus)
        return await bus.connect()
    except (OSError, EOFError, InvalidAddressError, AuthError, DBusError) as failed:
        raise NoSessionBus(f"{NO_BUS} ({failed})") from failed


def close_bus(bus: MessageBus) -> None:
    """Idempotent; what was sent and fits into the socket still goes out."""
    if bus._sock.fileno() < 0:
        return
    bus._writer.write_callback()
    loop = asyncio.get_running_loop()
    loop.remove_reader(bus._fd)
    loop.remove_writer(bus._fd)
    with suppress(OSError):
        bus._stream.close()
    bus._sock.close()


def post(bus: MessageBus, message: Message) -> None:
    """Sends without waiting; on a lost bus it is dropped."""
    if bus.connected:
        bus.send(message).add_done_callback(_forget)


def _forget(sent: asyncio.Future[Any]) -> None:
    if not sent.cancelled():
        sent.exception()


def _user_bus() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return f"unix:path={runtime}/bus" if runtime and os.path.exists(f"{runtime}/bus") else ""
