"""Spoils good model files in every way and watches the import: it may take a file or refuse it, nothing else.

A batch of files goes through the real confined child as a folder; where a batch breaks, its files are tried one by one
and the culprit is kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import struct
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.voices import VoiceStore
from testkit.voice_maker import config_of, make_asset, make_index, make_onnx, make_voice

BATCH = 50
HANG_S = 60.0
EXTREMES = [b"\0", b"\x7f", b"\x80", b"\xff", b"\xff" * 4, b"\xff" * 8] + [
    struct.pack("<Q", value) for value in (0, (1 << 31) - 1, 1 << 31, (1 << 63) - 1)
]


@dataclass
class Report:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """ "taken", "refused", "broke", "hung"."""
    culprits: list[tuple[Path, str]] = field(default_factory=list)
    """Kept files and what they did."""


def seeds(folder: Path) -> list[Path]:
    """Good files of every container, small."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [
        make_voice(folder, "v2-40k-f0", name="zip"),
        make_voice(folder, "v1-48k-nof0", name="old", legacy=True),
        make_voice(folder, "v2-32k-f0", name="applio", applio=True),
        make_index(folder, 256, 60),
        make_index(folder, 768, 60, "sparse", name="sparse"),
        make_index(folder, 256, 20, "flat", name="flat"),
        *other_indexes(folder),
        *odd_voices(folder),
        make_onnx(folder, "v2-48k-f0", client=True),
        make_asset(folder, "fcpe"),
    ]
    packed = folder / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(made[0], "voice/model.pth")
        archive.write(made[3], "voice/added.index")
    odd = folder / "odd.zip"  # names of several systems, and one that says UTF-8 and is not
    with zipfile.ZipFile(odd, "w") as archive:
        archive.write(made[0], "Ann: äöüäöü\\model.pth")
        archive.write(made[3], "Ann: äöüäöü\\added.index")
    odd.write_bytes(odd.read_bytes().replace("äöüäöü".encode(), b"\xe4" * 12))
    return [*made, packed, odd]


def other_indexes(folder: Path) -> list[Path]:
    """Indexes that are written again, of every reader's kind, and features alone."""
    import faiss

    vectors = np.random.default_rng(0).standard_normal((60, 256)).astype(np.float32)
    made = []
    for recipe in ("IVF4,SQ8", "SQfp16", "SQ6", "HNSW4", "IDMap,IVF4,SQ4", "IVF2,Flat,RFlat"):
        index = faiss.index_factory(256, recipe)
        index.train(vectors)
        index.add_with_ids(vectors, np.arange(60)) if "IDMap" in recipe else index.add(vectors)
        made.append(folder / f"{recipe.replace(',', '-')}.index")
        faiss.write_index(index, str(made[-1]))
    mapped = faiss.index_factory(256, "IVF4,Flat")
    mapped.train(vectors)
    mapped.add(vectors)
    mapped.set_direct_map_type(faiss.DirectMap.Hashtable)
    faiss.write_index(mapped, str(folder / "mapped.index"))
    np.save(folder / "total_fea.npy", vectors)
    return [*made, folder / "mapped.index", (folder / "total_fea.npy").rename(folder / "total_fea.index")]


def odd_voices(folder: Path) -> list[Path]:
    """Voices of other tools: harmless objects beside the weights, 19 entries, pitch against its mark."""
    company = {"epoch": np.int64(7), "losses": np.zeros(9), "when": datetime(2024, 5, 17), "tags": {"a", "b"}}
    company |= {"path": Path("/x"), "options": argparse.Namespace(rate=40000), "counts": Counter("aab")}
    old = make_voice(folder, "v1-40k-f0", name="nineteen", legacy=True, f0=0, version="", **company)
    config = [*config_of("v1-40k-f0")[:17], 256, 40000]
    return [
        make_voice(folder, "v2-40k-nof0", name="company", embedder_model="spin", **company),
        make_voice(folder, "v1-40k-nof0", name="nineteen-zip", config=config, **company),
        old,
    ]


def spoil(data: bytes, chance: random.Random) -> bytes:
    """One to four changes: bits, extreme numbers, cuts, copies, runs of one byte."""
    spoiled = bytearray(data)
    # the interesting bytes are the headers, which lie at the ends
    for _ in range(chance.randint(1, 4)):
        span = chance.choice((64, 2048, len(spoiled)))
        at = chance.randrange(min(span, len(spoiled))) if spoiled else 0
        at = len(spoiled) - 1 - at if chance.random() < 0.4 else at
        way = chance.randrange(6)
        if way == 0:
            spoiled[at : at + 1] = bytes([chance.randrange(256)])
        elif way == 1:
            extreme = chance.choice(EXTREMES)
            spoiled[at : at + len(extreme)] = extreme
        elif way == 2:
            del spoiled[at:]
        elif way == 3:
            del spoiled[at : at + chance.randint(1, 64)]
        elif way == 4:
            spoiled[at:at] = spoiled[at : at + chance.randint(1, 256)]
        else:
            spoiled[at : at + 16] = bytes([chance.choice((0, 0xFF))]) * chance.randint(1, 16)
    return bytes(spoiled)


def fuzz(count: int, folder: Path, seed: int = 0) -> Iterator[Report]:
    """Tries `count` spoiled files; yields the running report after each batch."""
    chance, report = random.Random(seed), Report()
    good = seeds(folder / "good")
    for done in range(0, count, BATCH):
        batch = folder / "batch"
        shutil.rmtree(batch, ignore_errors=True)
        batch.mkdir()
        paths = []
        for number in range(min(BATCH, count - done)):
            source = chance.choice(good)
            path = batch / f"{done + number}-{source.name}"
            path.write_bytes(spoil(source.read_bytes(), chance))
            paths.append(path)
        shutil.copy(good[0], batch / "good.pth")  # with it the batch comes through, unless a file breaks the child
        _try_batch(paths, folder, report)
        yield report


def _try_batch(paths: list[Path], folder: Path, report: Report) -> None:
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    try:
        taken = len(VoiceStore(store).bring_in([paths[0].parent])) - 1
        report.outcomes["taken"] += taken
        report.outcomes["refused"] += len(paths) - taken
    except (BadModel, Unsupported):  # one by one tells which it was
        for path in paths:
            report.outcomes[_try_one(path, store, folder, report)] += 1


def _try_one(path: Path, store: Path, folder: Path, report: Report) -> str:
    begin = time.monotonic()
    try:
        VoiceStore(store).bring_in([path])
        outcome = "taken"
    except (BadModel, Unsupported) as error:
        outcome = "broke" if "broke down" in str(error) else "hung" if "took " in str(error) else "refused"
        if outcome != "refused":
            _keep(path, str(error), folder, report)
    if time.monotonic() - begin > HANG_S:
        outcome = "hung"
        _keep(path, "slow", folder, report)
    return outcome


def _keep(path: Path, why: str, folder: Path, report: Report) -> None:
    kept = folder / "culprits"
    kept.mkdir(exist_ok=True)
    shutil.copy(path, kept / path.name)
    report.culprits.append((kept / path.name, why))
