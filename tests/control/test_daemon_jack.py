"""rwc-daemon on plain JACK2: the ports are the microphone, a connection to `rwc:output` is the listener."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rwc_daemon.errors import NoDaemon
from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.daemon_parts import session_bus
from testkit.daemon_session import ROOT, until, until_state

pytestmark = pytest.mark.skipif(
    not (shutil.which("jackd") and shutil.which("jack_lsp")), reason="jackd or jack_lsp is not installed"
)


@contextmanager
def child(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def connected(address: str) -> SyncDaemon:
    found: list[SyncDaemon] = []

    def try_once() -> bool:
        try:
            found.append(SyncDaemon.connect(address=address))
        except NoDaemon:
            return False
        return True

    until(try_once)
    return found[0]


def test_a_server_that_starts_later_is_served_while_somebody_is_connected(tmp_path: Path) -> None:
    server = f"rwc-test-{os.getpid()}"
    places = {f"XDG_{name}": str(tmp_path / name) for name in ("RUNTIME_DIR", "STATE_HOME", "DATA_HOME", "CONFIG_HOME")}
    (tmp_path / "RUNTIME_DIR").mkdir()
    jackd = ["jackd", "-n", server, "-r", "-d", "dummy", "-r", "48000", "-p", "256"]
    with session_bus() as bus:
        env = {**os.environ, **places, "JACK_DEFAULT_SERVER": server, "DBUS_SESSION_BUS_ADDRESS": bus.address}

        def links() -> str:
            return subprocess.run(["jack_lsp", "-c"], env=env, capture_output=True, text=True, check=False).stdout

        with child([sys.executable, "-m", "rwc_daemon"], env), connected(bus.address) as daemon:
            until_state(daemon, "degraded")
            assert daemon.call("GetStatistics")["fault_code"] == "NoAudioServer"
            with child(jackd, env):
                until_state(daemon, "idle")
                assert daemon.get("Microphone") == "ports"
                until(lambda: "rwc:output" in links())
                assert "   rwc:input" not in links()
                with child(["jack_rec", "-f", str(tmp_path / "out.wav"), "-d", "600", "rwc:output"], env):
                    until_state(daemon, "live")
                    until(lambda: "   rwc:input" in links())
                    assert daemon.get("Listeners") == 1
                until_state(daemon, "idle")
                until(lambda: "   rwc:input" not in links())


def test_the_latency_is_measured_through_ports_of_any_name(tmp_path: Path) -> None:
    server = f"rwc-test-{os.getpid()}-named"
    places = {f"XDG_{name}": str(tmp_path / name) for name in ("RUNTIME_DIR", "STATE_HOME", "DATA_HOME", "CONFIG_HOME")}
    (tmp_path / "RUNTIME_DIR").mkdir()
    jackd = ["jackd", "-n", server, "-r", "-d", "dummy", "-r", "48000", "-p", "256"]
    with session_bus() as bus:
        env = {**os.environ, **places, "JACK_DEFAULT_SERVER": server, "DBUS_SESSION_BUS_ADDRESS": bus.address}
        env["RWC_AUDIO_CLIENT_NAME"] = "studio"
        with (
            child(jackd, env),
            child([sys.executable, "-m", "rwc_daemon"], env),
            connected(bus.address) as daemon,
        ):
            until_state(daemon, "idle")
            assert daemon.call("GetStatistics")["client_name"] == "studio"
            command = [sys.executable, "-m", "rwc_daemon.faces.cli.main", "latency", "--json"]
            done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, done.stderr
