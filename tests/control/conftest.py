"""One session and one daemon for a whole file of tests; a file that needs another kind has fixtures of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.daemon_session import Session, running_daemon, session, until_state


@pytest.fixture(scope="module")
def desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with session(tmp_path_factory.mktemp("session")) as it:
        yield it


@pytest.fixture(scope="module")
def process(desktop: Session) -> Iterator[subprocess.Popen[bytes]]:
    with running_daemon(desktop, "--foreground") as it:
        yield it


@pytest.fixture
def daemon(desktop: Session, process: subprocess.Popen[bytes]) -> Iterator[SyncDaemon]:
    with SyncDaemon.connect(address=desktop.bus) as it:
        until_state(it, "idle")
        yield it
