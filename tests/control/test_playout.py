"""How much voice is kept ready, and a constant latency: what the daemon asks of the engine and tells the user."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rwc_daemon.control.faults import Faults
from rwc_daemon.control.playout import PlayoutDelay
from rwc_daemon.control.stats import Levels, Stats
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import Heartbeat, Planned, SetSlack
from rwc_daemon.settings import AudioSection
from rwc_daemon.thresholds import THRESHOLDS

RATE, QUANTUM = 48000, 128
BLOCK, DELAY = 3840, 1000


class Client:
    """2 ms before us, 3 ms behind."""

    is_open = True
    latency = 0

    def set_latency(self, samples: int) -> None:
        self.latency = samples

    def input_latency_ms(self) -> float:
        return 2.0

    def output_latency_ms(self) -> float:
        return 3.0


class Rig:
    def __init__(self, **wanted: float) -> None:
        self.link = SharedRings.create()
        self.client, self.faults, self.told = Client(), Faults(lambda fault: None), []
        self.stats = Stats(self.link, self.client)  # type: ignore[arg-type]
        self.playout = PlayoutDelay(self.link, self.client, self.stats, self.faults, AudioSection(**wanted), self._tell)  # type: ignore[arg-type]
        self.total = self.playout.configuration(RATE, QUANTUM).total

    def _tell(self, keep: SetSlack) -> None:
        self.told.append(keep)

    def plan(self, number: int = 1, needed: int = 1280, block: int = BLOCK, voice: str = "net") -> Planned:
        """As the engine answers."""
        total = self.told[-1].total if self.told else self.total
        slack = max(needed, total - block - DELAY)
        learned = self.told[-1].slack if self.told and self.told[-1].number == number else 0
        planned = Planned(RATE, QUANTUM, block, slack, DELAY, number, max(needed, learned), own=needed)
        self.playout.plan(planned, voice)
        return planned

    def second(
        self, underruns: int = 0, compute_max_ms: float = 20.0, silence_ms: float = 0.0, overloaded: bool = False
    ) -> None:
        before = self.stats.counters
        silence = before.silence_samples + round(silence_ms * RATE / 1000)
        self.stats.counters = replace(before, underruns=before.underruns + underruns, silence_samples=silence)
        beat = Heartbeat(10, 0.5, 10, 10, compute_max_ms, 0, 100, overloaded=overloaded)
        self.stats.note_heartbeat(beat)
        self.playout.look(1.0, before, -60.0)


@pytest.fixture
def rig_of():
    made = []

    def make(**wanted: float) -> Rig:
        made.append(Rig(**wanted))
        return made[-1]

    yield make
    for rig in made:
        rig.link.close()


def test_the_sum_is_what_the_graph_is_told(rig_of):
    rig = rig_of()
    planned = rig.plan()
    assert rig.client.latency == planned.block + planned.slack + planned.delay
    assert rig.stats.latency.total_ms == pytest.approx(1000 * rig.client.latency / RATE + 5.0)


def test_gaps_ask_the_engine_for_more_and_the_next_time_begins_there(rig_of):
    rig = rig_of()
    rig.plan()
    for _ in range(3):
        rig.second()
    rig.second(underruns=1, compute_max_ms=50)
    assert rig.told[-1].number == 1
    learned = rig.told[-1].slack
    assert learned > 1280
    rig.plan(number=1, needed=learned)  # the engine's answer begins nothing again
    rig.plan(number=2, voice="other")
    rig.plan(number=3)
    assert rig.told[-1] == SetSlack(3, learned - QUANTUM, 0)


def test_a_block_off_the_graphs_grid_keeps_a_cycle_more(rig_of):
    rig = rig_of()
    rig.plan(needed=QUANTUM, block=BLOCK + 60)
    assert rig.told[-1].slack == 2 * QUANTUM


def test_a_constant_latency_counts_the_graph_too(rig_of):
    rig = rig_of(constant_latency_ms=200.0)
    rig.plan()
    planned = rig.plan()
    assert rig.stats.latency.total_ms == pytest.approx(200.0, abs=0.1)
    assert planned.slack > planned.needed
    rig.plan(number=2, block=BLOCK * 3 // 2)
    assert rig.stats.latency.total_ms == pytest.approx(200.0, abs=0.1)
    assert not rig.faults


def test_a_constant_latency_that_is_too_short_is_said_with_what_is_needed(rig_of):
    rig = rig_of(constant_latency_ms=100.0)
    rig.plan()
    assert "132 ms" in rig.faults.shown.message
    rig.plan(number=2, block=BLOCK // 4)
    rig.plan(number=2, block=BLOCK // 4)
    assert not rig.faults


def test_the_status_says_why_the_latency_grew_and_a_reset_gives_it_back(rig_of):
    rig = rig_of()
    rig.plan()
    for _ in range(3):
        rig.second()
    assert rig.playout.note == ""
    rig.second(underruns=1, compute_max_ms=60.0)
    for _ in range(5):
        rig.second()
    assert "ms of it are kept because of sound that came too late 5 s ago" in rig.playout.note
    assert "rwcctl latency --reset" in rig.playout.note
    grown = rig.told[-1].slack
    rig.playout.forget()
    assert rig.told[-1].slack == 1280 < grown
    assert rig.playout.note == ""
    rig.plan(number=2)
    assert rig.told[-1].slack == 1280, "the next stream begins there, too"


def test_another_stream_of_a_voice_says_that_it_remembers(rig_of):
    rig = rig_of()
    rig.plan()
    for underruns in (0, 0, 0, 1):
        rig.second(underruns, compute_max_ms=60.0)
    rig.plan(number=2)
    assert "an earlier time of this voice" in rig.playout.note


def test_a_room_that_is_never_quiet_gets_its_latency_back(rig_of):
    """Noise at -40 dB, 20 dB above the gate, and speech in two of three seconds."""
    rig = rig_of()
    rig.plan()
    for underruns in (0, 0, 0, 1):
        rig.second(underruns, compute_max_ms=60.0)
    grown = rig.told[-1].slack
    shrunk_at = []
    for second in range(400):
        rig.stats.levels = Levels(in_db=-40.0 if second % 3 == 0 else -15.0)
        before = len(rig.told)
        rig.second(compute_max_ms=1.0)
        if len(rig.told) > before:
            shrunk_at.append(rig.stats.levels.in_db)
    assert rig.told[-1].slack < grown
    assert set(shrunk_at) == {-40.0}, "only where nobody speaks"


def test_a_gap_that_no_slack_could_fill_does_not_grow_it(rig_of):
    """The engine got no CPU time for half a second; a short gap is jitter."""
    rig = rig_of()
    rig.plan(needed=QUANTUM, block=256)
    for _ in range(3):
        rig.second()
    rig.second(underruns=1, silence_ms=500.0)
    assert rig.told == []
    for _ in range(int(THRESHOLDS.overload_nearby_s)):
        rig.second()
    rig.second(underruns=1, silence_ms=40.0)
    assert rig.told[-1].slack > QUANTUM


def test_an_overload_does_not_grow_slack_and_what_grew_for_it_is_not_remembered(rig_of):
    rig = rig_of()
    rig.plan(needed=QUANTUM, block=256)
    for _ in range(3):
        rig.second()
    rig.second(underruns=1)
    grown = rig.told[-1].slack
    for _ in range(20):
        rig.second(underruns=1, overloaded=True)
    assert rig.told[-1].slack == grown
    for _ in range(int(THRESHOLDS.overload_recovery_s) + 1):
        rig.second()
    assert rig.told[-1].slack == QUANTUM
    told = len(rig.told)
    rig.plan(number=2, needed=QUANTUM, block=256)
    assert len(rig.told) == told, "the next stream begins without it"
