"""One daemon, none, and a bus that goes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rwc_daemon.errors import (
    AlreadyRunning,
    NoDaemon,
    NoSessionBus,
)
from rwc_daemon.faces.dbus import DbusFace
from rwc_daemon.faces.dbus_bus import close_bus, open_bus
from rwc_daemon.faces.dbus_client import Daemon, SyncDaemon
from testkit.daemon_parts import Bus, Whole, session_bus, whole_core
from testkit.dbus_calls import run


def test_a_second_daemon_is_refused(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        with pytest.raises(AlreadyRunning, match="another rwc-daemon"):
            await DbusFace.open(whole.api, bus.address)

    run(bus, tmp_path, check)


def test_no_daemon_and_no_bus(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoDaemon, match="systemctl --user start rwc-daemon"):
        SyncDaemon.connect(address=bus.address)
    with pytest.raises(NoDaemon):
        SyncDaemon.connect(address=bus.address, start=True)
    for address in (f"unix:path={tmp_path}/none", "nonsense", "unix:"):
        with pytest.raises(NoSessionBus, match="log in to a desktop session"):
            SyncDaemon.connect(address=address)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(NoSessionBus):
        SyncDaemon.connect()


def test_a_lost_bus_is_noticed(tmp_path: Path) -> None:
    async def check() -> None:
        with session_bus() as own:
            async with whole_core(tmp_path) as whole:
                face = await DbusFace.open(whole.api, own.address)
                own.kill()
                async with asyncio.timeout(30):
                    await face.lost()
                whole.core.first.set_controls({"pitch": 1})  # tells nobody, breaks nothing
                await asyncio.sleep(0.05)
                face.close()

    asyncio.run(check())


def test_a_client_hears_that_the_daemon_went(bus: Bus, tmp_path: Path) -> None:
    async def check() -> None:
        async with whole_core(tmp_path) as whole:
            face = await DbusFace.open(whole.api, bus.address)
            async with await Daemon.connect(address=bus.address) as daemon:
                await daemon.listen()
                face.close()
                with pytest.raises(NoDaemon, match="ended meanwhile"):
                    await daemon.wait_for(lambda event: event.signal == "JobDone", 30)
                with pytest.raises(NoDaemon):
                    await daemon.get("Voice")

    asyncio.run(check())


def test_the_bus_leaves_no_descriptor(bus: Bus) -> None:
    async def once() -> None:
        close_bus(await open_bus(bus.address))

    asyncio.run(once())
    fds = Path("/proc/self/fd")
    before = len(list(fds.iterdir()))
    for _ in range(5):
        asyncio.run(once())
    assert len(list(fds.iterdir())) <= before
