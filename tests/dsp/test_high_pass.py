"""The high-pass before gate and voice, against its formula."""

import numpy as np
import pytest
from scipy import signal

from rwc_daemon.dsp.high_pass import HighPass
from tests.dsp.cuts import assert_cut_blind

X = (0.5 + 0.1 * np.random.default_rng(0).standard_normal(9000)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_it_is_a_butterworth_filter_that_has_settled_at_the_first_sample(rate):
    sos = signal.butter(2, 50, "high", fs=rate, output="sos")
    wanted, _ = signal.sosfilt(sos, X.astype(np.float64), zi=signal.sosfilt_zi(sos) * float(X[0]))
    y = assert_cut_blind(lambda: HighPass(rate).feed, X)
    assert np.abs(y - wanted).max() < 1e-6


def test_an_offset_is_nothing_from_the_first_sample_on():
    assert not HighPass(48000).feed(np.full(9000, 0.03, np.float32)).any()


def test_after_sound_there_is_exact_silence():
    filter = HighPass(48000)
    filter.feed(X)
    assert not filter.feed(np.zeros(24000, np.float32))[12000:].any()


@pytest.mark.parametrize(("hz", "late_ms"), [(100, 1.32), (200, 0.30), (1000, 0.01)])
def test_its_group_delay_is_the_one_that_is_told(hz, late_ms):
    """How late the swelling of a tone comes."""
    rate, t = 48000, np.arange(48000) / 48000
    swell = np.exp(-0.5 * ((t - 0.5) / 0.05) ** 2)
    y = signal.hilbert(HighPass(rate).feed((swell * np.cos(2 * np.pi * hz * t)).astype(np.float32)))
    power = np.square(np.abs(y))
    assert 1000 * ((power * t).sum() / power.sum() - 0.5) == pytest.approx(late_ms, abs=0.02)
