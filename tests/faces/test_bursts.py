"""MeasuredDelay found through things that change a sound."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from rwc_daemon.faces.bursts import bursts, delay_between

RATE = 48000


def shifted_band(x: np.ndarray) -> np.ndarray:
    """What no waveform correlation survives: every frequency mirrored, which keeps the loudness over time."""
    return x * np.cos(np.pi * np.arange(len(x)))


@pytest.mark.parametrize("delay_ms", [0.0, 4.0, 23.5, 300.0, 1200.0])
@pytest.mark.parametrize("change", [np.copy, np.negative, shifted_band], ids=["same", "negated", "mirrored"])
def test_finds_the_delay(delay_ms: float, change) -> None:
    played = bursts(RATE)
    late = round(delay_ms * RATE / 1000)
    recorded = np.concatenate([np.zeros(late), change(played)])[: len(played)]
    noise = 0.003 * np.random.default_rng(1).standard_normal(len(played))
    found = delay_between(played, recorded + noise, RATE)
    assert abs(found.ms - delay_ms) < 0.1, found
    assert found.likeness > 0.9


def test_a_filter_adds_only_its_own_delay() -> None:
    played = bursts(RATE)
    recorded = signal.lfilter(signal.firwin(961, 2000, fs=RATE), 1, played)
    assert abs(delay_between(played, recorded, RATE).ms - 10.0) < 0.2


def test_silence_and_other_sounds_are_unlike() -> None:
    played = bursts(RATE)
    assert delay_between(played, np.zeros(100, np.float32), RATE).likeness == 0.0
    assert delay_between(played, bursts(RATE, seed=7), RATE).likeness < 0.5
