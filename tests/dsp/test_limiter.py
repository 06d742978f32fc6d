"""The limiter: a ceiling nothing passes, and no touch below -1 dB."""

import numpy as np
import pytest

from rwc_daemon.dsp.limiter import Limiter
from tests.dsp.cuts import assert_cut_blind

RATE = 48000


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, 1e4, 1e30])
def test_never_above_full_scale(scale):
    x = (scale * np.random.default_rng(0).standard_normal(20000)).astype(np.float32)
    y = assert_cut_blind(lambda: Limiter(RATE).feed, x)
    assert np.abs(y).max() <= 1


def test_bit_exact_below_the_knee():
    x = np.random.default_rng(0).uniform(-0.89, 0.89, 20000).astype(np.float32)
    limiter = Limiter(RATE)
    assert limiter.delay <= 0.0015 * RATE
    assert np.array_equal(limiter.feed(x)[limiter.delay :], x[: -limiter.delay])


def test_comes_back_to_bit_exact():
    x = np.full(RATE, 0.5, np.float32)
    x[1000:1100] = 4.0
    limiter = Limiter(RATE)
    y = limiter.feed(x)
    assert np.array_equal(y[RATE // 4 :], x[RATE // 4 :])
    assert np.array_equal(y[: 1000 - 1], np.concatenate((np.zeros(limiter.delay), x))[:999].astype(np.float32))


def test_no_step_in_the_gain():
    """A steady tone with one loud burst: the gain, out over in, moves by little from sample to sample."""
    x = np.full(RATE // 2, 0.8, np.float32)
    x[5000:9000] = 2.5
    limiter = Limiter(RATE)
    gain = limiter.feed(x)[limiter.delay :] / x[: -limiter.delay]
    assert np.abs(np.diff(gain)).max() < 0.02


def test_loudness_order_is_kept():
    levels = np.linspace(0.5, 3, 20, dtype=np.float32)
    peaks = [Limiter(RATE).feed(np.full(2000, level, np.float32))[-1] for level in levels]
    assert (np.diff(peaks) >= 0).all()


def test_bad_samples_are_silence():
    x = np.array([np.nan, np.inf, -np.inf] * 200, np.float32)
    assert not Limiter(RATE).feed(x).any()
