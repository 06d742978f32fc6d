"""What the host offers: XDG paths, systemd's notify socket, the journal."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rwc_daemon.host import journal, paths
from rwc_daemon.host.notify import Notifier


def test_paths_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    assert paths.config_file() == tmp_path / "XDG_CONFIG_HOME/rwc/config.toml"
    assert paths.voices_dir() == tmp_path / "XDG_DATA_HOME/rwc/voices"
    assert paths.assets_dir() == tmp_path / "XDG_DATA_HOME/rwc/assets"
    assert paths.state_dir() == tmp_path / "XDG_STATE_HOME/rwc"
    assert paths.runtime_dir() == tmp_path / "XDG_RUNTIME_DIR/rwc"


def test_a_relative_path_counts_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "somewhere")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert paths.state_dir() == tmp_path / ".local/state/rwc"
    assert paths.runtime_dir() == Path(f"/run/user/{os.getuid()}/rwc")


@pytest.mark.parametrize("abstract", [False, True])
def test_notify_reaches_systemd(tmp_path: Path, abstract: bool) -> None:
    address = f"@rwc-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address[1:] if abstract else address)
        systemd.settimeout(5)
        notifier = Notifier(address, "20000000")
        assert notifier.watchdog_s == 20
        notifier.ready("idle")
        notifier.alive()
        notifier.extend_s(2.5)
        notifier.stopping()
        words = [systemd.recv(1000) for _ in range(4)]
    assert words == [b"READY=1\nSTATUS=idle", b"WATCHDOG=1", b"EXTEND_TIMEOUT_USEC=2500000", b"STOPPING=1"]


def test_notify_without_systemd_or_after_it_does_nothing(tmp_path: Path) -> None:
    Notifier("", "").ready("x")
    Notifier(str(tmp_path / "gone"), "").alive()


def test_a_burst_of_one_place_is_cut_and_counted() -> None:
    now = 0.0
    burst = journal.Burst(lambda: now)

    def record() -> logging.LogRecord:
        return logging.LogRecord("rwc", logging.WARNING, "somewhere.py", 7, "broken %s", ("link",), None)

    assert sum(burst.filter(record()) for _ in range(100)) == journal.BURST
    now = journal.BURST_S
    late = record()
    assert burst.filter(late)
    assert late.getMessage() == "broken link (80 lines like this were left out)"


def test_the_journal_gets_fields() -> None:
    sent: list[tuple[str, dict[str, object]]] = []
    log = logging.getLogger("rwc.test.journal")
    log.propagate = False
    log.addHandler(journal.JournalHandler(lambda text, **fields: sent.append((text, fields))))
    journal.event(log, journal.ENGINE_DOWN, "the engine died", logging.WARNING, RWC_PID=7)
    (text, fields), *more = sent
    assert not more
    assert text == "the engine died"
    assert fields["MESSAGE_ID"] == journal.ENGINE_DOWN
    assert (fields["PRIORITY"], fields["RWC_PID"]) == (4, "7")


SAY = """
import logging, os, sys
if {journal!r}:
    stat = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{{stat.st_dev}}:{{stat.st_ino}}"
sys.modules["systemd.journal"] = None
from rwc_daemon.host import journal
journal.set_up("info")
logging.getLogger("x").warning("two\\nlines")
logging.getLogger("x").debug("unseen")
"""


@pytest.mark.parametrize(("under_journal", "wanted"), [(True, "<4>two\n<4>lines\n"), (False, "WARNING two\nlines\n")])
def test_stderr_has_priorities_under_systemd_and_plain_lines_elsewhere(under_journal: bool, wanted: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", SAY.format(journal=under_journal)], capture_output=True, text=True, check=True
    ).stderr
    assert said.endswith(wanted)
    assert "unseen" not in said


def test_message_ids_are_of_journal_form_and_all_different() -> None:
    kinds = [value for name, value in vars(journal).items() if name.isupper() and isinstance(value, str)]
    assert len(kinds) == len(set(kinds)) >= 8
    assert all(len(kind) == 32 and int(kind, 16) for kind in kinds)
