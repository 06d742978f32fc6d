"""Which files `rwcctl convert` converts, and where each goes."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from rwc_daemon import extras
from rwc_daemon.batch.jobs import FileJob
from rwc_daemon.batch.sound_file import MEDIA, PLAIN, READABLE, WRITABLE, format_of
from rwc_daemon.errors import BadAudio

LONGEST_NAME = 255  # bytes; what Linux file systems take


class TwoTargets(BadAudio):
    """Several sounds and one file for them: wrong usage."""

    exit_status = 2


@dataclass(frozen=True)
class Skipped:
    """A file that is not converted, and why."""

    source: Path
    reason: str
    target: Path | None = None
    """Where it would have gone, if that is known."""


@dataclass
class Found:
    """What folders hold."""

    sounds: list[tuple[Path, Path]] = field(default_factory=list)
    """(source, its place below the target folder)."""
    skipped: list[Skipped] = field(default_factory=list)


def select(inputs: Sequence[str], out: str, kind: str = "") -> tuple[list[FileJob], list[Skipped]]:
    """(what goes where, what a folder holds beside that).

    Files, folders (with all below them) and patterns → what goes where, each target once, no target an input.

    `kind`: "wav", "flac" or "ogg" for targets in a folder; empty: as the source where that can be written, else wav.
    Raises BadAudio.
    """
    all_found = Found()
    for given in inputs:
        _find(given, Path(out), all_found)
    found = all_found.sounds
    if _means_a_file(out, found, inputs):
        target = Path(out)
        if kind and format_of(target) != WRITABLE[kind]:
            raise BadAudio(f"--format {kind} and -o {out} disagree: leave one of them out")
        jobs = [FileJob(found[0][0], target)]
    else:
        jobs = _into_folder(found, Path(out), kind)
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in sources:
            raise BadAudio(f"{job.target} is one of the files to convert: give another -o")
    return jobs, all_found.skipped


def _find(given: str, out: Path, found: Found) -> None:
    path = Path(given)
    if path.is_dir():
        _below(path, out, found)
    elif os.path.lexists(path):
        found.sounds.append((path, Path(path.name)))
    else:
        matches = sorted(glob.glob(given, recursive=True))
        if not matches:
            raise BadAudio(f"no file, folder or match for '{given}'")
        for match in matches:
            _find(match, out, found)


def _below(folder: Path, out: Path, found: Found) -> None:
    before = len(found.sounds)
    media = find_spec("av") is not None
    for here, folders, names in os.walk(folder):
        # what an earlier run has written is not to be converted again
        folders[:] = sorted(n for n in folders if not n.startswith(".") and not _same(Path(here, n), out))
        for name in sorted(names):
            path = Path(here, name)
            suffix = path.suffix.lower()
            if name.startswith("."):
                found.skipped.append(Skipped(path, "hidden"))
            elif suffix not in READABLE:
                found.skipped.append(Skipped(path, "not a sound file by its name"))
            elif suffix in MEDIA and not media:
                found.skipped.append(Skipped(path, str(extras.missing("av", suffix))))
            else:
                found.sounds.append((path, path.relative_to(folder)))
    if len(found.sounds) == before:
        raise BadAudio(f"no sound files in {folder} (looked for {', '.join(READABLE if media else PLAIN)})")


def _same(a: Path, b: Path) -> bool:
    return b.exists() and a.samefile(b)


def _means_a_file(out: str, found: Sequence[tuple[Path, Path]], inputs: Sequence[str]) -> bool:
    named_like_a_file = Path(out).suffix != "" and not out.endswith("/") and not Path(out).is_dir()
    alone = len(found) == 1 and not Path(inputs[0]).is_dir()
    if named_like_a_file and not alone and Path(out).suffix.lower().lstrip(".") in WRITABLE:
        raise TwoTargets(f"-o {out} is one file, but {len(found)} are to be converted: give a folder")
    return named_like_a_file and alone


def _into_folder(found: Sequence[tuple[Path, Path]], folder: Path, kind: str) -> list[FileJob]:
    if folder.exists() and not folder.is_dir():
        raise BadAudio(f"-o {folder} is a file, but a folder is needed here: give another name")
    taken: dict[Path, Path] = {}
    # where a.wav and a.mp3 would both become a.wav, the one that is called so keeps its name
    for source, place in sorted(found, key=lambda pair: pair[0].suffix.lower() != "." + (kind or _kept(pair[0]))):
        suffix = "." + (kind or _kept(source))
        target = folder / place.parent / _fitting(place.stem, suffix)
        if source == taken.get(target):  # given twice
            continue
        if target in taken:
            target = folder / place.parent / _fitting(place.name, suffix)
        if target in taken:
            raise BadAudio(f"{source} and {taken[target]} would both become {target}: convert them one by one")
        taken[target] = source
    return [FileJob(source, target) for target, source in taken.items()]


def _fitting(stem: str, suffix: str) -> str:
    """The name, its stem shortened where the new suffix makes it too long."""
    return os.fsdecode(os.fsencode(stem)[: LONGEST_NAME - len(suffix)]) + suffix


def _kept(source: Path) -> str:
    suffix = source.suffix.lower().lstrip(".")
    return suffix if suffix in WRITABLE else "wav"
