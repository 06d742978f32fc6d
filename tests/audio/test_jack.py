"""Plain JACK2 (`jackd -d dummy`), and no server at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rwc_daemon.audio import libjack
from rwc_daemon.errors import NoAudioServer
from testkit.harness.session import OUTSIDE, wait_for

SERVER = f"rwc-test-{os.getpid()}"


@pytest.fixture
def jackd(tmp_path, monkeypatch):
    """A dummy server of our own, and no PipeWire in sight."""
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JACK_DEFAULT_SERVER", SERVER)
    monkeypatch.setenv("JACK_NO_AUDIO_RESERVATION", "1")
    log = (tmp_path / "jackd.log").open("w")
    command = ["jackd", "-n", SERVER, "-r", "-d", "dummy", "-r", "48000", "-p", "256"]
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    wait_for(libjack.jackd_runs, what="jackd")
    yield
    process.terminate()
    process.wait(10)
    log.close()


def test_the_ports_serve_on_plain_jack(jackd):
    script = Path(__file__).with_name("jack_client.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    server = answer.pop("server")
    assert server.startswith("jack 1.")
    assert answer == {
        "tier": "ports",
        "alive": True,
        "rate": 48000,
        "quantum": 256,
        "inputs": ["system"],
        "listeners": [0, 1, 0],
        "delay": 0,
        "unity": True,
    }


def test_no_server_says_what_to_start(tmp_path, monkeypatch):
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JACK_DEFAULT_SERVER", SERVER)
    with pytest.raises(NoAudioServer, match=r"systemctl --user start pipewire.*tools/start"):
        libjack.load()
