"""The engine as its own process, on a real link, driven cycle by cycle by the real callback's body."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from rwc_daemon.audio.callback import Callback
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import Message, decode, encode


class EngineProcess:
    """The daemon's side of one engine, as small as it can be."""

    def __init__(self, data_dir: Path, rate: int = 48000, quantum: int = 128) -> None:
        self.rate, self.quantum = rate, quantum
        self.link = SharedRings.create()
        self.callback = Callback(self.link, rate)
        self.link.set_mode("convert")
        self.socket, theirs = socket.socketpair()
        fds = (self.link.memory_fd, self.link.wake_fd, theirs.fileno())
        command = [sys.executable, "-m", "rwc_daemon.engine.worker"]
        for name, fd in zip(("memory", "wake", "channel"), fds, strict=True):
            command += [f"--{name}-fd", str(fd)]
        command += ["--generation", str(self.link.new_generation()), "--data-dir", str(data_dir)]
        self.process = subprocess.Popen(command, pass_fds=fds)
        theirs.close()
        self.lines = self.socket.makefile("rb")
        self.heard: list[Message] = []

    def send(self, message: Message) -> None:
        self.socket.sendall(encode(message))

    def expect(self, kind: type, deadline_s: float = 20.0) -> Message:
        """The next message of this kind; what comes before is kept in `heard`."""
        self.socket.settimeout(deadline_s)
        for line in self.lines:
            message = decode(line)
            self.heard.append(message)
            if isinstance(message, kind):
                return message
        raise AssertionError(f"the engine ended before {kind.__name__}; it said {self.heard}")

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
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.socket.close()
        self.lines.close()
        self.callback.close()
        self.link.close()
