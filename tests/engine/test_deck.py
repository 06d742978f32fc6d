import numpy as np
import pytest
from plain_voices import DelayVoice

from rwc_daemon.controls import Controls
from rwc_daemon.engine.deck import Deck
from rwc_daemon.engine.stream import Stream
from rwc_daemon.plan import Block, Plan

RATE = 48000
OPEN = Controls(gate_db=-90)


def stream(block_ms=5, quantum=128, **voice):
    wanted = Block(block_ms)
    return Stream(DelayVoice(block=wanted, **voice), Plan.fit(RATE, quantum, wanted), OPEN)


def feed(deck, x, position, out):
    """As the inference thread does: `missing` samples at a time, from `position` on."""
    while position + deck.missing <= len(x):
        piece = x[position : position + deck.missing]
        position += len(piece)
        out.append(deck.feed(piece))
    return position


@pytest.mark.parametrize("next_ms", [5, 20, 47, 2.7])
def test_after_a_switch_every_sample_was_played_once_and_in_its_place(next_ms):
    x = np.random.default_rng(3).normal(0, 0.05, RATE * 2).astype(np.float32)
    deck, out = Deck(stream()), []
    common = deck.stream.delay
    position = feed(deck, x[:20000], 0, out)
    deck.switch(stream(next_ms))
    assert deck.stream.delay == common
    position = feed(deck, x, position, out)
    assert not deck.switching
    y = np.concatenate(out)
    assert position == len(y)
    # both voices are the identity, so the only freedom is the equal-power fade, at most 3 dB while it lasts
    wrong = np.abs(y[common:] - x[: len(y) - common]) > 1e-6
    fade = int(0.05 * RATE) if deck.stream.plan.block == 256 else 0
    assert wrong.sum() <= fade


def test_equal_power_for_voices_that_differ():
    """Two unlike voices (here: opposite delays of noise) keep the level through the fade."""
    x = np.random.default_rng(4).normal(0, 0.1, RATE * 2).astype(np.float32)
    deck, out = Deck(stream(delay=0)), []
    position = feed(deck, x[:30000], 0, out)
    deck.switch(stream(delay=700))
    feed(deck, x, position, out)
    y = np.concatenate(out)
    levels = [np.std(y[n : n + 960]) for n in range(2000, len(y) - 960, 960)]
    assert min(levels) > 0.09
    assert max(levels) < 0.11


def test_a_newer_wish_replaces_an_older_one():
    x = np.random.default_rng(5).normal(0, 0.1, RATE * 2).astype(np.float32)
    deck, out = Deck(stream()), []
    position = feed(deck, x[:20000], 0, out)
    deck.switch(stream(gain=0.5))
    position = feed(deck, x[:24000], position, out)
    last = stream(gain=0.25)
    deck.switch(last)
    feed(deck, x, position, out)
    assert deck.stream is last
    y = np.concatenate(out)
    assert np.std(y[-9600:]) == pytest.approx(0.025, rel=0.1)


def test_input_that_came_too_late_keeps_the_place():
    x = np.arange(RATE, dtype=np.float32) / RATE * 0.5
    deck, out = Deck(stream()), []
    position = feed(deck, x[:10240], 0, out)
    late = x[position : position + deck.missing]
    deck.skip(late)
    out.append(np.zeros_like(late))
    position = feed(deck, x, position + len(late), out)
    y = np.concatenate(out)
    delay = deck.stream.delay
    assert len(y) == position
    assert np.array_equal(y[15000:], x[15000 - delay : len(y) - delay])
