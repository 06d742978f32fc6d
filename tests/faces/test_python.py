"""The Python face, as another program would use it."""

import numpy as np
import pytest
import soundfile

import rwc_daemon
from rwc_daemon import BatchConverter, ConversionConfig, StreamingConverter, convert_file
from rwc_daemon.dsp.high_pass import HighPass
from rwc_daemon.errors import NoSuchVoice, NotReady, OutOfRange, RwcError, Unsupported

RATE = 48000


@pytest.fixture(autouse=True)
def own_data(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def tone(seconds=1.0, hz=150.0):
    t = np.arange(int(seconds * RATE)) / RATE
    return sum(0.2 / n * np.sin(2 * np.pi * n * hz * t) for n in range(1, 12)).astype(np.float32)


def converted(converter, x, sizes):
    out, n = [], 0
    while n < len(x):
        size = next(sizes)
        out.append(converter.convert_chunk(x[n : n + size]))
        n += size
    return np.concatenate([*out, converter.flush()])[converter.latency_samples :]


def endless(*sizes):
    while True:
        yield from sizes


@pytest.mark.parametrize("chunk_size", [0, 480, 4800])
def test_streaming_answers_each_chunk_with_as_many_samples(chunk_size):
    with StreamingConverter(ConversionConfig(voice="deep", chunk_size=chunk_size)) as converter:
        for size in (1, 100, 4800, 7):
            assert len(converter.convert_chunk(tone()[:size])) == size
        assert len(converter.flush()) == converter.latency_samples


def test_streaming_plain_is_the_input_late_by_its_latency():
    x = tone()
    with StreamingConverter(ConversionConfig(voice="plain")) as converter:
        y = converted(converter, x, endless(333, 1000))
    assert len(y) == len(x)
    assert np.corrcoef(HighPass(48000).feed(x)[4800:40000], y[4800:40000])[0, 1] > 0.99


def test_the_same_bits_however_it_is_cut():
    config = ConversionConfig(voice="bright", pitch_shift=2)
    with StreamingConverter(config) as one, StreamingConverter(config) as other:
        assert np.array_equal(converted(one, tone(), endless(479)), converted(other, tone(), endless(48, 5000, 1)))


def test_batch_and_streaming_are_interchangeable():
    x = tone()
    outputs = []
    for kind in (BatchConverter, StreamingConverter):
        with kind(ConversionConfig(voice="deep")) as converter:
            outputs.append(converted(converter, x, endless(4096)))
    batch, stream = outputs
    assert len(batch) == len(stream) == len(x)
    assert np.std(batch[9600:]) == pytest.approx(np.std(stream[9600:]), rel=0.1)


def test_knobs_turn_while_running_and_wrong_ones_change_nothing():
    with StreamingConverter(ConversionConfig(voice="plain")) as converter:
        converter.update(pitch_shift=12)
        with pytest.raises(OutOfRange):
            converter.update(pitch_shift=99, formant_shift=1)
        y = converted(converter, tone(2.0), endless(4800))
    spectrum = np.abs(np.fft.rfft(y[RATE : RATE + RATE // 2] * np.hanning(RATE // 2)))
    peaks_hz = 2 * np.flatnonzero(spectrum > spectrum.max() / 2)
    assert peaks_hz[0] == pytest.approx(300, abs=6)


def test_a_file(tmp_path):
    soundfile.write(tmp_path / "in.wav", tone(), RATE)
    heard = []
    convert_file(tmp_path / "in.wav", tmp_path / "out.wav", ConversionConfig(voice="deep"), heard.append)
    y, rate = soundfile.read(tmp_path / "out.wav")
    assert (len(y), rate) == (RATE, RATE)
    assert heard[-1] == 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"voice": "deep", "model_path": "x.pth"}, OutOfRange),
        ({"index_path": "x.index"}, OutOfRange),
        ({"pitch_shift": float("nan")}, OutOfRange),
        ({"sample_rate": 11025}, Unsupported),
        ({"chunk_size": -1}, OutOfRange),
    ],
)
def test_a_wrong_configuration_is_refused_at_once(wrong, error):
    with pytest.raises(error):
        ConversionConfig(**wrong)


def test_what_is_missing_is_said():
    with pytest.raises(NoSuchVoice, match="deep"):
        StreamingConverter(ConversionConfig(voice="depe")).initialize()
    with pytest.raises(RwcError, match=r"nothing\.pth"):
        StreamingConverter(ConversionConfig(model_path="nothing.pth")).initialize()
    with pytest.raises(NotReady, match="initialize"):
        StreamingConverter(ConversionConfig()).convert_chunk(tone())


def test_importing_the_package_loads_nothing_heavy():
    assert set(rwc_daemon.__all__) == {"BatchConverter", "ConversionConfig", "StreamingConverter", "convert_file"}
    with pytest.raises(AttributeError):
        _ = rwc_daemon.nothing
