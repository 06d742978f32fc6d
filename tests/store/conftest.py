"""Files of every kind, made once per run."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwc_daemon.store.voices import VoiceStore


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path / "voices")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a v2 and a v1 voice and their indexes: anna.pth, bob.pth …"""
    from testkit.makers import make_index, make_voice  # needs torch

    folder = tmp_path_factory.mktemp("made")
    make_voice(folder, "v2-40k-f0", name="anna")
    make_voice(folder, "v1-48k-nof0", name="bob")
    make_index(folder, 768, 80, name="anna")
    make_index(folder, 256, 80, name="bob")
    return folder


@pytest.fixture(scope="session")
def anna(made: Path) -> Path:
    return made / "anna.pth"
