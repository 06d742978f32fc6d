"""The daemon's JACK clients in a real PipeWire: one while somebody records, none after, whatever libjack says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.daemon_session import Session, until, until_state
from testkit.faults.leaks import objects

# a program that opens RWC Mic and pauses at once (PA_STREAM_START_CORKED)
PAUSED = """
import ctypes, pulsectl
from pulsectl import _pulsectl as c
pulse, library = pulsectl.Pulse("paused"), ctypes.CDLL("libpulse.so.0")
library.pa_stream_new.restype = ctypes.c_void_p
context, sound = ctypes.cast(pulse._ctx, ctypes.c_void_p), c.PA_SAMPLE_SPEC(format=5, rate=48000, channels=1)
stream = ctypes.c_void_p(library.pa_stream_new(context, b"paused", ctypes.byref(sound), None))
library.pa_stream_connect_record(stream, b"rwc_mic", None, 1)
while True:
    pulse._pulse_poll(0.1)
"""
PARTS = ("parec", "-d", "rwc_mic", "--latency-msec=20")


def record_briefly(desktop: Session, seconds: float) -> None:
    recorder = desktop.spawn(*PARTS, stdout=subprocess.DEVNULL)
    time.sleep(seconds)
    recorder.kill()
    recorder.wait()


def states(desktop: Session, name: str) -> list[str]:
    """Of the nodes of that name."""
    dump = objects(desktop.run("pw-dump", "--no-colors"))
    infos = [item.get("info") or {} for item in dump if item["type"].endswith(":Node")]
    return [info["state"] for info in infos if (info.get("props") or {}).get("node.name") == name]


def descriptors(process: subprocess.Popen[bytes]) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def test_a_server_that_lives_is_not_believed_dead(desktop, process, daemon):
    """PipeWire 0.3.65's libjack says "shutdown" for any error of the core: here, ports that came and went while it
    could not look."""
    record_briefly(desktop, 0.3)
    until_state(daemon, "idle")
    until(lambda: not states(desktop, "rwc"))
    before = descriptors(process)
    for _ in range(2):
        recorder = desktop.spawn(*PARTS, stdout=subprocess.DEVNULL)
        until_state(daemon, "live")
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(3):
            record_briefly(desktop, 0.15)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.1)
        recorder.kill()
        recorder.wait()
        until_state(daemon, "idle")
        until(lambda: not states(desktop, "rwc"))
    until(lambda: descriptors(process) == before)
    until(lambda: states(desktop, "fake_mic") != ["running"])


def test_quick_listeners_leave_nothing(desktop, process, daemon):
    record_briefly(desktop, 0.3)
    until(lambda: not states(desktop, "rwc"))
    before = descriptors(process)
    for number in range(30):
        record_briefly(desktop, 0.01 + 0.01 * (number * 7 % 20))
    until_state(daemon, "idle")
    until(lambda: not states(desktop, "rwc"))
    until(lambda: descriptors(process) == before)
    assert states(desktop, "fake_mic") != ["running"]


def stalls(daemon: SyncDaemon) -> int:
    return int(daemon.call("GetStatistics")["microphone_stalls"])


def test_a_holder_that_stands_still_is_replaced_and_told(desktop, process, daemon):
    recorder = desktop.spawn(*PARTS, stdout=subprocess.DEVNULL)
    until_state(daemon, "live")
    before = stalls(daemon)
    os.kill(int(Path(desktop.env["XDG_RUNTIME_DIR"], "rwc", "mic.pid").read_text()), signal.SIGSTOP)
    until(lambda: stalls(daemon) == before + 1, 10)
    assert "stood still" in daemon.call("GetStatistics")["last_fault_message"]
    until(lambda: daemon.get("Listeners") == 1)
    until_state(daemon, "live")
    recorder.kill()
    recorder.wait()


def test_a_recorder_that_has_paused_is_no_stall(desktop, process, daemon):
    paused = desktop.spawn(sys.executable, "-c", PAUSED)
    until(lambda: daemon.get("Listeners") == 1)
    cycles, before = daemon.call("GetStatistics")["cycles"], stalls(daemon)
    time.sleep(3.0)
    assert daemon.call("GetStatistics")["cycles"] > cycles
    assert stalls(daemon) == before
    paused.kill()
    paused.wait()
