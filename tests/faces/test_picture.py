"""The demo's picture: a PNG of the promised size, for every sound it may meet."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from rwc_daemon.faces import picture

RATE = 48000


def glide(seconds: float, low_hz: float, high_hz: float) -> np.ndarray:
    """A tone with eight harmonics that glides."""
    hz = np.geomspace(low_hz, high_hz, int(seconds * RATE))
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    return (0.3 * sum(np.sin(k * phase) / k for k in range(1, 9))).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 48000])
def test_png_of_the_promised_size(tmp_path, rate):
    path = tmp_path / "demo.png"
    picture.draw_demo(path, glide(1.0, 120, 180), glide(1.1, 180, 270), rate, "deep", latency_ms=22.5)
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:24]) == (1200, 860)


@pytest.mark.parametrize("samples", [0, 1, 700, RATE])
def test_silence_and_nearly_nothing_can_be_drawn(tmp_path, samples):
    silence = np.zeros(samples, np.float32)
    picture.draw_demo(tmp_path / "demo.png", silence, silence, RATE, "silence")
    assert (tmp_path / "demo.png").stat().st_size > 5000


def test_a_tone_lies_on_its_row():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    powers = picture._powers(tone, RATE)
    rows = picture._bands_db(powers, RATE, powers.max())[:, 20:-20]
    edges = np.geomspace(picture.LOWEST_HZ, picture.HIGHEST_HZ, picture.BANDS + 1)
    loudest = rows.mean(axis=1).argmax()
    assert edges[loudest] / 1.02 < 1000 < edges[loudest + 1] * 1.02


def test_caption_names_the_shift():
    sides = [
        picture.Side(label, np.zeros((1, 1)), np.full(200, hz), 2.0, "k", ("w", "k"))
        for label, hz in (("in", 200.0), ("out", 100.0))
    ]
    assert "200 → 100 Hz (−12.0 semitones)" in picture._caption((sides[0], sides[1]), 20.0)


def test_a_leap_breaks_the_line():
    line = picture._line(np.array([100, 101, 400, 401, 0], np.float32))
    assert np.isfinite(line).tolist() == [True, True, False, True, False]


def test_a_short_octave_error_is_no_pitch_but_a_long_rise_is():
    voice = np.full(100, 150.0, np.float32)
    mistaken, risen = voice.copy(), voice.copy()
    mistaken[40:47] = 300.0
    risen[40:80] = 300.0
    assert np.isnan(picture._line(mistaken)[40:47]).all()
    assert np.count_nonzero(~np.isnan(picture._line(mistaken))) >= 100 - 8
    assert np.count_nonzero(picture._line(risen) > np.log2(290)) >= 39
