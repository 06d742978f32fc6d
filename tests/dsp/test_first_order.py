"""The small filter against the general one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from rwc_daemon.dsp.first_order import FirstOrder


@pytest.mark.parametrize("factors", [(1.0, -1.0, 0.992), (0.014, 0.0, 0.986), (0.3, 0.2, -0.5)])
def test_the_same_bits_as_lfilter_wherever_it_is_cut(factors: tuple[float, float, float]) -> None:
    now, before, pole = factors
    x = np.random.default_rng(5).normal(size=1000)
    whole, cut = FirstOrder(*factors), FirstOrder(*factors)
    expected = lfilter([now, before], [1.0, -pole], x)
    assert np.array_equal(whole.feed(x), expected)
    pieces = [cut.feed(piece) for piece in np.split(x, [0, 1, 7, 400])]
    assert np.array_equal(np.concatenate(pieces), expected)
