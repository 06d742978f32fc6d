"""What a file is, decided by its content alone; its name plays no part."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store import foreign
from rwc_daemon.store.archive import ZIP_TROUBLE, zip_file
from rwc_daemon.store.checkpoint import is_torch_zip, read_legacy, read_torch_zip
from rwc_daemon.store.faiss_file import looks_like_index
from rwc_daemon.store.kinds import Container, Kind, kind_of
from rwc_daemon.store.npy_file import MAGIC as NPY_MAGIC
from rwc_daemon.store.onnx_file import looks_like_onnx
from rwc_daemon.store.tensors import Tensor, read_safetensors

HEAD = 512  # bytes that tell the container
PACKED = {
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
    b"\xfd7zX": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}
# code that fairseq's files name; it is never run, and such a file is known for it
FAIRSEQ_CODE = (
    "fairseq.",
    "omegaconf.",
    "collections.",
    "typing.",
    "enum.",
    "numpy.",
    "builtins.object",
    "__builtin__.object",
)


@dataclass
class Model:
    """A file of tensors, read."""

    kind: Kind
    tensors: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)
    """What stands beside the tensors: config, version, info …"""


def container_of(file: BinaryIO) -> Container:
    """Raises BadModel or Unsupported for what is none; the message says what the file is instead."""
    size = os.fstat(file.fileno()).st_size
    head = os.pread(file.fileno(), HEAD, 0)
    if not size:
        raise BadModel("the file is empty: get it again")
    if head[:4] == b"PK\3\4":
        return _zip_kind(file)
    if looks_like_index(head):
        return Container.INDEX
    if head.startswith(NPY_MAGIC):
        return Container.NPY
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size:
        return Container.SAFETENSORS
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return Container.LEGACY
    if looks_like_onnx(head):
        return Container.ONNX
    raise _no_model(head)


def _zip_kind(file: BinaryIO) -> Container:
    try:
        with zip_file(file) as archive:
            return Container.TORCH if is_torch_zip(archive.namelist()) else Container.ZIP
    except ZIP_TROUBLE:
        raise BadModel("the download is incomplete or damaged: get the file again") from None


def _no_model(head: bytes) -> BadModel | Unsupported:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")) or b"<html" in text:
        return BadModel(
            "this is a web page saved under a model's name: download the file itself "
            "(on Hugging Face: the download arrow, an address with /resolve/)"
        )
    if text.startswith(b"version https://git-lfs"):
        return BadModel("this is a Git LFS pointer, not the file: run `git lfs pull`, or download the file itself")
    if head[:4] == b"PK\5\6":
        return BadModel("the archive is empty: get it again")
    packed = next((name for magic, name in PACKED.items() if head.startswith(magic)), "")
    if packed or head[257:262] == b"ustar":
        return Unsupported(f"this is a {packed or 'tar'} archive: unpack it and import the folder")
    return BadModel("this is no voice (.pth, .safetensors, .onnx), index, folder or zip: check what was downloaded")


def read_model(file: BinaryIO, container: Container) -> Model:
    """Reads a file of tensors in any of the three packings. Raises BadModel or Unsupported."""
    if container is Container.SAFETENSORS:
        tensors, notes = read_safetensors(file)
        return _safetensors_model(tensors, notes)
    found = read_torch_zip(file) if container is Container.TORCH else read_legacy(file)
    foreign.refuse({name for name in found.foreign if not name.startswith(FAIRSEQ_CODE) or foreign.runs_code(name)})
    try:
        kind, tensors = kind_of(found.root)
    except (BadModel, Unsupported):
        foreign.refuse(found.foreign)
        raise
    if kind is not Kind.CONTENT:
        foreign.refuse(found.foreign)
    facts = {str(key): value for key, value in found.root.items() if value is not tensors}
    return Model(kind, tensors, facts)


def _safetensors_model(tensors: dict[str, Tensor], notes: dict[str, str]) -> Model:
    if "config" in notes and "emb_g.weight" in {name.removeprefix("weight.") for name in tensors}:
        plain = {name.removeprefix("weight."): tensor for name, tensor in tensors.items()}
        return Model(Kind.VOICE, plain, dict(notes))
    if "emb_g.weight" in tensors:
        raise BadModel("this safetensors file is a voice without its configuration: import the .pth it was made from")
    kind, found = kind_of(tensors)
    return Model(kind, found, dict(notes))
