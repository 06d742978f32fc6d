"""From what a voice's file says to what we keep: every tensor checked against the table of its kind.

Runs in the import child. Everything here takes open files and a fresh folder; it touches nothing else.
"""

from __future__ import annotations

import json
import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store import encoders
from rwc_daemon.store.card import WEIGHTS
from rwc_daemon.store.faiss_file import IndexInfo, read_index
from rwc_daemon.store.files import sha256_of
from rwc_daemon.store.index_writer import write_index
from rwc_daemon.store.kinds import shapes_of
from rwc_daemon.store.layout import CONTENT_WIDTHS, NSF, check_shapes, is_surplus, parse_rate, plain_name, synth_shapes
from rwc_daemon.store.npy_file import read_npy
from rwc_daemon.store.onnx_file import OnnxInfo, read_onnx
from rwc_daemon.store.recognise import Model
from rwc_daemon.store.tensors import Progress, Writer
from rwc_daemon.store.voice_facts import read_facts, text_of

COMMON_ROWS = 109  # rows of a speaker table that mean one speaker
CHUNK = 4 << 20


def adopt_voice(model: Model, file: BinaryIO, origin: str, folder: Path, progress: Progress) -> dict[str, Any]:
    """Writes the weights of a voice into `folder`; what its card shall say. Raises BadModel or Unsupported."""
    tensors = {plain_name(name): tensor for name, tensor in model.tensors.items()}
    read = read_facts(model.facts, tensors)
    config, listed = read.config, read.listed
    wanted = synth_shapes(config)
    check_shapes(shapes_of(tensors), wanted, "the voice")
    listed[15], listed[17] = config.speakers, config.rate
    kept = {name: tensor for name, tensor in tensors.items() if not is_surplus(name)}
    notes = {"kind": "rvc", "version": config.version, "f0": str(int(config.f0)), "config": json.dumps(listed)}
    Writer(folder / WEIGHTS["rvc"], notes | {"vocoder": config.vocoder}, progress).write(kept)
    facts = _facts(model.facts, "rvc", origin, file)
    return facts | {
        "notes": [*read.notes, *facts["notes"]],
        "version": config.version,
        "f0": config.f0,
        "rate": config.rate,
        "speakers": _speakers(model.facts, config.speakers),
        "config": listed,
        "vocoder": config.vocoder,
    }


def _speakers(facts: dict[str, Any], rows: int) -> int:
    said = facts.get("speakers_id")
    if type(said) is int and 1 < said <= rows:
        return said
    if isinstance(facts.get("speaker_info"), dict) and 1 < len(facts["speaker_info"]) <= rows:
        return len(facts["speaker_info"])
    return 1 if rows == COMMON_ROWS else rows


def _facts(said: dict[str, Any], kind: str, origin: str, file: BinaryIO) -> dict[str, Any]:
    """What every card has, from what the file says about itself."""
    said_encoder = said.get("embedder_model") or said.get("embedder_name") or said.get("embedder")
    embedder = encoders.encoder_id(text_of(said_encoder))
    note = encoders.note(embedder)
    return {
        "name": text_of(said.get("model_name")),
        "kind": kind,
        "embedder": embedder,
        "licence": text_of(said.get("licence") or said.get("license")),
        "origin": origin,
        "sha256": sha256_of(file),
        "notes": [note] if note else [],
    }


def adopt_onnx(file: BinaryIO, origin: str, folder: Path, progress: Progress) -> dict[str, Any]:
    """Copies an RVC voice in ONNX form into `folder`; what its card shall say. Raises BadModel or Unsupported."""
    # not closed by hand: views of it live as long as an error's traceback does
    info = read_onnx(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    _check_onnx(info)
    said = {"embedder": info.client.get("embedder")} | {key: info.notes.get(key) for key in ("license", "licence")}
    copy(file, folder / WEIGHTS["rvc-onnx"], progress)
    version = next(name for name, width in CONTENT_WIDTHS.items() if width == info.width)
    return _facts(said, "rvc-onnx", origin, file) | {
        "version": version,
        "f0": info.f0,
        "rate": parse_rate(info.rate),
        "speakers": 1 if info.speakers == COMMON_ROWS else max(1, info.speakers),
        "config": [],
        "vocoder": NSF,
    }


def _check_onnx(info: OnnxInfo) -> None:
    if not info.is_voice:
        names = ", ".join(list(info.inputs)[:4]) or "none"
        raise Unsupported(f"this ONNX file is no RVC voice (its inputs: {names}): import an RVC or VCClient export")
    if info.width not in CONTENT_WIDTHS.values():
        raise BadModel(f"the ONNX voice hears {info.width or 'unknown'} features, RVC ones 256 or 768: export it again")
    parse_rate(info.rate)


def adopt_index(file: BinaryIO, path: Path, progress: Progress, npy: bool = False) -> IndexInfo:
    """Judges an index (or, with `npy`, a file of features) and writes it to `path` as the live voice wants it.

    Raises BadModel or Unsupported; then `path` is not there.
    """
    found = read_npy(file) if npy else read_index(file)
    try:
        if found.plain:
            found.judge()
            copy(file, path, progress)
        else:
            write_index(found, path, progress)
    except (BadModel, Unsupported):
        path.unlink(missing_ok=True)
        raise
    return found.info


def copy(file: BinaryIO, path: Path, progress: Progress) -> None:
    """The whole of an open file into a new one."""
    size, at = os.fstat(file.fileno()).st_size, 0
    with path.open("xb") as out:
        while part := os.pread(file.fileno(), CHUNK, at):
            out.write(part)
            at += len(part)
            progress(at / max(size, at))
