"""A graph with a quantum of 16 samples on a machine whose cores are busy: silence is told, and no silence lasts."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from testkit.daemon_session import until, until_state

LONGEST_SILENT_S = 10.0  # generous: cores that are busy with something else too
WATCHED_S = 8.0
STEP_S = 0.25
SILENT, TOLD_S = 0.95, 3.0


@pytest.fixture
def busy():
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    yield
    for program in programs:
        program.kill()
        program.wait()


def test_voice_goes_on_at_a_forced_quantum_of_16_on_busy_cores(desktop, daemon, busy):
    recorder = desktop.spawn("parec", "-d", "rwc_mic", "--latency-msec=20", stdout=subprocess.DEVNULL)
    try:
        until_state(daemon, "live")
        desktop.run("pw-metadata", "-n", "settings", "0", "clock.force-quantum", "16")
        until(lambda: daemon.call("GetStatistics")["quantum_samples"] == 16)
        silent_s = longest_s = voice = 0.0
        told, before, begun = False, daemon.call("GetStatistics"), time.monotonic()
        while time.monotonic() - begun < WATCHED_S or silent_s:
            time.sleep(STEP_S)
            now = daemon.call("GetStatistics")
            played = 16 * (now["cycles"] - before["cycles"])
            silent = now["silence_samples"] - before["silence_samples"]
            told = told or "does not come in time" in now["last_fault_message"]
            silent_s = silent_s + played / now["rate_hz"] if silent > SILENT * played else 0.0
            longest_s, voice, before = max(longest_s, silent_s), voice + played - silent, now
            assert silent_s < LONGEST_SILENT_S, "silence lasts"
        assert voice > 0
        assert told or longest_s < TOLD_S, f"{longest_s:.1f} s of silence without a word"
    finally:
        desktop.run("pw-metadata", "-n", "settings", "0", "clock.force-quantum", "0")
        recorder.kill()
        recorder.wait()
