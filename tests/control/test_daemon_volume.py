"""RWC Mic's volume, heard by an application: the user's own, and nobody else's. Real servers, the real daemon."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.browser import browser
from testkit.daemon_session import Session, running_daemon, session, until, until_state
from testkit.microphones import RATE, Ear, level_db, microphone, speaking, voice_file


@pytest.fixture(scope="module")
def desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("session")
    with (
        session(folder / "s") as it,
        microphone(it, "usb"),
        speaking(it, voice_file(folder), "usb"),
        running_daemon(it, RWC_AUDIO_CONSTANT_LATENCY_MS="400"),  # a busy machine is not what is tried here
    ):
        yield it


@pytest.fixture
def daemon(desktop: Session) -> Iterator[SyncDaemon]:
    with SyncDaemon.connect(address=desktop.bus) as it:
        until_state(it, "idle")
        it.set("Input", "usb")
        it.call("LoadVoice", "plain")
        until(lambda: it.get("Voice") == "plain")
        yield it


def rwcctl(desktop: Session, *words: str) -> str:
    return desktop.run(sys.executable, "-m", "rwc_daemon.faces.cli.main", *words)


def test_a_browsers_gain_is_undone_and_the_users_is_not(desktop: Session, daemon: SyncDaemon) -> None:
    with Ear(desktop) as ear:
        until_state(daemon, "live")
        until(lambda: ear.level_db() > -30)
        loud = ear.level_db()
        for percent in ("10%", "0", "40%", "150%"):
            begin = len(ear.heard)
            desktop.run("pactl", "set-source-volume", "rwc_mic", percent)
            assert ear.level_db(1.0) > -90  # a moment, not the rest
            assert level_db(ear.heard[begin + int(0.5 * RATE) :]) == pytest.approx(loud, abs=0.5), percent
        figures = daemon.call("GetStatistics")
        assert figures["volume_put_back"] >= 4
        assert "set the volume of RWC Mic to 10 %" in figures["last_fault_message"]  # told once
        assert "rwcctl volume" in figures["last_fault_message"]
        assert "state live" in rwcctl(desktop, "doctor")

        assert rwcctl(desktop, "volume", "-6") == "volume_db -6 dB\n"
        until(lambda: ear.level_db() == pytest.approx(loud - 6, abs=0.5))
        daemon.set("VolumeDb", 3.0)
        assert rwcctl(desktop, "volume", "--by", "-1") == "volume_db 2 dB\n"
        until(lambda: ear.level_db() == pytest.approx(loud + 2, abs=0.5))
        assert "from -30 to 12 dB" in rwcctl(desktop, "volume", "13")
        assert daemon.get("VolumeDb") == 2.0
        daemon.call("ResetControls")
        until(lambda: ear.level_db() == pytest.approx(loud, abs=0.5))
        assert np.abs(ear.heard).max() < 1


def test_the_volume_is_remembered(desktop: Session, daemon: SyncDaemon) -> None:
    daemon.set("VolumeDb", -3.5)
    state = Path(desktop.env["XDG_STATE_HOME"]) / "rwc/state.json"
    until(lambda: '"volume_db": -3.5' in state.read_text())
    daemon.call("ResetControls")


def test_a_call_in_a_browser_does_not_turn_it_down_for_others(desktop: Session, daemon: SyncDaemon) -> None:
    daemon.set("VolumeDb", 12)  # loud: a gain that can would go down
    before = daemon.call("GetStatistics")["volume_put_back"]
    with Ear(desktop) as ear, browser(desktop.env) as chromium:
        until(lambda: ear.level_db() > -10)
        with chromium.recording("RWC Mic", autoGainControl=True) as call:
            assert call.settings["autoGainControl"]
            begin = len(ear.heard)
            until(lambda: len(call.heard) > 5 * RATE)
            levels = [level_db(part) for part in np.array_split(ear.heard[begin:], 25)]
        assert daemon.call("GetStatistics")["volume_put_back"] > before  # it tried
        played = [level for level in levels if level > -100]  # a dropout of a busy machine is digital silence
        assert len(played) > 10
        loud = float(np.median(played))  # one look before the call may fall on a dropout
        assert loud > -10
        assert played == pytest.approx([loud] * len(played), abs=0.5)
        until(lambda: ear.level_db() == pytest.approx(loud, abs=0.5))
