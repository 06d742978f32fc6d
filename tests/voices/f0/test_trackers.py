"""Every tracker that needs no weights, against sounds of known pitch. Weaknesses found here stand in
docs/measurements/pitch.md."""

import numpy as np
import pytest

from rwc_daemon.voices.f0.autocorrelation import Autocorrelation
from rwc_daemon.voices.f0.praat import Praat
from rwc_daemon.voices.f0.world import Dio, Harvest
from rwc_daemon.voices.f0.yin import Yin
from testkit.pitch_sounds import VOICE, glide, judged, tone

TRACKERS = {kind.name: kind for kind in (Yin, Autocorrelation, Harvest, Dio, Praat)}
EVERY = tuple(TRACKERS)
WEAK_WITHOUT_FUNDAMENTAL = {"harvest", "dio"}
WEAK_ON_PURE_SINES = {"harvest"}
WEAK_IN_NOISE = {"dio"}
UP, DOWN = (70, 1000), (1000, 70)


def but(weak):
    return [name for name in EVERY if name not in weak]


def assert_follows(name, span, harmonics, noise_db=None, within=0.01):
    f0 = glide(*span)
    voiced, errors = judged(TRACKERS[name]().track(tone(f0, harmonics, noise_db)), f0)
    assert voiced > 0.95
    assert errors.max() < within


@pytest.mark.parametrize("span", [UP, DOWN], ids=["up", "down"])
@pytest.mark.parametrize("name", EVERY)
def test_a_voice_that_glides(name, span):
    assert_follows(name, span, VOICE)


@pytest.mark.parametrize("name", ["yin", "autocorrelation", "dio"])
def test_sixty_hertz(name):
    assert_follows(name, (60, 75), VOICE)


@pytest.mark.parametrize("name", but(WEAK_ON_PURE_SINES))
def test_a_pure_sine(name):
    assert_follows(name, UP, {1: 1})


@pytest.mark.parametrize("name", EVERY)
def test_octave_trap_a_second_harmonic_four_times_as_strong(name):
    assert_follows(name, UP, {1: 1, 2: 4, 3: 0.5})


@pytest.mark.parametrize("name", but(WEAK_WITHOUT_FUNDAMENTAL))
def test_octave_trap_no_fundamental(name):
    assert_follows(name, UP, {2: 1, 3: 1, 4: 1, 5: 0.5})


@pytest.mark.parametrize("name", EVERY)
def test_a_breathy_voice(name):
    assert_follows(name, UP, VOICE, noise_db=-10, within=0.03 if name in WEAK_IN_NOISE else 0.01)


@pytest.mark.parametrize("name", EVERY)
def test_silence_is_unvoiced_and_noise_mostly(name):
    tracker = TRACKERS[name]()
    noise = 0.1 * np.random.default_rng(1).standard_normal(32000).astype(np.float32)
    assert not tracker.track(np.zeros(16000, np.float32)).any()
    assert (tracker.track(noise) > 0).mean() < 0.15


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("samples", [0, 1, 159, 160, 700, 1601])
def test_one_figure_per_ten_milliseconds_however_short(name, samples):
    f0 = TRACKERS[name]().track(tone(glide(100, 200, 0.2), VOICE)[:samples].astype(np.float64))
    assert f0.dtype == np.float32
    assert len(f0) == samples // 160 + 1


@pytest.mark.parametrize("name", ["yin", "autocorrelation"])
def test_a_soft_voice_is_heard_and_hiss_at_the_floor_is_not(name):
    f0 = glide(100, 300, 1.0)
    assert judged(TRACKERS[name]().track(tone(f0, VOICE, level_db=-60)), f0)[0] == 1
    assert not TRACKERS[name]().track(tone(f0, VOICE, level_db=-80)).any()


def test_yin_hears_the_same_in_a_window_as_in_the_whole():
    x = tone(glide(80, 400, 2.0), VOICE, noise_db=-15)
    whole, window = Yin().track(x), Yin().track(x[8000:16000])
    assert np.allclose(whole[54:96], window[4:46], rtol=1e-4)


def test_autocorrelation_does_not_leap_in_a_cracking_frame():
    x = tone(np.full(16000, 200.0), VOICE)
    x[8000:8160] += tone(np.full(160, 410.0), {1: 1}, level_db=-17)
    f0 = Autocorrelation().track(x)[4:-4]
    assert np.allclose(f0, 200, rtol=0.03)
