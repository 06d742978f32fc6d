"""Records a microphone and RWC Mic in one graph clock for a moment, and prints how many ms the one is behind the other.

`python -m testkit.faults.witness fake_mic`, inside the session.
"""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time

import numpy as np

from rwc_daemon.audio import libjack
from testkit.faults.marked import delay_ms

SECONDS = 3.2
TRIES = 3
DEADLINE_S = 10.0


def both(microphone: str) -> tuple[np.ndarray, np.ndarray]:
    """f32[n] @48k of the microphone, and of RWC Mic."""
    client = libjack.load().module.Client("witness", no_start_server=True)
    inputs = [client.inports.register(name) for name in ("source", "heard")]
    pieces: list[list[np.ndarray]] = [[], []]
    enough = threading.Event()
    wanted = int(SECONDS * client.samplerate)

    @client.set_process_callback
    def record(frames: int) -> None:
        for port, piece in zip(inputs, pieces, strict=True):
            piece.append(port.get_array().copy())
        if sum(map(len, pieces[0])) > wanted:
            enough.set()

    client.activate()
    end = time.monotonic() + DEADLINE_S
    for node, port in ((microphone, "source"), ("rwc_mic", "heard")):
        command = ["pw-link", f"{node}:capture_MONO", f"witness:{port}"]
        while subprocess.run(command, check=False, capture_output=True).returncode:
            assert time.monotonic() < end, f"{node} could not be linked"
            time.sleep(0.05)
    for piece in pieces:
        piece.clear()
    assert enough.wait(DEADLINE_S), "the graph stands still"
    client.deactivate()
    client.close()
    source, heard = (np.concatenate(piece[1:]) for piece in pieces)
    n = min(len(source), len(heard))
    return source[-n:], heard[-n:]


def main() -> None:
    for _ in range(TRIES):
        answer = delay_ms(*both(sys.argv[1]))
        if not math.isnan(answer):
            break
    print(f"{answer:.0f}", flush=True)


if __name__ == "__main__":
    main()
