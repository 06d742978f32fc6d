"""The process callback, cycle by cycle and without an audio server.

The microphone here is a constant of 10, which no voice reaches: a microphone sample that gets out shows at once. The
voice is a sine of its own index, so that alignment can be read off the output.
"""

from __future__ import annotations

import numpy as np
import pytest

from rwc_daemon.audio.callback import Callback
from rwc_daemon.link.ring import SharedRings

MIC = 10.0
AMPLITUDE = 0.8


class Rig:
    """A link, its callback and an engine that converts when told."""

    def __init__(self, rate: int = 48000, playout: int = 1024, slack: int = 256, mode: str = "convert") -> None:
        self.rate, self.playout, self.fade = rate, playout, rate // 200
        self.link = SharedRings.create(2**16)
        self.link.set_playout(playout, slack)
        self.link.set_mode(mode)
        self.callback = Callback(self.link, rate)
        self.link.join(self.link.new_generation())
        self.now = 0
        self.heard = np.zeros(0, np.float32)

    def voice(self, index: np.ndarray) -> np.ndarray:
        return (AMPLITUDE * np.cos(2 * np.pi * 220 * index / self.rate)).astype(np.float32)

    def convert(self, n: int | None = None) -> None:
        """Everything that is there, or n samples of it."""
        at = self.link.position()
        n = self.link.available() if n is None else n
        self.link.read(n)
        self.link.write(self.voice(np.arange(at, at + n)))

    def convert_blocks(self, block: int) -> None:
        """All whole blocks, as the inference thread does it: what is too late to be heard is left out."""
        while self.link.available() >= block:
            if self.link.lag() >= block:
                self.link.read(block)
                self.link.write_nothing(block)
            else:
                self.convert(block)

    def cycle(self, n: int, engine: bool = True) -> np.ndarray:
        """The engine converts what came in the cycles before, then the callback runs."""
        if engine:
            self.convert()
        out = self.callback.run_cycle(np.full(n, MIC, np.float32))
        self.now += n
        self.heard = np.append(self.heard, out)
        return out

    def due(self, n: int) -> np.ndarray:
        """What the cycle that just ran must have played once faded in."""
        return self.voice(np.arange(self.now - self.playout - n, self.now - self.playout))

    def run(self, samples: int, n: int, engine: bool = True) -> None:
        for _ in range(-(-samples // n)):
            self.cycle(n, engine)

    @property
    def jump_bound(self) -> float:
        """Slope of the sine plus slope of the fade, with 2 % for rounding."""
        return 1.02 * AMPLITUDE * (2 * np.pi * 220 / self.rate + np.pi / 2 / self.fade)

    def assert_clean(self) -> None:
        assert np.all(np.isfinite(self.heard))
        assert np.max(np.abs(self.heard)) <= AMPLITUDE * 1.0001
        assert np.max(np.abs(np.diff(self.heard, prepend=0))) <= self.jump_bound


@pytest.fixture(params=[44100, 48000, 96000])
def rate(request):
    return request.param


@pytest.mark.parametrize("n", [32, 64, 128, 441, 1024, 8192])
def test_voice_plays_exactly_hold_samples_late(rate, n):
    rig = Rig(rate, playout=max(1024, 2 * n), slack=min(256, n))
    rig.run(4 * rig.playout + rig.fade, n)
    assert np.array_equal(rig.cycle(n), rig.due(n))
    assert rig.link.counters().underruns == 0
    rig.assert_clean()


def test_fade_in_is_five_milliseconds_of_raised_cosine(rate):
    rig = Rig(rate)
    rig.run(4096, 128)
    start = int(np.flatnonzero(rig.heard)[0])
    voice = rig.voice(np.arange(start - rig.playout, start - rig.playout + rig.fade))
    shape = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, rig.fade + 1) / rig.fade)
    assert rig.heard[start : start + rig.fade] == pytest.approx(voice * shape, abs=1e-5)


def test_it_starts_only_with_slack_in_hand():
    rig = Rig(playout=1024, slack=512)
    rig.run(2048, 128, engine=False)
    rig.convert(2048 - 1024 + 128 + 512 - 1)
    assert not rig.cycle(128, engine=False).any()
    rig.convert(129)
    assert rig.cycle(128, engine=False).any()


@pytest.mark.parametrize("n", [32, 128, 240, 1024, 4096])
def test_running_out_is_one_fade_one_count_then_silence(rate, n):
    rig = Rig(rate, playout=max(2048, 2 * n))
    rig.run(6 * rig.playout, n)
    rig.run(4 * rig.playout, n, engine=False)
    assert rig.link.counters().underruns == 1
    last = int(np.flatnonzero(rig.heard)[-1])
    written = rig.link.position() + rig.playout
    assert written - 2 * n <= last <= written + rig.fade
    assert not rig.heard[last + 1 :].any()
    rig.assert_clean()


def test_a_fade_ends_with_the_last_sample_where_there_is_room():
    rig = Rig(playout=8192)
    rig.run(65536, 4096)
    rig.convert(3000)
    rig.run(16384, 4096, engine=False)
    assert int(np.flatnonzero(rig.heard)[-1]) == rig.link.position() + rig.playout - 2
    rig.assert_clean()


def test_late_voice_is_never_played_later():
    rig = Rig()
    rig.run(8192, 128)
    rig.run(4096, 128, engine=False)
    rig.run(4096, 128)
    assert np.array_equal(rig.cycle(128), rig.due(128))
    assert rig.link.counters().underruns == 1
    rig.assert_clean()


def test_voice_that_comes_late_does_not_break_into_the_fade():
    rig = Rig(playout=1024, slack=128)
    rig.run(8192, 32)
    rig.run(1024 + 64, 32, engine=False)
    assert rig.link.counters().underruns == 1
    rig.run(4096, 32)
    assert rig.link.counters().underruns == 1
    rig.assert_clean()


@pytest.mark.parametrize("mode", ["convert", "bypass"])
def test_leaving_is_one_fade_then_silence_for_good(mode):
    rig = Rig(mode=mode)
    rig.run(8192, 128)
    before = len(rig.heard)
    assert not rig.callback.silent
    rig.callback.leave()
    rig.run(8192, 128)
    assert rig.callback.silent
    assert rig.heard[before : before + rig.fade // 2].any()
    assert not rig.heard[before + rig.fade :].any()
    if mode == "convert":
        rig.assert_clean()


def test_changed_hold_fades_out_and_in_once():
    rig = Rig()
    rig.run(8192, 128)
    rig.link.set_playout(2048, 128)
    rig.run(8192, 128)
    rig.playout = 2048
    assert np.array_equal(rig.cycle(128), rig.due(128))
    counters = rig.link.counters()
    assert (counters.retargets, counters.underruns) == (1, 0)
    rig.assert_clean()


@pytest.mark.parametrize("n", [32, 128, 480, 1024])
@pytest.mark.parametrize("longer", [3000, 9000])
def test_a_longer_hold_says_nothing_twice(n, longer):
    """Silence until the first sample that was not played yet, and no longer than cycles and fades make it."""
    rig = Rig(playout=2048)
    rig.voice = lambda index: np.full(len(index), AMPLITUDE, np.float32)
    rig.run(8192, n)
    changed = rig.heard.size
    rig.link.set_playout(longer, 128)
    rig.run(3 * longer, n)
    rest = rig.heard[changed:] > 0
    ended = changed + int(np.argmin(rest))
    again = ended + int(np.argmax(rig.heard[ended:] > 0))
    first_heard, next_unheard = again - longer, ended - 2048
    assert next_unheard <= first_heard <= next_unheard + 2 * n + rig.fade
    assert rig.link.counters().underruns == 0
    rig.assert_clean()


def test_mute_and_back():
    rig = Rig()
    rig.run(8192, 128)
    rig.link.set_mode("mute")
    rig.run(1024, 128)
    assert not rig.cycle(128).any()
    rig.link.set_mode("convert")
    rig.run(2048, 128)
    assert np.array_equal(rig.cycle(128), rig.due(128))
    assert rig.link.counters().retargets == 2
    rig.assert_clean()


def test_a_new_link_is_muted():
    link = SharedRings.create(2**12)
    callback = Callback(link, 48000)
    assert not callback.run_cycle(np.full(128, MIC)).any()


def test_bypass_plays_the_microphone_at_once_and_stops_when_told():
    rig = Rig()
    rig.run(4096, 128)
    rig.link.set_mode("bypass")
    rig.run(1024, 128)
    assert np.all(rig.cycle(128) == MIC)
    rig.link.set_mode("convert")
    rig.run(rig.fade + 128, 128)
    told = rig.heard.size
    rig.run(4096, 128)
    assert np.max(np.abs(rig.heard[told:])) <= AMPLITUDE
    assert np.array_equal(rig.cycle(128), rig.due(128))


def test_a_dead_engine_is_silence_and_the_next_one_is_heard():
    rig = Rig()
    rig.run(8192, 128)
    rig.run(8192, 128, engine=False)
    generation = rig.link.new_generation()
    rig.run(200_000, 4096, engine=False)
    assert rig.link.counters().overruns == 0
    rig.link.join(generation)
    rig.run(4096, 128)
    assert np.array_equal(rig.cycle(128), rig.due(128))
    assert rig.link.counters().underruns == 1
    rig.assert_clean()


def test_a_stalled_engine_overruns_and_recovers_aligned():
    rig = Rig(playout=1024)
    rig.run(8192, 128)
    rig.run(2**16, 1024, engine=False)
    overruns = rig.link.counters().overruns
    assert overruns >= 1
    rig.now -= 1024 * overruns
    rig.run(8192, 128)
    assert np.array_equal(rig.cycle(128), rig.due(128))
    rig.assert_clean()


def test_any_quantum_in_any_cycle(rate):
    """An engine that is sometimes late, cycles from 32 to 8192: aligned where it plays, no jump, no microphone."""
    rig = Rig(rate, playout=9000, slack=400)
    sizes = np.random.default_rng(7)
    exact = 0
    for _ in range(1500):
        n = int(2 ** sizes.uniform(5, 13))
        out = rig.cycle(n, engine=sizes.random() < 0.7)
        exact += bool(out.any() and np.array_equal(out, rig.due(n)))
    assert exact > 100
    assert rig.link.counters().underruns > 5
    rig.assert_clean()


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_late_blocks_beside_a_changing_hold_are_fades(seed):
    """An engine that converts whole blocks, comes late and leaves out what is late, while the slack follows that: what
    it left out must not be heard as a hole with hard ends, at whichever distance the callback plays by then."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([64, 128, 441]))
    block = n * int(rng.integers(1, 4))
    rig = Rig(playout=block + n, slack=n)
    late = 0
    for _ in range(1500):
        if rng.random() < 0.05:
            late = int(rng.integers(1, 8))
        if rng.random() < 0.1:
            slack = n * int(rng.integers(1, 6))
            rig.link.set_playout(block + slack, slack)
        if late:
            late -= 1
        else:
            rig.convert_blocks(block)
        rig.cycle(n, engine=False)
    assert rig.link.counters().underruns > 5
    rig.assert_clean()


def test_the_engine_is_woken_once_a_block():
    rig = Rig()
    rig.link.set_wake(480)
    for _ in range(10):
        assert not rig.link.wait(0)
        while rig.link.available() < 480:
            rig.cycle(128, engine=False)
        assert rig.link.wait(0)
        rig.convert(480)


def test_cycles_are_counted_missed_and_late():
    callback = Callback(link := SharedRings.create(2**12), 48000)
    x, period_ns = np.zeros(480), 10_000_000
    callback.run_cycle(x, frames=0, time_ns=1)
    callback.run_cycle(x, frames=480, time_ns=1 + period_ns)
    callback.run_cycle(x, frames=480 * 4, time_ns=1 + 4 * period_ns)
    callback.run_cycle(x, frames=480 * 5, time_ns=1 + 5 * period_ns)
    callback.run_cycle(x, frames=480 * 5 + 10**6, time_ns=1 + 6 * period_ns)  # another driver's clock
    counters = link.counters()
    assert (counters.cycles, counters.missed_cycles, counters.late_cycles) == (5, 2, 1)
    assert (counters.quantum, counters.rate) == (480, 48000)


def test_peaks_are_those_since_the_last_look():
    rig = Rig()
    rig.run(8192, 128)
    assert rig.link.peaks() == (MIC, pytest.approx(AMPLITUDE, abs=1e-3))
    assert rig.link.peaks() == (0, 0)


def test_silence_instead_of_voice_is_counted():
    rig = Rig()
    rig.run(8192, 128)
    before = rig.link.counters().silence_samples
    assert before == int(np.flatnonzero(rig.heard)[0])
    rig.run(4096, 128)
    assert rig.link.counters().silence_samples == before


def test_two_summed_links_are_halved():
    rig = Rig(mode="bypass")
    rig.callback.set_input_gain(0.5)
    rig.run(4096, 128)
    assert np.all(rig.cycle(128) == MIC / 2)
    assert np.all(rig.link.read(128) == MIC / 2)
