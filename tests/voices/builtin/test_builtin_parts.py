"""The parts of the pitch voice by themselves: tracker, marks, reading between samples."""

from __future__ import annotations

import numpy as np
import pytest

from rwc_daemon.dsp.history import History
from rwc_daemon.voices.builtin.track import PitchTrack
from testkit.builtin.sounds import RATE, vowel
from testkit.builtin.twin.interpolate import Interpolator
from testkit.builtin.twin.marks import Marks


def tracked(x: np.ndarray, rate: int = RATE) -> np.ndarray:
    """Periods per hop."""
    track, history = PitchTrack(rate), History(len(x) + rate // 2)
    history.write(x)
    return np.array([track.step(history, now) for now in range(track.hop, len(x), track.hop)])


@pytest.mark.parametrize("rate", [16000, 44100, 48000, 96000])
@pytest.mark.parametrize("hz", [70, 130, 260, 520, 800])
def test_tracker_finds_the_period(hz, rate):
    periods = tracked(vowel(np.full(rate // 2, float(hz)), rate), rate)[20:]
    assert (periods > 0).all()
    assert np.abs(1200 * np.log2(rate / periods / hz)).max() < 25


def test_tracker_hears_no_pitch_in_noise_hum_or_offset():
    rng = np.random.default_rng(0)
    n = 2 * RATE
    hum = 0.01 * np.sin(2 * np.pi * 50 * np.arange(n) / RATE)
    for x in (0.05 * rng.standard_normal(n), hum, np.full(n, 0.3), np.zeros(n)):
        assert np.mean(tracked(x.astype(np.float32))[20:] > 0) < 0.05


def test_marks_stand_one_true_period_apart():
    hz = 173.3
    x = vowel(np.full(RATE, hz))
    track, marks, history = PitchTrack(RATE), Marks(RATE, cover=1300), History(2 * RATE)
    history.write(x)
    for now in range(track.hop, len(x), track.hop):
        marks.step(history, now, track.step(history, now))
    places = [marks.nearest(RATE - 500 - k * RATE / hz, RATE).at for k in range(15)]
    assert np.abs(np.diff(places) + RATE / hz).max() < 0.1
    # and where the period is loud
    around = [np.sum(x[int(place) - 20 : int(place) + 20] ** 2) for place in places]
    assert np.mean(around) > 1.5 * 40 * np.mean(x[RATE // 2 :] ** 2)


def test_reading_between_samples():
    hz, n = 9000.0, 4000
    history = History(n)
    history.write(np.sin(2 * np.pi * hz / RATE * np.arange(n)))
    interpolator = Interpolator()
    places = np.random.default_rng(0).uniform(100, n - 100, 1000)
    plain = np.zeros(1000, np.int64)
    wanted = np.sin(2 * np.pi * hz / RATE * places)
    assert np.abs(interpolator.read(history, places, plain) - wanted).max() < 3e-3
    assert np.array_equal(interpolator.read(history, np.floor(places), plain), history.view(0, n)[places.astype(int)])


def test_what_would_fold_back_is_taken_out():
    history = History(4000)
    history.write(np.sin(2 * np.pi * 20000 / RATE * np.arange(4000)))
    interpolator = Interpolator()
    kernel = np.full(1000, interpolator.kernel(2.0))
    assert np.std(interpolator.read(history, np.arange(100, 2100, 2.0), kernel)) < 0.03
