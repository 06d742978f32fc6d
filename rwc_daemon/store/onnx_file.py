"""An ONNX voice, judged from its own bytes: inputs, rate, width, and nothing that could reach outside the file.

A small reader of the protobuf wire format; no ONNX library is needed to import. Refused: tensors kept in other files,
operators from foreign domains, functions nested absurdly deep. Sources: the ONNX protobuf definition; RVC exports as
described in the project's file survey.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rwc_daemon.errors import BadModel, Unsupported

OWN_DOMAINS = ("", "ai.onnx")
MOST_DEPTH, MOST_FIELDS = 16, 4_000_000
FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}  # numbers of TensorProto.data_type
DAMAGED = "the ONNX file is damaged or incomplete: get it again"
PHONE, PITCH = ("feats", "phone"), ("pitch", "pitchf", "nsff0")
# numbers of the fields that are read here
MODEL_GRAPH, MODEL_METADATA, MODEL_FUNCTIONS = 7, 14, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT = 1, 5, 11
NODE_TYPE, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_NAME, ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_INTS, ATTRIBUTE_GRAPHS = 1, 5, 6, 8, 11
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW, TENSOR_EXTERNAL, TENSOR_LOCATION = 1, 2, 8, 9, 13, 14


@dataclass
class OnnxInfo:
    """What an ONNX file says about itself."""

    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Name → sizes, 0 where they are free."""
    strides: list[int] = field(default_factory=list)
    """Of the upsampling convolutions, in order."""
    speakers: int = 1
    """Rows of the speaker table, where it kept its name."""
    notes: dict[str, str] = field(default_factory=dict)
    """metadata_props."""

    @property
    def width(self) -> int:
        """Content features per frame: 256, 768 or 0 where the file does not say."""
        widths = [shape[-1] for name, shape in self.inputs.items() if name in PHONE and shape]
        return widths[0] if widths else 0

    @property
    def client(self) -> dict[str, Any]:
        """What VCClient wrote down, or nothing."""
        try:
            found = json.loads(self.notes.get("metadata", "{}"))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) and found.get("application") == "VC_CLIENT" else {}

    @property
    def rate(self) -> int:
        """Samples/s: as written down, or 100 × the product of the upsampling strides."""
        said = self.client.get("samplingRate")
        return said if type(said) is int else 100 * math.prod(self.strides)

    @property
    def f0(self) -> bool:
        return any(name in self.inputs for name in PITCH)

    @property
    def is_voice(self) -> bool:
        return any(name in self.inputs for name in PHONE) and any("len" in name for name in self.inputs)


def looks_like_onnx(head: bytes) -> bool:
    """A ModelProto starts with its format version, field 1, a small number."""
    return (
        len(head) > 4
        and head[0] == 0x08
        and 1 <= head[1] <= 32
        and head[2] in (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)
    )


def read_onnx(data: memoryview) -> OnnxInfo:
    """Raises BadModel or Unsupported; `data` is the whole file (mapped, not read)."""
    return _ProtobufReader(data).model()


class _ProtobufReader:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._fields = 0
        self.info = OnnxInfo()

    def model(self) -> OnnxInfo:
        graphs = 0
        for number, value in self._walk(self._data):
            if number == MODEL_GRAPH:
                graphs += 1
                self._graph(_part(value), 0)
            elif number == MODEL_METADATA:
                entry = dict(self._walk(_part(value)))
                self.info.notes[_text(entry.get(1, b""))] = _text(entry.get(2, b""))
            elif number == MODEL_FUNCTIONS:
                raise Unsupported(
                    "the ONNX file brings functions of its own: export it without them (plain RVC export)"
                )
        if graphs != 1:
            raise BadModel(DAMAGED)
        return self.info

    def _walk(self, data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
        at = 0
        while at < len(data):
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise BadModel(f"the ONNX file has absurdly many parts: {DAMAGED}")
            key, at = _varint(data, at)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value, at = _varint(data, at)
                yield number, value
                continue
            if wire == 2:
                length, at = _varint(data, at)
            else:
                length = {1: 8, 5: 4}.get(wire, -1)
            if not 0 <= length <= len(data) - at:
                raise BadModel(DAMAGED)
            yield number, data[at : at + length]
            at += length

    def _graph(self, data: memoryview, depth: int) -> None:
        if depth > MOST_DEPTH:
            raise BadModel(f"the ONNX file is nested absurdly deep: {DAMAGED}")
        for number, value in self._walk(data):
            if number == GRAPH_NODE:
                self._node(_part(value), depth)
            elif number == GRAPH_INITIALIZER:
                self._tensor(_part(value))
            elif number == GRAPH_INPUT and depth == 0:
                self._input(_part(value))

    def _node(self, data: memoryview, depth: int) -> None:
        kind, strides = "", []
        for number, value in self._walk(data):
            if number == NODE_TYPE:
                kind = _text(value)
            elif number == NODE_DOMAIN and _text(value) not in OWN_DOMAINS:
                raise Unsupported(
                    f"the ONNX file needs operators of '{_text(value)[:40]}': only plain ONNX ones are run here; "
                    "export the voice again without custom operators"
                )
            elif number == NODE_ATTRIBUTE:
                strides += self._attribute(_part(value), depth)
        if kind == "ConvTranspose" and len(strides) == 1:
            self.info.strides += strides

    def _attribute(self, data: memoryview, depth: int) -> list[int]:
        """The numbers of `strides`; tensors and graphs inside are judged too."""
        name, numbers = "", []
        for number, value in self._walk(data):
            if number == ATTRIBUTE_NAME:
                name = _text(value)
            elif number == ATTRIBUTE_INTS:
                numbers += _integers(value)
            elif number == ATTRIBUTE_TENSOR:
                self._tensor(_part(value))
            elif number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
                self._graph(_part(value), depth + 1)
        return numbers if name == "strides" else []

    def _tensor(self, data: memoryview) -> None:
        name, kind, dims, raw = "", 0, [], memoryview(b"")
        for number, value in self._walk(data):
            if number in (TENSOR_EXTERNAL, TENSOR_LOCATION) and value != 0:
                raise BadModel("the ONNX file keeps its weights in another file: export it as one file and import that")
            if number == TENSOR_NAME:
                name = _text(value)
            elif number == TENSOR_TYPE:
                kind = int(value) if isinstance(value, int) else 0
            elif number == TENSOR_DIMS:
                dims += _integers(value)
            elif number == TENSOR_RAW:
                raw = _part(value)
        if (
            kind in FLOATS
            and len(raw) % np.dtype(FLOATS[kind]).itemsize == 0
            and np.isnan(np.frombuffer(raw, FLOATS[kind])).any()
        ):
            raise BadModel("the ONNX file holds weights that are not numbers (NaN): take another export of this voice")
        if name == "emb_g.weight" and len(dims) == 2:
            self.info.speakers = dims[0]

    def _input(self, data: memoryview) -> None:
        """ValueInfoProto: name 1, type 2 → tensor_type 1 → shape 2 → dim 1 → dim_value 1."""
        entry = dict(self._walk(data))
        sizes: list[int] = []
        shape = self._inside(self._inside(entry.get(2), 1), 2)
        for number, value in self._walk(shape):
            if number == 1:
                size = dict(self._walk(_part(value))).get(1, 0)
                sizes.append(size if isinstance(size, int) else 0)
        self.info.inputs[_text(entry.get(1, b""))[:80]] = tuple(sizes)

    def _inside(self, value: memoryview | int | None, number: int) -> memoryview:
        found = dict(self._walk(_part(value))).get(number)
        return _part(found)


def _part(value: memoryview | int | None) -> memoryview:
    if value is None:
        return memoryview(b"")
    if isinstance(value, int):
        raise BadModel(DAMAGED)
    return value


def _text(value: memoryview | bytes | int) -> str:
    if isinstance(value, int) or len(value) > 1 << 20:
        raise BadModel(DAMAGED)
    return bytes(value).decode("utf-8", "replace")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise BadModel(DAMAGED)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    raise BadModel(DAMAGED)


def _integers(value: memoryview | int) -> list[int]:
    """One number, or several packed into bytes."""
    if isinstance(value, int):
        return [value]
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(number)
    return numbers
