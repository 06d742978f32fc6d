"""The import child: `python -m rwc_daemon.store.child`, one request on stdin, one JSON line per event on stdout.

It gets open files and a staging folder, gives up every power it has, and only then looks into the files. Events:
{"progress": share}, {"skipped": text}, and last {"done": …} or {"error": code, "message": text}.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rwc_daemon.errors import BadModel, OutOfRange, RwcError, Unsupported
from rwc_daemon.store.adopt import adopt_index, adopt_onnx, adopt_voice
from rwc_daemon.store.adopt_asset import adopt_asset
from rwc_daemon.store.card import CARD, INDEX_NOTE, card_bytes
from rwc_daemon.store.confine import Limits, confine
from rwc_daemon.store.files import disk_error, sha256_of
from rwc_daemon.store.kinds import Container, Kind
from rwc_daemon.store.pairing import Thing, pair, width_of
from rwc_daemon.store.recognise import container_of, read_model
from rwc_daemon.store.source import Source, container, name_of, naming, sources_of, unpacked
from rwc_daemon.store.tensors import Progress

PR_SET_PDEATHSIG = 1
TOO_LARGE = {"error": "BadModel", "message": "the file needs more memory than an import may take: it is damaged"}


@dataclass
class Haul:
    """What was found, each with the source it came from."""

    voices: list[tuple[Source, dict[str, Any], Path]] = field(default_factory=list)
    indexes: list[tuple[Source, int, Path]] = field(default_factory=list)
    """Width of the vectors."""
    unusable: list[tuple[Source, RwcError]] = field(default_factory=list)
    """Indexes that cannot be read; their voices come in without."""
    refused: list[tuple[Source, RwcError]] = field(default_factory=list)


def main() -> int:
    """Reads the request, confines itself, does the work; 0 also where the answer is an error."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    request = json.load(sys.stdin)
    staging = Path(request["staging"])
    root = staging.parent.parent
    missing = confine(staging, Limits(**request["limits"]))
    say({"missing": missing})
    try:
        done = {"voices": bring_voices, "asset": bring_asset}[request["task"]](request, staging)
    except RwcError as error:
        say({"error": error.code, "message": str(error)})
    except MemoryError:
        say(TOO_LARGE)
    except OSError as error:
        say(
            TOO_LARGE if error.errno == errno.ENOMEM else {"error": "BadState", "message": str(disk_error(root, error))}
        )
    else:
        say({"done": done})
    return 0


def say(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


# -- voices -----------------------------------------------------------------------------------------------------------


def bring_voices(request: dict[str, Any], staging: Path) -> dict[str, Any]:
    """Every voice of the request as `out/N/`, every index as `loose/N.index`, and which belong together."""
    for name in ("out", "loose", "zip"):
        (staging / name).mkdir()
    haul = Haul()
    sources = list(_opened(sources_of(request), staging / "zip", haul))
    sizes = [max(1, os.fstat(source.file.fileno()).st_size) for source in sources]
    for number, source in enumerate(sources):
        _look_into(source, staging, haul, _part_of(sizes, number))
    _judge(haul)
    pairs = _pairs(haul)
    _tell_unusable(haul, pairs)
    wanted = request["name"]
    if wanted and len(haul.voices) > 1:
        raise OutOfRange(f"one name for {len(haul.voices)} voices: import them without --name, or one by one")
    for source, facts, folder in haul.voices:
        facts["name"] = wanted or name_of(source, facts["name"])
        (folder / CARD).write_bytes(card_bytes(facts))
    # landlock's first version lets nobody move a file between folders, so the parent brings them together
    joined = {haul.voices[v][2].name: haul.indexes[i][2].name for v, i in pairs.items()}
    loose = [] if haul.voices else [{"path": p.name, "name": s.name, "width": w} for s, w, p in haul.indexes]
    return {"voices": len(haul.voices), "joined": joined, "loose": loose}


def _part_of(sizes: list[int], number: int) -> Progress:
    """The progress of one file as a share of all; says so at every whole percent."""
    before, total = sum(sizes[:number]), sum(sizes)
    last = [-1]

    def tell(share: float) -> None:
        percent = int(100 * (before + share * sizes[number]) / total)
        if percent > last[0]:
            last[0] = percent
            say({"progress": percent / 100})

    return tell


def _opened(sources: list[Source], folder: Path, haul: Haul) -> Iterator[Source]:
    """The sources, zips replaced by the models in them; a zip that cannot be unpacked is refused."""
    for number, source in enumerate(sources):
        if container(source) is not Container.ZIP:
            yield source
            continue
        try:
            with naming(source):
                yield from unpacked(source, folder / str(number))
        except (BadModel, Unsupported) as error:
            haul.refused.append((source, error))


def _look_into(source: Source, staging: Path, haul: Haul, progress: Progress) -> None:
    folder = staging / "out" / str(len(haul.voices))
    is_index = container(source) in (Container.INDEX, Container.NPY)
    try:
        with naming(source):
            _adopt(source, staging, folder, haul, progress)
    except (BadModel, Unsupported) as error:
        (haul.unusable if is_index else haul.refused).append((source, error))
        shutil.rmtree(folder, ignore_errors=True)  # what was written before the fault was found


def _adopt(source: Source, staging: Path, folder: Path, haul: Haul, progress: Progress) -> None:
    packing = container_of(source.file)
    if packing is Container.ZIP:
        raise Unsupported("a zip within a zip: unpack it and import the folder")
    if packing in (Container.INDEX, Container.NPY):
        path = staging / "loose" / f"{len(haul.indexes)}.index"
        info = adopt_index(source.file, path, progress, npy=packing is Container.NPY)
        haul.indexes.append((source, info.width, path))
        return
    folder.mkdir()
    if packing is Container.ONNX:
        facts = adopt_onnx(source.file, source.name, folder, progress)
    else:
        model = read_model(source.file, packing)
        if model.kind is not Kind.VOICE:
            raise BadModel(f"this is a support file ({model.kind}), not a voice: `rwcctl assets add` takes it")
        facts = adopt_voice(model, source.file, source.name, folder, progress)
    haul.voices.append((source, facts, folder))


def _judge(haul: Haul) -> None:
    """A file that the user named must be of use; of a folder or zip, at least one."""
    alone = [(source, type(error)(f"{error}; a voice plays without an index, too")) for source, error in haul.unusable]
    refused = haul.refused if haul.voices else haul.refused + alone
    named = [error for source, error in refused if source.named]
    if named or (refused and not haul.voices and not haul.indexes):
        raise (named or [refused[0][1]])[0]
    for _, error in refused:
        say({"skipped": str(error)})


def _pairs(haul: Haul) -> dict[int, int]:
    # an ONNX voice often lies beside the .pth it was made from; the index is for that one
    plain = any(facts["kind"] == "rvc" for _, facts, _ in haul.voices)
    voices = [
        Thing(source.stem, source.folder, width_of(facts["version"]) if facts["kind"] == "rvc" or not plain else 0)
        for source, facts, _ in haul.voices
    ]
    indexes = [Thing(source.stem, source.folder, width) for source, width, _ in haul.indexes]
    pairs = pair(voices, indexes)
    for number, (source, width, _) in enumerate(haul.indexes):
        if number in pairs.values() or not voices:
            continue
        why = f"{source.name} ({width} wide) fits none of the voices, or several: import it with its own voice alone"
        if source.named:
            raise BadModel(why)
        say({"skipped": why})
    return pairs


def _tell_unusable(haul: Haul, pairs: dict[int, int]) -> None:
    """An index that cannot be read is never dropped without a word: its voice, if it has no other, keeps the reason."""
    if not haul.voices:
        return  # it was refused
    voices = [Thing(source.stem, source.folder, 0) for source, _, _ in haul.voices]
    found = pair(voices, [Thing(source.stem, source.folder, 0) for source, _ in haul.unusable])
    for number, (_, error) in enumerate(haul.unusable):
        say({"skipped": str(error)})
        for voice in (v for v, i in found.items() if i == number and v not in pairs):
            haul.voices[voice][1]["notes"].append(f"{INDEX_NOTE}{error}")


# -- support files ----------------------------------------------------------------------------------------------------


def bring_asset(request: dict[str, Any], staging: Path) -> dict[str, Any]:
    """The one support file of the request as `NAME.safetensors`."""
    (source,) = sources_of(request)
    with naming(source):
        packing = container_of(source.file)
        if packing not in (Container.TORCH, Container.LEGACY, Container.SAFETENSORS):
            raise BadModel(f"a support file is a .pt, .pth, .bin or .safetensors, not {packing}")
        model = read_model(source.file, packing)
        return adopt_asset(model, staging, sha256_of(source.file), _part_of([1], 0))


if __name__ == "__main__":
    sys.exit(main())
