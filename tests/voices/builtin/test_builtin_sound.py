"""How the built-in voices sound, in numbers: formants, consonants, harmonics, clicks, whispers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from rwc_daemon.controls import Controls
from rwc_daemon.plan import Plan
from rwc_daemon.voices.builtin.presets import PRESETS
from rwc_daemon.voices.builtin.voice import load_builtin
from testkit.builtin.measures import (
    band_db,
    cents,
    envelope_db,
    envelope_ratio,
    harmonics_over_noise_db,
    largest_jump,
    loudness_db,
    pitch_hz,
)
from testkit.builtin.sounds import RATE, converted, spoken, vibrato, vowel

STEADY = slice(RATE // 4, RATE)


@pytest.mark.parametrize("formant", [-4, 4])
@pytest.mark.parametrize("hz", [90, 140, 220])
def test_formant_moves_the_envelope_and_not_the_pitch(hz, formant):
    x = vowel(vibrato(hz))
    y = converted("plain", x, Controls(formant=formant))
    assert envelope_ratio(x[STEADY], y[STEADY], RATE, 2 * hz) == pytest.approx(2 ** (formant / 12), rel=0.1)
    low, high = 0.7 * hz, 1.4 * hz
    assert abs(np.median(cents(pitch_hz(y, RATE, low, high), pitch_hz(x, RATE, low, high)))) < 10


@pytest.mark.parametrize("formant", [-4, 4])
def test_formant_of_speech(formant):
    x = spoken("en-us+f3", 60)
    y = converted("plain", x, Controls(formant=formant))
    assert envelope_ratio(x, y, RATE, 300) == pytest.approx(2 ** (formant / 12), rel=0.1)
    assert abs(np.median(cents(pitch_hz(y, RATE, 100, 400), pitch_hz(x, RATE, 100, 400)))) < 10


@pytest.mark.parametrize("voice", ["deep", "bright", "giant", "tiny"])
@pytest.mark.parametrize("hz", [105.0, 210.0])
def test_formants_move_by_what_suits_a_low_and_a_high_voice(voice, hz):
    """Once it has been heard for a while; a man and a woman become the same giant."""
    preset = PRESETS[voice]
    x = vowel(vibrato(hz, 3.5))
    y = converted(voice, x)[2 * RATE :]
    wanted = preset.formant if hz < 150 else preset.formant_high
    ratio = envelope_ratio(x[2 * RATE :], y, RATE, 2 * hz * max(1.0, 2 ** (preset.pitch / 12)))
    assert ratio == pytest.approx(2 ** (wanted / 12), rel=0.08)


@pytest.mark.parametrize("shift", [-12, -5, 5, 12])
def test_pitch_leaves_the_envelope(shift):
    x = spoken("en-us+f3", 60)
    y = converted("plain", x, Controls(pitch=shift))
    assert envelope_ratio(x, y, RATE, 400) == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("voice", ["plain", "tiny", "robot"])
def test_closer_grains_do_not_shift_the_level(voice):
    """Every grain has a mean; laid twice as often they would add up to an offset of a fifth of the sound."""
    x = vowel(np.full(RATE + RATE // 2, 150.0))
    y = converted(voice, x, Controls(pitch=12))[STEADY]
    assert abs(y.mean()) < 0.005 * y.std()


@pytest.mark.parametrize("shift", [-12, -4, 4, 12])
def test_consonants_stay_crisp(shift):
    x = spoken(text="Six fish assess his first sessions.")
    y = converted("plain", x, Controls(pitch=shift))
    assert band_db(y, RATE, 4000, 20000) == pytest.approx(band_db(x, RATE, 4000, 20000), abs=2)


@pytest.mark.parametrize("formant", [-6, -2, 2, 5])
def test_noise_keeps_its_power_and_gets_no_beat_when_formants_move(formant):
    x = (0.1 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    y = converted("plain", x, Controls(formant=formant))[STEADY]
    ratio = 2 ** (formant / 12)
    assert band_db(y, RATE, 2000 * ratio, 9000 * ratio) == pytest.approx(band_db(x[STEADY], RATE, 2000, 9000), abs=1)
    power = np.convolve(np.square(y), np.ones(24), "same")
    beats = np.abs(np.fft.rfft((power - power.mean()) * np.hanning(len(power))))[75:700]
    assert beats.max() < 6 * np.median(beats)


@pytest.mark.parametrize("voice", ["deep", "bright", "giant", "tiny"])
def test_a_steady_vowel_stays_harmonic(voice):
    x = vowel(np.full(RATE + RATE // 2, 137.0))
    y = converted(voice, x)[STEADY]
    hz = float(np.median(pitch_hz(y, RATE, 60, 400)))
    assert harmonics_over_noise_db(y, RATE, hz) > 30


@pytest.mark.parametrize("voice", ["deep", "tiny"])
def test_a_human_vowel_gets_no_rougher(voice):
    """0.5 % of jitter and some breath, as voices have."""
    rng = np.random.default_rng(0)
    x = vowel(137 * (1 + 0.005 * np.repeat(rng.standard_normal(300), 350)[: 2 * RATE]), noise=0.004)
    y = converted(voice, x)[STEADY]
    hz = float(np.median(pitch_hz(y, RATE, 60, 400)))
    assert harmonics_over_noise_db(y, RATE, hz) > harmonics_over_noise_db(x[STEADY], RATE, 137) - 3


@pytest.mark.parametrize(("speaker", "pitch"), [("en-us+f3", 60), ("en-us", 50)])
def test_loudness_hardly_changes(speaker, pitch):
    x = spoken(speaker, pitch)
    louder = {
        voice: loudness_db(converted(voice, x), RATE) - loudness_db(x, RATE)
        for voice in ("deep", "bright", "giant", "tiny", "robot", "whisper")
    }
    assert max(abs(db) for db in louder.values()) < 2.5, louder
    assert louder["whisper"] == pytest.approx(np.median(list(louder.values())), abs=1.5), louder


@pytest.mark.parametrize(("field", "values"), [("pitch", (0, 7)), ("pitch", (-9, 12)), ("formant", (-4, 4))])
def test_controls_turned_hard_do_not_click(field, values):
    """The largest jump between samples is no larger than at rest at either setting."""
    x = vowel(vibrato(150))
    at_rest = max(largest_jump(converted("plain", x, Controls(**{field: value}))) for value in values)
    session = load_builtin("plain").open(Plan(RATE, 1, 480), Controls())
    turned = [Controls(**{field: values[i // 12 % 2]}) for i in range(len(x) // 480)]
    y = np.concatenate([session.convert(x[480 * i : 480 * i + 480], controls) for i, controls in enumerate(turned)])
    assert largest_jump(y) < 1.2 * at_rest


def test_a_sweep_of_pitch_does_not_click():
    x = vowel(vibrato(150))
    at_rest = max(largest_jump(converted("plain", x, Controls(pitch=shift))) for shift in (-12, -6, 0, 6, 12))
    session = load_builtin("plain").open(Plan(RATE, 1, 480), Controls())
    shifts = np.linspace(-12, 12, len(x) // 480)
    y = [session.convert(x[480 * i : 480 * i + 480], Controls(pitch=shift)) for i, shift in enumerate(shifts)]
    assert largest_jump(np.concatenate(y)) < 1.2 * at_rest


@pytest.mark.parametrize("hz", [110.0, 220.0, 330.0])
def test_a_whisper_has_the_vowel_but_no_pitch(hz):
    x = vowel(np.full(RATE + RATE // 2, hz))
    y = converted("whisper", x)[STEADY]
    assert harmonics_over_noise_db(y, RATE, hz) < -5
    formants = np.linspace(500, 4000, 200)
    smooth_hz = max(200.0, 2 * hz)
    here, there = (envelope_db(sound, RATE, formants, smooth_hz) for sound in (x[STEADY], y))
    assert np.corrcoef(here, there)[0, 1] > 0.9


def test_a_whisper_is_moved_by_formant():
    x = vowel(vibrato(120))
    y, moved = converted("whisper", x)[STEADY], converted("whisper", x, Controls(formant=4))[STEADY]
    assert envelope_ratio(y, moved, RATE, 250) == pytest.approx(2 ** (4 / 12), rel=0.1)


@pytest.mark.parametrize("voiced", [False, True])
def test_a_robot_hisses_and_breathes_with_a_noise_of_its_own(voiced):
    """Above 2 kHz nothing of the input's noise is in the output, at any delay."""
    noise = np.random.default_rng(0).standard_normal(2 * RATE)
    x = (0.3 * vowel(vibrato(140, 2.0)) + 0.01 * noise if voiced else 0.1 * noise).astype(np.float32)
    high_pass = signal.butter(8, 2000, "high", fs=RATE, output="sos")
    before, after = (signal.sosfiltfilt(high_pass, sound)[STEADY] for sound in (noise, converted("robot", x)))
    likeness = signal.correlate(after, before) / (np.linalg.norm(before) * np.linalg.norm(after))
    assert np.abs(likeness).max() < 0.1


def test_a_robot_has_the_vowel_and_its_own_note():
    x = vowel(np.full(RATE + RATE // 2, 180.0))
    y = converted("robot", x)[STEADY]
    assert harmonics_over_noise_db(y, RATE, 110) > 20
    formants = np.linspace(500, 4000, 200)
    here, there = (envelope_db(sound, RATE, formants, 360) for sound in (x[STEADY], y))
    assert np.corrcoef(here, there)[0, 1] > 0.9
