"""A daemon's core on a bus of the test's own, and a client beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from dbus_next import Message

from rwc_daemon.faces import dbus_types
from rwc_daemon.faces.dbus import DbusFace
from rwc_daemon.faces.dbus_client import Daemon, Event
from testkit.daemon_parts import Bus, Whole, whole_core

Check = Callable[[Daemon, Whole], Awaitable[None]]


def run(bus: Bus, folder: Path, check: Check) -> None:
    async def whole() -> None:
        async with whole_core(folder) as it:
            face = await DbusFace.open(it.api, bus.address)
            try:
                async with await Daemon.connect(address=bus.address) as daemon:
                    await check(daemon, it)
            finally:
                face.close()

    asyncio.run(whole())


async def until(daemon: Daemon, wanted: Callable[[Event], bool]) -> Event:
    event = await daemon.wait_for(wanted, 30)
    assert event is not None
    return event


async def raw(daemon: Daemon, member: str, kinds: str = "", body: list | None = None, **other: str) -> Message:
    where = {"destination": dbus_types.NAME, "path": dbus_types.PATH, "interface": dbus_types.INTERFACE, **other}
    reply = await daemon._bus.call(Message(member=member, signature=kinds, body=body or [], **where))
    assert reply is not None
    return reply
