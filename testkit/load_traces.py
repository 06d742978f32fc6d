"""Recorded load: what the overload controller and the slack saw on a real machine, for tests that replay it.

    python -m testkit.load_traces FOLDER [NAME ...]

records the traces of tests/engine/traces again, in real time: the engine's two threads on a real link, a callback that
is driven by the clock, and other programs that are as busy as the trace's name says. The controller only watches, so
that a trace shows level 0 throughout. A trace is a file of JSON lines, one for each look of the controller.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rwc_daemon.engine.load_meter import LoadMeter
from rwc_daemon.engine.overload import OverloadController
from rwc_daemon.engine.thread_budget import OtherLoad
from rwc_daemon.messages import Configure
from rwc_daemon.voices.builtin.voice import load_builtin
from testkit.plain_voices import CostlyVoice
from testkit.whole_engine import QUANTUM, RATE, Engine

BUSY = "while True: pass"
SLACK_MS = 5.0


@dataclass(frozen=True)
class Look:
    """One line of a trace; counts are since the look before."""

    elapsed_s: float
    load_p75: float | None
    """See LoadMeter."""
    load: float
    lost_s: float
    """Duration of the input that was dropped."""
    others: float
    """Cores that other programs used."""
    underruns: int
    silence_ms: float
    compute_max_ms: float
    """The slowest block of the last second."""
    overloaded: bool
    """As the engine's Heartbeat said."""


@dataclass(frozen=True)
class Recipe:
    """How a trace is recorded."""

    voice: str
    seconds: float
    busy: tuple[tuple[float, float], ...] = ()
    """From when to when other programs are busy, s."""
    programs: int = 2


def bursts(seconds: float) -> tuple[tuple[float, float], ...]:
    """Busy for 1.2 of every 2 s."""
    return tuple((at, at + 1.2) for at in np.arange(2.0, seconds, 2.0))


RECIPES = {
    "calm": Recipe("robot", 20.0),
    "bursts": Recipe("robot", 40.0, bursts(40.0)),
    "overloaded": Recipe("net", 30.0, ((5.0, 30.0),)),
    "recovers": Recipe("net", 60.0, ((5.0, 25.0),)),
}


def read(path: Path) -> list[Look]:
    """The looks of a trace."""
    return [Look(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


class NetLike(CostlyVoice):
    """Spends CPU time as a net of medium quality does on this machine: 0.6 of a block's duration."""

    share = 0.6

    def open(self, plan, controls, seed=0):
        session = super().open(plan, controls, seed)
        convert, spent_s = session.convert, self.share * plan.block / plan.rate

        def spend(x, controls, silent=False):
            until_s = time.thread_time() + spent_s
            while time.thread_time() < until_s:
                pass
            return convert(x, controls, silent)

        session.convert = spend
        return session


class Watching(OverloadController):
    """Notes what it sees and changes nothing."""

    trace: list[Look]

    def watch(self, engine: Engine, heartbeat) -> None:
        self.trace, self._others, self._engine, self._heartbeat = [], OtherLoad(), engine, heartbeat
        self._before, self._lost_before_s = engine.link.counters(), 0.0

    def look(self, elapsed_s: float, meter: LoadMeter) -> None:
        now, beat = self._engine.link.counters(), self._heartbeat()
        silence = now.silence_samples - self._before.silence_samples
        self.trace.append(
            Look(
                round(elapsed_s, 3),
                None if meter.load_p75 is None else round(meter.load_p75, 3),
                round(meter.load, 3),
                round(meter.lost_s - self._lost_before_s, 4),
                round(self._others(), 2),
                now.underruns - self._before.underruns,
                round(1000 * silence / RATE, 1),
                round(beat.compute_max_ms, 1),
                beat.overloaded,
            )
        )
        self._before, self._lost_before_s = now, meter.lost_s


def record(recipe: Recipe) -> list[Look]:
    """Runs it in real time; takes as long as the recipe says."""
    voice = NetLike("net", {"balanced": 80}) if recipe.voice == "net" else load_builtin(recipe.voice)
    engine = Engine(voice)
    programs = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(recipe.programs if recipe.busy else 0)]
    try:
        for program in programs:
            program.send_signal(STOP)
        engine.order(Configure(RATE, QUANTUM, slack_ms=SLACK_MS))
        engine.use(recipe.voice)
        engine.play(np.zeros(RATE, np.float32))
        overload = engine.inference._overload
        overload.__class__ = Watching
        overload.watch(engine, engine.inference._figures)
        _run(engine, recipe, programs)
        return overload.trace
    finally:
        for program in programs:
            program.kill()
            program.wait()
        engine.close()


STOP, CONTINUE = 19, 18  # signals


def _run(engine: Engine, recipe: Recipe, programs: list) -> None:
    x = np.random.default_rng(1).normal(0, 0.1, QUANTUM).astype(np.float32)
    begun, running = time.monotonic(), False
    for cycle in range(int(recipe.seconds * RATE) // QUANTUM):
        at_s = cycle * QUANTUM / RATE
        busy = any(start <= at_s < end for start, end in recipe.busy)
        if busy != running:
            running = busy
            for program in programs:
                program.send_signal(CONTINUE if busy else STOP)
        engine.callback.run_cycle(x)
        engine.seconds += QUANTUM / RATE
        time.sleep(max(0.0, begun + at_s - time.monotonic()))


def main(folder: Path, names: list[str]) -> None:
    for name in names or list(RECIPES):
        lines = [json.dumps(asdict(look), separators=(",", ":")) for look in record(RECIPES[name])]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(name, len(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
