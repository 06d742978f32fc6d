"""Quantum 128, a recorder, a built-in voice, and every core busy with other programs at normal priority.

    python -m testkit.faults.loaded [--minutes M] [--idle-minutes M] [--realtime]

Prints what was counted, first on cores that nothing here keeps busy.
--realtime: the units may schedule in realtime (RWC_DESKTOP_REALTIME of the harness).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from testkit.faults.world import SERVERS, World, run, systemctl

RATE, QUANTUM = 48000, 128
UNITS = (*SERVERS, "rwc-mic", "rwc-daemon")
COUNTED = ("cycles", "missed_cycles", "late_cycles", "underruns", "overruns", "xruns", "retargets")
SHOWN = ("scheduling", "quantum_samples", "callback_p999_us", "callback_max_us", "latency_total_ms")


def allow_realtime(home: Path) -> None:
    """The manager takes such rights from its services unless their units keep them."""
    for unit in UNITS:
        folder = home / f".config/systemd/user/{unit}.service.d"
        folder.mkdir(parents=True)
        (folder / "realtime.conf").write_text("[Service]\nAmbientCapabilities=CAP_SYS_NICE\n")
    systemctl("daemon-reload")


def timing(realtime: bool) -> subprocess.Popen[str]:
    """What the machine itself lets come late, beside the daemon."""
    command = [sys.executable, "-m", "testkit.faults.timer", str(1000 * QUANTUM / RATE)]
    return subprocess.Popen(command + ["--realtime"] * realtime, stdout=subprocess.PIPE, text=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--idle-minutes", type=float, help="(default: as many)")
    parser.add_argument("--realtime", action="store_true")
    options = parser.parse_args()
    world = World(Path.home(), quantum=QUANTUM)
    busy: list[subprocess.Popen[bytes]] = []
    try:
        if options.realtime:
            allow_realtime(world.home)
        world.start()
        # of several requests PipeWire takes the smallest, but any request before its own default
        run("pw-metadata", "-n", "settings", "0", "clock.force-quantum", str(QUANTUM))
        idle_minutes = options.minutes if options.idle_minutes is None else options.idle_minutes
        for cores, minutes in ((0, idle_minutes), (os.cpu_count() or 1, options.minutes)):
            busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
            timer = timing(options.realtime)
            before = world.statistics()
            time.sleep(60 * minutes)
            after = world.statistics()
            timer.terminate()
            counted = {name: after[name] - before[name] for name in COUNTED}
            seen = {name: after[name] for name in SHOWN} | {"machine": json.loads(timer.communicate()[0])}
            print(json.dumps({"busy": cores, "minutes": minutes, **counted, **seen}), flush=True)
    finally:
        for process in busy:
            process.kill()
        world.stop()


if __name__ == "__main__":
    main()
