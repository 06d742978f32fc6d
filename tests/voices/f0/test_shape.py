import numpy as np

from rwc_daemon.voices.f0 import shape


def hz(*values):
    return np.array(values, np.float32)


def test_gaps_are_bridged_and_edges_held():
    filled = shape.interpolate_gaps(hz(0, 100, 0, 0, 130, 0))
    assert np.allclose(filled, [100, 100, 110, 120, 130, 130])
    assert filled.dtype == np.float32
    assert not shape.interpolate_gaps(hz(0, 0)).any()


def test_median_takes_lone_outliers_gaps_and_blips():
    assert np.array_equal(shape.median(hz(100, 100, 200, 100, 0, 100, 100, 0, 0, 90, 0)), hz(*[100] * 7, 0, 0, 0, 0))


def test_smoothing_is_even_in_semitones_and_keeps_voicing():
    assert np.allclose(shape.smooth(hz(50, 0, 100, 800, 100, 0), 3), [50, 0, 100, 200, 100, 0])
    glide = np.geomspace(100, 300, 20).astype(np.float32)
    assert np.allclose(shape.smooth(glide), glide)


def test_transposition():
    assert np.allclose(shape.transpose(hz(0, 110, 220), 12), [0, 220, 440])
    assert np.allclose(shape.transpose(hz(440), -0.5), 440 / 2 ** (0.5 / 12))


def test_coarse_bins_stay_between_1_and_255():
    bins = shape.coarse(hz(0, 1, 50, 51.5, 1099, 1100, 5000))
    assert bins.tolist() == [1, 1, 1, 2, 255, 255, 255]
    assert (np.diff(shape.coarse(np.geomspace(20, 2000, 5000))) >= 0).all()
