"""A machine without an audio server: the daemon waits, says so, and rwcctl passes it on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwc_daemon.faces.cli.main import PACKAGE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has nothing: no bus, no server, empty folders."""
    keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**keep, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": str(ROOT),
            "JACK_DEFAULT_SERVER": tmp_path.name}  # fmt: skip


@pytest.fixture
def bus(machine: dict[str, str]) -> Iterator[dict[str, str]]:
    command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield {**machine, "DBUS_SESSION_BUS_ADDRESS": process.stdout.readline().strip()}
        process.terminate()


def run(module: str, *words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


def rwcctl(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run(f"{PACKAGE}.main", *words, environment=environment)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_the_daemon_without_a_session_bus(machine: dict[str, str]) -> None:
    done = run("rwc_daemon", environment=machine)
    assert done.returncode == 1
    assert "session bus" in one_line(done)


def test_the_daemon_with_settings_it_cannot_read(machine: dict[str, str]) -> None:
    done = run("rwc_daemon", "--config", "/nowhere.toml", environment=machine)
    assert done.returncode == 2
    assert "/nowhere.toml" in one_line(done)
    done = run("rwc_daemon", environment={**machine, "RWC_AUDIO_LISSEN": "auto"})
    assert done.returncode == 2
    assert "RWC_AUDIO_LISTEN" in one_line(done)


def test_no_audio_server(bus: dict[str, str]) -> None:
    command = [sys.executable, "-m", "rwc_daemon", "--foreground"]
    with subprocess.Popen(command, env=bus, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
        try:
            report = status_with_fault(bus)
            assert report["state"] in ("starting", "degraded")
            assert "PipeWire" in report["fault"]["message"]
            assert "PipeWire" in rwcctl("status", environment=bus).stdout
            assert rwcctl("pitch", "2", environment=bus).returncode == 0
            done = rwcctl("latency", environment=bus)
            assert done.returncode == 1
            assert "PipeWire" in one_line(done)
        finally:
            daemon.terminate()
    assert daemon.returncode == 0


def status_with_fault(environment: dict[str, str]) -> dict:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        done = rwcctl("status", "--json", environment=environment)
        if done.returncode == 0 and (report := json.loads(done.stdout))["fault"]["message"]:
            return report
        time.sleep(0.1)
    raise AssertionError("no fault was reported within 20 s")
