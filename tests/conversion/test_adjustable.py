"""Tracker, speaker and quality of a neural voice, changed while a stream of it runs."""

from dataclasses import replace

import numpy as np
import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.adjustable import AdjustableStream, open_stream
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.errors import MissingAsset, OutOfRange, Unsupported
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.builtin.voice import load_builtin
from tests.voices.rvc.tiny import made_voice, speech

RATE = 48000
PLAN = Plan.offline(RATE, Block(100, on_hop=True))
CONTROLS = Controls(f0_method="yin", gate_db=-90)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return made_voice(tmp_path_factory.mktemp("voice"))


def fed(stream, x, change=None, at=RATE):
    y = [stream.feed(x[:at])]
    if change is not None:
        stream.controls = change
    return np.concatenate([*y, stream.feed(x[at:]), stream.flush()])


def test_without_a_change_it_is_the_stream(voice):
    x = speech(1.5)
    assert np.array_equal(
        fed(AdjustableStream(voice, PLAN, CONTROLS), x, at=777), fed(Stream(voice, PLAN, CONTROLS), x, at=RATE)
    )


@pytest.mark.parametrize("change", [{"f0_method": "autocorrelation"}, {"speaker": 1}])
def test_a_change_takes_effect_and_cuts_nothing(voice, change):
    x = speech(2.0)
    before, after = (fed(Stream(voice, PLAN, replace(CONTROLS, **some)), x) for some in ({}, change))
    y = fed(AdjustableStream(voice, PLAN, CONTROLS), x, replace(CONTROLS, **change))
    assert len(y) == len(before)
    late = RATE + PLAN.block
    assert np.array_equal(y[: RATE // 2], before[: RATE // 2])
    # phase and noise of the new session are its own, so compare the sound's level in pieces
    assert not np.allclose(y[late:], before[late:], atol=1e-4)
    pieces = [np.sqrt(np.mean(one[late : 2 * RATE].reshape(-1, 2400) ** 2, axis=1)) for one in (y, after)]
    assert np.abs(20 * np.log10(pieces[0] / pieces[1])).max() < 3
    steepest = max(np.abs(np.diff(one)).max() for one in (before, after))
    assert np.abs(np.diff(y)).max() < 1.5 * steepest


def test_what_cannot_be_had_is_refused_and_nothing_changes(voice):
    x = speech(1.5)
    stream = AdjustableStream(voice, PLAN, CONTROLS)
    y = [stream.feed(x[:RATE])]
    for change, error in (
        ({"f0_method": "rmvpe"}, MissingAsset),
        ({"speaker": 100}, OutOfRange),
        ({"quality": "low"}, Unsupported),
    ):
        with pytest.raises(error):
            stream.controls = replace(CONTROLS, **change)
        assert stream.controls == CONTROLS
    assert np.array_equal(
        np.concatenate([*y, stream.feed(x[RATE:]), stream.flush()]), fed(Stream(voice, PLAN, CONTROLS), x)
    )


def test_a_voice_without_nets_has_an_ordinary_stream():
    assert isinstance(open_stream(load_builtin("deep"), PLAN, CONTROLS), Stream)
