"""The yardstick: the reference's loop over a tiny voice, its gate and its noise reduction on known sounds."""

import numpy as np
import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.voices.f0.yin import Yin
from testkit.yardstick.loop import ReferenceLoop, ReferenceSettings, phase_vocoder, spectral_gate
from testkit.yardstick.step import ReferenceStep
from tests.voices.rvc.tiny import made_voice, speech

RATE = 48000


def played(loop, x):
    blocks = np.split(x[: len(x) // loop.g.block * loop.g.block], len(x) // loop.g.block)
    return np.concatenate([loop.feed(block) for block in blocks])


def test_monitoring_plays_the_input_late():
    settings = ReferenceSettings(RATE, 0.1, 0.05, 0.3, envelope=0.0)
    loop = ReferenceLoop(settings, RATE, None)
    x = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    y = played(loop, x)
    late = settings.geometry.crossfade + settings.geometry.search - loop.sola.offset
    assert np.abs(y[4800 + late :] - x[4800 : len(y) - late]).max() < 1e-6


def test_a_voice_goes_through_it(tmp_path):
    voice = made_voice(tmp_path)
    settings = ReferenceSettings(RATE, 0.1, 0.05, 0.3, denoise_input=True, denoise_output=True, gate_db=-50)
    step = ReferenceStep(voice.renderer, settings.geometry, voice.noise(0))
    loop = ReferenceLoop(settings, voice.info.rate, lambda x_16k: step.run(x_16k, Yin(), Controls()))
    y = played(loop, speech(1.0))
    assert len(y) == RATE
    assert y[RATE // 2 :].std() > 1e-3


def test_the_gate_zeroes_what_is_too_quiet():
    settings = ReferenceSettings(RATE, 0.1, 0.05, 0.3, gate_db=-40, envelope=0.0)
    loud = 0.1 * np.sin(np.arange(RATE) * 0.05).astype(np.float32)
    for level, heard in ((1.0, True), (0.01, False)):
        loop = ReferenceLoop(settings, RATE, None)
        assert (np.abs(played(loop, level * loud)[RATE // 2 :]).max() > 0) == heard


@pytest.mark.parametrize("hop", [400, 441, 480])
def test_the_spectral_gate_takes_noise_and_leaves_what_is_louder(hop):
    noise, other = np.random.default_rng(1).standard_normal((2, 100 * hop)).astype(np.float32) * 0.01
    loud = 10 * other
    middle = slice(30 * hop, 70 * hop)
    assert spectral_gate(noise, noise, hop)[middle].std() < 0.5 * noise[middle].std()
    assert spectral_gate(loud, noise, hop)[middle].std() > 0.9 * loud[middle].std()


def test_the_phase_vocoder_joins_one_tone_of_two_phases():
    n = 800
    t = 2 * np.pi * 8 * np.arange(n) / n
    y = phase_vocoder(np.sin(t), np.sin(t + 2))
    assert abs(y[0]) < 1e-6
    assert y[-1] == pytest.approx(np.sin(t[-1] + 2), abs=1e-6)
    assert np.abs(y[n // 4 : -n // 4]).max() > 0.8
