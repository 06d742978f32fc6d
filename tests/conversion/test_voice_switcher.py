import numpy as np
import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.conversion.voice_switcher import CROSSFADE_S, SETTLE_S, VoiceSwitcher
from rwc_daemon.dsp.fade import equal_power
from rwc_daemon.plan import Block, Plan
from testkit.plain_voices import DelayVoice

RATE = 48000
OPEN = Controls(gate_db=-90)


def exact(voice, plan):
    """A stream that adds nothing of its own."""
    return Stream(voice, plan, OPEN, high_pass=False)


def stream(block_ms=5, quantum=128, **voice):
    wanted = Block(block_ms)
    return exact(DelayVoice(block=wanted, **voice), Plan.fit(RATE, quantum, wanted))


def feed(switcher, x, position, out):
    """As the inference thread does: a block at a time, from `position` on."""
    while position + switcher.block <= len(x):
        piece = x[position : position + switcher.block]
        position += len(piece)
        out.append(switcher.feed(piece))
    return position


@pytest.mark.parametrize("next_ms", [5, 20, 47, 2.7])
def test_after_a_switch_every_sample_was_played_once_and_in_its_place(next_ms):
    x = np.random.default_rng(3).normal(0, 0.05, RATE * 2).astype(np.float32)
    switcher, out = VoiceSwitcher(stream()), []
    common = switcher.stream.delay
    position = feed(switcher, x[:20000], 0, out)
    switcher.switch(stream(next_ms))
    assert switcher.stream.delay == common
    position = feed(switcher, x, position, out)
    assert not switcher.switching
    y = np.concatenate(out)
    assert position == len(y)
    # both voices are the identity, so the only freedom is the fade: 40 ms between equal blocks, else a seam of 10 ms
    wrong = np.abs(y[common:] - x[: len(y) - common]) > 1e-6
    assert wrong.sum() <= (0.05 if switcher.stream.plan.block == 256 else 0.01) * RATE


@pytest.mark.parametrize("next_ms", [5, 20, 47])
def test_a_voice_that_can_be_primed_takes_over_between_two_blocks(next_ms):
    """It hears everything once, in order, and renders nothing beside the old one; the sound goes on without a jump."""
    x = (0.3 * np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    switcher, out = VoiceSwitcher(stream()), []
    position = feed(switcher, x[:30000], 0, out)
    coming = stream(next_ms, primes=True)
    voice = coming._session._voice
    switcher.switch(coming)
    assert switcher.stream is coming
    assert not voice.heard
    feed(switcher, x, position, out)
    y = np.concatenate(out)
    heard = np.concatenate(voice.heard)
    assert np.array_equal(heard, x[position - gate_delay(coming) :][: len(heard)])
    steepest = np.abs(np.diff(x)).max()
    assert np.abs(np.diff(y[5000:])).max() < 5 * steepest
    assert min(np.std(y[n : n + 480]) for n in range(5000, len(y) - 480, 240)) > 0.15


def gate_delay(stream):
    return stream._before.delay


def test_equal_power_for_voices_that_differ():
    """Two unlike voices (here: opposite delays of noise) keep the level through the fade."""
    x = np.random.default_rng(4).normal(0, 0.1, RATE * 2).astype(np.float32)
    switcher, out = VoiceSwitcher(stream(delay=0)), []
    position = feed(switcher, x[:30000], 0, out)
    switcher.switch(stream(delay=700))
    feed(switcher, x, position, out)
    y = np.concatenate(out)
    levels = [np.std(y[n : n + 960]) for n in range(2000, len(y) - 960, 960)]
    assert min(levels) > 0.09
    assert max(levels) < 0.11


def test_another_step_of_the_same_voice_takes_over_without_a_bump():
    x = (0.3 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)).astype(np.float32)
    voice = DelayVoice(block=Block(20), primes=True, delay=480)
    switcher, out = VoiceSwitcher(exact(voice, Plan.fit(RATE, 128, Block(20)))), []
    position = feed(switcher, x[:30000], 0, out)
    coming = exact(voice, Plan.fit(RATE, 128, Block(47)))
    delay, cold = coming.delay, coming.cold
    switcher.switch(coming)
    feed(switcher, x, position, out)
    seam = np.concatenate(out)[position : position + 960]
    wanted = x[position - delay :][:960]
    assert np.abs(seam - wanted)[cold:].max() < 0.01  # with equal power: 0.12


def test_a_newer_wish_replaces_an_older_one():
    x = np.random.default_rng(5).normal(0, 0.1, RATE * 2).astype(np.float32)
    switcher, out = VoiceSwitcher(stream()), []
    position = feed(switcher, x[:20000], 0, out)
    switcher.switch(stream(gain=0.5))
    position = feed(switcher, x[:24000], position, out)
    last = stream(gain=0.25)
    switcher.switch(last)
    feed(switcher, x, position, out)
    assert switcher.stream is last
    y = np.concatenate(out)
    assert np.std(y[-9600:]) == pytest.approx(0.025, rel=0.1)


def test_input_that_came_too_late_keeps_the_place():
    x = np.arange(RATE, dtype=np.float32) / RATE * 0.5
    switcher, out = VoiceSwitcher(stream()), []
    position = feed(switcher, x[:10240], 0, out)
    late = x[position : position + switcher.block]
    switcher.skip(late)
    out.append(np.zeros_like(late))
    position = feed(switcher, x, position + len(late), out)
    y = np.concatenate(out)
    delay = switcher.stream.delay
    assert len(y) == position
    assert np.array_equal(y[15000:], x[15000 - delay : len(y) - delay])


def test_what_the_old_voice_still_holds_fades_under_the_new_one():
    """Both are the identity, the old one 10 ms late: it goes on with its own sound, not with a mirrored one."""
    x = (0.3 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)).astype(np.float32)
    switcher, out = VoiceSwitcher(stream(20, primes=True, delay=480)), []
    position = feed(switcher, x[:30000], 0, out)
    old = switcher.stream.delay
    switcher.switch(stream(47, primes=True, gain=0))
    feed(switcher, x, position, out)
    seam = np.concatenate(out)[position : position + 480]
    falling = equal_power(480)[1]
    late = position - old + np.arange(480) - switcher.stream.cold
    assert np.abs(seam[: switcher.stream.cold] - x[position - old :][: switcher.stream.cold]).max() < 1e-3
    rest = slice(switcher.stream.cold, 480)
    assert (
        np.abs(seam[rest] - x[late + switcher.stream.cold][rest] * falling[: 480 - switcher.stream.cold]).max() < 1e-3
    )


def test_a_switch_goes_on_while_blocks_come_too_late():
    """A busy machine drops blocks; what comes hears them all the same, and takes over after as many."""
    x = np.random.default_rng(6).normal(0, 0.1, RATE).astype(np.float32)
    switcher, out = VoiceSwitcher(stream()), []
    position = feed(switcher, x[:20000], 0, out)
    coming = stream()
    switcher.switch(coming)
    for _ in range(int(SETTLE_S * RATE) // switcher.block + 1):
        switcher.skip(x[position : position + switcher.block])
        position += switcher.block
    feed(switcher, x[: position + int(CROSSFADE_S * RATE) + switcher.block], position, out)
    assert switcher.stream is coming
    assert np.array_equal(coming._session._voice.heard[-1], switcher.stream._session._voice.heard[-1])
