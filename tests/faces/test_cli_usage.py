"""rwcctl without a daemon: help, wrong usage, and what it says where nothing answers. Run as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwc_daemon import controls
from rwc_daemon.faces.cli import main
from rwc_daemon.faces.cli.main import COMMANDS, MODULES

USAGE, NO_DAEMON = 2, 3
ASKS_THE_DAEMON = [
    "status", "voices", "use deep", "voice deep", "remove nobody", "pitch", "pitch 2", "pitch --by -2", "formant 1",
    "set gate_db -50", "get", "get pitch", "reset", "mode", "mode bypass --yes", "mute", "unmute", "inputs",
    "input default", "watch --seconds 1", "demo", "latency",
]  # fmt: skip


def rwcctl(words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rwc_daemon.faces.cli.main", *words.split()]
    keep = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    home = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**keep, **home, **environment},
        cwd=folder,
        timeout=60,
    )


def says_one_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("rwcctl: ")
    return lines[0]


@pytest.fixture(scope="module")
def empty_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A session bus with nobody on it."""
    command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as bus:
        assert bus.stdout
        yield bus.stdout.readline().strip()
        bus.terminate()


def test_help_lists_every_command(tmp_path: Path) -> None:
    done = rwcctl("--help", tmp_path)
    assert done.returncode == 0
    for command in MODULES:
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize("command", list(MODULES))
def test_every_command_has_help_and_json(command: str, tmp_path: Path) -> None:
    done = rwcctl(f"{command} --help", tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "--json" in done.stdout
    assert done.stdout.startswith(f"usage: rwcctl {command}")


def test_help_names_ranges_and_units(tmp_path: Path) -> None:
    text = rwcctl("set --help", tmp_path).stdout
    for name, span in controls.NUMBERS.items():
        assert f"{span.low:g} … {span.high:g}" in next(line for line in text.splitlines() if f" {name} " in line)
    assert "semitones" in rwcctl("pitch --help", tmp_path).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "rwcctl COMMAND"),
        ("pich 3", "did you mean 'pitch'?"),
        ("statsu", "did you mean 'status'?"),
        ("--frobnicate", "--frobnicate"),
        ("status --frobnicate", "--frobnicate"),
        ("use", "VOICE"),
        ("pitch 1 2", "2"),
        ("pitch 1 --by 2", "--by"),
        ("mode sing", "convert"),
        ("mode bypass", "--yes"),
        ("logs -n many", "many"),
        *((f"use deep --timeout {time}", "seconds above 0") for time in ("nan", "inf", "-1", "0", "abc")),
        ("watch --seconds nan", "seconds above 0"),
        ("bench --seconds -1", "seconds above 0"),
    ],
)
def test_wrong_usage(words: str, expected: str, tmp_path: Path) -> None:
    done = rwcctl(words, tmp_path)
    assert done.returncode == USAGE, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ASKS_THE_DAEMON)
def test_no_daemon(words: str, tmp_path: Path, empty_bus: str) -> None:
    done = rwcctl(words, tmp_path, DBUS_SESSION_BUS_ADDRESS=empty_bus)
    assert done.returncode == NO_DAEMON, done.stderr
    assert "start" in says_one_line(done)
    assert done.stdout == ""


def test_no_session_bus(tmp_path: Path) -> None:
    done = rwcctl("status", tmp_path)
    assert done.returncode == NO_DAEMON
    assert "session bus" in says_one_line(done)
    done = rwcctl("status", tmp_path, DBUS_SESSION_BUS_ADDRESS=f"unix:path={tmp_path}/none")
    assert done.returncode == NO_DAEMON
    assert "session bus" in says_one_line(done)


def test_install_without_systemd_session(tmp_path: Path) -> None:
    for command in ("install", "uninstall"):
        done = rwcctl(command, tmp_path)
        assert done.returncode == 1
        assert "./tools/start" in says_one_line(done)
    assert not list(tmp_path.rglob("*.service"))


def test_doctor_without_anything(tmp_path: Path) -> None:
    done = rwcctl("doctor --json", tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert not report["well"]
    by_part = {finding["part"]: finding for finding in report["findings"]}
    assert by_part["daemon"]["state"] == "bad"
    assert by_part["server"]["state"] == "bad"
    assert all(finding["fix"] for finding in report["findings"] if finding["state"] == "bad")


def test_bench_needs_no_daemon(tmp_path: Path) -> None:
    done = rwcctl("bench plain deep --seconds 1 --json", tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["voice"] for row in report["voices"]] == ["plain", "deep"]
    assert all(0 < row["p50_ms"] <= row["p95_ms"] <= row["max_ms"] for row in report["voices"])
    done = rwcctl("bench dep", tmp_path)
    assert done.returncode == 1
    assert "deep" in says_one_line(done)


def test_a_reader_that_leaves_early_is_no_failure(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m rwc_daemon.faces.cli.main --help | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("bug", "words"),
    [(PermissionError(13, "Permission denied", "/place"), "rwcctl: /place: Permission denied"),
     (ValueError("a\nb"), "rwcctl: unexpected ValueError: a b (a bug in RWC; RWC_DEBUG=1 shows where)")],
)  # fmt: skip
def test_what_nobody_foresaw_is_one_line(
    bug: Exception, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(typed: list[str]) -> int:
        raise bug

    monkeypatch.delenv("RWC_DEBUG", raising=False)
    monkeypatch.setattr(main, "act", fail)
    assert main.main(["status"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(words)
    assert said.count("\n") == 1


def test_settings_that_keep_the_daemon_from_running_are_named(tmp_path: Path, empty_bus: str) -> None:
    folder = tmp_path / ".config/rwc"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[voice]\nfrist = 'deep'\n")
    done = rwcctl("status", tmp_path, DBUS_SESSION_BUS_ADDRESS=empty_bus)
    assert done.returncode == NO_DAEMON
    assert "did you mean 'voice.first'?" in says_one_line(done)


def test_commands_are_grouped_once() -> None:
    listed = [command for group in COMMANDS.values() for command in group]
    assert len(listed) == len(set(listed)) == len(MODULES)
