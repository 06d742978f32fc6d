"""What the tests measure: pitch, spectral envelope, harmonics over noise. Offline, with long windows."""

from __future__ import annotations

import numpy as np


def pitch_hz(x: np.ndarray, rate: int, low: float, high: float, step_ms: float = 10.0) -> np.ndarray:
    """Hz per step, 0 where unvoiced: the autocorrelation over four of the longest periods, first strong peak.

    The spectrum is made flatter first (its magnitude instead of its power), so that no formant poses as the pitch.
    """
    longest, shortest = int(rate / low) + 2, int(rate / high)
    n, step = 4 * longest, round(step_ms * rate / 1000)
    window = np.hanning(n)
    padded = np.concatenate((np.zeros(n // 2), x - np.mean(x), np.zeros(n)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n)[: len(x) : step]
    size = 1 << (2 * n - 1).bit_length()
    spectra = np.abs(np.fft.rfft(frames * window, size))
    own = np.fft.irfft(np.square(np.abs(np.fft.rfft(window, size))))
    likeness = np.fft.irfft(spectra)[:, : longest + 1]
    likeness = likeness / (likeness[:, :1] + 1e-9) / np.sqrt(own[: longest + 1] / own[0])
    loud = np.sqrt(np.mean(np.square(frames), axis=1)) > 0.003
    return np.array(
        [_first_peak(row, shortest, rate) if heard else 0.0 for row, heard in zip(likeness, loud, strict=True)]
    )


def _first_peak(likeness: np.ndarray, shortest: int, rate: int) -> float:
    inner = likeness[1:-1]
    peaks = 1 + np.flatnonzero((inner > likeness[:-2]) & (inner >= likeness[2:]))
    peaks = peaks[peaks >= shortest]
    if not len(peaks) or likeness[peaks].max() < 0.25:
        return 0.0
    best = int(peaks[likeness[peaks] > 0.8 * likeness[peaks].max()][0])
    left, top, right = likeness[best - 1 : best + 2]
    return rate / (best + 0.5 * (left - right) / (left - 2 * top + right))


def cents(measured: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Of every step that has pitch in both."""
    both = (measured > 0) & (reference > 0)
    return 1200 * np.log2(measured[both] / reference[both])


def envelope_db(x: np.ndarray, rate: int, hz: np.ndarray, smooth_hz: float) -> np.ndarray:
    """Mean power in bands `smooth_hz` wide (harmonics vanish if that is two of their distances), dB at `hz`."""
    n = 8192
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(x, np.float64), n)[:: n // 2]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(n)))).mean(axis=0)
    width = max(1, round(smooth_hz * n / rate))
    window = np.hanning(2 * width + 1)
    smooth = np.convolve(power, window / window.sum(), "same")
    return 10 * np.log10(np.interp(hz, np.arange(len(smooth)) * rate / n, smooth) + 1e-20)


def envelope_ratio(x: np.ndarray, y: np.ndarray, rate: int, smooth_hz: float) -> float:
    """By which ratio of frequency y's envelope lies above x's: the best match on a logarithmic axis, 0.4 to 4.5 kHz."""
    ratios = 2 ** (np.arange(-120, 121) / 120)
    hz = np.geomspace(400, 4500, 400)
    fine_hz = np.geomspace(200, 9000, 4000)
    reference, moved = envelope_db(x, rate, hz, smooth_hz), envelope_db(y, rate, fine_hz, smooth_hz)
    likeness = [np.corrcoef(reference, np.interp(hz * ratio, fine_hz, moved))[0, 1] for ratio in ratios]
    return float(ratios[int(np.argmax(likeness))])


def harmonics_over_noise_db(x: np.ndarray, rate: int, f0_hz: float) -> float:
    """Of a steady vowel: power that repeats with the period over power that does not, from the best of near lags."""
    x = np.asarray(x, np.float64)
    around = np.fft.irfft(np.square(np.abs(np.fft.rfft(x * np.hanning(len(x)), 2 * len(x)))))
    window = np.fft.irfft(np.square(np.abs(np.fft.rfft(np.hanning(len(x)), 2 * len(x)))))
    r = (around / around[0])[: 4 * rate // 40] / (window / window[0])[: 4 * rate // 40]
    lag = round(rate / f0_hz)
    best = lag - 5 + int(np.argmax(r[lag - 5 : lag + 6]))
    left, top, right = r[best - 1 : best + 2]
    top = top - (left - right) ** 2 / (8 * (left - 2 * top + right))
    return float(10 * np.log10(max(top, 1e-9) / max(1 - top, 1e-9)))


def band_db(x: np.ndarray, rate: int, low: float, high: float) -> float:
    """Power between two frequencies."""
    spectrum = np.square(np.abs(np.fft.rfft(np.asarray(x, np.float64) * np.hanning(len(x)))))
    hz = np.fft.rfftfreq(len(x), 1 / rate)
    return float(10 * np.log10(spectrum[(hz >= low) & (hz < high)].sum() + 1e-20))


def largest_jump(x: np.ndarray) -> float:
    return float(np.abs(np.diff(x)).max())


def loudness_db(x: np.ndarray, rate: int) -> float:
    """Of what is spoken: power after the K weighting of ITU-R BS.1770, over the 50 ms that are within 30 dB of the
    loudest."""
    spectrum = np.fft.rfft(np.asarray(x, np.float64))
    hz = np.fft.rfftfreq(len(x), 1 / rate)
    # the two stages of the recommendation as analogue filters: a shelf of 4 dB above 1.7 kHz, a high-pass at 38 Hz
    s = 1j * hz / 1681.97
    shelf = (1.584865 * s * s + 1.258721 / 0.7071752 * s + 1) / (s * s + s / 0.7071752 + 1)
    low = 1j * hz / 38.135
    high_pass = low * low / (low * low + low / 0.5003 + 1)
    y = np.fft.irfft(spectrum * shelf * high_pass, len(x))
    n = rate // 20
    power = np.square(y[: len(y) // n * n]).reshape(-1, n).mean(axis=1)
    return float(10 * np.log10(power[power > 1e-3 * power.max()].mean() + 1e-20))
