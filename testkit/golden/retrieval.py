"""Section 5: retrieval and protect (`retrieval_*` with `index_*`)."""

from __future__ import annotations

import re

import numpy as np
import torch

from rwc_daemon.voices.rvc.render import to_frames
from rwc_daemon.voices.rvc.retrieval import Index, protect
from testkit.golden.report import EXACT, MIXED, Golden, Lines, Note, compare


def check(g: Golden) -> Lines:
    path = g.path.with_name(g.text("index_file"))
    if not path.exists():
        yield Note(f"{path.name} is not in the folder")
        return
    index = Index.load(path)
    rows = torch.from_numpy(g["hubert"])
    found = index.search.nearest(rows)
    yield compare("search_ids", found.ids, g["search_ids"], EXACT)
    there = g["search_ids"] >= 0
    yield compare("search_scores", found.squared.numpy()[there], g["search_scores"][there], MIXED, "relative")
    yield from _live(g, index, rows)
    yield from _offline(g, index, rows)


def _live(g: Golden, index: Index, rows: torch.Tensor) -> Lines:
    extended = torch.cat([rows, rows[-1:]])
    for name in g.names:
        if given := re.fullmatch(r"phone_rate([\d.]+)_skip(\d+)", name):
            mixed = index.mix(extended, float(given[1]), int(given[2]) // 2, strict=True)
            yield compare(name, to_frames(mixed)[: g.whole("p_len")], g[name], MIXED)


def _offline(g: Golden, index: Index, rows: torch.Tensor) -> Lines:
    mixed = to_frames(index.mix(rows, float(g["offline_index_rate"])))
    for name in g.names:
        if given := re.fullmatch(r"offline_phone_protect([\d.]+)", name):
            T = len(g[name])
            f0 = g["offline_pitchf"].reshape(-1)[:T].astype(np.float32)
            ours = protect(mixed[:T], to_frames(rows)[:T], f0, float(given[1]))
            yield compare(name, ours, g[name], MIXED)
