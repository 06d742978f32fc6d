"""What the machine itself does: a process that only sleeps a period of audio at a time, scheduled as audio is.

    python -m testkit.faults.timer PERIOD_MS [--realtime]      until it is terminated; then it prints what it counted

A wake-up more than half a period after its moment is one that an audio callback would have missed too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time

PRIORITY = 88  # as the server's data thread


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("period_ms", type=float)
    parser.add_argument("--realtime", action="store_true")
    options = parser.parse_args()
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    period_s = options.period_ms / 1000
    wakes, late, worst_s, due_s = 0, 0, 0.0, time.monotonic()
    while not ended:
        due_s += period_s
        time.sleep(max(0.0, due_s - time.monotonic()))
        behind_s = time.monotonic() - due_s
        wakes, late, worst_s = wakes + 1, late + (behind_s > period_s / 2), max(worst_s, behind_s)
        if behind_s > period_s:
            due_s = time.monotonic()
    print(json.dumps({"wakes": wakes, "late": late, "worst_ms": round(1000 * worst_s, 2)}), flush=True)


if __name__ == "__main__":
    main()
