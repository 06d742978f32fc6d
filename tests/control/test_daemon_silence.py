"""Every cause of silence that can be made here is made, and the daemon says which it is. Real servers, a real daemon.

With -s it prints, as rows of the table in docs/reliability.md, what was said and after how many seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.daemon_session import Session, running_daemon, session, until, until_state
from testkit.microphones import Ear, microphone, speaking, voice_file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("silence")


@pytest.fixture(scope="module")
def desktop(folder: Path) -> Iterator[Session]:
    with session(folder / "s") as it, microphone(it, "usb"), running_daemon(it):
        yield it


@pytest.fixture(scope="module")
def daemon(desktop: Session) -> Iterator[SyncDaemon]:
    with SyncDaemon.connect(address=desktop.bus) as it:
        until_state(it, "idle")
        it.set("Input", "usb")
        it.set("Mode", "bypass")  # the way of the sound without an engine, which a busy machine keeps waiting
        yield it


@pytest.fixture
def ear(desktop: Session, daemon: SyncDaemon) -> Iterator[Ear]:
    with Ear(desktop) as it:
        until_state(daemon, "live")
        yield it
    until_state(daemon, "idle")


def rwcctl(desktop: Session, *words: str) -> str:
    return desktop.run(sys.executable, "-m", "rwc_daemon.faces.cli.main", *words)


def cause(daemon: SyncDaemon) -> str:
    return str(daemon.call("GetStatistics")["silence_cause"])


def said(daemon: SyncDaemon, wanted: str, what: str) -> str:
    """The sentence, when the cause is known; State, fault and sentence agree."""
    begin = time.monotonic()
    until(lambda: cause(daemon) == wanted, 20)
    figures = daemon.call("GetStatistics")
    print(f"\n| {what} | {figures['silence_message']} | {time.monotonic() - begin:.1f} |")
    until_state(daemon, "degraded")
    assert figures["fault_code"] == "Silent"
    assert figures["fault_message"] == figures["silence_message"]
    return str(figures["silence_message"])


def over(daemon: SyncDaemon, ear: Ear) -> None:
    """The sound is back, and nothing is said any more."""
    until(lambda: ear.level_db() > -40, 20)
    until(lambda: cause(daemon) == "", 20)
    until_state(daemon, "live")


@contextmanager
def mixer(desktop: Session, kind: str, name: str, wrong: tuple[str, str], right: tuple[str, str]) -> Iterator[None]:
    desktop.run("pactl", f"set-{kind}-{wrong[0]}", name, wrong[1])
    try:
        yield
    finally:
        desktop.run("pactl", f"set-{kind}-{right[0]}", name, right[1])


MUTED, LOUD = (("mute", "1"), ("mute", "0")), (("volume", "1%"), ("volume", "100%"))


def test_a_dead_microphone_is_said(desktop: Session, daemon: SyncDaemon, ear: Ear) -> None:
    """The first of all: a microphone that was heard before is given half a minute."""
    said(daemon, "input-dead", "the microphone gives digital silence")
    assert "All is well" not in rwcctl(desktop, "doctor")


def test_what_the_mixer_does_is_said(desktop: Session, daemon: SyncDaemon, ear: Ear, folder: Path) -> None:
    with speaking(desktop, voice_file(folder), "usb"):
        over(daemon, ear)
        with mixer(desktop, "source", "usb", *MUTED):
            message = said(daemon, "input-muted", "the microphone is muted in the mixer")
            assert "pactl set-source-mute usb 0" in message
            assert message in " ".join(rwcctl(desktop, "status").split())
            assert message in rwcctl(desktop, "doctor", "--json")
            assert ear.level_db() < -100
        over(daemon, ear)
        with mixer(desktop, "source", "usb", *LOUD):
            assert "at volume 1 %" in said(daemon, "input-low", "the microphone's volume is at 1 %")
        over(daemon, ear)
        with mixer(desktop, "source", "rwc_mic", *MUTED):
            said(daemon, "rwc-mic-muted", "RWC Mic is muted in the mixer")
            assert desktop.run("pactl", "get-source-mute", "rwc_mic") == "Mute: yes\n"
        over(daemon, ear)
        index = desktop.run("pactl", "list", "short", "source-outputs").split()[0]
        with mixer(desktop, "source-output", index, *MUTED):
            said(daemon, "recorder-off", "the recording program's stream is muted in the mixer")
        over(daemon, ear)
        daemon.set("Mode", "mute")
        until(lambda: cause(daemon) == "mute")
        assert "rwcctl unmute" in rwcctl(desktop, "status")
        daemon.set("Mode", "bypass")
        over(daemon, ear)


def test_a_sound_on_the_right_side_only_is_found(desktop: Session, daemon: SyncDaemon, ear: Ear, folder: Path) -> None:
    with speaking(desktop, voice_file(folder), "usb", ("FR",)):
        begin = time.monotonic()
        over(daemon, ear)
        print(f"\n| only the right channel has sound, `auto` | | {time.monotonic() - begin:.1f} |")
        assert daemon.call("GetStatistics")["input_channel"] == "right"
        assert "right channel" in rwcctl(desktop, "status")
        assert "channel left" in rwcctl(desktop, "input", "usb", "--channel", "left")
        message = said(daemon, "one-sided", "only the right channel has sound, `left` was chosen")
        assert "rwcctl input usb --channel auto" in message
        assert daemon.get("InputChannel") == "left"
        daemon.set("InputChannel", "auto")
        over(daemon, ear)


def test_opposite_channels_are_not_summed_to_silence(
    desktop: Session, daemon: SyncDaemon, ear: Ear, folder: Path
) -> None:
    daemon.set("InputChannel", "mix")
    with speaking(desktop, voice_file(folder, opposite=True), "usb"):
        over(daemon, ear)
        figures = daemon.call("GetStatistics")
        assert "opposite phase" in figures["last_fault_message"]
        assert figures["input_channel"] == "left"
    daemon.set("InputChannel", "auto")


def test_a_wrong_channel_changes_nothing(desktop: Session, daemon: SyncDaemon) -> None:
    assert "auto, left, right, mix" in desktop.run(
        "busctl", f"--address={desktop.bus}", "set-property", "org.rwc.Daemon1", "/org/rwc/Daemon1", "org.rwc.Daemon1",
        "InputChannel", "s", "both",
    )  # fmt: skip
    assert daemon.get("InputChannel") == "auto"
