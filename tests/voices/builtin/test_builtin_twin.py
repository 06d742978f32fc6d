"""The built-in voices' loops in C against their twins in NumPy: the same sound to -90 dB, and mostly to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.plan import Plan
from rwc_daemon.voices.builtin.presets import PRESETS
from rwc_daemon.voices.builtin.session import PitchSession
from testkit.builtin.sounds import glide, spoken, vowel
from testkit.builtin.twin.session import PitchSession as PitchTwin

BLOCK = 4000
TURNED = (Controls(), Controls(pitch=5, formant=-3), Controls(pitch=-12, formant=2))
SAME = 10 ** (-90 / 20)


def sound(rate: int) -> np.ndarray:
    """Speech in a little noise, a glide over all pitches, silence, broken samples."""
    parts = spoken("en-us+f3", 60, "Six foxes, she says.", rate), vowel(glide(64, 700, 0.5, rate), rate)
    x = np.concatenate((*parts, np.zeros(rate // 4, np.float32)))
    x += np.random.default_rng(0).normal(0, 1e-3, len(x)).astype(np.float32)
    x[5000:5003] = np.nan, np.inf, -np.inf
    return x


def through(session, x: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [session.convert(x[i : i + BLOCK], TURNED[i // (3 * BLOCK) % 3]) for i in range(0, len(x) - BLOCK, BLOCK)]
    )


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("voice", ["plain", "deep", "tiny"])
def test_grains(voice, rate):
    x, plan = sound(rate), Plan(rate, 1, BLOCK)
    native, twin = (through(kind(PRESETS[voice], plan, TURNED[0], 3), x) for kind in (PitchSession, PitchTwin))
    assert np.abs(twin).max() > 0.1
    assert np.sqrt(np.mean(np.square(native - twin))) < SAME * np.std(twin)
