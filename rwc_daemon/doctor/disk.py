"""The doctor looks at what lies on disk: room, damaged files that were set aside, how imports are confined."""

from __future__ import annotations

import os
from pathlib import Path

from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Finding
from rwc_daemon.host import paths
from rwc_daemon.store.layers import missing_layers

TIGHT_MB, FULL_MB = 1000, 20  # an imported voice takes some 100 MB; the state a few kB
LAYERS = {
    "namespaces": "users may make no namespaces (sysctl kernel.unprivileged_userns_clone, or AppArmor)",
    "landlock": "this kernel has no landlock (it came with 5.13)",
    "seccomp": "this kernel or processor has no seccomp filter for us",
}


def room() -> list[Finding]:
    """On the disks of voices and of saved state."""
    found = []
    for part, folder in (("disk", paths.data_dir()), ("state disk", paths.state_dir())):
        free_mb = _free_mb(folder)
        text, fix = f"{free_mb:.0f} MB free for {folder}", "free some space"
        if free_mb < FULL_MB:
            found.append(Finding(part, BAD, f"full, {text}: nothing can be saved or imported", fix))
        elif free_mb < TIGHT_MB and part == "disk":
            found.append(Finding(part, NOTE, f"{text}: little for voices and support files", fix))
    return found or [Finding("disk", GOOD, f"{_free_mb(paths.data_dir()) / 1000:.0f} GB free for voices")]


def damaged(folder: Path) -> list[Finding]:
    """Saved states that could not be read and were set aside."""
    aside = sorted(folder.glob("state.json.damaged-*"))
    if not aside:
        return []
    text = f"{len(aside)} damaged saved state{'s' * (len(aside) > 1)} set aside, the newest {aside[-1]}"
    return [Finding("state", NOTE, text, f"delete when no longer wanted: rm {folder}/state.json.damaged-*")]


def confinement() -> list[Finding]:
    """What keeps a stranger's model file from doing harm while it is read."""
    missing = missing_layers()
    if missing is None:
        fix = "import only files that you trust, and report this"
        return [Finding("imports", BAD, "the confinement of imports could not be tried", fix)]
    if not missing:
        return [Finding("imports", GOOD, "files are read in a child without network, programs or your files")]
    why = "; ".join(LAYERS.get(name, f"no {name}") for name in missing)
    text = f"confined without {', '.join(missing)} (limits and our own reader remain): {why}"
    return [Finding("imports", NOTE, text, "nothing must be done; import only files that you trust")]


def _free_mb(folder: Path) -> float:
    """Of the nearest folder that is there."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    disk = os.statvfs(there)
    return disk.f_bavail * disk.f_frsize / 1e6
