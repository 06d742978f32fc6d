"""The gate: onsets whole, hold, hysteresis, silence that is zero."""

import numpy as np
import pytest

from rwc_daemon.dsp.gate import HOLD_MS, Gate
from tests.dsp.cuts import assert_cut_blind, pieces

RATE = 48000


def tone(level_db: float, n: int) -> np.ndarray:
    return (10 ** (level_db / 20) * np.sqrt(2) * np.sin(2 * np.pi * 1000 * np.arange(n) / RATE)).astype(np.float32)


def sixty(gate: Gate):
    return lambda x: gate.feed(x, -60)[0]


def words() -> np.ndarray:
    quiet = tone(-80, RATE // 2)
    return np.concatenate((quiet, tone(-20, 9600), quiet, tone(-30, 4800), quiet, quiet))


def test_cut_blind_and_exactly_delayed():
    x = words()
    gate = Gate(RATE)
    y = assert_cut_blind(lambda: sixty(Gate(RATE)), x)
    word = slice(RATE // 2 + 100, RATE // 2 + 9600)
    assert np.array_equal(y[word.start + gate.delay : word.stop + gate.delay], x[word])


def test_the_onset_is_not_cut():
    x = words()
    gate = Gate(RATE)
    y, _ = gate.feed(x, -60)
    assert gate.delay <= 0.002 * RATE
    start = RATE // 2
    onset = y[start + gate.delay : start + gate.delay + 48]
    assert np.abs(onset - x[start : start + 48]).max() < 0.02 * np.abs(x[start : start + 480]).max()


def test_hold_then_zeros_and_says_so():
    gate = Gate(RATE)
    heard = [gate.feed(part, -60) for part in np.split(words(), range(480, len(words()), 480))]
    silent = np.array([flag for _, flag in heard])
    assert all(np.any(y) != flag for (y, flag) in heard)
    assert silent[:49].all()
    closed = 50 + 20 + round(HOLD_MS / 10)
    assert not silent[50 : closed - 1].any()
    assert silent[closed + 4 : 100].all()


def test_hysteresis_keeps_what_opened_it():
    x = np.concatenate((tone(-50, 4800), tone(-64, 3 * RATE // 4), tone(-80, RATE)))
    y, _ = Gate(RATE).feed(x, -60)
    assert np.any(y[4800 + RATE // 2 : 4800 + 3 * RATE // 4])
    assert not np.any(y[-RATE // 2 :])


def test_off_passes_everything():
    x = tone(-100, 4800)
    gate = Gate(RATE)
    y, silent = gate.feed(x, -90)
    assert not silent
    assert np.array_equal(y[gate.delay :], x[: -gate.delay])


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_moving_threshold_and_bad_samples(rate):
    x = np.random.default_rng(0).standard_normal(rate).astype(np.float32) * 0.1
    x[100], x[200], x[300] = np.nan, np.inf, -np.inf
    gate = Gate(rate)
    y = np.concatenate([gate.feed(part, -70 + 3 * i % 60)[0] for i, part in enumerate(pieces(x, 0))])
    assert np.isfinite(y).all()
    assert np.any(y[-1000:])


def test_rumble_does_not_open_it():
    x = (0.003 * np.sin(2 * np.pi * 8 * np.arange(RATE) / RATE) + 0.01).astype(np.float32)
    y, silent = Gate(RATE).feed(x, -55)
    assert not np.any(y[RATE // 2 :])
    assert not silent  # the step of the offset itself was heard
