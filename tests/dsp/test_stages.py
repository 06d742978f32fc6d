"""Gain, glide, delay, fades."""

import numpy as np
import pytest

from rwc_daemon.dsp.delay import Delay
from rwc_daemon.dsp.fade import equal_power
from rwc_daemon.dsp.gain import Gain
from rwc_daemon.dsp.glide import Glide
from tests.dsp.cuts import assert_cut_blind, fed, pieces

X = np.random.default_rng(0).standard_normal(9000).astype(np.float32)


def test_gain_starts_where_it_is_set_and_unity_is_exact():
    assert np.array_equal(Gain(48000).feed(X, 0.0), X)
    assert np.allclose(Gain(48000).feed(X, -20.0), X * 0.1)


def test_gain_moves_without_a_step_however_cut():
    def run(seed):
        gain = Gain(48000)
        first, then = X[:4000] * 0 + 1, X[4000:] * 0 + 1
        return np.concatenate(
            (
                fed(lambda x: gain.feed(x, 0.0), pieces(first, seed)),
                fed(lambda x: gain.feed(x, 12.0), pieces(then, seed)),
            )
        )

    y = run(0)
    assert np.array_equal(y, run(1))
    assert np.abs(np.diff(y)).max() < 0.01
    assert y[3999] == 1
    assert y[-1] == pytest.approx(10 ** (12 / 20))


def test_glide_turns_back_from_where_it_is():
    glide = Glide(100)
    glide.aim(0.0)
    glide.aim(1.0)
    up = glide.take(50)
    glide.aim(0.0)
    down = glide.take(150)
    assert down[0] == pytest.approx(up[-1] + 0.01)
    assert np.abs(np.diff(np.concatenate((up, down)))).max() <= 0.0100001
    assert down[-1] == 0
    assert glide.still


@pytest.mark.parametrize("delay", [0, 1, 700])
def test_delay(delay):
    y = assert_cut_blind(lambda: Delay(delay).feed, X)
    assert np.array_equal(y, np.concatenate((np.zeros(delay, np.float32), X))[: len(X)])


def test_fades_keep_power():
    fade_in, fade_out = equal_power(333)
    assert np.allclose(fade_in**2 + fade_out**2, 1, atol=1e-6)
    assert np.allclose(fade_in, fade_out[::-1], atol=1e-6)
    assert len(equal_power(0)[0]) == 0
