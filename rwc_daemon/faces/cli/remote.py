"""The daemon as the commands of rwcctl ask for it: plain values, in the words of `controls`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rwc_daemon import controls
from rwc_daemon.doctor import services
from rwc_daemon.errors import BadSettings, NoDaemon, NotReady
from rwc_daemon.faces.dbus_client import NoAnswer, SyncDaemon
from rwc_daemon.host import paths
from rwc_daemon.settings import read


class RunningDaemon:
    """A running daemon. Every method raises the daemon's own error, or NoDaemon when it has gone."""

    def __init__(self, bus: SyncDaemon) -> None:
        self.bus = bus

    def call(self, method: str, *args: Any) -> Any:
        return self.bus.call(method, *args)

    def put(self, name: str, value: Any) -> None:
        """Sets one property of the contract."""
        self.bus.set(name, value)

    def properties(self) -> dict[str, Any]:
        return self.bus.get_all()

    def statistics(self) -> dict[str, Any]:
        return self.bus.call("GetStatistics")

    def voices(self) -> list[dict[str, Any]]:
        return self.bus.call("ListVoices")

    def inputs(self) -> list[dict[str, Any]]:
        return self.bus.call("ListInputs")

    def controls(self) -> dict[str, Any]:
        """All controls by their names in `controls`."""
        have = self.properties()
        return {name: have[controls.dbus_name(name)] for name in controls.NAMES}

    def set_controls(self, wanted: dict[str, Any]) -> None:
        """Several at once, all or nothing; names as in `controls`."""
        self.call("SetControls", {controls.dbus_name(name): value for name, value in wanted.items()})

    def use(self, voice: str, timeout_s: float) -> str:
        """Switches to a voice, waits until it converts and returns its id. Raises what is against this request."""
        try:
            self.bus.call("UseVoice", voice, {}, timeout_s=timeout_s)
        except NoAnswer:
            raise NotReady(
                f"'{voice}' is still loading after {timeout_s:g} s: `rwcctl status` tells when it converts"
            ) from None
        return str(self.properties()["Voice"])


@contextmanager
def connected() -> Iterator[RunningDaemon]:
    """A connection for the length of a `with`; raises NoSessionBus or NoDaemon."""
    try:
        bus = SyncDaemon.connect()
    except NoDaemon as none:
        raise NoDaemon(_because_of_settings() or services.why_down() or str(none)) from none
    with bus:
        yield RunningDaemon(bus)


def _because_of_settings() -> str:
    """A daemon refuses settings that it cannot read, and says so in a journal where nobody may have looked."""
    try:
        read(paths.config_file(), os.environ)
    except BadSettings as bad:
        return f"rwc-daemon does not run: {bad} (then: systemctl --user restart rwc-daemon)"
    return ""
