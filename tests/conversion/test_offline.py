"""The offline pipeline and the converter on top: lengths, loudness, cuts, the same bits, both kinds of voice."""

from dataclasses import replace

import numpy as np
import pytest
import soxr
import torch

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.offline import OfflineConverter
from rwc_daemon.dsp.high_pass import HighPass
from rwc_daemon.errors import NoSuchControl, OutOfRange
from rwc_daemon.voices.builtin.voice import load_builtin
from rwc_daemon.voices.f0.yin import Yin
from rwc_daemon.voices.rvc.cuda_graphs import CudaGraphCache
from rwc_daemon.voices.rvc.offline import (
    OfflineOptions,
    OfflinePipeline,
    Split,
    below_full_scale,
    cut_points,
    high_passed,
    with_loudness,
)
from tests.voices.rvc.tiny import made_voice, speech

CONTROLS = Controls(f0_method="yin", gate_db=-90)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    torch.set_num_threads(1)  # small nets: waking a second thread costs more than it brings
    return made_voice(tmp_path_factory.mktemp("voice"))


def converted(voice, x, rate=48000, controls=CONTROLS, seed=0):
    with OfflineConverter(voice, rate, controls, seed) as converter:
        assert not len(converter.convert_chunk(x[:1000]))
        converter.convert_chunk(x[1000:])
        return converter.flush()


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.001, 0.05, 1.003])
def test_as_long_as_the_input(voice, rate, seconds):
    x = speech(seconds, rate)
    y = converted(voice, x, rate)
    assert len(y) == len(x)
    assert y.dtype == np.float32
    assert np.isfinite(y).all()
    assert np.abs(y).max(initial=0) <= 1


def test_the_last_hundredths_are_converted_too(voice):
    x = speech(1.0)
    y = converted(voice, x)
    assert y[-480:].std() > 0.1 * y.std()


def test_one_seed_gives_the_same_bits(voice):
    x = speech(0.6)
    assert np.array_equal(converted(voice, x), converted(voice, x))
    assert not np.array_equal(converted(voice, x), converted(voice, x, seed=1))


def test_no_graph_is_recorded_for_lengths_that_never_come_again(voice):
    fixed = replace(voice, renderer=replace(voice.renderer, graphs=CudaGraphCache("cpu")))
    x = speech(0.5)
    assert np.array_equal(converted(fixed, x), converted(voice, x))
    assert not fixed.renderer.graphs._known


def test_nothing_in_nothing_out(voice):
    assert not len(OfflineConverter(voice, 48000, CONTROLS).flush())


def test_silence_and_spikes_are_no_trouble(voice):
    assert np.isfinite(converted(voice, np.zeros(24000, np.float32))).all()
    x = speech(0.3)
    x[1000], x[2000] = np.nan, np.inf
    assert np.isfinite(converted(voice, x)).all()


def test_formants_and_pitch_keep_the_length(voice):
    x = speech(0.5)
    plain = converted(voice, x)
    for change in ({"formant": 4.0}, {"formant": -7.0}, {"pitch": 12.0}):
        y = converted(voice, x, controls=replace(CONTROLS, **change))
        assert len(y) == len(x)
        assert not np.array_equal(y, plain)


def test_controls_count_at_flush_and_wrong_ones_change_nothing(voice):
    x = speech(0.4)
    converter = OfflineConverter(voice, 48000, CONTROLS)
    converter.convert_chunk(x)
    with pytest.raises(OutOfRange):
        converter.update(pitch=3.0, protect=7.0)
    with pytest.raises(NoSuchControl):
        converter.update(pich=3.0)
    assert np.array_equal(converter.flush(), converted(voice, x))
    converter.convert_chunk(x)
    converter.update(pitch=3.0)
    assert np.array_equal(converter.flush(), converted(voice, x, controls=replace(CONTROLS, pitch=3.0)))


def test_progress_is_told(voice):
    told = []
    converter = OfflineConverter(voice, 48000, CONTROLS, progress=told.append)
    converter.convert_chunk(speech(0.3))
    converter.flush()
    assert told == [1.0]


def test_a_wrong_speaker_is_refused(voice):
    with pytest.raises(OutOfRange, match="speakers 0 … 2"):
        converted(voice, speech(0.2), controls=replace(CONTROLS, speaker=3))


def test_builtin_voices_run_through_the_stream_on_time():
    x = speech(1.0)
    y = converted(load_builtin("plain"), x)
    assert len(y) == len(x)
    assert np.corrcoef(HighPass(48000).feed(x)[5000:-5000], y[5000:-5000])[0, 1] > 0.999


def pieces(voice, x, split):
    pipeline = OfflinePipeline(voice.renderer, OfflineOptions(split))
    return pipeline.convert(x, Yin(), voice.noise(0), CONTROLS)


def test_cut_or_whole_is_nearly_the_same_sound(voice):
    """Noise belongs to the frame, so a piece is what the whole would be there, but for phase and far context."""
    x = soxr.resample(speech(3.0), 48000, 16000)
    whole, cut = pieces(voice, x, Split()), pieces(voice, x, Split(pad=1.0, query=0.5, center=1.5, longest=2.0))
    assert len(whole) == len(cut) == 3 * 40000
    a, b = (np.abs(np.fft.rfft(y.reshape(-1, 1600), axis=1)) for y in (whole, cut))
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_cuts_fall_where_it_is_quiet():
    x = np.sin(np.arange(16000 * 5) * 0.3)
    x[30000:30400] = 0
    x[62000:62400] = 0
    cuts = cut_points(x, Split(query=0.5, center=2.0, longest=3.0))
    assert len(cuts) == 2
    assert abs(cuts[0] - 30200) < 200
    assert abs(cuts[1] - 62200) < 200
    assert cut_points(x[: 16000 * 2], Split(longest=3.0)) == []


def test_the_high_pass_takes_rumble_alone_and_delays_nothing():
    t = np.arange(32000) / 16000
    low, high = np.sin(2 * np.pi * 20 * t), np.sin(2 * np.pi * 300 * t)
    y = high_passed(0.4 * low + 0.4 * high)
    assert np.abs(y[4000:-4000] - 0.4 * high[4000:-4000]).max() < 0.01
    assert np.abs(high_passed(3 * high)[4000:-4000]).max() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.75, 1.0])
def test_loudness_follows_by_the_share(share):
    heard = 0.1 * np.sin(np.arange(16000 * 4) * 0.2)
    y = (0.5 * np.sin(np.arange(40000 * 4) * 0.1)).astype(np.float32)
    got = with_loudness(heard, 16000, y, 40000, share)
    middle = slice(60000, 100000)
    assert got[middle].std() / y[middle].std() == pytest.approx(0.2**share, rel=0.02)


def test_peaks_are_brought_below_full_scale():
    y = np.array([0.5, -2.0])
    assert np.abs(below_full_scale(y)).max() == pytest.approx(0.99)
    assert np.array_equal(below_full_scale(y / 4), y / 4)


def test_the_control_fills_unvoiced_gaps(voice):
    """With `fill` the voice hears no unvoiced frame between voiced ones: another sound, of the same length."""
    x = np.concatenate([speech(0.4, rate=48000), np.zeros(9600, np.float32), speech(0.4, rate=48000)])
    zero, fill = (converted(voice, x, controls=replace(CONTROLS, f0_gaps=gaps)) for gaps in ("zero", "fill"))
    assert len(zero) == len(fill)
    assert not np.array_equal(zero, fill)
