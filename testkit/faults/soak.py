"""Random use and random faults for a long time, seeded: what a user, his programs and his machine do to RWC.

    python -m testkit.faults.soak [--minutes M] [--seed S]

Prints a JSON object per minute and one at the end: what was done, what the recorder heard, what the daemon counted.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rwc_daemon.errors import RwcError
from testkit.faults.catalogue import (
    burst,
    change_clock,
    change_default,
    deaf_recorder,
    kill,
    kill_engine,
    restart,
    unplug,
)
from testkit.faults.leaks import look
from testkit.faults.marked import RATE, silences, unprocessed_samples
from testkit.faults.suite import await_voice
from testkit.faults.world import World, run

REPORT_S = 60.0
# voices and controls under which the code stays unrecognizable: none puts the pitch back to where it came from
VOICES = ("whisper", "deep", "giant")
SAFE_CONTROLS: dict[str, tuple[float, float]] = {
    "Pitch": (-3, 0),
    "Formant": (-2, 2),
    "GateDb": (-80, -60),
    "InputGainDb": (-6, 6),
    "OutputGainDb": (-6, 3),
    "Envelope": (0, 1),
}
FAULTS: dict[str, Callable[[World], None]] = {
    "engine killed": kill_engine,
    "daemon killed": kill("rwc-daemon"),
    "holder killed": kill("rwc-mic"),
    "PipeWire killed": kill("pipewire"),
    "pipewire-pulse restarted": restart("pipewire-pulse"),
    "microphones unplugged": unplug,
    "default source changed": change_default,
    "quantum changed": change_clock("quantum", 512),
    "rate changed": change_clock("rate", 44100),
    "burst of calls": burst,
    "deaf recorder": deaf_recorder,
}


class Soak:
    """One run; `done` counts what happened by name."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._random = world, random.Random(seed)
        self.done: Counter[str] = Counter()
        self.unprocessed = self.heard = self.silent = 0
        self.troubles: list[str] = []

    def step(self) -> None:
        recorder = self._world.recorder
        assert recorder
        begun = recorder.count
        roll = self._random.random()
        if roll < 0.5:
            self._turn()
        elif roll < 0.75:
            self._switch()
        elif roll < 0.9:
            self._listen()
        else:
            self._break()
        piece = recorder.since(begun)
        recorder.forget()
        self.heard += len(piece)
        self.unprocessed += unprocessed_samples(piece)
        self.silent += sum(gap.end - gap.begin for gap in silences(piece))

    def _turn(self) -> None:
        name = self._random.choice(sorted(SAFE_CONTROLS))
        self._world.set(name, self._random.uniform(*SAFE_CONTROLS[name]))
        self.done["control"] += 1
        time.sleep(0.2)

    def _switch(self) -> None:
        self._world.load(self._random.choice(VOICES))
        self.done["voice"] += 1

    def _listen(self) -> None:
        """More programs come and go."""
        count = self._random.randint(1, 3)
        command = ["parec", "-d", "rwc_mic", "--latency-msec=20"]
        others = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(count)]
        time.sleep(self._random.uniform(0.05, 1.0))
        for other in others:
            other.kill()
            other.wait()
        self.done["listener"] += count

    def _break(self) -> None:
        name = self._random.choice(sorted(FAULTS))
        self.done[name] += 1
        try:
            FAULTS[name](self._world)
        except (AssertionError, RwcError, KeyError) as failed:
            self.troubles.append(f"{name}: {failed!r}")
        trouble = await_voice(self._world)
        if trouble:
            self.troubles.append(f"{name}: {trouble}")

    def report(self, started: float) -> dict[str, object]:
        return {
            "seconds": round(time.monotonic() - started),
            "done": dict(sorted(self.done.items())),
            "unprocessed_samples": self.unprocessed,
            "heard_s": round(self.heard / RATE),
            "silent_s": round(self.silent / RATE, 1),
            "troubles": self.troubles,
            "left": asdict(look(self._world)),
            "statistics": {k: v for k, v in self._world.statistics().items() if not isinstance(v, str)},
            "sources": run("pactl", "list", "short", "sources").count("rwc_mic"),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    world = World(Path.home())
    try:
        world.start()
        soak, started = Soak(world, options.seed), time.monotonic()
        next_report = started + REPORT_S
        while time.monotonic() < started + 60 * options.minutes:
            soak.step()
            if time.monotonic() > next_report:
                print(json.dumps(soak.report(started)), flush=True)
                next_report += REPORT_S
        await_voice(world)
        print(json.dumps({"final": True, **soak.report(started)}), flush=True)
    finally:
        world.stop()


if __name__ == "__main__":
    main()
