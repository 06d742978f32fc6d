"""The faults of a machine with plain JACK2 (jackd's dummy driver) and no PipeWire: the ports are the microphone.

    python -m testkit.faults.jack2 [--short] [--only WORD]

The session is that of the other faults, with PipeWire's services masked. Prints what `suite` prints.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from testkit.faults import catalogue, suite
from testkit.faults.catalogue import Fault
from testkit.faults.jack2_program import MARKED
from testkit.faults.marked import RATE, marked
from testkit.faults.world import Recorder, World, run, systemctl, until

PROGRAM = (sys.executable, "-m", "testkit.faults.jack2_program")
PIPEWIRE = ("pipewire.socket", "pipewire-pulse.socket", "pipewire", "wireplumber", "pipewire-pulse")
SERVER = f"rwc-suite-{os.getpid()}"
STANDS_S = 5.0
AWAY_S = 2.0


class Player:
    """The marked microphone, a JACK client that comes back whenever it has ended."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "marked.wav"
        soundfile.write(self._path, np.tile(marked(20), 3), RATE, subtype="FLOAT")
        self._stopping = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)
        self._thread.start()

    def _play(self) -> None:
        while not self._stopping.wait(0.1):
            self.process = subprocess.Popen([*PROGRAM, "play", str(self._path)], stderr=subprocess.DEVNULL)
            self.process.wait()

    def stop(self) -> None:
        self._stopping.set()
        if self.process:
            self.process.kill()
        self._thread.join()


class JackRecorder(Recorder):
    """A JACK client on rwc:output, and the patchbay that connects the two."""

    command = (*PROGRAM, "record")


class JackWorld(World):
    """jackd as a service of the user; PipeWire installed, but masked."""

    def start(self, record: bool = True) -> None:
        os.environ["JACK_DEFAULT_SERVER"] = SERVER
        systemctl("stop", *PIPEWIRE)
        systemctl("mask", "--runtime", *(name if "." in name else f"{name}.service" for name in PIPEWIRE))
        systemctl("set-environment", f"JACK_DEFAULT_SERVER={SERVER}")
        self._write_configuration()
        self._serve()
        self.rwcctl("install")
        until(lambda: self.state() == "idle", "the daemon at rest")
        self.player = Player(self.home)
        until(lambda: f"{MARKED}:output" in run("jack_lsp"), "the microphone")
        self.set("Input", MARKED)
        if record:
            self.recorder = JackRecorder()
            until(lambda: self.recorder.sounds(1.0), "a converted voice at the recorder")

    def _serve(self) -> None:
        unit = self.home / ".config/systemd/user/jackd.service"
        unit.parent.mkdir(parents=True)
        command = f"{shutil.which('jackd')} -r -d dummy -r {RATE} -p {self.quantum}"
        unit.write_text(f"[Service]\nExecStart={command}\nRestart=always\nRestartSec=500ms\n")
        systemctl("daemon-reload")
        systemctl("start", "jackd.service")
        until(lambda: "system:capture_1" in run("jack_lsp"), "jackd")

    def delay_ms(self) -> float:
        done = subprocess.run([*PROGRAM, "delay"], capture_output=True, text=True, timeout=60, check=False)
        return float(done.stdout) if done.returncode == 0 else float("nan")

    def heal(self) -> None:
        systemctl("restart", "jackd.service")

    def stop(self) -> None:
        super().stop()
        systemctl("stop", "rwc-daemon.service", "jackd.service")  # in order, or they leave their shared memory


def jackd_and_daemon(world: World) -> None:
    systemctl("kill", "-s", "KILL", "jackd.service", "rwc-daemon.service")


def daemon_before_jackd(world: World) -> None:
    """As at a login where the daemon is quicker than the server."""
    pid = world.pid("rwc-daemon")
    systemctl("stop", "jackd.service")
    systemctl("kill", "-s", "KILL", "rwc-daemon.service")
    until(lambda: world.pid("rwc-daemon") not in (0, pid) and world.state() != "gone", "another daemon")
    time.sleep(AWAY_S)
    systemctl("start", "jackd.service")


def sizes(world: World) -> None:
    for frames in (1024, 64, world.quantum):
        run("jack_bufsize", str(frames))
        time.sleep(1.0)


def stands(unit: str) -> Callable[[World], None]:
    def stop_and_go(world: World) -> None:
        pid = world.pid(unit)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(STANDS_S)
        os.kill(pid, signal.SIGCONT)

    return stop_and_go


def unplug(world: World) -> None:
    assert isinstance(world.player, Player)
    assert world.player.process
    world.player.process.kill()


FAULTS = (
    Fault("engine killed", catalogue.kill_engine, "the engine was killed", short=False),
    Fault("engine stands still (SIGSTOP)", catalogue.stop_engine, "was stopped", short=False),
    Fault("daemon killed, restarted by systemd", catalogue.kill("rwc-daemon"), short=False),
    Fault(f"daemon stands still for {STANDS_S:g} s", stands("rwc-daemon"), short=False),
    Fault("jackd killed", catalogue.kill("jackd")),
    Fault("jackd restarted", catalogue.restart("jackd"), short=False),
    Fault("jackd and daemon killed at once", jackd_and_daemon, short=False),
    Fault("daemon starts 2 s before jackd", daemon_before_jackd, short=False),
    Fault(f"jackd stands still for {STANDS_S:g} s", stands("jackd"), short=False),
    Fault("buffer size 256, 1024, 64, 256 while running", sizes, short=False),
    Fault("microphone's client killed, and back", unplug, short=False),
    Fault("second daemon started", catalogue.second_daemon, short=False),
    Fault(f"{catalogue.CALLS} D-Bus calls in a row", catalogue.burst, short=False),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", default="", help="faults whose names contain this")
    options = parser.parse_args()
    chosen = [f for f in FAULTS if (f.short or not options.short) and options.only in f.name]
    world = JackWorld(Path.home())
    try:
        world.start()
        suite.judge(world, chosen)
    finally:
        world.stop()


if __name__ == "__main__":
    main()
