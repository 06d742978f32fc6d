"""A desktop session with RWC installed, a microphone that plays the marked signal, and a program that records.

Runs inside testkit/harness/desktop, as its ordinary user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from rwc_daemon.errors import RwcError
from rwc_daemon.faces.dbus_client import SyncDaemon
from rwc_daemon.host.journal import FAULT
from testkit.faults.marked import RATE, marked, silences
from testkit.faults.presence import Presence
from testkit.faults.wallclock import WallClock

BIN = Path(sys.executable).parent
MIC, OTHER_MIC = "fake_mic", "other_mic"
SERVERS = ("pipewire", "wireplumber", "pipewire-pulse")
PLAYED_S = 600
DEADLINE_S = 60.0
POLL_S = 0.05
# until a program whose server died comes back. Sooner than the session manager (WirePlumber 0.4.13) is no test of RWC:
# with RWC or without, of twelve restarts of PipeWire three to five left a session manager that served nobody
BACK_S = 0.5
CONFIG = '[voice]\nfirst = "whisper"\n'


def until(what: Callable[[], Any], reason: str, deadline_s: float = DEADLINE_S) -> Any:
    """Polls until true; the assertion names what did not come."""
    end = time.monotonic() + deadline_s
    while not (answer := what()):
        assert time.monotonic() < end, f"not within {deadline_s:g} s: {reason}"
        time.sleep(POLL_S)
    return answer


def run(*command: str, timeout_s: float = 60.0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    return done.stdout


def systemctl(*words: str) -> str:
    return run("systemctl", "--user", *words)


def microphone_properties(name: str) -> str:
    """A source that drives the graph like a sound card; what is played into its input port is its sound."""
    return (
        f'{{ factory.name=support.null-audio-sink node.name={name} node.description="{name}" '
        "media.class=Audio/Source/Virtual audio.position=[ MONO ] audio.channels=1 node.virtual=false "
        f"priority.driver={30000 if name == MIC else 20000} priority.session={1500 if name == MIC else 1000} "
        "object.linger=true }"
    )


class Player:
    """Plays the marked signal into the microphones, for ever, whatever server or microphone comes and goes."""

    def __init__(self, folder: Path, sound: Callable[[int], np.ndarray] = marked, passive: bool = False) -> None:
        """`sound`: gives f32 @48k of so many seconds, to be repeated. `passive`: it wakes no microphone that sleeps."""
        self._link = ["pw-link", *(["--passive"] if passive else [])]
        self._path = folder / "marked.wav"
        soundfile.write(self._path, np.tile(sound(20), PLAYED_S // 20), RATE, subtype="PCM_16")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)
        self._thread.start()

    def _play(self) -> None:
        properties = "{ node.name=player node.autoconnect=false }"
        while not self._stopping.is_set():
            command = ["pw-cat", "-p", "--target", "0", "--latency", "256", "-P", properties, str(self._path)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not self._stopping.wait(0.2):
                for name in (MIC, OTHER_MIC):
                    subprocess.run(
                        [*self._link, "player:output_MONO", f"{name}:input_MONO"], check=False, capture_output=True
                    )
            process.terminate()
            process.wait()
            self._stopping.wait(BACK_S)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


class Recorder:
    """An ordinary program on RWC Mic: `parec`; where its server dies it comes back as such programs do."""

    command: Sequence[str] = (
        *("parec", "-d", "rwc_mic", "--latency-msec=20", "--format=float32le", "--channels=1"),
        *(f"--rate={RATE}", "--client-name=recorder"),
    )

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []
        self._count = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self.lost = 0
        # times that it had to be started again
        self._thread = threading.Thread(target=self._keep_recording, name="recorder", daemon=True)
        self._thread.start()

    def _keep_recording(self) -> None:
        ended = 0.0
        while not self._stopping.is_set():
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
            assert self.process.stdout
            rest = b""
            while chunk := self.process.stdout.read(8192):
                if ended:
                    self._add(np.zeros(round((time.monotonic() - ended) * RATE), np.float32))
                    self.lost, ended = self.lost + 1, 0.0
                data = rest + chunk
                whole = len(data) // 4 * 4
                rest = data[whole:]
                self._add(np.frombuffer(data[:whole], np.float32))
            ended = ended or time.monotonic()
            self.process.wait()
            self.process.stdout.close()
            self._stopping.wait(BACK_S)

    def _add(self, samples: np.ndarray) -> None:
        with self._lock:
            self._pieces.append(samples)
            self._count += len(samples)

    @property
    def count(self) -> int:
        """Samples so far; time without a server counts as silence."""
        return self._count

    def since(self, first: int) -> np.ndarray:
        with self._lock:
            pieces, missing = [], self._count - max(0, first)
            for piece in reversed(self._pieces):
                if missing <= 0:
                    break
                pieces.append(piece[-missing:])
                missing -= len(pieces[-1])
        return np.concatenate(pieces[::-1]) if pieces else np.zeros(0, np.float32)

    def forget(self) -> None:
        with self._lock:
            self._pieces = self._pieces[-200:]

    def sounds(self, seconds: float) -> bool:
        """Whether so much sound came without a pause, up to now."""
        n = round(seconds * RATE)
        heard = self.since(self._count - n)
        return len(heard) >= n and not silences(heard)

    def stop(self) -> None:
        self._stopping.set()
        if self.process:
            self.process.kill()
        self._thread.join()


@dataclass
class World:
    """The session; `home` is the user's, empty at the start."""

    home: Path
    quantum: int = 256
    sound: Callable[[int], np.ndarray] = marked
    """Of the microphone."""
    rates: tuple[int, ...] = (44100, 48000)
    """Allowed ones."""
    mic_sleeps: bool = False
    """While nobody records."""
    player: Player | None = None
    recorder: Recorder | None = None
    presence: Presence | None = None
    wall_clock: WallClock | None = None

    def start(self, record: bool = True) -> None:
        self._write_configuration()
        self.wall_clock = WallClock(self.home)
        systemctl("restart", *(f"{server}.service" for server in SERVERS))
        until(lambda: MIC in run("pactl", "list", "short", "sources"), "the fake microphone")
        self.rwcctl("install")
        until(lambda: self.state() == "idle", "the daemon at rest")
        self.player = Player(self.home, self.sound, self.mic_sleeps)
        self.presence = Presence()
        if record:
            self.recorder = Recorder()
            until(lambda: self.recorder.sounds(1.0), "a converted voice at the recorder")

    def _write_configuration(self) -> None:
        folder = self.home / ".config/pipewire/pipewire.conf.d"
        folder.mkdir(parents=True)
        objects = " ".join(f"{{ factory = adapter args = {microphone_properties(n)} }}" for n in (MIC, OTHER_MIC))
        clock = f"default.clock.quantum = {self.quantum} default.clock.max-quantum = 8192"
        rates = " ".join(map(str, self.rates))
        clock += f" default.clock.min-quantum = 16 default.clock.allowed-rates = [ {rates} ]"
        text = f"context.properties = {{ {clock} vm.overrides = {{ default.clock.min-quantum = 16 }} }}\n"
        (folder / "50-test.conf").write_text(f"{text}context.objects = [ {objects} ]\n")
        self.config.parent.mkdir(parents=True)
        self.config.write_text(CONFIG)

    @property
    def config(self) -> Path:
        return self.home / ".config/rwc/config.toml"

    @property
    def state_file(self) -> Path:
        return self.home / ".local/state/rwc/state.json"

    def heal(self) -> None:
        """What a user does where nothing helps."""
        systemctl("restart", *(f"{server}.service" for server in SERVERS))

    def stop(self) -> None:
        for part in (self.recorder, self.player, self.presence):
            if part:
                part.stop()

    def rwcctl(self, *words: str) -> str:
        return run(str(BIN / "rwcctl"), *words)

    def node_back_ms(self, since: float) -> float:
        """From `since` (monotonic) until RWC Mic was there again; not a number where it never went."""
        return self.presence.back_ms(since) if self.presence else float("nan")

    def delay_ms(self) -> float:
        """Microphone to recorder, measured in the graph; not a number where that failed."""
        command = [sys.executable, "-m", "testkit.faults.witness", MIC]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return float(done.stdout) if done.returncode == 0 else float("nan")

    def call(self, method: str, *arguments: Any) -> Any:
        with SyncDaemon.connect() as daemon:
            return daemon.call(method, *arguments)

    def set(self, name: str, value: Any) -> None:
        with SyncDaemon.connect() as daemon:
            daemon.set(name, value)

    def get(self, name: str) -> Any:
        """A property, or None while nobody answers."""
        try:
            with SyncDaemon.connect() as daemon:
                return daemon.get(name)
        except (RwcError, OSError):
            return None

    def state(self) -> str:
        return self.get("State") or "gone"

    def statistics(self) -> dict[str, Any]:
        try:
            return self.call("GetStatistics")
        except (RwcError, OSError):
            return {}

    def pid(self, unit: str) -> int:
        return int(systemctl("show", "-p", "MainPID", "--value", f"{unit}.service") or 0)

    def load(self, voice: str) -> None:
        self.call("LoadVoice", voice)
        until(lambda: self.get("Voice") == voice and not self.get("Loading"), f"voice {voice}")

    def told_since(self, when: float) -> list[str]:
        """Sentences of faults in the journal since a wall-clock time."""
        lines = run("journalctl", "-q", "-o", "json", "--since", f"@{when:.3f}", f"_UID={os.getuid()}").splitlines()
        entries = [json.loads(line) for line in lines]
        return [str(entry["MESSAGE"]) for entry in entries if entry.get("MESSAGE_ID") == FAULT]

    def log(self) -> str:
        return run("journalctl", "-q", "-o", "short-precise", "--no-pager", "-n", "80", f"_UID={os.getuid()}")
