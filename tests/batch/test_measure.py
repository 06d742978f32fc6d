"""SoundFigures of the report against sounds whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest

from rwc_daemon.batch import measure


def tone(hz: float, rate: int, seconds: float = 3.0, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000, 96000])
def test_loudness_of_the_standards_tone(rate):
    # BS.1770: a full-scale sine of 997 Hz in one channel reads -3.01 LUFS; pyloudnorm's filters are made
    # for 48 kHz and are 0.07 LU off at 16 kHz
    assert measure.loudness_lufs(tone(997, rate), rate) == pytest.approx(-3.01, abs=0.1)


def test_loudness_gates_pauses_out():
    loud = tone(997, 48000, amplitude=0.1)
    alone = measure.loudness_lufs(loud, 48000)
    assert measure.loudness_lufs(np.concatenate([loud, np.zeros(480000, np.float32)]), 48000) == pytest.approx(
        alone, abs=0.3
    )
    assert measure.loudness_lufs(np.zeros(48000, np.float32), 48000) is None
    assert measure.loudness_lufs(tone(997, 48000, 0.1), 48000) is not None


def test_pitch_figures_of_a_known_shift():
    track = np.geomspace(100, 300, 200)
    track[50:70] = 0
    moved = track * 2 ** (5.1 / 12)
    figures = measure.pitch_figures(track, moved, 5.0)
    assert figures.error_cents == pytest.approx(10, abs=0.1)
    assert figures.correlation == pytest.approx(1, abs=1e-9)
    assert figures.voiced_share == 1
    assert measure.pitch_figures(track, np.zeros(200), 0.0) == measure.NO_PITCH


def test_a_constant_pitch_has_no_correlation():
    figures = measure.pitch_figures(np.full(100, 120.0), np.full(100, 240.0), 12.0)
    assert figures.correlation is None
    assert figures.error_cents == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("wanted_db", [20, 40])
def test_signal_to_noise_of_known_noise(wanted_db):
    rng = np.random.default_rng(1)
    speech = tone(200, 48000, 4.0, 0.5) * np.repeat([1, 1, 0, 1], 48000)
    noise = rng.standard_normal(len(speech)) * 0.5 / np.sqrt(2) / 10 ** (wanted_db / 20)
    found = measure.signal_to_noise_db((speech + noise).astype(np.float32), 48000)
    assert found == pytest.approx(wanted_db, abs=1.5)


def test_clipping_is_counted():
    x = np.array([0, 0.5, 1.0, -1.0, 32767 / 32768], np.float32)
    assert measure.clipped(x) == 3
    assert measure.peak_db(x) == 0
    assert measure.peak_db(np.zeros(3)) is None
