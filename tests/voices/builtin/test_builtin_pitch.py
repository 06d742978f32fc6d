"""The asked pitch is the pitch heard, on sung and spoken tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import rwc_daemon
from rwc_daemon.controls import Controls
from rwc_daemon.dsp.resample import resample
from rwc_daemon.voices.builtin.presets import PRESETS
from rwc_daemon.voices.f0.yin import Yin
from testkit.builtin.measures import cents, pitch_hz
from testkit.builtin.sounds import RATE, converted, glide, spoken, vibrato, vowel

SHIFTS = (-12, -5, 1, 7, 12)
SUNG = {hz: (vibrato(hz), 0.7 * hz, 1.4 * hz) for hz in (80, 120, 200, 350, 600)}


def off_by(x: np.ndarray, shift: float, low: float, high: float) -> np.ndarray:
    """Cents between what is heard and what was asked, per 10 ms that have pitch."""
    ratio = 2 ** (shift / 12)
    y = converted("plain", x, Controls(pitch=shift))
    return cents(pitch_hz(y, RATE, low * ratio, high * ratio), pitch_hz(x, RATE, low, high)) - 100 * shift


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("hz", list(SUNG))
def test_sung(hz, shift):
    f0_hz, low, high = SUNG[hz]
    error = off_by(vowel(f0_hz, noise=0.003), shift, low, high)
    assert len(error) > 60
    assert abs(np.median(error)) < 15
    assert np.mean(np.abs(error) > 100) < 0.03


@pytest.mark.parametrize("shift", [-12, -5, 5, 12])
@pytest.mark.parametrize(("begin", "end"), [(90, 180), (500, 250)])
def test_gliding(begin, end, shift):
    error = off_by(vowel(glide(begin, end)), shift, 0.8 * min(begin, end), 1.3 * max(begin, end))
    assert abs(np.median(error)) < 15
    assert np.mean(np.abs(error) > 100) < 0.03


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize(("voice", "pitch", "low", "high"), [("en-us", 50, 65, 250), ("en-us+f3", 60, 100, 400)])
def test_spoken(voice, pitch, low, high, shift):
    error = off_by(spoken(voice, pitch), shift, low, high)
    assert len(error) > 80
    assert abs(np.median(error)) < 15
    assert np.mean(np.abs(error) > 300) < 0.03


@pytest.mark.parametrize("snr_db", [20, 10])
def test_spoken_in_noise(snr_db):
    x = spoken("en-us+f3", 60)
    noise = np.random.default_rng(0).standard_normal(len(x)) * np.std(x) * 10 ** (-snr_db / 20)
    error = off_by((x + noise).astype(np.float32), 5, 100, 400)
    assert abs(np.median(error)) < 15
    assert np.mean(np.abs(error) > 300) < 0.03


@pytest.mark.parametrize(("voice", "asked"), [("deep", -4), ("bright", 4), ("giant", -8), ("tiny", 9)])
def test_the_control_acts_on_top_of_the_preset(voice, asked):
    x = vowel(vibrato(180))
    ratio = 2 ** ((asked + 2) / 12)
    y = converted(voice, x, Controls(pitch=2))
    heard = cents(pitch_hz(y, RATE, 120 * ratio, 260 * ratio), pitch_hz(x, RATE, 120, 260))
    assert np.median(heard) == pytest.approx(100 * (asked + 2), abs=15)


@pytest.mark.parametrize(("shift", "hz"), [(0, 110), (7, 164.8)])
def test_the_robot_has_one_note(shift, hz):
    y = converted("robot", vowel(glide(120, 240)), Controls(pitch=shift))
    heard = pitch_hz(y, RATE, 0.7 * hz, 1.4 * hz)[10:-10]
    assert np.abs(1200 * np.log2(heard[heard > 0] / hz)).max() < 40
    assert np.median(heard[heard > 0]) == pytest.approx(hz, rel=0.003)


@pytest.mark.parametrize("voice", ["deep", "bright", "giant"])
def test_words_that_begin_on_a_strong_formant_are_not_taken_for_its_tone(voice):
    """Every voiced frame of the demo's sentence: a track that locks on a formant is off by a fifth for 80 ms."""
    x, rate = soundfile.read(Path(rwc_daemon.__file__).parent / "faces" / "data" / "demo.flac", dtype="float32")
    x = resample(x, rate, RATE)
    heard, said = (Yin().track(resample(one, RATE, 16000)) for one in (x, converted(voice, x)))
    both = (heard > 0) & (said > 0)
    wanted = PRESETS[voice].pitch
    off = np.abs(1200 * np.log2(said[both] / heard[both]) - 100 * wanted)
    assert (off > 300).mean() < 0.027
