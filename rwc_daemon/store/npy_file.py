"""A `.npy` file of features (`total_fea.npy`, as RVC's training leaves it): its header read, nothing else done.

Layout: numpy's format description, versions 1 to 3. The header is a Python literal; only its three known entries are
looked for, by pattern, and no literal is evaluated.
"""

from __future__ import annotations

import math
import os
import re
from typing import BinaryIO

import numpy as np

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.faiss_codes import Codec, flat
from rwc_daemon.store.faiss_cursor import MOST_VECTORS, WIDTHS
from rwc_daemon.store.faiss_file import IndexInfo, Run, Vectors
from rwc_daemon.store.tensors import read_at

MAGIC = b"\x93NUMPY"
MOST_HEADER = 4096
DAMAGED = "the .npy file is damaged or incomplete: get it again"


def read_npy(file: BinaryIO) -> Vectors:
    """Features of shape [n, 256] or [n, 768], float32 or float16, as vectors. Raises BadModel, Unsupported."""
    head = read_at(file, 0, 12)
    wide = 2 if head[6] == 1 else 4
    length = int.from_bytes(head[8 : 8 + wide], "little")
    if head[:6] != MAGIC or head[6] not in (1, 2, 3) or length > MOST_HEADER:
        raise BadModel(DAMAGED)
    text = read_at(file, 8 + wide, length).decode("latin-1")
    kind, shape = _entries(text)
    if len(shape) != 2 or shape[1] not in WIDTHS or not 1 <= shape[0] <= MOST_VECTORS:
        raise BadModel(f"the .npy file has shape {shape}, features of RVC are rows of 256 (v1) or 768 (v2)")
    codec, start = _codec(kind, shape[1]), 8 + wide + length
    if os.fstat(file.fileno()).st_size != start + codec.size * shape[0]:
        raise BadModel(DAMAGED)
    return Vectors(file, IndexInfo(shape[1], shape[0], 0, "npy"), codec, [Run(start, shape[0])])


def _entries(text: str) -> tuple[str, tuple[int, ...]]:
    kind = re.search(r"'descr'\s*:\s*'([<>|=]?[a-z]\d{1,2})'", text)
    shape = re.search(r"'shape'\s*:\s*\(([\d,\s]{1,60})\)", text)
    order = re.search(r"'fortran_order'\s*:\s*(True|False)", text)
    if kind is None or shape is None or order is None:
        raise Unsupported("the .npy file holds no plain numbers: import an index made of it")
    sizes = tuple(int(one) for one in shape[1].split(",") if one.strip())
    if order[1] == "True" and math.prod(sizes) != max(sizes, default=0):
        raise Unsupported("the .npy file is written column by column: save it again row by row")
    return kind[1], sizes


def _codec(kind: str, width: int) -> Codec:
    if kind == "<f4":
        return flat(width)
    if kind in ("<f2", "<f8"):
        size = int(kind[2]) * width
        return Codec(kind, size, lambda data: np.frombuffer(data, kind).astype("<f4").reshape(-1, width))
    raise Unsupported(f"the .npy file holds '{kind}', features of RVC are float32: save it again as that")
