"""Our side of the decoding process: hands it open files, takes what comes, believes nothing unchecked."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

import rwc_daemon
from rwc_daemon.errors import BadAudio, by_code

PATIENCE_S = 75.0  # for the next piece; the child gives up by itself before
MOST_BYTES = 1 << 20  # of one frame; the child keeps to half of it
MOST_CHANNELS = 1024


class SoundReader:
    """A confined process that decodes one file after the other. One that died is replaced with the next file."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        control, self._control = self._control, None
        if control is not None:
            control.close()
        if child is not None:
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()

    def decoded(self, file: int, name: str, notes: list[str]) -> Iterator[Any]:
        """A dict of facts ("rate", "channels", "subtype", "tags"), then f32[n, channels] pieces.

        `file`: a descriptor; `notes` grows while the pieces come. Raises BadAudio, MissingPackage.
        """
        child, control = self._running()
        whole = False
        try:
            socket.send_fds(control, [os.fsencode(name)], [file])
            yield from self._answer(child, notes)
            whole = True
        except (EOFError, BrokenPipeError, ConnectionResetError):
            child.kill()  # where it ended by itself, its own status stays
            raise BadAudio(f"{_cause(child.wait())}: the file is damaged") from None
        finally:
            if not whole:  # what is still in the pipe belongs to nobody
                self.close()

    def _running(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        if self._child is not None and self._child.poll() is not None:
            self.close()
        if self._child is None or self._control is None:
            ours, theirs = socket.socketpair()
            with theirs:
                command = [sys.executable, "-P", "-m", "rwc_daemon.batch.reading.child", str(theirs.fileno())]
                self._child = subprocess.Popen(
                    command, bufsize=0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()], env=_environment(), cwd="/",
                )  # fmt: skip
            self._control = ours
        return self._child, self._control

    def _answer(self, child: subprocess.Popen[bytes], notes: list[str]) -> Iterator[Any]:
        channels = 0
        while True:
            kind, content = _frame(child)
            if kind == b"F":
                facts = _checked(content)
                channels = facts["channels"]
                yield facts
            elif kind == b"S" and channels and len(content) % (4 * channels) == 0:
                yield np.frombuffer(content, np.float32).reshape(-1, channels)
            elif kind == b"N":
                notes.append(content.decode("utf-8", "replace"))
            elif kind == b"E":
                code, _, text = content.decode("utf-8", "replace").partition("\n")
                raise by_code(code)(text)
            elif kind == b"D" and channels:
                return
            else:
                raise EOFError


def _environment() -> dict[str, str]:
    """Nothing of the user's but where Python finds packages; one thread per library, because there may be no more."""
    home = str(Path(rwc_daemon.__file__).resolve().parent.parent)
    path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
    return {"PYTHONPATH": path, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"} | threads


def _checked(content: bytearray) -> dict[str, Any]:
    facts = json.loads(content)
    rate, channels, tags = int(facts["rate"]), int(facts["channels"]), facts["tags"]
    if rate < 1 or not 1 <= channels <= MOST_CHANNELS:
        raise BadAudio(f"its header speaks of {channels} channels at {rate} Hz: it is damaged")
    texts = {str(name): str(text) for name, text in tags.items()}
    return {"rate": rate, "channels": channels, "subtype": str(facts["subtype"]), "tags": texts}


def _frame(child: subprocess.Popen[bytes]) -> tuple[bytes, bytearray]:
    kind, size = struct.unpack("<cI", _exactly(child, 5))
    if size > MOST_BYTES:
        raise EOFError
    return kind, _exactly(child, size)


def _exactly(child: subprocess.Popen[bytes], size: int) -> bytearray:
    """Raises EOFError where the child ends first or takes too long."""
    assert child.stdout is not None
    content = bytearray(size)
    view, until = memoryview(content), time.monotonic() + PATIENCE_S
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while view:
            if not selector.select(max(0.0, until - time.monotonic())):
                child.kill()
                raise EOFError
            got = child.stdout.readinto(view)  # type: ignore[attr-defined]  # bufsize=0 makes it a FileIO
            if not got:
                raise EOFError
            view = view[got:]
    return content


def _cause(status: int) -> str:
    if status in (-signal.SIGALRM, -signal.SIGKILL):
        return "the decoder came to no end"
    return f"the decoder broke down ({signal.Signals(-status).name if status < 0 else f'status {status}'})"
