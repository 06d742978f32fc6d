"""Which files `rwcctl convert` converts, and where each goes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rwc_daemon.engine.order import FileJob
from rwc_daemon.engine.sounds import READABLE, WRITABLE, format_of
from rwc_daemon.errors import BadAudio


def select(inputs: Sequence[str], out: str, kind: str = "") -> list[FileJob]:
    """Files, folders (with all below them) and patterns → what goes where, each target once, no target an input.

    `kind`: "wav", "flac" or "ogg" for targets in a folder; empty: as the source where that can be written, else wav.
    Raises BadAudio.
    """
    found = [pair for given in inputs for pair in _found(given, Path(out))]
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
    return jobs


def _found(given: str, out: Path) -> Iterator[tuple[Path, Path]]:
    """(source, its place below the target folder)."""
    path = Path(given)
    if path.is_dir():
        yield from _below(path, out)
    elif path.exists():
        yield path, Path(path.name)
    else:
        matches = sorted(glob.glob(given, recursive=True))
        if not matches:
            raise BadAudio(f"no file, folder or match for '{given}'")
        for match in matches:
            yield from _found(match, out)


def _below(folder: Path, out: Path) -> Iterator[tuple[Path, Path]]:
    some = False
    for here, folders, names in os.walk(folder):
        # what an earlier run has written is not to be converted again
        folders[:] = sorted(n for n in folders if not n.startswith(".") and not _same(Path(here, n), out))
        for name in sorted(names):
            path = Path(here, name)
            if path.suffix.lower() in READABLE and not name.startswith("."):
                some = True
                yield path, path.relative_to(folder)
    if not some:
        raise BadAudio(f"no sound files in {folder} (looked for {', '.join(READABLE)})")


def _same(a: Path, b: Path) -> bool:
    return b.exists() and a.samefile(b)


def _means_a_file(out: str, found: Sequence[tuple[Path, Path]], inputs: Sequence[str]) -> bool:
    named_like_a_file = Path(out).suffix != "" and not out.endswith("/") and not Path(out).is_dir()
    alone = len(found) == 1 and not Path(inputs[0]).is_dir()
    if named_like_a_file and not alone and Path(out).suffix.lower().lstrip(".") in WRITABLE:
        raise BadAudio(f"-o {out} is one file, but {len(found)} are to be converted: give a folder")
    return named_like_a_file and alone


def _into_folder(found: Sequence[tuple[Path, Path]], folder: Path, kind: str) -> list[FileJob]:
    if folder.exists() and not folder.is_dir():
        raise BadAudio(f"-o {folder} is a file, but a folder is needed here: give another name")
    taken: dict[Path, Path] = {}
    # where a.wav and a.mp3 would both become a.wav, the one that is called so keeps its name
    for source, place in sorted(found, key=lambda pair: pair[0].suffix.lower() != "." + (kind or _kept(pair[0]))):
        suffix = "." + (kind or _kept(source))
        target = folder / place.with_suffix(suffix)
        if source == taken.get(target):  # given twice
            continue
        if target in taken:
            target = folder / place.with_name(place.name + suffix)
        if target in taken:
            raise BadAudio(f"{source} and {taken[target]} would both become {target}: convert them one by one")
        taken[target] = source
    return [FileJob(source, target) for target, source in taken.items()]


def _kept(source: Path) -> str:
    suffix = source.suffix.lower().lstrip(".")
    return suffix if suffix in WRITABLE else "wav"
