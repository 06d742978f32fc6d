"""A light voice on a machine that has no time for its short blocks: longer ones, and no silence that lasts."""

import time

import numpy as np

from rwc_daemon.messages import Configure, QualityReduced
from rwc_daemon.plan import Block
from testkit.plain_voices import DelayVoice
from testkit.whole_engine import QUANTUM, RATE

SLOW_S = 0.012  # a block, however short: what waiting for the processor costs
LONGEST_S = 30.0


def noise(n):
    return np.random.default_rng(1).normal(0, 0.1, n).astype(np.float32)


def run_in_real_time(engine, seconds):
    """The graph does not wait for the engine; f32 that RWC Mic plays."""
    begun, out = time.monotonic(), []
    x = noise(QUANTUM)
    for cycle in range(int(seconds * RATE) // QUANTUM):
        out.append(engine.callback.run_cycle(x))
        engine.seconds += QUANTUM / RATE
        time.sleep(max(0.0, begun + cycle * QUANTUM / RATE - time.monotonic()))
    return np.concatenate(out)


def test_blocks_grow_until_they_come_in_time(engine_of):
    voice = DelayVoice(name="light", block=Block(5))
    engine = engine_of(voice)
    engine.order(Configure(RATE, QUANTUM, slack_ms=20.0))
    engine.use("light")
    engine.play(noise(RATE // 10))
    voice.seconds_per_block = SLOW_S
    begun, heard = time.monotonic(), np.zeros(1, np.float32)
    while not (np.abs(heard).mean() > 0.04 and "blocks of" in said(engine)):
        assert time.monotonic() - begun < LONGEST_S, "silence lasted"
        heard = run_in_real_time(engine, 0.5)
    voice.seconds_per_block = 0.0
    while said(engine):
        engine.play(noise(RATE // 2))
        assert engine.seconds < 600, "the blocks stay long"


def said(engine):
    """The newest word of what is done with less."""
    while not engine.said.empty():
        message = engine.said.get()
        if isinstance(message, QualityReduced):
            engine.reduced = message.message
    return getattr(engine, "reduced", "")
