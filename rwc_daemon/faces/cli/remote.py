"""The daemon as the commands of rwcctl ask for it: plain values, in the words of `controls`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rwc_daemon import controls
from rwc_daemon.control import doctor_services
from rwc_daemon.errors import BadSettings, NoDaemon, NotReady, by_code
from rwc_daemon.faces.dbus_client import SyncDaemon
from rwc_daemon.host import paths
from rwc_daemon.settings import read


class Daemon:
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

    def id_of(self, voice: str) -> str:
        """Of a voice that the daemon knows, by id or by name."""
        known = self.voices()
        by_name = {one["name"].casefold(): one["id"] for one in known}
        return voice if any(one["id"] == voice for one in known) else by_name.get(voice.casefold(), voice)

    def use(self, voice: str, timeout_s: float) -> str:
        """Switches to a voice and waits until it converts; gives its id. Raises what the daemon says against it."""
        self.bus.listen()
        self.call("LoadVoice", voice)
        # not from what is loading: a voice that fails at once is no longer loading now
        wanted, have = self.id_of(voice), self.properties()
        end, fault = time.monotonic() + timeout_s, None
        while have["Loading"] or have["Voice"] != wanted:
            if fault and not have["Loading"]:
                raise by_code(fault[0])(fault[1])
            event = self.bus.next_event(end - time.monotonic()) if time.monotonic() < end else None
            if event is None:
                raise NotReady(
                    f"'{wanted}' is still loading after {timeout_s:g} s: `rwcctl status` tells when it converts"
                )
            fault = event.values if event.signal == "Fault" else fault
            have = self.properties()
        return have["Voice"]


@contextmanager
def connected() -> Iterator[Daemon]:
    """A connection for the length of a `with`; raises NoSessionBus or NoDaemon."""
    try:
        bus = SyncDaemon.connect()
    except NoDaemon as none:
        raise NoDaemon(_because_of_settings() or doctor_services.why_down() or str(none)) from none
    with bus:
        yield Daemon(bus)


def _because_of_settings() -> str:
    """A daemon refuses settings that it cannot read, and says so in a journal where nobody may have looked."""
    try:
        read(paths.config_file(), os.environ)
    except BadSettings as bad:
        return f"rwc-daemon does not run: {bad} (then: systemctl --user restart rwc-daemon)"
    return ""
