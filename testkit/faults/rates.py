"""Players and recorders at changing rates: 44.1, 48 and 96 kHz come and go beside each other, with rests in between.

    python -m testkit.faults.rates [--minutes M] [--seed S]

Prints a JSON object per round and one at the end: unprocessed samples, gaps, changes of the graph's rate, what is left.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from testkit.faults.leaks import rest
from testkit.faults.marked import RATE
from testkit.faults.newer import versions
from testkit.faults.noise import SILENT, played, unprocessed_samples
from testkit.faults.recorders import Heard, pulse
from testkit.faults.world import DEADLINE_S, World, systemctl, until

RATES = (44100, 48000, 96000)
MOST_PLAYERS = 2
ROUND_S = (4.0, 10.0)
RESTS = 0.5  # of the rounds begin when everything is asleep: that is when rates fight
ASLEEP_S = 6.0  # the session manager suspends what is idle after five
GAP_S = 0.02
PLAYED_S = 60  # then a player ends by itself
STORM = 20  # changes of rate in one second; a storm has 120
TICK_S = 0.1
LOGGED = "[Service]\nEnvironment=PIPEWIRE_DEBUG=pw.context:3 PIPEWIRE_LOG_SYSTEMD=false PIPEWIRE_LOG={log}\n"


@dataclass(frozen=True)
class Round:
    """What one set of recorders heard, all of them together."""

    players: list[int]
    recorders: list[int]
    """Their rates."""
    asleep: bool
    """Everything, when it began."""
    heard_s: float
    unprocessed: int
    """Samples."""
    first_ms: float
    """Until the last of them heard something."""
    gaps: int
    gaps_ms: float
    longest_gap_ms: float
    """Silence after the first sound."""
    rate_changes: int
    most_changes_in_a_second: int
    trouble: str


def gaps(heard: np.ndarray, rate: int) -> list[float]:
    """Seconds of each silence after the first sound, its end included."""
    loud = np.flatnonzero(np.abs(heard) > SILENT)
    if not len(loud):
        return []
    edges = np.append(loud, len(heard))
    return [float(n) / rate for n in np.diff(edges) - 1 if n >= GAP_S * rate]


def judged(heard: np.ndarray, rate: int) -> int:
    """Unprocessed samples; twice 48 kHz is looked at as 48 kHz, which takes an eighth of the time."""
    if rate == 2 * RATE:
        return 2 * unprocessed_samples(signal.resample_poly(heard, 1, 2).astype(np.float32))
    return unprocessed_samples(heard, rate)


class Log:
    """The server's, which names each change of rate of a driver."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def changes(self) -> int:
        """Since the last look."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            text = file.read()
        self._at += len(text)
        return text.count(b"new rate:")


class Rates:
    """Players and recorders that come and go, seeded."""

    def __init__(self, world: World, seed: int, log: Log) -> None:
        self._world, self._random, self._log = world, random.Random(seed), log
        self._players: list[tuple[int, subprocess.Popen[bytes]]] = []
        for rate in RATES:
            soundfile.write(self._file(rate), np.zeros(PLAYED_S * rate, np.float32), rate, subtype="PCM_16")

    def round(self) -> Round:
        asleep = self._random.random() < RESTS
        if asleep:
            self._drop_players()
            time.sleep(ASLEEP_S)
        self._change_players()
        rates = [self._random.choice(RATES) for _ in range(3)]
        self._log.changes()
        recorders = self._recorders(rates)
        per_tick, trouble = self._watch(recorders)
        for one in recorders:
            one.stop()
        heard = [(one.samples, one.rate) for one in recorders]
        silent = [gap for samples, rate in heard for gap in gaps(samples, rate)]
        second = round(1 / TICK_S)
        return Round(
            players=[rate for rate, _ in self._players],
            recorders=rates,
            asleep=asleep,
            heard_s=round(sum(len(samples) / rate for samples, rate in heard), 2),
            unprocessed=sum(judged(samples, rate) for samples, rate in heard),
            first_ms=round(1000 * self._first_s),
            gaps=len(silent),
            gaps_ms=round(1000 * sum(silent)),
            longest_gap_ms=round(1000 * max(silent, default=0)),
            rate_changes=sum(per_tick),
            most_changes_in_a_second=max(sum(per_tick[at : at + second]) for at in range(len(per_tick))),
            trouble=trouble,
        )

    def _watch(self, recorders: list[Heard]) -> tuple[list[int], str]:
        """Changes of rate per tick while they record, and who heard nothing."""
        begin, per_tick, self._first_s = time.monotonic(), [0], 0.0
        end, waiting = begin + self._random.uniform(*ROUND_S), list(recorders)
        while time.monotonic() < end or (waiting and time.monotonic() < begin + DEADLINE_S):
            time.sleep(TICK_S)
            per_tick.append(self._log.changes())
            waiting = [one for one in waiting if not np.any(np.abs(one.samples) > SILENT)]
            if waiting:
                self._first_s = time.monotonic() - begin
        silent = ", ".join(f"{one.name} at {one.rate}" for one in waiting)
        return per_tick, f"no sound within {DEADLINE_S:g} s at {silent}" if silent else ""

    def _recorders(self, rates: list[int]) -> list[Heard]:
        file = self._world.home / "pw-record.wav"
        native = ["pw-record", "--target", "rwc_mic", "--format", "f32", "--channels", "1", "--rate", str(rates[0])]
        parecs = [Heard(f"parec {n}", rate, pulse(f"named{n}", "rwc_mic", rate)) for n, rate in enumerate(rates[1:])]
        return [Heard("pw-record", rates[0], [*native, str(file)], file), *parecs]

    def _change_players(self) -> None:
        self._players = [(rate, process) for rate, process in self._players if process.poll() is None]
        if self._players and self._random.random() < 0.5:
            _, process = self._players.pop(0)
            end(process)
        while len(self._players) < self._random.randint(0, MOST_PLAYERS):
            rate = self._random.choice(RATES)
            self._players.append((rate, subprocess.Popen(["pw-cat", "-p", self._file(rate)])))
        time.sleep(self._random.uniform(0.0, 1.0))

    def _drop_players(self) -> None:
        for _, process in self._players:
            end(process)
        self._players = []

    def _file(self, rate: int) -> Path:
        return self._world.home / f"{rate}.wav"

    def stop(self) -> None:
        self._drop_players()


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def account(world: World, rounds: list[Round], minutes: float) -> dict[str, object]:
    """All rounds in one row."""
    return {
        "minutes": minutes,
        "rounds": len(rounds),
        "from_sleep": sum(one.asleep for one in rounds),
        "recorders": Counter(rate for one in rounds for rate in one.recorders),
        "heard_s": round(sum(one.heard_s for one in rounds)),
        "unprocessed": sum(one.unprocessed for one in rounds),
        "first_ms": max(one.first_ms for one in rounds),
        "gaps": sum(one.gaps for one in rounds),
        "gaps_ms": sum(one.gaps_ms for one in rounds),
        "longest_gap_ms": max(one.longest_gap_ms for one in rounds),
        "rate_changes": sum(one.rate_changes for one in rounds),
        "most_changes_in_a_second": max(one.most_changes_in_a_second for one in rounds),
        "storms": sum(one.most_changes_in_a_second >= STORM for one in rounds),
        "stalls": world.statistics()["microphone_stalls"],
        "troubles": [one.trouble for one in rounds if one.trouble],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    world = World(Path.home(), sound=played, rates=RATES, mic_sleeps=True)
    log = world.home / "pipewire.log"
    drop_in = world.home / ".config/systemd/user/pipewire.service.d/50-log.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(LOGGED.format(log=log))
    systemctl("daemon-reload")
    try:
        world.start(record=False)
        print(json.dumps({"versions": versions()}), flush=True)
        until(log.exists, "the server's log")
        rates = Rates(world, options.seed, Log(log))
        try:
            rounds = [rates.round()]  # what stays once, stays: caches, the first client
            rates.stop()
            before = rest(world)
            started = time.monotonic()
            while time.monotonic() < started + 60 * options.minutes:
                rounds.append(rates.round())
                print(json.dumps(asdict(rounds[-1])), flush=True)
        finally:
            rates.stop()
        left = {"before": asdict(before), "after": asdict(rest(world))}
        print(json.dumps({**account(world, rounds, options.minutes), **left}), flush=True)
    finally:
        world.stop()


if __name__ == "__main__":
    main()
