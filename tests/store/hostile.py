"""Hostile files, a few hundred: each tries to run code, to be endless, to lie about itself or to reach outside.

Every pickle here would write the file `mark` if anything in it ran.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

FUNCTIONS = (
    "os system", "posix system", "nt system", "os popen", "os execv", "os spawnlp", "os remove", "os kill",
    "subprocess Popen", "subprocess run", "subprocess check_output", "subprocess call", "builtins eval",
    "builtins exec", "builtins compile", "builtins open", "builtins __import__", "builtins getattr",
    "builtins setattr", "builtins input", "__builtin__ eval", "__builtin__ execfile", "__builtin__ apply",
    "importlib import_module", "runpy run_path", "runpy _run_code", "code interact", "pty spawn", "pdb run",
    "timeit timeit", "shutil rmtree", "shutil copy", "socket create_connection", "urllib.request urlopen",
    "ctypes CDLL", "ctypes.util find_library", "marshal loads", "types FunctionType", "types CodeType",
    "operator attrgetter", "operator methodcaller", "functools partial", "functools reduce", "itertools starmap",
    "webbrowser open", "asyncio run", "multiprocessing Process", "threading Thread", "torch load", "torch.hub load",
    "torch.jit load", "torch.serialization load", "torch.utils.cpp_extension load", "torch._utils _rebuild_qtensor",
    "torch.storage _load_from_bytes", "numpy load", "numpy.testing._private.utils runstring", "pickle loads",
    "_pickle Unpickler", "dill loads", "joblib load", "cloudpickle.cloudpickle _builtin_type",
    "logging.config dictConfig",
    "tempfile mktemp", "zipfile ZipFile", "tarfile open", "sqlite3 connect", "bdb Bdb", "site main", "venv create",
    "pip main", "fairseq.tasks evil", "omegaconf evil", "copyreg __newobj__", "collections namedtuple",
)  # fmt: skip


def _call(name: str, argument: str, flavour: int) -> bytes:
    """A pickle that calls `module function` with a text, in one of five ways."""
    module, _, function = name.partition(" ")
    text = b"X" + struct.pack("<I", len(argument.encode())) + argument.encode()
    if flavour == 0:
        return b"\x80\x02c" + f"{module}\n{function}\n".encode() + text + b"\x85R."
    if flavour == 1:  # STACK_GLOBAL
        names = b"".join(b"\x8c" + bytes([len(one)]) + one.encode() for one in (module, function))
        return b"\x80\x04" + names + b"\x93" + text + b"\x85R."
    if flavour == 2:  # OBJ
        return b"\x80\x02(c" + f"{module}\n{function}\n".encode() + text + b"o."
    if flavour == 3:  # INST
        return b"\x80\x02(" + text + b"i" + f"{module}\n{function}\n".encode() + b"."
    return b"\x80\x02c" + f"{module}\n{function}\n".encode() + text + b"\x85\x81."  # NEWOBJ


def _wrapped(call: bytes) -> bytes:
    """The call where a voice keeps its weights."""
    inner = call[2:-1]
    return b"\x80\x02}(X\x06\x00\x00\x00weight" + inner + b"X\x06\x00\x00\x00config](K\x01eu."


def torch_zip(path: Path, main: bytes, members: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", main)
        archive.writestr("archive/byteorder", "little")
        for name, data in (members or {}).items():
            archive.writestr(f"archive/data/{name}", data)
    return path


def code(folder: Path, mark: Path) -> Iterator[Path]:
    """Pickles that name code, in every container and flavour."""
    command = f"touch {mark}"
    for number, name in enumerate(FUNCTIONS):
        call = _call(name, command, number % 5)
        yield torch_zip(folder / f"code-{number}.pth", _wrapped(call))
        alone = folder / f"alone-{number}.pth"
        alone.write_bytes(call)
        yield alone
    legacy = folder / "legacy.pth"
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    legacy.write_bytes(head + _wrapped(_call("os system", command, 0)) + pickle.dumps([], 2))
    yield legacy


def _tensor(
    shape: tuple[int, ...], strides: tuple[int, ...], offset: int, count: int, kind: str = "HalfStorage"
) -> bytes:
    """A pickle of {"weight": {"t": tensor}, "config": []} with the figures given."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(_number(value) for value in values) + b"t"

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text("0") + text("cpu") + _number(count) + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + _number(offset) + numbers(shape) + numbers(strides)
    tensor += b"\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}(" + text("weight") + b"}" + text("t") + tensor + b"s" + text("config") + b"]u."


def _number(value: int) -> bytes:
    data = value.to_bytes(16, "little", signed=True)
    return b"\x8a\x10" + data


def tensors(folder: Path) -> Iterator[Path]:
    """Tensors that lie about their sizes."""
    huge = 1 << 62
    figures = [
        ((10,), (1,), 5, 10), ((10,), (1,), huge, 10), ((huge,), (1,), 0, 10), ((10,), (huge,), 0, 10),
        ((10,), (0,), 0, 10), ((1000, 1000), (0, 0), 0, 10), ((10,), (-1,), 9, 10), ((-1,), (1,), 0, 10),
        ((10,), (1,), -1, 10), ((10,), (1,), 0, huge), ((10,), (1,), 0, -1), ((1 << 31, 1 << 31), (1, 1), 0, 10),
        ((10,), (1, 1), 0, 10), ((1,) * 60, (1,) * 60, 0, 10), ((0, huge), (1, 1), 0, 10), ((2, 5), (7, 1), 0, 10),
    ]  # fmt: skip
    for number, (shape, strides, offset, count) in enumerate(figures):
        yield torch_zip(folder / f"tensor-{number}.pth", _tensor(shape, strides, offset, count), {"0": bytes(20)})
    yield torch_zip(folder / "type.pth", _tensor((10,), (1,), 0, 10, "QUInt8Storage"), {"0": bytes(20)})
    yield torch_zip(folder / "gone.pth", _tensor((10,), (1,), 0, 10))
    packed = folder / "packed.pth"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", _tensor((1 << 24,), (1,), 0, 1 << 24))
        archive.writestr("archive/data/0", bytes(1 << 25))
    yield packed


def pickles(folder: Path) -> Iterator[Path]:
    """Pickles made to break the machine that reads them."""
    deep = 200_000
    bodies = {
        "deep-tuple": b"\x80\x02)" + b"\x85" * deep + b".",
        "deep-key": b"\x80\x02}" + b")" + b"\x85" * deep + b"K\x01s.",
        "deep-mark": b"\x80\x02" + b"(" * deep + b"t" * deep + b".",
        "deep-list": b"\x80\x02" + b"]" * deep + b"a" * (deep - 1) + b".",
        "memo-far": b"\x80\x02]r\xff\xff\xff\xff.",
        "memo-none": b"\x80\x02h\x07.",
        "laugh": b"\x80\x02]q\x00" + b"".join(
            b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(100)
        ) + b".",
        "self": b"\x80\x02]q\x00h\x00a.",
        "long-number": b"\x80\x02\x8b" + struct.pack("<i", 1 << 20) + b"\x01" * (1 << 20) + b".",
        "minus-number": b"\x80\x02\x8b\xff\xff\xff\xff.",
        "text-lies": b"\x80\x02X\xff\xff\xff\x7fabc.",
        "bytes-lie": b"\x80\x04\x8e" + struct.pack("<Q", (1 << 63) - 1) + b"a.",
        "frame-lies": b"\x80\x04\x95" + struct.pack("<Q", (1 << 63) - 1) + b"K\x01.",
        "extension": b"\x80\x02\x82\x01.",
        "buffer": b"\x80\x05\x97.",
        "empty-stack": b"\x80\x020.",
        "no-stop": b"\x80\x02K\x01",
        "only-stop": b"\x80\x02.",
        "odd-dict": b"\x80\x02}(K\x01u.",
        "not-a-dict": b"\x80\x02K\x01K\x02K\x03s.",
        "unknown": b"\x80\x02\xfe.",
        "bad-text": b"\x80\x02X\x02\x00\x00\x00\xff\xff.",
        "persistent": b"\x80\x02Pos.system\n.",
        "persistent-2": b"\x80\x02X\x04\x00\x00\x00evilQ.",
        "state": b"\x80\x02}X\x05\x00\x00\x00stateb.",
        "endless": b"\x80\x02" + b"]0" * 600_000 + b".",
    }  # fmt: skip
    for name, body in bodies.items():
        yield torch_zip(folder / f"pickle-{name}.pth", body)
        alone = folder / f"alone-{name}.pth"
        alone.write_bytes(body)
        yield alone
    assert {op.name for op in pickletools.opcodes}  # the table that our reader rests on is there


def zips(folder: Path, outside: Path) -> Iterator[Path]:
    """Archives that reach outside, burst or nest."""
    names = [
        "../evil.pth",
        "/tmp/evil.pth",
        "a/../../evil.pth",
        "..\\evil.pth",
        "C:\\evil.pth",
        str(outside / "evil.pth"),
    ]
    for number, name in enumerate(names):
        yield _zip(folder / f"slip-{number}.zip", {name: b"PK"})
    link = zipfile.ZipInfo("link.pth")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    yield folder / "link.zip"
    yield _zip(folder / "bomb.zip", {"bomb.pth": bytes(16 << 20)})
    yield _zip(folder / "many.zip", {f"{i}.pth": b"" for i in range(2500)})
    inner = _zip(folder / "inner.zip", {"a.pth": b"x"})
    yield _zip(folder / "nested.zip", {"deep.pth": inner.read_bytes()})
    yield _zip(folder / "nothing.zip", {"readme.txt": b"hello"})
    lying = bytearray(_zip(folder / "lying.zip", {"a.pth": bytes(1000)}, zipfile.ZIP_STORED).read_bytes())
    at = lying.rindex(b"PK\1\2")
    lying[at + 24 : at + 28] = struct.pack("<I", 10)
    (folder / "lying.zip").write_bytes(lying)
    yield folder / "lying.zip"
    twice = folder / "twice.zip"
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("a.pth", b"1")
        archive.writestr("b.pth", b"2")
    twice.write_bytes(twice.read_bytes().replace(b"b.pth", b"a.pth"))
    yield twice


def _zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def indexes(folder: Path, good: bytes) -> Iterator[Path]:
    """FAISS files whose headers lie; `good` is a true one."""
    places = {"width": (4, "<i"), "count": (8, "<q"), "metric": (33, "<i"), "lists": (37, "<q"), "probes": (45, "<q"),
              "coarse-width": (57, "<i"), "coarse-count": (61, "<q")}  # fmt: skip
    for name, (at, form) in places.items():
        for value in (0, -1, 1 << 30, (1 << 31) - 1 if form == "<i" else (1 << 63) - 1):
            lying = bytearray(good)
            lying[at : at + struct.calcsize(form)] = struct.pack(form, value)
            if bytes(lying) != good:
                (folder / f"index-{name}-{value}.index").write_bytes(lying)
                yield folder / f"index-{name}-{value}.index"
    for tag in (b"IxPQ", b"IHNf", b"IxHe", b"IwPQ", b"ItPc"):
        (folder / f"index-{tag.decode()}.index").write_bytes(tag + good[4:])
        yield folder / f"index-{tag.decode()}.index"
    spoiled = bytearray(good)
    spoiled[-8:] = struct.pack("<q", 1 << 40)  # the last id
    (folder / "index-id.index").write_bytes(spoiled)
    yield folder / "index-id.index"
    spoiled[-8:] = good[-16:-8]  # the same id twice
    (folder / "index-twice.index").write_bytes(spoiled)
    yield folder / "index-twice.index"
    (folder / "index-short.index").write_bytes(good[:-1])
    yield folder / "index-short.index"
    (folder / "index-long.index").write_bytes(good + b"\0")
    yield folder / "index-long.index"


def safetensors(folder: Path) -> Iterator[Path]:
    """Safetensors headers that lie."""

    def one(**entry: object) -> bytes:
        return json.dumps({"emb_g.weight": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]} | entry}).encode()

    headers = {
        "beyond": one(data_offsets=[0, 1 << 40]), "negative": one(data_offsets=[-8, 0]), "shape": one(shape=[1 << 40]),
        "type": one(dtype="EVIL"), "words": one(shape=["4"]), "crossed": one(data_offsets=[8, 0]),
        "deep": b"[" * 100_000, "list": b"[1, 2]", "number": b"7", "none": b"{}", "text": b"{nonsense",
        "notes": json.dumps({"__metadata__": {"a": [1]}}).encode(),
        "overlap": json.dumps({n: {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]} for n in "abcdefg"}).encode(),
    }  # fmt: skip
    for name, header in headers.items():
        path = folder / f"safe-{name}.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
        yield path
    path = folder / "safe-length.safetensors"
    path.write_bytes(struct.pack("<Q", 40) + b"{" * 20)
    yield path


def onnx(folder: Path, good: bytes) -> Iterator[Path]:
    """ONNX files with parts outside, foreign operators, or broken lengths."""
    import onnx as library
    from onnx import helper

    def kept(name: str, model: library.ModelProto) -> Path:
        path = folder / f"onnx-{name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    for name, location in (("data", "weights.bin"), ("passwd", "../../../../etc/passwd")):
        model = library.load_from_string(good)
        tensor = model.graph.initializer[0]
        tensor.data_location = library.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        yield kept(f"external-{name}", model)
    for domain in ("com.evil", "ai.onnx.contrib", "com.microsoft", "ai.onnx.ml"):
        model = library.load_from_string(good)
        model.graph.node[0].domain = domain
        yield kept(f"domain-{domain}", model)
    model = library.load_from_string(good)
    inner = helper.make_graph([helper.make_node("Evil", [], ["x"], domain="com.evil")], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["w"], ["z"], then_branch=inner, else_branch=inner))
    yield kept("inside-if", model)
    model = library.load_from_string(good)
    graph = helper.make_graph([], "end", [], [])
    for _ in range(25):
        graph = helper.make_graph([helper.make_node("If", ["w"], ["z"], then_branch=graph)], "deeper", [], [])
    model.graph.node.extend(graph.node)
    yield kept("deep", model)
    model = library.load_from_string(good)
    model.functions.append(helper.make_function("evil", "F", [], [], [], [helper.make_opsetid("", 17)]))
    yield kept("function", model)
    model = library.load_from_string(good)
    weights = model.graph.initializer[0]
    weights.raw_data = np.full(len(weights.raw_data) // 4, np.nan, np.float32).tobytes()
    yield kept("nan", model)
    for cut in (10, len(good) // 2, len(good) - 1):
        (folder / f"onnx-cut-{cut}.onnx").write_bytes(good[:cut])
        yield folder / f"onnx-cut-{cut}.onnx"
    (folder / "onnx-length.onnx").write_bytes(good[:2] + b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + good[2:])
    yield folder / "onnx-length.onnx"


def spoiled_zip(good: bytes) -> bytes:
    """A torch zip whose directory points two members at the same bytes."""
    buffer = io.BytesIO(good)
    with zipfile.ZipFile(buffer) as archive:
        first, second = archive.infolist()[-3:-1]
    at = good.rindex(second.filename.encode(), 0, len(good)) - 46
    return good[: at + 42] + struct.pack("<I", first.header_offset) + good[at + 46 :]
