"""Sound through the running daemon: a probe is the microphone, a PulseAudio client records RWC Mic as programs do.

Whatever happens meanwhile, the user's input and voice are put back.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rwc_daemon.audio.holder import NODE
from rwc_daemon.audio.probe import NAME as PROBE
from rwc_daemon.audio.probe import Probe
from rwc_daemon.errors import MissingPackage, NoSuchInput, NotReady, RwcError
from rwc_daemon.faces.cli.remote import RunningDaemon
from rwc_daemon.voices.base import Samples

LIVE_TIMEOUT_S = 15.0
SEEN_TIMEOUT_S = 5.0
TAIL_TIMEOUT_S = 3.0
POLL_S = 0.05
PORTS_ONLY = "ports"


@dataclass
class Recorder:
    """`parec` on RWC Mic: what an application hears. It is also the listener that wakes the daemon."""

    process: subprocess.Popen[bytes]
    file: Path
    rate: int

    def sound(self) -> Samples:
        """f32[n] @rate: everything so far."""
        raw = self.file.read_bytes()
        return np.frombuffer(raw[: len(raw) // 4 * 4], np.float32)

    def same_stretch(self, heard: Samples) -> Samples:
        """The stretch of the recording that `heard` (the same sound, taken in the graph) is; as long as that."""
        wanted = len(self.sound()) + self.rate // 2  # what is still on its way through the server
        end = time.monotonic() + TAIL_TIMEOUT_S
        while len(self.sound()) < wanted and time.monotonic() < end:
            self.require_alive()
            time.sleep(POLL_S)
        recorded = self.sound()
        start = place_of(heard, recorded)
        return recorded[start : start + len(heard)]

    def require_alive(self) -> None:
        if self.process.poll() is not None:
            raise NotReady(f"parec could not record {NODE}: is the microphone there? (`rwcctl doctor`)")


def place_of(part: Samples, whole: Samples) -> int:
    """Where in `whole` the sound `part` begins: the lag of their greatest correlation."""
    size = 1 << (len(part) + len(whole)).bit_length()
    match = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size)), size)
    return int(np.argmax(match[: max(1, len(whole) - len(part) + 1)]))


@dataclass
class Line:
    """A way through the daemon, ready to be used."""

    probe: Probe
    recorder: Recorder | None
    """None where no PulseAudio client can hear RWC Mic (JACK alone)."""

    @property
    def rate(self) -> int:
        return self.probe.rate

    def round_trip(self, sound: Samples) -> Samples:
        """Plays f32[n] @rate and gives the f32[n] that RWC Mic played in the same cycles. Raises NotReady."""
        return self.probe.round_trip(sound, self.rate)


@contextmanager
def open_line(daemon: RunningDaemon, folder: Path) -> Iterator[Line]:
    """The probe feeds the daemon, a recorder listens, and the daemon converts. Raises NotReady and others."""
    before = daemon.properties()
    require_convert(before["Mode"])
    with ExitStack() as stack:
        probe = stack.enter_context(Probe())
        stack.callback(put_back, daemon, "Input", before["Input"])
        choose_probe(daemon)
        ports_only = before["Microphone"] == PORTS_ONLY
        recorder = None if ports_only else stack.enter_context(recording(folder / "recorded.raw", probe.rate))
        probe.record_from(daemon.statistics()["client_name"] if ports_only else NODE)
        line = Line(probe, recorder)
        wait_until_live(daemon, line)
        yield line


def choose_probe(daemon: RunningDaemon) -> None:
    """The daemon hears of a new client a moment after it came."""
    end = time.monotonic() + SEEN_TIMEOUT_S
    while True:
        try:
            return daemon.put("Input", PROBE)
        except NoSuchInput:
            if time.monotonic() > end:
                raise
        time.sleep(POLL_S)


def require_convert(mode: str) -> None:
    if mode != "convert":
        raise NotReady(f"the mode is {mode}, so nothing is converted: `rwcctl mode convert` first")


def put_back(daemon: RunningDaemon, name: str, value: Any) -> None:
    """As the user had it; where the daemon has died meanwhile, it reads the user's choice from its own state."""
    with suppress(RwcError):
        daemon.put(name, value)


@contextmanager
def recording(file: Path, rate: int) -> Iterator[Recorder]:
    program = shutil.which("parec")
    if program is None:
        raise MissingPackage("parec is not installed: it comes with pulseaudio-utils (Arch: libpulse)")
    format_ = [f"--rate={rate}", "--channels=1", "--format=float32le", "--raw", "--latency-msec=20"]
    # without a requested latency the server hands out fragments of two seconds
    with file.open("wb") as sink:
        process = subprocess.Popen(
            [program, "-d", NODE, "--client-name=rwcctl", *format_], stdout=sink, stderr=subprocess.DEVNULL
        )
    try:
        yield Recorder(process, file, rate)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(2.0)
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_until_live(daemon: RunningDaemon, line: Line) -> None:
    """Until the daemon converts the probe's sound and the recorder gets it."""
    end = time.monotonic() + LIVE_TIMEOUT_S
    while not is_live(daemon):
        if line.recorder:
            line.recorder.require_alive()
        if time.monotonic() > end:
            state = daemon.properties()["State"]
            raise NotReady(
                f"the daemon is still '{state}' after {LIVE_TIMEOUT_S:g} s: `rwcctl doctor` looks for the cause"
            )
        time.sleep(POLL_S)


def is_live(daemon: RunningDaemon) -> bool:
    have, statistics = daemon.properties(), daemon.statistics()
    fed = statistics.get("input_node") == PROBE
    # degraded: something is wrong, perhaps only that the machine is slow; what is heard has a latency
    return have["State"] in ("live", "degraded") and not have["Loading"] and fed and have["LatencyMs"] > 0


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rwc-line-") as folder:
        yield Path(folder)
