"""The documents hang together: every link leads to a file, every file of ours that a text names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("audio", "batch", "control", "conversion", "dsp", "engine", "faces", "host", "link", "store", "voices")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (document.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_are_named_are_there(document: Path) -> None:
    named = re.findall(r"`([\w./]+\.(?:py|c|h|service|xml))`", document.read_text(encoding="utf-8"))
    ours = {n for n in named if n.partition("/")[0] in (*FOLDERS, "rwc_daemon", "tests", "tools", "systemd", "dbus")}
    missing = [n for n in ours if not (ROOT / n).exists() and not (ROOT / "rwc_daemon" / n).exists()]
    assert not missing
