"""The table of pitch trackers names only what the rest of the package knows."""

from __future__ import annotations

import pytest

from rwc_daemon.extras import OPTIONAL
from rwc_daemon.store.catalog import packaged
from rwc_daemon.trackers import AUTO, TRACKERS
from rwc_daemon.voices.f0 import registry


@pytest.mark.parametrize("name", TRACKERS)
def test_a_row_names_what_is_there(name: str) -> None:
    row = TRACKERS[name]
    assert not row.package or row.package in OPTIONAL
    assert not row.weights or name in packaged(), "the catalogue of support files lacks its weights"
    assert set(row.lighter) <= set(TRACKERS) - {name}
    assert callable(registry._maker(row))


def test_the_last_of_the_automatic_choice_always_runs() -> None:
    last = TRACKERS[AUTO[-1]]
    assert set(AUTO) <= set(TRACKERS)
    assert not last.package
    assert not last.weights
