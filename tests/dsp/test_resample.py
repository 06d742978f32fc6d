"""The resampler against the reference's figures, a tone, and itself cut."""

from pathlib import Path

import numpy as np
import pytest

from rwc_daemon.dsp.resample import Resampler, resample
from tests.dsp.cuts import assert_cut_blind

GOLDEN = Path(__file__).parents[1] / "golden" / "resample.npz"
PAIRS = [(48000, 16000), (44100, 16000), (40000, 48000), (32000, 48000), (48000, 44100), (96000, 16000), (16000, 96000)]


def test_equals_the_reference():
    golden = np.load(GOLDEN)
    for rate_in, rate_out in golden["pairs"]:
        name = f"{rate_in}_{rate_out}"
        y = resample(golden["in_" + name], int(rate_in), int(rate_out))
        assert y.shape == golden["out_" + name].shape
        assert np.abs(y - golden["out_" + name]).max() < 3e-4


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_stream_is_the_offline_result_delayed(rate_in, rate_out):
    x = np.random.default_rng(1).standard_normal(5000).astype(np.float32)
    delay = Resampler(rate_in, rate_out).delay
    y = assert_cut_blind(lambda: Resampler(rate_in, rate_out).feed, x)
    assert len(y) == len(x) * rate_out // rate_in
    whole = resample(x, rate_in, rate_out)
    assert np.array_equal(y[delay:], whole[: len(y) - delay])


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_tone_keeps_its_phase(rate_in, rate_out):
    def tone(rate):
        return np.sin(2 * np.pi * 440 * np.arange(rate // 5) / rate).astype(np.float32)

    inner = slice(rate_out // 50, -rate_out // 50)
    assert np.abs(resample(tone(rate_in), rate_in, rate_out) - tone(rate_out))[inner].max() < 3e-3


def test_equal_rates_pass():
    x = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    stream = Resampler(48000, 48000)
    assert stream.delay == 0
    assert np.array_equal(stream.feed(x), x)
