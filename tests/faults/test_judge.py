"""The judge itself: it finds the unprocessed voice, and only that."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.builtin.voice import load_builtin
from testkit.faults.marked import RATE, clicks, delay_ms, holes, marked, silences, unprocessed_samples, voice


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    return marked(6)


def converted(source: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """And the delay in ms."""
    plan = Plan.fit(RATE, 256, Block(10))
    stream = Stream(load_builtin(name), plan, Controls())
    return stream.feed(source), 1000 * stream.delay / RATE


def test_the_code_is_60_db_under_the_voice_and_found_everywhere(source: np.ndarray) -> None:
    speech = voice(6)
    code = source - speech
    assert 20 * np.log10(np.std(code) / np.std(speech)) == pytest.approx(-60, abs=0.1)
    assert unprocessed_samples(source) > 0.98 * len(source)
    assert unprocessed_samples(1e-3 * source) > 0.98 * len(source)
    at_44k = signal.resample_poly(signal.resample_poly(source, 147, 160), 160, 147)
    assert unprocessed_samples(at_44k) > 0.95 * len(at_44k)
    assert unprocessed_samples(speech) == 0


@pytest.mark.parametrize("name", ["whisper", "deep"])
def test_a_converted_voice_is_acquitted_and_a_leak_in_it_is_found(source: np.ndarray, name: str) -> None:
    heard, _ = converted(source, name)
    assert unprocessed_samples(heard) == 0
    assert not silences(heard[RATE // 2 :])
    leaking = heard.copy()
    leak = slice(2 * RATE, 2 * RATE + RATE // 10)
    leaking[leak] = source[leak]
    assert unprocessed_samples(leaking) > 0, "100 ms between two hard cuts"


@pytest.mark.parametrize("name", ["whisper", "deep"])
def test_a_delay_is_measured_or_refused(source: np.ndarray, name: str) -> None:
    heard, delay = converted(source, name)
    piece = slice(RATE, 5 * RATE)
    assert delay_ms(source[piece], heard[piece]) == pytest.approx(delay, abs=6)
    late = np.concatenate([np.zeros(RATE // 2, np.float32), heard])
    assert delay_ms(source[piece], late[piece]) == pytest.approx(delay + 500, abs=6)
    for nothing in (np.zeros_like(heard), marked(6)[::-1].copy()):
        assert np.isnan(delay_ms(source[piece], nothing[piece]))


def test_cuts_are_clicks_and_fades_are_none(source: np.ndarray) -> None:
    heard, _ = converted(source, "whisper")
    healthy, cut, faded = heard[RATE : 2 * RATE], heard[2 * RATE :].copy(), heard[2 * RATE :].copy()
    fall = 0.5 + 0.5 * np.cos(np.pi * np.arange(240) / 240)
    cut[RATE // 2 : RATE] = 0
    faded[RATE // 2 : RATE] = 0
    faded[RATE // 2 - 240 : RATE // 2] *= fall
    faded[RATE : RATE + 240] *= fall[::-1]
    assert clicks(faded, healthy) == 0
    assert len(silences(faded)) == 1
    louder = cut.copy()
    louder[RATE // 4] += 1.0
    assert clicks(louder, healthy) >= 2


def test_a_rougher_voice_is_no_click_but_a_click_in_it_is(source: np.ndarray) -> None:
    healthy = converted(source, "whisper")[0][RATE : 2 * RATE]
    rough = np.random.default_rng(3).normal(0, 0.2, 2 * RATE).astype(np.float32)
    assert clicks(rough, healthy) == 0
    for at in (RATE // 3, RATE):
        rough[at:] = np.roll(rough[at:], 7)
        rough[at] = rough[at - 1] + 4.0
    assert clicks(rough, healthy) >= 2
    deep = converted(source, "deep")[0][RATE:]
    assert clicks(deep, healthy) == 0


def test_a_lost_cycle_is_a_hole_and_nothing_else_is(source: np.ndarray) -> None:
    heard, _ = converted(source, "whisper")
    healthy, lost = heard[RATE : 2 * RATE], heard[2 * RATE :].copy()
    loud = [int(at) for at in np.flatnonzero(np.abs(lost) > 1.5 * np.std(healthy))]
    begin = next(at for at in loud if np.max(np.abs(lost[at + 257 : at + 280])) > np.std(healthy))
    lost[begin + 1 : begin + 257] = 0
    assert len(holes(lost, healthy)) == 1
    assert clicks(lost, healthy) == 0
    lost[begin + 1 : begin + 9600] = 0
    assert not holes(lost, healthy)
    assert clicks(lost, healthy) >= 1
