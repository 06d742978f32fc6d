"""Notifies systemd (sd_notify) without its library: one datagram per message to $NOTIFY_SOCKET.

Outside systemd every call does nothing.
"""

from __future__ import annotations

import os
import socket


class Notifier:
    """Readiness, status line and watchdog of one service."""

    def __init__(self, address: str | None = None, watchdog_us: str | None = None) -> None:
        """By default both come from the environment that systemd gives the service."""
        self._address = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        given = os.environ.get("WATCHDOG_USEC", "") if watchdog_us is None else watchdog_us
        self.watchdog_s = int(given) / 1e6 if given.isdigit() else 0.0
        # systemd expects a ping within this time; 0: it does not watch

    @property
    def on(self) -> bool:
        return bool(self._address)

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Sets the line that `systemctl status` shows."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def extend_s(self, seconds: float) -> None:
        """Asks for more time to start or stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as bus:
            bus.setblocking(False)
            try:
                bus.sendto(message.encode(), address)
            except OSError:
                return  # systemd is busy or gone: the next message may get through, and none is worth dying for
