"""The doctor looks at voices and support files on disk."""

from __future__ import annotations

from dataclasses import replace

from rwc_daemon.control.finding import BAD, GOOD, NOTE, Finding
from rwc_daemon.errors import RwcError
from rwc_daemon.host import paths
from rwc_daemon.trackers import TRACKERS
from rwc_daemon.voices.f0.registry import available
from rwc_daemon.voices.repository import VoiceRepository

CONTENT = "contentvec"
MOST_NOTES = 8  # of voices, that the doctor repeats
NEURAL = tuple(name for name, row in TRACKERS.items() if row.weights)


def voices() -> list[Finding]:
    try:
        found = VoiceRepository(paths.data_dir()).list()
    except (RwcError, OSError) as no:
        return [Finding("voices", BAD, f"{paths.voices_dir()} cannot be read: {no}", "fix its permissions")]
    imported = [voice for voice in found if voice.kind != "builtin"]
    counted = Finding("voices", GOOD, f"{len(found) - len(imported)} built in, {len(imported)} imported")
    noted = [(voice.id, note) for voice in imported for note in voice.notes]
    more = f"; {len(noted) - MOST_NOTES} more: `rwcctl voice NAME` shows them" if len(noted) > MOST_NOTES else ""
    shown = [Finding("voices", NOTE, f"{name}: {note}") for name, note in noted[:MOST_NOTES]]
    return [replace(counted, text=counted.text + more), *shown]


def assets(tracker: str) -> list[Finding]:
    """What imported voices need beside their own weights. `tracker`: the one that the user chose, or empty."""
    repository = VoiceRepository(paths.data_dir())
    try:
        imported = [voice for voice in repository.list() if voice.kind == "rvc"]
        has_content, trackers = repository.assets.has(CONTENT), available(repository.assets)
    except (RwcError, OSError) as no:
        return [Finding("assets", BAD, f"{paths.assets_dir()} cannot be read: {no}", "fix its permissions")]
    found = _tracker(tracker, trackers, bool(imported))
    if has_content:
        return [Finding("assets", GOOD, f"{CONTENT} is here"), found]
    if not imported:
        return [Finding("assets", GOOD, "none are needed: no imported voices yet"), found]
    fix = f"rwcctl assets fetch {CONTENT}"
    return [Finding("assets", BAD, f"{CONTENT} is missing: no imported voice can convert", fix), found]


def _tracker(wanted: str, trackers: dict[str, str], needed: bool) -> Finding:
    """`trackers`: each with why it cannot be had, or nothing."""
    usable = [name for name, why_not in trackers.items() if not why_not]
    if needed and trackers.get(wanted):
        why_not, _, fix = trackers[wanted].partition(": ")
        return Finding("trackers", NOTE, f"f0_method is {wanted}, and another one takes its place: {why_not}", fix)
    text = "usable: " + ", ".join(usable)
    if needed and not set(usable) & set(NEURAL):
        return Finding("trackers", NOTE, f"no neural one, {text}", f"rwcctl assets fetch {NEURAL[0]}")
    return Finding("trackers", GOOD, text)
