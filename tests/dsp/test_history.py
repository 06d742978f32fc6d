"""The history against a plain array."""

import numpy as np
import pytest

from rwc_daemon.dsp.history import History


def test_reads_what_was_written_by_number():
    x = np.random.default_rng(0).standard_normal(1000)
    history = History(64)
    written = 0
    for n in (1, 30, 64, 7, 0, 50, 64, 64, 3):
        history.write(x[written : written + n])
        written += n
        begin = max(0, written - 64)
        assert np.array_equal(history.view(begin, written), x[begin:written])
    numbers = np.array([written - 64, written - 20, written - 8])
    assert np.array_equal(history.gather(numbers, 8), [x[i : i + 8] for i in numbers])


def test_silence_stands_before_the_beginning():
    history = History(32)
    history.write(np.ones(4))
    assert np.array_equal(history.view(-3, 4), [0, 0, 0, 1, 1, 1, 1])


def test_what_is_gone_is_not_given():
    history = History(32)
    history.write(np.ones(20))
    history.write(np.ones(20))
    with pytest.raises(AssertionError):
        history.view(7, 12)
