"""An offset of the microphone: 0.03 of DC under a voice with pauses is as if it were not there."""

from __future__ import annotations

import numpy as np
import pytest

from rwc_daemon.batch.convert import START
from rwc_daemon.controls import Controls
from rwc_daemon.conversion.offline import OfflineConverter
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.plan import Plan
from rwc_daemon.voices.builtin.voice import load_builtin
from testkit.builtin.sounds import RATE, spoken

DC = np.float32(0.03)
PAUSE = slice(RATE // 4, RATE)  # of the first second


def with_pauses() -> np.ndarray:
    """A sentence after a second of a calm room."""
    speech = spoken(text="Six foxes, she says.")
    x = np.concatenate((np.zeros(RATE, np.float32), speech, np.zeros(RATE, np.float32)))
    return x + np.random.default_rng(0).normal(0, 7e-5, len(x)).astype(np.float32)  # -83 dB


def live(voice: str, x: np.ndarray, gate_db: float) -> tuple[np.ndarray, list[bool]]:
    """And for every block whether the gate let something through."""
    voice_ = load_builtin(voice)
    stream = Stream(voice_, Plan.fit(RATE, 128, voice_.block), Controls(gate_db=gate_db))
    size, parts, spoken = stream.plan.block, [], []
    for start in range(0, len(x) - size, size):
        parts.append(stream.convert(x[start : start + size]))
        spoken.append(stream.spoken)
    return np.concatenate(parts), spoken


def as_file(voice: str, x: np.ndarray, gate_db: float) -> tuple[np.ndarray, list[bool]]:
    converter = OfflineConverter(load_builtin(voice), RATE, Controls(gate_db=gate_db))
    converter.convert_chunk(x)
    return converter.flush(), []


@pytest.mark.parametrize("through", [live, as_file])
@pytest.mark.parametrize("voice", ["whisper", "robot", "deep"])
def test_pauses_stay_as_quiet_as_without_an_offset(voice, through):
    x = with_pauses()
    for gate_db in (START.gate_db, Controls().gate_db):
        (clean, opened), (y, opened_too) = (through(voice, sound, gate_db) for sound in (x, x + DC))
        assert opened == opened_too
        for pause in (PAUSE, slice(len(y) - RATE // 2, len(y) - RATE // 8)):
            quiet, loud = (20 * np.log10(sound[pause].std() + 1e-9) for sound in (clean, y))
            assert abs(loud - quiet) < 3
            assert abs(y[pause].mean()) < 1e-4
