"""Programs that play at other rates than the microphone's: the graph's rate changes once, and voice plays."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.daemon_session import Session, running_daemon, session, until, until_state

RATE, OTHER_RATE = 48000, 96000
SUSPENDED_S = 6.0  # the session manager suspends what is idle after five
OFTEN = 8  # a storm has a hundred changes a second


class Rates:
    """A session whose server logs each change of rate, and the daemon in it."""

    def __init__(self, desktop: Session, folder: Path) -> None:
        self.desktop, self._log = desktop, folder / "log" / "pipewire"
        self._folder = folder

    def player(self, rate: int) -> subprocess.Popen[bytes]:
        """A program that plays at that rate, after every node has gone to sleep."""
        time.sleep(SUSPENDED_S)
        path = self._folder / f"{rate}.wav"
        soundfile.write(path, np.zeros(60 * rate, np.float32), rate, subtype="PCM_16")
        player = self.desktop.spawn("pw-cat", "-p", str(path))
        time.sleep(1.0)
        return player

    def changes(self) -> int:
        return self._log.read_text(errors="replace").count("new rate:")


@pytest.fixture(scope="module")
def rates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rates]:
    folder = tmp_path_factory.mktemp("session")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPEWIRE_DEBUG", "pw.context:3")
        with session(folder) as desktop:
            desktop.env.pop("PIPEWIRE_DEBUG")
            with running_daemon(desktop, "--foreground"):
                yield Rates(desktop, folder)


def test_a_player_at_another_rate_starts_no_storm(rates):
    desktop = rates.desktop
    with SyncDaemon.connect(address=desktop.bus) as daemon:
        until_state(daemon, "idle")
        player = rates.player(OTHER_RATE)
        before, quiet = rates.changes(), daemon.call("GetStatistics")
        recorder = desktop.spawn("parec", "-d", "rwc_mic", "--latency-msec=20", stdout=subprocess.DEVNULL)
        until_state(daemon, "live")
        time.sleep(2.0)
        figures = daemon.call("GetStatistics")
        assert rates.changes() - before < OFTEN
        samples = (figures["cycles"] - quiet["cycles"]) * figures["quantum_samples"]
        assert samples > 0.8 * 2 * RATE
        # a machine that is busy with something else has gaps, too; in a storm there was hardly any voice
        assert figures["silence_samples"] - quiet["silence_samples"] < 0.8 * samples
        # another microphone, asleep beside that player
        desktop.run(
            "pactl", "load-module", "module-null-sink", "sink_name=usb", "media.class=Audio/Source/Virtual",
            "channel_map=mono", "node.virtual=false",
        )  # fmt: skip
        before = rates.changes()
        until(lambda: "usb" in [one["name"] for one in daemon.call("ListInputs")])
        daemon.set("Input", "usb")
        until(lambda: daemon.call("GetStatistics")["input_node"] == "usb")
        time.sleep(2.0)
        assert rates.changes() - before < OFTEN
        cycles = daemon.call("GetStatistics")["cycles"]
        until(lambda: daemon.call("GetStatistics")["cycles"] > cycles + 100)
        for program in (recorder, player):
            program.kill()
            program.wait()


def test_a_stalled_microphone_is_made_again(rates, tmp_path):
    """The loopback of PipeWire before 0.3.72 is never triggered again after some changes of rate: this one does it."""
    desktop = rates.desktop
    with SyncDaemon.connect(address=desktop.bus) as daemon:
        until_state(daemon, "idle")
        player = rates.player(44100)
        stalls = daemon.call("GetStatistics")["microphone_stalls"]
        heard = tmp_path / "heard"
        with heard.open("wb") as file:
            recorder = desktop.spawn("parec", "-d", "rwc_mic", "--latency-msec=20", "--rate=44100", stdout=file)
        until_state(daemon, "live")
        time.sleep(4.0)
        assert heard.stat().st_size > 1.5 * 44100 * 4
        figures = daemon.call("GetStatistics")
        if figures["microphone_stalls"] > stalls:
            assert "stood still" in figures["last_fault_message"]
        for program in (recorder, player):
            program.kill()
            program.wait()
