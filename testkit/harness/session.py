"""A private PipeWire session for a test module, made by tools/session, and what tests do in it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

TOOL = Path(__file__).resolve().parents[2] / "tools" / "session"
POLL_S = 0.02
FAKE_MIC = "fake_mic"
OUTSIDE = ("PULSE_SERVER", "PULSE_COOKIE", "PULSE_RUNTIME_PATH", "PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR")


def wait_for(predicate: Callable[[], object], deadline_s: float = 5.0, what: str = "") -> None:
    """Polls until true; the assertion names what did not come."""
    end = time.monotonic() + deadline_s
    while not predicate():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what or predicate}"
        time.sleep(POLL_S)


class AudioSession:
    """PipeWire, WirePlumber, pipewire-pulse and a fake microphone, at quantum 128."""

    def __init__(self, folder: Path, quantum: int = 128) -> None:
        self.folder, self.quantum = folder, quantum

    def tool(self, verb: str, *arguments: str) -> None:
        subprocess.run([TOOL, verb, "--dir", self.folder, *arguments], check=True, timeout=60, stdin=subprocess.DEVNULL)

    def start(self) -> None:
        self.tool("start", "--private", "--mic", "--quantum", str(self.quantum))

    def stop(self) -> None:
        self.tool("stop")

    def restart(self, server: str) -> None:
        """`pipewire` (and with it the others), `wireplumber` or `pipewire-pulse`."""
        self.tool("restart", server)

    def environment(self) -> dict[str, str]:
        folders = {f"XDG_{kind}_HOME": str(self.folder / kind.lower()) for kind in ("CONFIG", "STATE", "CACHE", "DATA")}
        runtime = str(self.folder / "run")
        return folders | {"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}

    def enter(self) -> None:
        """This process becomes a program of the session; give it a `pytest.MonkeyPatch` to come back."""
        for name in OUTSIDE:
            os.environ.pop(name, None)
        os.environ.update(self.environment())

    def force(self, key: str, value: int) -> None:
        """`quantum` or `rate` of the graph while it runs; 0: no longer."""
        self.run("pw-metadata", "-n", "settings", "0", f"clock.force-{key}", str(value))

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=30, env=os.environ | self.environment()
        )
        return done.stdout

    @contextmanager
    def source(self, name: str, channels: int = 1) -> Iterator[None]:
        """One more microphone, virtual, until the block ends: plugging and unplugging."""
        positions = "mono" if channels == 1 else "front-left,front-right"
        module = self.run(
            "pactl", "load-module", "module-null-sink", f"sink_name={name}", "media.class=Audio/Source/Virtual",
            f"channel_map={positions}",
        )  # fmt: skip
        try:
            yield
        finally:
            subprocess.run(["pactl", "unload-module", module.strip()], check=False, capture_output=True)


class Recorder:
    """`parec` on a source: what an application hears, f32[n, channels] @rate."""

    def __init__(self, source: str = "rwc_mic", channels: int = 2, rate: int = 48000) -> None:
        self.channels = channels
        self._chunks: list[bytes] = []
        self._process = subprocess.Popen(
            ["parec", "-d", source, "--latency-msec=20", "--format=float32le", f"--channels={channels}",
             f"--rate={rate}", "--client-name=harness"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        assert self._process.stdout
        while chunk := self._process.stdout.read(4096):
            self._chunks.append(chunk)

    @property
    def heard(self) -> np.ndarray:
        data = b"".join(self._chunks)
        frame = 4 * self.channels
        return np.frombuffer(data[: len(data) // frame * frame], np.float32).reshape(-1, self.channels)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait(5)
        self._thread.join(5)
        assert self._process.stdout
        self._process.stdout.close()
