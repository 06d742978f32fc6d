"""Overload handling on load that real machines showed: when the level and the slack change, and that nothing flaps.

`testkit/load_traces.py` recorded the traces, and says how. A trace shows level 0; where the replayed controller runs
at a cheaper level, load scales with that level's cost.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rwc_daemon.control.slack import SlackControl
from rwc_daemon.controls import Controls
from rwc_daemon.engine.load_request import LoadedVoice, steps_of
from rwc_daemon.engine.overload import OverloadController
from rwc_daemon.engine.thread_budget import ThreadBudget
from rwc_daemon.thresholds import THRESHOLDS as LIMITS
from testkit.load_traces import RECIPES, Look, read
from testkit.plain_voices import CostlyVoice, DelayVoice

TRACES = Path(__file__).with_name("traces")
ASKED = Controls(quality="balanced")
RATE, QUANTUM = 48000, 128
CHEAPER = 0.72  # cost of a level / cost of the one above
COST = 0.6
BUSY_FROM_S, BUSY_UNTIL_S = RECIPES["recovers"].busy[0]


class Meter:
    """The trace's figures at the level that runs."""

    load_p75: float | None = None
    load = load_now = lost_s = 0.0
    skipped = 0

    def show(self, look: Look, share: float) -> None:
        self.load_p75 = None if look.load_p75 is None else share * look.load_p75
        self.load = self.load_now = share * look.load
        if share == 1 or self.load >= 1:
            self.lost_s += look.lost_s
            self.skipped += round(RATE * look.lost_s)


class Replay:
    """A controller with a loader that answers at once; `steps`: (time, level) of every change."""

    def __init__(self, name: str) -> None:
        light = RECIPES[name].voice != "net"
        self.light, self.looks = light, read(TRACES / f"{name}.jsonl")
        self.voice = DelayVoice(name="light") if light else CostlyVoice("net")
        self.ladder = steps_of(self.voice, ASKED)
        self.requests, self.others, self.steps = [], 0.0, []
        self.threads = []
        budget = ThreadBudget(2, 2, lambda: self.others)
        self.control = OverloadController(budget, self.requests.append, lambda _: None)
        self._play(0, reduced=False)

    def _cost(self, level: int) -> float:
        return COST if self.light else COST * CHEAPER**level

    def _play(self, level: int, reduced: bool) -> None:
        loaded = LoadedVoice(self.voice, self.ladder, level, 0.0, ASKED)
        compute_ms = self._cost(level) * loaded.block.ms
        self.control.plays(LoadedVoice(self.voice, self.ladder, level, compute_ms, ASKED, reduced=reduced, threads=2))

    def run(self) -> Replay:
        meter, at_s = Meter(), 0.0
        for look in self.looks:
            at_s += look.elapsed_s
            self.others = look.others
            meter.show(look, self._cost(self.control.level) / COST)
            self.control.look(look.elapsed_s, meter)
            self.threads.append((at_s, self.control.threads))
            for request in [one for one in self.requests if not one.prewarm_only]:
                self._play(request.level, reduced=True)
                self.steps.append((at_s, request.level))
            self.requests.clear()
        return self


def slack_ms(name: str, calm_s: int = 0) -> list[float]:
    """The slack of each second, from what the voice begins with, and of so many calm seconds afterwards."""
    start, most = (80 * RATE // 1000, 120 * RATE // 1000) if RECIPES[name].voice == "net" else (QUANTUM, RATE // 10)
    slack, looks, out = SlackControl(RATE, QUANTUM, start, 0, most), read(TRACES / f"{name}.jsonl"), []
    looks += [Look(0.5, 0.2, 0.2, 0.0, 0.0, 0, 0.0, 2.0, False)] * (2 * calm_s)
    for first, second in zip(looks[::2], looks[1::2], strict=False):
        underruns, worst_ms = first.underruns + second.underruns, max(first.compute_max_ms, second.compute_max_ms)
        slack.look(1.0, underruns, worst_ms, quiet=True, overloaded=first.overloaded or second.overloaded)
        out.append(1000 * slack.samples / RATE)
    return out


def test_on_a_calm_machine_nothing_changes() -> None:
    replay = Replay("calm").run()
    assert replay.steps == []
    assert max(slack_ms("calm")) <= 1000 * QUANTUM / RATE + LIMITS.least_growth_ms


def test_bursts_of_two_busy_programs_are_jitter_for_a_light_voice() -> None:
    """Single blocks are late: slack grows to what they need, blocks stay short."""
    assert Replay("bursts").run().steps == []
    grown = slack_ms("bursts")
    assert grown == sorted(grown), "slack does not flap"
    assert LIMITS.least_growth_ms <= grown[-1] <= LIMITS.starved_slack_ms + LIMITS.least_growth_ms
    after = slack_ms("bursts", calm_s=60)
    assert after[-1] == grown[-1], "bursts are remembered for minutes"


def test_an_overload_leads_down_soon_to_a_level_that_fits() -> None:
    replay = Replay("overloaded").run()
    at_s, _ = replay.steps[0]
    assert at_s < BUSY_FROM_S + LIMITS.load_window_s + LIMITS.overload_s + LIMITS.settle_s
    share = CHEAPER**replay.control.level
    assert max(share * look.load for look in replay.looks[-10:]) < 1
    assert len(replay.steps) <= 3, "nothing flaps"
    assert min(threads for _, threads in replay.threads) == 1, "other programs get their core"


@pytest.mark.parametrize("name", ["overloaded", "recovers"])
def test_an_overload_grows_no_slack(name: str) -> None:
    """Voice is missing all the time of the overload, and no slack would help. Underruns beside it are jitter."""
    during = slack_ms(name)[int(BUSY_FROM_S) : int(BUSY_UNTIL_S)]
    assert max(during) - during[0] <= LIMITS.least_growth_ms


def test_what_grew_just_before_an_overload_was_seen_is_given_back_soon() -> None:
    grown = max(slack_ms("overloaded"))
    calm = slack_ms("overloaded", calm_s=int(LIMITS.overload_recovery_s) + 2)[-1]
    assert calm < grown - 4 * LIMITS.least_growth_ms
    assert slack_ms("recovers")[-1] < grown - 4 * LIMITS.least_growth_ms, "slow blocks of an overload are forgotten"


def test_after_an_overload_the_level_comes_back_and_stays() -> None:
    replay = Replay("recovers").run()
    levels = [level for _, level in replay.steps]
    assert levels[-1] == 0
    assert replay.steps[-1][0] < BUSY_UNTIL_S + LIMITS.load_window_s + 2 * LIMITS.recovery_s
    assert levels[0] == max(levels)
    assert levels == sorted(levels, reverse=True), "down once, then only up"
