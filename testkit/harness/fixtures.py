"""`audio_session`: import it into a test module (or its conftest) to run that module in a private PipeWire session."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.harness.session import OUTSIDE, AudioSession


@pytest.fixture(scope="module")
def audio_session() -> Iterator[AudioSession]:
    # not pytest's own folder: a socket's path has 107 characters
    folder = Path(tempfile.mkdtemp(prefix="rwc-"))
    session = AudioSession(folder / "s")
    with pytest.MonkeyPatch.context() as patch:
        for name in (*OUTSIDE, *session.environment()):
            patch.delenv(name, raising=False)
        session.start()
        for name, value in session.environment().items():
            patch.setenv(name, value)
        yield session
        session.stop()
    shutil.rmtree(folder)
