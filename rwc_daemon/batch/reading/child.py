"""The decoding process: open files come in over a socket, sound goes out on a pipe.

`python -m rwc_daemon.batch.reading.child SOCKET`. Before the first file it gives up what it can (network, files,
processes); a decoder that crashes or never ends takes this process with it and nothing else.

Every answer is frames of one kind byte, a length (u32) and as many bytes: F facts (JSON), S sound (f32), N a note, and
last D done, or E an error ("code\\ntext").
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rwc_daemon.store import confine

if TYPE_CHECKING:
    import numpy as np

HANG_S = 60  # between two pieces; beyond it the system ends this process
MEMORY = 4 << 30  # bytes of address space
CPU_S = 1 << 20
MOST_BYTES = 1 << 19  # of one frame


def main() -> int:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; our parent decides
    confine.isolate_network()
    # only now: numpy may start threads, after which no namespace can be left
    from rwc_daemon.batch.reading.decode import Facts, decode
    from rwc_daemon.errors import RwcError

    readable = [Path(place) for place in sys.path if place and Path(place).is_dir()]
    confine.confine(None, confine.Limits(MEMORY, CPU_S, 1 << 20, 64), readable)
    while True:
        request, files, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not request:
            return 0
        try:
            for piece in decode(files[0], os.fsdecode(request), lambda text: say(b"N", text.encode())):
                signal.alarm(HANG_S)
                if isinstance(piece, Facts):
                    say(b"F", json.dumps(asdict(piece)).encode("utf-8", "replace"))
                elif len(piece):
                    say_sound(piece)
            say(b"D", b"")
        except RwcError as failed:
            say(b"E", f"{failed.code}\n{failed}".encode("utf-8", "replace"))
        except (OSError, ValueError, MemoryError) as failed:
            say(b"E", f"BadAudio\n{failed or 'it needs too much memory'}".encode("utf-8", "replace"))
        finally:
            signal.alarm(0)
            os.close(files[0])


def say_sound(x: np.ndarray) -> None:
    """f32[n, channels], in frames of a bearable size."""
    import numpy as np

    step = max(1, MOST_BYTES // x[0].nbytes)
    for at in range(0, len(x), step):
        say(b"S", np.ascontiguousarray(x[at : at + step], np.float32).data.cast("B"))


def say(kind: bytes, content: bytes | memoryview) -> None:
    head = struct.pack("<cI", kind, len(content))
    for part in (head, content):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        sys.exit(main())
