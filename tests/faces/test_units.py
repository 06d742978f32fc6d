"""The units that `rwcctl install` writes: filled in, accepted by systemd, as hard as they claim."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rwc_daemon.faces.cli import units

ROOT = Path(__file__).parents[2]
HIGHEST_EXPOSURE = 7.5  # of systemd's 0 (safe) to 10, offline; a ratchet

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[units.Written]:
    """All files of an installation into a home with awkward characters, on disk."""
    home = tmp_path / "a %h $HOME"
    program = home / "rwc-daemon"
    home.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(units, "program", lambda name: program)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    files = units.wanted_files()
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.write_text(file.text)
    return files


def analyze(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "SYSTEMD_LOG_LEVEL": "warning"}
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def test_every_name_is_filled_in(written: list[units.Written]) -> None:
    assert {file.path.name for file in written} >= {units.DAEMON, units.ACTIVATION}
    for file in written:
        assert not re.search(r"@[A-Z_]+@", file.text), file.path
        assert not units.stale(file)


def test_systemd_accepts_them(written: list[units.Written], tmp_path: Path) -> None:
    services = [str(file.path) for file in written if file.path.suffix == ".service" and "systemd" in file.path.parts]
    done = analyze("verify", "--user", "--man=no", *services, folder=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "", "an unknown key is only a warning, and counts"


@pytest.mark.parametrize("name", [units.DAEMON, units.MICROPHONE])
def test_hardening_does_not_slip(name: str, written: list[units.Written], tmp_path: Path) -> None:
    path = next(file.path for file in written if file.path.name == name)
    done = analyze("security", "--user", "--offline=yes", str(path), folder=tmp_path)
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", done.stdout)
    assert exposure, done.stderr
    assert float(exposure[1]) <= HIGHEST_EXPOSURE


def test_wiring() -> None:
    microphone = (ROOT / "systemd" / units.MICROPHONE).read_text()
    # bound to the server and wanted by it: bound alone it would stay dead after a crash of PipeWire
    assert "BindsTo=pipewire.service" in microphone
    assert "WantedBy=pipewire.service" in microphone
    daemon = (ROOT / "systemd" / units.DAEMON).read_text()
    assert "BindsTo=" not in daemon
    assert "RestartPreventExitStatus=2 3" in daemon
    assert "Type=notify" in daemon
    assert "WatchdogSec=" in daemon
    activation = (ROOT / "dbus" / units.ACTIVATION).read_text()
    assert f"SystemdService={units.DAEMON}" in activation
