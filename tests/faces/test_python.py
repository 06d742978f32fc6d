"""The Python face, as another program would use it."""

import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import soundfile

import rwc_daemon
from rwc_daemon import BatchConverter, ConversionConfig, StreamingConverter, convert_file
from rwc_daemon.dsp.high_pass import HighPass
from rwc_daemon.errors import BadAudio, Busy, NoSuchVoice, NotReady, OutOfRange, RwcError, Unsupported

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


def test_controls_turn_while_running_and_wrong_ones_change_nothing():
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


def test_a_file_that_is_there_is_not_replaced_unasked(tmp_path):
    soundfile.write(tmp_path / "in.wav", np.stack([tone(0.1), 0 * tone(0.1)], 1), RATE)
    (tmp_path / "out.wav").write_text("precious")
    config = ConversionConfig(voice="deep")
    with pytest.raises(BadAudio, match="overwrite=True"):
        convert_file(tmp_path / "in.wav", tmp_path / "out.wav", config)
    assert (tmp_path / "out.wav").read_text() == "precious"
    with pytest.warns(UserWarning, match="only its left channel"):
        convert_file(str(tmp_path / "in.wav"), str(tmp_path / "out.wav"), config, overwrite=True)
    assert soundfile.info(tmp_path / "out.wav").frames == RATE // 10


@pytest.mark.parametrize("kind", [StreamingConverter, BatchConverter])
def test_integers_are_scaled_or_refused(kind):
    x = tone(0.5)
    results = []
    for chunk in (
        x,
        np.round(x * 32767).astype(np.int16),
        np.round(x * 2147483520.0).astype(np.int32),
        x.astype(float),
    ):
        with kind(ConversionConfig(voice="plain")) as converter:
            results.append(converted(converter, chunk, endless(4800)))
    for other in results[1:]:
        assert np.abs(other - results[0]).max() < 2e-4
    with kind(ConversionConfig(voice="plain")) as converter:
        for wrong in (np.int64, np.uint8, np.uint16, bool, complex):
            with pytest.raises(OutOfRange, match="int16 or int32"):
                converter.convert_chunk(np.zeros(10, wrong))


def test_two_threads_at_once_are_told_so():
    with StreamingConverter(ConversionConfig(voice="deep")) as converter:
        began, errors = threading.Event(), []

        def convert() -> None:
            began.wait()
            try:
                converter.convert_chunk(np.tile(tone(), 5))
            except Busy as busy:
                errors.append(str(busy))

        threads = [threading.Thread(target=convert) for _ in range(4)]
        for thread in threads:
            thread.start()
        began.set()
        for thread in threads:
            thread.join()
        assert "another thread" in errors[0]
        assert len(converter.convert_chunk(tone())) == RATE  # one after the other is fine


def test_a_change_from_another_thread_waits_for_the_chunk_at_work():
    x, heard = np.tile(tone(), 20), []
    with StreamingConverter(ConversionConfig(voice="deep")) as converter:
        thread = threading.Thread(target=lambda: heard.append(converter.convert_chunk(x)))
        thread.start()
        while not converter._in_use.locked():
            time.sleep(1e-4)
        converter.update(pitch=9)
        thread.join()
    with StreamingConverter(ConversionConfig(voice="deep")) as untouched:
        assert np.array_equal(heard[0], untouched.convert_chunk(x))


@pytest.mark.parametrize("rate", [11025, 22050])
@pytest.mark.parametrize("chunk_size", [0, 128])
def test_streaming_at_rates_without_whole_hops(rate, chunk_size):
    t = np.arange(2 * rate) / rate
    x = (0.3 * np.sin(2 * np.pi * 1100 * t) + 0.2 * np.sin(2 * np.pi * 1900 * t)).astype(np.float32)
    outputs = []
    for sizes in ((1, 100, 4800, 7), (160,)):
        with StreamingConverter(ConversionConfig("plain", sample_rate=rate, chunk_size=chunk_size)) as converter:
            parts = []
            at, size = 0, endless(*sizes)
            while at < len(x):
                chunk = x[at : at + next(size)]
                parts.append(converter.convert_chunk(chunk))
                assert len(parts[-1]) == len(chunk)
                at += len(chunk)
            rest = converter.flush()
            assert len(rest) == converter.latency_samples
            outputs.append(np.concatenate([*parts, rest])[converter.latency_samples :])
    assert np.array_equal(*outputs)
    middle = slice(rate // 4, -rate // 4)
    assert np.corrcoef(x[middle], outputs[0][middle])[0, 1] > 0.99
    with BatchConverter(ConversionConfig("plain", sample_rate=rate)) as converter:
        assert len(converted(converter, x, endless(1000))) == len(x)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"voice": "deep", "model_path": "x.pth"}, OutOfRange),
        ({"index_path": "x.index"}, OutOfRange),
        ({"pitch_shift": float("nan")}, OutOfRange),
        ({"sample_rate": 11111}, Unsupported),
        ({"device": "gpu"}, OutOfRange),
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
    names = {"BatchConverter", "ConversionConfig", "StreamingConverter", "__version__", "convert_file"}
    assert set(rwc_daemon.__all__) == names
    script = f"import sys; from rwc_daemon import {', '.join(names)}; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    )
    assert "rwc_daemon.faces.python" in loaded
    assert not loaded & {
        "torch",
        "scipy",
        "soxr",
        "soundfile",
        "dbus_next",
        "urllib.request",
        "rwc_daemon.batch.convert",
    }
    assert rwc_daemon.__version__ == version("rwc-daemon")
    assert (Path(rwc_daemon.__file__).parent / "py.typed").exists()
    with pytest.raises(AttributeError):
        _ = rwc_daemon.nothing
