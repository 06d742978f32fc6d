"""A real engine process and the daemon's end of it, as small as it can be: started, told, heard; with one stream on a
real link, driven cycle by cycle by the real callback's body."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from rwc_daemon.audio.callback import Callback
from rwc_daemon.link.handing import hand_over, handing_pair
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import CloseStream, Message, OpenStream, decode_addressed, encode

FIRST = 1


class StartedEngine:
    """An engine, with the streams that are opened in it."""

    def __init__(self, data_dir: Path, *options: str, **popen: Any) -> None:
        self.socket, channel = socket.socketpair()
        self._handing, handing = handing_pair()
        fds = (channel.fileno(), handing.fileno())
        command = [sys.executable, "-m", "rwc_daemon.engine.worker", "--data-dir", str(data_dir), *options]
        command += ["--channel-fd", str(fds[0]), "--handing-fd", str(fds[1])]
        with channel, handing:
            self.process = subprocess.Popen(command, pass_fds=fds, **popen)
        self.lines = self.socket.makefile("rb")
        self.heard: list[tuple[int, Message]] = []

    def open(self, link: SharedRings, number: int = FIRST) -> None:
        hand_over(self._handing, number, link)
        self.send(OpenStream(link.new_generation()), number)

    def close_stream(self, number: int) -> None:
        self.send(CloseStream(), number)

    def send(self, message: Message, number: int = FIRST) -> None:
        self.socket.sendall(encode(message, number))

    def expect(self, kind: type[Any], number: int | None = None, deadline_s: float = 20.0) -> Any:
        """The next message of this kind, of that stream where one is named; what comes before is kept in `heard`."""
        self.socket.settimeout(deadline_s)
        for line in self.lines:
            stream, message = decode_addressed(line)
            self.heard.append((stream, message))
            if isinstance(message, kind) and number in (None, stream):
                return message
        raise AssertionError(f"the engine ended before {kind.__name__}; it said {self.heard}")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.lines.close()
        self.socket.close()
        self._handing.close()


class EngineProcess(StartedEngine):
    """With one stream."""

    def __init__(self, data_dir: Path, rate: int = 48000, quantum: int = 128) -> None:
        super().__init__(data_dir)
        self.rate, self.quantum = rate, quantum
        self.link = SharedRings.create()
        self.callback = Callback(self.link, rate)
        self.link.set_mode("convert")
        self.open(self.link)

    def play(self, x: np.ndarray) -> np.ndarray:
        """Runs the graph over x at its own pace; what RWC Mic would play."""
        out, begin = [], time.monotonic()
        for n in range(0, len(x) - self.quantum + 1, self.quantum):
            out.append(self.callback.run_cycle(x[n : n + self.quantum]))
            time.sleep(max(0.0, begin + (n + self.quantum) / self.rate - time.monotonic()))
        return np.concatenate(out)

    def cpu_s(self) -> float:
        """Processor time that all its threads have used: the scheduler's own count, not ticks."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def close(self) -> None:
        super().close()
        self.callback.close()
        self.link.close()
