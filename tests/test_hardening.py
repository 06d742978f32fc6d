"""The units are as hard as docs/security.md says, and what is off is explained there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from testkit.exposed import NAMES, exposure

DOCUMENT = Path(__file__).parents[1] / "docs/security.md"
HIGHEST = {"rwc-daemon.service": 6.7, "rwc-mic.service": 6.1}  # a ratchet: newer systemds count a little otherwise
SLACK = 0.2

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")


@pytest.mark.parametrize("name", NAMES)
def test_the_score_does_not_rise(name: str) -> None:
    assert exposure(name).score <= HIGHEST[name] + SLACK


@pytest.mark.parametrize("name", NAMES)
def test_what_is_off_is_explained(name: str) -> None:
    explained = DOCUMENT.read_text().partition("Not on, and why")[2].partition("\n## ")[0]
    missing = {re.split("[=/]", option)[0] for option in exposure(name).off}
    assert not {option for option in missing if not re.search(rf"\b{option}\b", explained)}
