"""The light voice as a stream: blocks, rates, silence, seeds, controls; and its sound against that of training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rwc_daemon.controls import Controls
from rwc_daemon.plan import Plan
from rwc_daemon.voices.f0.yin import Yin
from rwc_daemon.voices.light import hearing, shape, synthesis
from rwc_daemon.voices.light.session import LightSession, Nets
from rwc_daemon.voices.light.training.nets import Decoder
from testkit.builtin.sounds import RATE, glide, vowel

HOP = RATE // 100
PLAIN = Controls(envelope=0.0)


def sound(seconds: float = 1.2, rate: int = RATE) -> np.ndarray:
    return np.asarray(0.2 * vowel(glide(110, 180, seconds, rate), rate), np.float32)


def run(nets: Nets, x: np.ndarray, hops: int, controls: Controls = PLAIN, seed: int = 0, rate: int = RATE):
    block = hops * (rate // 100)
    session = LightSession(nets, Plan(rate, 1, block), controls, seed)
    whole = np.pad(x, (0, -len(x) % block))
    parts = [session.convert(whole[n : n + block], controls) for n in range(0, len(whole), block)]
    assert all(len(part) == block for part in parts)
    return np.concatenate(parts), session.delay


def test_the_cut_of_the_input_changes_no_bit(nets):
    x = sound()
    goal, delay = run(nets, x, 20)
    assert np.abs(goal[delay:]).max() > 1e-3, "silence proves nothing"
    for hops in (1, 2, 3, 7):
        y, _ = run(nets, x, hops)
        n = min(len(y), len(goal))
        assert np.array_equal(y[:n], goal[:n]), hops


@pytest.mark.parametrize("rate", [16000, 44100, 96000])
def test_any_rate(nets, rate):
    y, delay = run(nets, sound(0.4, rate), 1, rate=rate)
    assert 0.0425 * rate <= delay < 0.046 * rate
    assert np.isfinite(y).all()
    assert np.abs(y).max() > 1e-3


def test_the_seed_decides(nets):
    x = sound(0.4)
    a, b, c = (run(nets, x, 2, seed=seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_silence_in_nothing_out_and_speech_again(nets):
    quiet = np.zeros(3 * RATE, np.float32)
    y, delay = run(nets, np.concatenate([quiet, sound(0.5), quiet]), 1)
    spoken = slice(len(quiet) + delay - 2 * HOP, len(quiet) + RATE // 2 + delay + 5 * HOP)
    assert not y[: spoken.start].any()
    assert not y[spoken.stop :].any()
    assert np.abs(y[spoken]).max() > 1e-3


def test_bad_numbers_do_not_last(nets):
    x = sound(0.6)
    x[5000:5100] = np.nan
    y, _ = run(nets, x, 1)
    assert np.isfinite(y).all()


def test_pitch_and_formant_act(nets):
    x = sound(1.0)

    def height(controls: Controls) -> float:
        y, delay = run(nets, x, 1, controls)
        hz = Yin().track(np.ascontiguousarray(y[delay::3]))
        return float(np.median(hz[hz > 0]))

    plain, up = height(PLAIN), height(Controls(envelope=0.0, pitch=7.0))
    assert up / plain == pytest.approx(2 ** (7 / 12), rel=0.04)
    moved, _ = run(nets, x, 1, Controls(envelope=0.0, formant=4.0))
    assert not np.array_equal(moved, run(nets, x, 1)[0])


def test_loudness_follows_the_speaker_as_far_as_asked(nets):
    x = sound(1.5)

    def level(gain: float, envelope: float) -> float:
        y, _ = run(nets, np.float32(gain) * x, 1, Controls(envelope=envelope))
        return float(np.sqrt(np.mean(y[RATE // 2 :] ** 2)))

    assert level(0.5, 1.0) / level(1.0, 1.0) == pytest.approx(0.5, rel=0.06)
    assert level(0.5, 0.0) / level(1.0, 0.0) == pytest.approx(1.0, rel=0.06)


def test_pitch_is_learnt_and_kept_against_its_median():
    memory = hearing.Memory()
    for _ in range(100):
        hearing.step(120.0, -3.0, memory)
    height, voiced, loud = hearing.step(240.0, -3.0, memory)
    assert (height, voiced) == (pytest.approx(np.log(2)), 1.0)
    assert loud == pytest.approx(0.0)
    assert hearing.step(0.0, -9.0, memory) == (height, 0.0, pytest.approx(-6.0)), "unvoiced: the last pitch is held"


def test_pitches_of_a_view_are_those_of_the_whole():
    x = np.ascontiguousarray(sound(0.5)[::3])
    whole = Yin().track(x)
    begin = 20 * shape.HOP_16K - hearing.AROUND
    some = hearing.pitches(x[begin : begin + 2 * hearing.AROUND + 4 * shape.HOP_16K])
    assert np.allclose(some, whole[20:25], rtol=1e-4)


def test_synthesis_is_that_of_training():
    rng = np.random.default_rng(6)
    steps = 8
    parameters = rng.standard_normal((2 * steps, shape.OUTPUTS)).astype(np.float32)
    hz = rng.uniform(80, 300, 2 * steps)
    memory = synthesis.Memory(np.random.default_rng(7))
    one = np.ones(2, np.float32)
    stream = synthesis.Synthesis()
    y = [stream.step(parameters[2 * n : 2 * n + 2], hz[2 * n : 2 * n + 2], one, memory) for n in range(steps)]
    noise = np.random.default_rng(7)
    hiss = np.concatenate([noise.standard_normal(synthesis.STEP, np.float32) for _ in range(steps)])
    each = np.repeat(hz, shape.HOP)
    pulses = shape.pulses(np.cumsum(each) / shape.RATE, each)
    net = Decoder(1)
    inputs = (torch.from_numpy(one.copy())[None] for one in (parameters.T, pulses, hiss))
    goal = net.sound(*inputs)[0].numpy()
    own = np.concatenate(y)[shape.HOP :]
    assert np.abs(own[: -shape.HOP] - goal[: len(own) - shape.HOP]).max() < 1e-3 * np.abs(goal).max()
