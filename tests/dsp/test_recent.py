"""The newest stretch against a plain array."""

import numpy as np

from rwc_daemon.dsp.recent import Recent


def test_the_newest_samples_whatever_the_pieces():
    rng = np.random.default_rng(0)
    recent, whole = Recent(50), np.zeros(50, np.float32)
    for n in (1, 49, 50, 51, 0, 200, *rng.integers(0, 60, 40)):
        x = rng.standard_normal(n).astype(np.float32)
        recent.write(x)
        whole = np.concatenate((whole, x))
        for wanted in (0, 7, 50):
            assert np.array_equal(recent.newest(wanted), whole[len(whole) - wanted :])
