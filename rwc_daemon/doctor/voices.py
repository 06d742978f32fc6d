"""The doctor looks at voices and support files on disk."""

from __future__ import annotations

from dataclasses import replace

from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Asked, Finding
from rwc_daemon.errors import RwcError
from rwc_daemon.families import FAMILIES, shipped
from rwc_daemon.host import paths
from rwc_daemon.trackers import TRACKERS
from rwc_daemon.voices.f0.registry import available
from rwc_daemon.voices.repository import VoiceRepository

MOST_NOTES = 8  # of voices, that the doctor repeats
SUPPORT = tuple(dict.fromkeys(name for row in FAMILIES.values() for name in row.assets))
NEURAL = tuple(name for name, row in TRACKERS.items() if row.weights)


def voices() -> list[Finding]:
    try:
        found = VoiceRepository(paths.data_dir()).list()
    except (RwcError, OSError) as no:
        return [Finding("voices", BAD, f"{paths.voices_dir()} cannot be read: {no}", "fix its permissions")]
    imported = [voice for voice in found if voice.id not in shipped()]
    counted = Finding("voices", GOOD, f"{len(found) - len(imported)} built in, {len(imported)} imported")
    noted = [(voice.id, note) for voice in imported for note in voice.notes]
    more = f"; {len(noted) - MOST_NOTES} more: `rwcctl voice NAME` shows them" if len(noted) > MOST_NOTES else ""
    shown = [Finding("voices", NOTE, f"{name}: {note}") for name, note in noted[:MOST_NOTES]]
    return [replace(counted, text=counted.text + more), *shown]


def device_of_nets(asked: Asked) -> str:
    """Returns "cpu" or "cuda" where the voice in use may run on either; empty: none does."""
    try:
        kind = VoiceRepository(paths.data_dir()).find(asked.get("Voice", "")).kind
    except (RwcError, OSError):
        return ""
    return asked.get("Device", "") if FAMILIES[kind].heavy else ""


def assets(tracker: str) -> list[Finding]:
    """What voices need beside their own weights. `tracker`: the one that the user chose, or empty."""
    repository = VoiceRepository(paths.data_dir())
    try:
        rows = [FAMILIES[kind] for kind in {voice.kind for voice in repository.list()}]
        here = [name for name in SUPPORT if repository.assets.has(name)]
        trackers = available(repository.assets)
    except (RwcError, OSError) as no:
        return [Finding("assets", BAD, f"{paths.assets_dir()} cannot be read: {no}", "fix its permissions")]
    found = _tracker(tracker, trackers, any(row.tracked for row in rows))
    missing = dict.fromkeys(name for row in rows for name in row.assets if name not in here)
    if missing:
        name, *_ = missing
        titles = " and ".join(sorted(row.title for row in rows if name in row.assets))
        return [Finding("assets", BAD, f"{name} is missing: {titles} needs it", f"rwcctl assets fetch {name}"), found]
    if here:
        return [Finding("assets", GOOD, f"{', '.join(here)} is here"), found]
    return [Finding("assets", GOOD, "none are needed: no imported voices yet"), found]


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
