"""Microphones of a private session that a mixer can mute and turn down, a voice for them, and an application's ear."""

from __future__ import annotations

import subprocess
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from testkit.daemon_session import Session, until

RATE = 48000
SECONDS = 90  # a test's longest
SIDES = {1: ("mono",), 2: ("front-left", "front-right")}


@contextmanager
def microphone(desktop: Session, name: str, channels: int = 2) -> Iterator[None]:
    """As a sound card's: real to RWC, the desktop's default, and what the mixer does to it is heard."""
    module = desktop.run(
        "pactl", "load-module", "module-null-sink", f"sink_name={name}", "media.class=Audio/Source/Virtual",
        f"channel_map={','.join(SIDES[channels])}", "node.virtual=false", "monitor.channel-volumes=true",
        "priority.driver=40000",
    ).strip()  # fmt: skip
    until(lambda: f"{name}:capture" in desktop.run("pw-link", "-o"))
    desktop.run("pactl", "set-default-source", name)
    try:
        yield
    finally:
        desktop.run("pactl", "unload-module", module)


def voice_file(folder: Path, opposite: bool = False) -> Path:
    """Stereo: a steady tone on both sides; `opposite`: the right one upside down."""
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(SECONDS * RATE) / RATE)).astype("<i2")
    path = folder / f"voice-{opposite}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.stack([tone, -tone if opposite else tone], axis=1).tobytes())
    return path


@contextmanager
def speaking(desktop: Session, file: Path, name: str, sides: tuple[str, ...] = ("FL", "FR")) -> Iterator[None]:
    """`file` is spoken into the microphone's ports, until the block ends: (FL, FR), one of them, or (MONO,)."""
    talker = desktop.spawn(
        *("pw-cat", "--playback", "--target", "0", "-P", "{ node.name = talker }", str(file)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: "talker:output_FR" in desktop.run("pw-link", "-o"))
        for side in sides:
            source = "FL" if side == "MONO" else side
            said = desktop.run("pw-link", f"talker:output_{source}", f"{name}:input_{side}")
            assert said == "", said
        yield
    finally:
        talker.terminate()
        talker.wait(10)


class Ear:
    """`parec` on RWC Mic."""

    def __init__(self, desktop: Session) -> None:
        self._process = desktop.spawn(
            "parec", "-d", "rwc_mic", "--latency-msec=10", "--format=float32le", "--channels=1", f"--rate={RATE}",
            "--client-name=ear", stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self._chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout
        while chunk := self._process.stdout.read(RATE // 25):
            self._chunks.append(chunk)

    @property
    def heard(self) -> np.ndarray:
        content = b"".join(self._chunks)
        return np.frombuffer(content[: len(content) // 4 * 4], np.float32)

    def level_db(self, seconds: float = 0.3) -> float:
        """Of what comes within the next `seconds`."""
        begin = len(self.heard)
        time.sleep(seconds)
        return level_db(self.heard[begin:])

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(5)
        assert self._process.stdout
        self._process.stdout.close()


def level_db(x: np.ndarray) -> float:
    """RMS of a steady sound, of the louder ones of its 5 ms: dropouts of a busy machine are no change of level."""
    size = RATE // 200
    pieces = x[: len(x) // size * size].reshape(-1, size)
    power = float(np.quantile(np.mean(np.square(pieces, dtype=np.float64), axis=1), 0.8)) if len(pieces) else 0.0
    return float(10 * np.log10(power + 1e-12))
