"""Programs of a plain JACK2 machine: the marked microphone, a recorder, a patchbay's patience, a witness of the delay.

    python -m testkit.faults.jack2_program play FILE      the client "marked", for ever
    python -m testkit.faults.jack2_program record         the client "recorder": f32 samples to stdout
    python -m testkit.faults.jack2_program delay          prints how many ms rwc:output is behind the microphone

A process each, because a JACK client dies with its server; whoever started it starts it again.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from typing import Any

import numpy as np
import soundfile

from rwc_daemon.audio import libjack
from testkit.faults.marked import RATE, delay_ms

MARKED, RECORDER, WITNESS = "marked", "recorder", "witness"
PLAYED, CONVERTED = f"{MARKED}:output", "rwc:output"
WITNESSED_S = 3.2
DEADLINE_S = 10.0
PATCH_S = 0.05  # between two looks of the patchbay


def client_named(name: str) -> Any:
    """A client that takes the process with it when its server goes."""
    client = libjack.load().module.Client(name, no_start_server=True, use_exact_name=True)
    client.set_shutdown_callback(lambda status, reason: os._exit(1))
    return client


def play(path: str) -> None:
    samples = soundfile.read(path, dtype="float32")[0]
    client = client_named(MARKED)
    port = client.outports.register("output")
    place = 0

    @client.set_process_callback
    def process(frames: int) -> None:
        nonlocal place
        if place + frames > len(samples):
            place = 0
        port.get_array()[:] = samples[place : place + frames]
        place += frames

    with client:
        threading.Event().wait()


def record() -> None:
    client = client_named(RECORDER)
    port = client.inports.register("input")
    pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    @client.set_process_callback
    def process(frames: int) -> None:
        pieces.put(port.get_array().tobytes())

    with client:
        threading.Thread(target=patch, args=(client, CONVERTED, port), daemon=True).start()
        while True:
            os.write(sys.stdout.fileno(), pieces.get())


def patch(client: Any, source: str, port: Any) -> None:
    """As a patchbay does (qjackctl, aj-snapshot): the connection is made again whenever both ends are there."""
    while True:
        if not client.get_all_connections(port):
            connect(client, source, port)
        time.sleep(PATCH_S)


def connect(client: Any, source: str, port: Any) -> bool:
    if not client.get_ports(f"^{source}$"):
        return False
    try:
        client.connect(source, port)
    except libjack.load().module.JackError:
        return False  # its other end is not there
    return True


def both() -> tuple[np.ndarray, np.ndarray]:
    """f32[n] @48k of the microphone, and of rwc:output."""
    client = client_named(WITNESS)
    ports = [client.inports.register(name) for name in ("source", "heard")]
    pieces: list[list[np.ndarray]] = [[], []]
    enough = threading.Event()

    @client.set_process_callback
    def process(frames: int) -> None:
        for port, piece in zip(ports, pieces, strict=True):
            piece.append(port.get_array().copy())
        if sum(map(len, pieces[0])) > WITNESSED_S * RATE:
            enough.set()

    with client:
        end = time.monotonic() + DEADLINE_S
        for source, port in zip((PLAYED, CONVERTED), ports, strict=True):
            while not connect(client, source, port):
                assert time.monotonic() < end, f"{source} is not there"
                time.sleep(PATCH_S)
        for piece in pieces:
            piece.clear()
        enough.clear()
        assert enough.wait(DEADLINE_S), "the graph stands still"
    source, heard = (np.concatenate(piece[1:]) for piece in pieces)
    n = min(len(source), len(heard))
    return source[-n:], heard[-n:]


def main(verb: str, *arguments: str) -> None:
    if verb == "delay":
        print(f"{delay_ms(*both()):.0f}", flush=True)
    else:
        {"play": play, "record": record}[verb](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
