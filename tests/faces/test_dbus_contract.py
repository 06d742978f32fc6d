"""`org.rwc.Daemon1` on a real bus is what is shipped as its contract."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from dbus_next import introspection

from rwc_daemon.controls import NAMES, dbus_name
from rwc_daemon.faces import dbus_types
from rwc_daemon.faces.dbus_client import Daemon
from testkit.daemon_parts import Bus, Whole
from testkit.dbus_calls import run

CONTRACT = Path(__file__).parents[2] / "dbus"


def shape(node: introspection.Node) -> dict[str, object]:
    """Names, types, directions and access of everything, whatever the order."""
    return {
        interface.name: {
            "methods": {
                method.name: [
                    (arg.name, arg.signature, arg.direction.value) for arg in method.in_args + method.out_args
                ]
                for method in interface.methods
            },
            "signals": {
                signal.name: [(arg.name, arg.signature) for arg in signal.args] for signal in interface.signals
            },
            "properties": {item.name: (item.signature, item.access.value) for item in interface.properties},
        }
        for interface in node.interfaces
    }


def test_live_introspection_is_the_shipped_contract(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        live = await daemon._bus.introspect(dbus_types.NAME, dbus_types.PATH)
        shipped = introspection.Node.parse((CONTRACT / "org.rwc.Daemon1.xml").read_text())
        assert shape(live) == shape(shipped)
        (interface,) = (one for one in live.interfaces if one.name == dbus_types.INTERFACE)
        assert len(interface.methods) == 13
        assert len(interface.properties) == 27

    run(bus, tmp_path, check)


def test_every_control_is_a_property_that_can_be_set() -> None:
    assert {dbus_name(name) for name in NAMES} <= set(dbus_types.WRITABLE)


def test_the_activation_file_names_bus_and_unit() -> None:
    text = (CONTRACT / "org.rwc.Daemon1.service").read_text()
    assert "Name=org.rwc.Daemon1" in text
    assert "SystemdService=rwc-daemon.service" in text


def test_common_tools_understand_it(bus: Bus, tmp_path: Path) -> None:
    """busctl and gdbus, as a user would type."""

    async def tool(*command: str) -> str:
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = await process.communicate()
        return said.decode()

    async def check(daemon: Daemon, whole: Whole) -> None:
        where = (dbus_types.NAME, dbus_types.PATH)
        busctl = ("busctl", f"--address={bus.address}", "--")
        shown = await tool(*busctl, "introspect", *where)
        assert all(name in shown for name in ("LoadVoice", "WatchLevels", "LatencyMs", "PropertiesChanged"))
        assert dbus_types.PATH in await tool(*busctl, "tree", dbus_types.NAME)
        await tool(*busctl, "set-property", *where, dbus_types.INTERFACE, "Pitch", "d", "-3")
        assert await tool(*busctl, "get-property", *where, dbus_types.INTERFACE, "Pitch") == "d -3\n"
        gdbus = ("gdbus", "call", "--address", bus.address, "--dest", where[0], "--object-path", where[1], "--method")
        answer = await tool(*gdbus, f"{dbus_types.INTERFACE}.LoadVoice", "dep")
        assert "org.rwc.Error.NoSuchVoice" in answer
        assert "did you mean deep?" in answer

    run(bus, tmp_path, check)
