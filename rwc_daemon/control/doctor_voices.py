"""The doctor looks at voices and support files on disk."""

from __future__ import annotations

from rwc_daemon.control.finding import BAD, GOOD, Finding
from rwc_daemon.errors import RwcError
from rwc_daemon.host import paths
from rwc_daemon.voices.f0.registry import available
from rwc_daemon.voices.shelf import Shelf

CONTENT = "contentvec"
NEURAL = ("rmvpe", "fcpe", "crepe", "crepe-tiny")


def voices() -> list[Finding]:
    try:
        found = Shelf(paths.data_dir()).list()
    except (RwcError, OSError) as no:
        return [Finding("voices", BAD, f"{paths.voices_dir()} cannot be read: {no}", "mend its permissions")]
    imported = [voice for voice in found if voice.kind != "builtin"]
    return [Finding("voices", GOOD, f"{len(found) - len(imported)} built in, {len(imported)} imported")]


def assets() -> list[Finding]:
    """What imported voices need beside their own weights."""
    shelf = Shelf(paths.data_dir())
    try:
        imported = [voice for voice in shelf.list() if voice.kind == "rvc"]
        has_content, trackers = shelf.assets.has(CONTENT), available(shelf.assets)
    except (RwcError, OSError) as no:
        return [Finding("assets", BAD, f"{paths.assets_dir()} cannot be read: {no}", "mend its permissions")]
    usable = [name for name, why_not in trackers.items() if not why_not]
    tracks = Finding("trackers", GOOD, "usable: " + ", ".join(usable))
    if has_content:
        return [Finding("assets", GOOD, f"{CONTENT} is here"), tracks]
    if not imported:
        return [Finding("assets", GOOD, "none are needed: no imported voices yet"), tracks]
    mend = f"rwcctl assets fetch {CONTENT}"
    return [Finding("assets", BAD, f"{CONTENT} is missing: no imported voice can convert", mend), tracks]
