from __future__ import annotations

from collections.abc import Iterator

import pytest

from testkit.daemon_parts import Bus, session_bus


@pytest.fixture(scope="module")
def bus() -> Iterator[Bus]:
    with session_bus() as it:
        yield it
