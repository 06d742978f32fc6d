import numpy as np
import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.plan import Block, Plan
from testkit.plain_voices import DelayVoice

OPEN = Controls(gate_db=-90)


def noise(samples, level=0.1, seed=1):
    return np.random.default_rng(seed).normal(0, level, samples).astype(np.float32)


def run(stream, x, cuts):
    pieces = np.split(x, np.sort(np.unique(cuts))) if len(cuts) else [x]
    return np.concatenate([*(stream.feed(piece) for piece in pieces), stream.flush()])


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize("block_ms", [1.3, 5, 40])
def test_a_voice_that_only_delays_makes_a_stream_that_only_delays(rate, block_ms):
    stream = Stream(DelayVoice(delay=77), Plan.offline(rate, Block(block_ms)), OPEN, high_pass=False)
    x = noise(rate // 3 + 17)
    y = run(stream, x, [])
    assert len(y) == len(x) + stream.delay
    assert np.array_equal(y[stream.delay :], x)
    assert not y[: stream.delay].any()


@pytest.mark.parametrize("gate_db", [-90.0, -30.0])
def test_cutting_the_input_anywhere_gives_the_same_bits(gate_db):
    x = noise(30000) * np.repeat([1, 0.01, 1], 10000).astype(np.float32)
    controls = Controls(gate_db=gate_db, input_gain_db=3, output_gain_db=6)
    plan = Plan.offline(48000, Block(5))
    whole = run(Stream(DelayVoice(40), plan, controls), x, [])
    for seed in range(4):
        cuts = np.random.default_rng(seed).integers(0, len(x), 50)
        assert np.array_equal(run(Stream(DelayVoice(40), plan, controls), x, cuts), whole)


def test_the_same_stream_in_larger_blocks_says_the_same():
    x = noise(48000)
    small = run(Stream(DelayVoice(40), Plan.offline(48000, Block(5)), OPEN), x, [])
    large = run(Stream(DelayVoice(40), Plan.offline(48000, Block(1000)), OPEN), x, [])
    assert np.array_equal(small, large)


def test_broken_numbers_become_silence_and_are_counted():
    class Broken(DelayVoice):
        def open(self, plan, controls, seed=0):
            session = super().open(plan, controls, seed)
            session.convert = lambda x, controls, silent=False: np.full_like(x, np.nan)
            return session

    stream = Stream(Broken(), Plan.offline(48000, Block(5)), OPEN)
    y = run(stream, noise(4800), [])
    assert not y.any()
    assert stream.spoiled >= 20


def test_broken_input_is_heard_as_silence():
    x = noise(4800)
    x[1000:1100] = np.nan
    x[2000] = np.inf
    voice = DelayVoice()
    run(Stream(voice, Plan.offline(48000, Block(5)), OPEN), x, [])
    assert np.isfinite(np.concatenate(voice.heard)).all()


def test_gains_act_before_and_after_the_voice():
    voice = DelayVoice()
    controls = Controls(gate_db=-90, input_gain_db=-6, output_gain_db=-6)
    stream = Stream(voice, Plan.offline(48000, Block(5)), controls)
    x = noise(48000)
    y = run(stream, x, [])
    half = 10 ** (-6 / 20)
    assert np.std(np.concatenate(voice.heard)[4800:40000]) == pytest.approx(half * np.std(x), rel=0.02)
    assert np.std(y[4800:40000]) == pytest.approx(half * half * np.std(x), rel=0.02)


def test_missing_counts_down_to_the_next_block():
    stream = Stream(DelayVoice(), Plan.offline(48000, Block(5)), OPEN)
    assert stream.missing == 240
    assert not len(stream.feed(noise(100)))
    assert stream.missing == 140
    assert len(stream.feed(noise(140))) == 240
