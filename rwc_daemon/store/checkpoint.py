"""Files of `torch.save`, read without torch: the zip form and the older one of several pickles in a row.

What is harmless and known (tensors, OrderedDict, sizes, dtypes, devices, and the data of `plain_objects`) is made;
every other name in the file is noted in `Checkpoint.foreign` and stands as an inert object, so that the caller can
refuse the file by that name.
"""

from __future__ import annotations

import io
import mmap
import os
import zipfile
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store import plain_objects
from rwc_daemon.store.archive import ZIP_TROUBLE
from rwc_daemon.store.tensors import MOST_TENSORS, Storage, Tensor, read_at
from rwc_daemon.store.unpickle import Inert, Machine, Name

MAGIC = 0x1950A86A20F9469CFC6C  # the first number of the older form
MOST_MEMBERS = 50_000
MOST_PICKLE = 32 << 20  # bytes
LOCAL_HEADER = 30  # bytes of a zip member's own header before its name
DAMAGED = "the file is damaged: get it again"

STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}  # fmt: skip


@dataclass
class Checkpoint:
    """What a file of `torch.save` holds."""

    root: Any = None
    """Usually a dict."""
    foreign: set[str] = field(default_factory=set)
    """Names that the file wanted to have called and that are not known here."""


def is_torch_zip(names: list[str]) -> bool:
    """Whether a zip with these members is a file of `torch.save`."""
    return any(name == "data.pkl" or name.endswith("/data.pkl") for name in names)


def read_torch_zip(file: BinaryIO) -> Checkpoint:
    """Raises BadModel for a damaged or lying file."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _ZipReader(file, archive).read()
    except ZIP_TROUBLE:
        raise BadModel("the download is incomplete or damaged: get the file again") from None


def read_legacy(file: BinaryIO) -> Checkpoint:
    """The form of torch before 1.6: magic, version, system notes, the object, storage names, then the numbers."""
    if not os.fstat(file.fileno()).st_size:
        raise BadModel("the file is empty: get it again")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        return _LegacyReader(file, cast(BinaryIO, stream)).read()


class _CheckpointReader:
    """Makes tensors out of the calls in a pickle."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self.found = Checkpoint()
        self.storages: dict[str, Storage] = {}
        self._tensors = self._bytes = 0

    def _machine(self) -> Machine:
        return Machine(self._make, self._storage)

    def _make(self, name: Name, arguments: tuple[Any, ...]) -> object:
        match name:
            case ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor"):
                return self._tensor(*arguments[:4])
            case ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state"):
                return arguments[0]
            case ("torch._tensor", "_rebuild_from_type_v2") if isinstance(arguments[0], Name):
                return self._make(arguments[0], arguments[2])
            case ("collections", "OrderedDict"):
                return _ordered(*arguments)
            case ("torch", "Size"):
                return arguments[0] if arguments else ()
            case ("torch", "device"):
                return "cpu"
        plain = plain_objects.make(name, arguments)
        if plain is not plain_objects.NOT_PLAIN:
            return plain
        self.found.foreign.add(str(name))
        return Inert(name)

    def _tensor(self, storage: object, offset: object, shape: object, strides: object) -> Tensor:
        if not isinstance(storage, Storage):
            raise BadModel(f"a tensor without numbers: {DAMAGED}")
        tensor = Tensor.of(storage, shape, strides, offset)
        self._tensors += 1
        self._bytes += tensor.bytes
        if self._tensors > MOST_TENSORS or self._bytes > 2 * self.size:
            raise BadModel(f"the tensors of this file overlap: they claim more than it holds; {DAMAGED}")
        return tensor

    def _storage(self, identity: object) -> Storage:
        match identity:
            case ("storage", Name("torch", kind), str(key), str(), int(count), *_) if kind in STORAGES:
                pass
            case ("storage", Name() as name, *_):
                raise Unsupported(f"numbers stored as {name} are not known here: save the file as float16 or float32")
            case _:
                raise BadModel(f"a tensor's numbers are nowhere: {DAMAGED}")
        known = self.storages.get(key)
        if known is None:
            known = self.storages[key] = self._open(key, STORAGES[kind], count)
        if (known.dtype, known.count) != (STORAGES[kind], count):
            raise BadModel(f"two tensors disagree about their numbers: {DAMAGED}")
        return known

    def _open(self, key: str, dtype: str, count: int) -> Storage:
        storage = Storage(self.file, dtype, count)
        if count < 0 or count * storage.item > self.size:
            raise BadModel(f"a tensor claims more numbers than the file holds: {DAMAGED}")
        return storage

    def _checked(self, root: Any) -> Checkpoint:
        self.found.root = root
        return self.found


def _ordered(pairs: object = (), *_: object) -> dict[str, Any]:
    if not isinstance(pairs, (list, tuple)) or any(len(pair) != 2 or type(pair[0]) is not str for pair in pairs):
        raise BadModel(f"an ordered dictionary is malformed: {DAMAGED}")
    return dict(pairs)


class _ZipReader(_CheckpointReader):
    def __init__(self, file: BinaryIO, archive: zipfile.ZipFile) -> None:
        super().__init__(file)
        self._archive = archive
        members = archive.infolist()
        self._members = {member.filename: member for member in members}
        if len(members) > MOST_MEMBERS or len(members) != len(self._members):
            raise BadModel(f"this archive's list of members is not a model's: {DAMAGED}")
        main = [name for name in self._members if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(main) != 1 or self._members[main[0]].file_size > MOST_PICKLE:
            raise BadModel(f"this archive has no one data.pkl of a sensible size: {DAMAGED}")
        self._main, self._prefix = main[0], main[0].removesuffix("data.pkl")

    def read(self) -> Checkpoint:
        order = self._members.get(self._prefix + "byteorder")
        if order is not None and (order.file_size > 16 or self._archive.read(order) != b"little"):
            raise Unsupported("the file was saved on a big-endian machine: save it again on a usual one")
        machine = self._machine()
        self._check_overlap()
        return self._checked(machine.run(io.BytesIO(self._archive.read(self._main))))

    def _open(self, key: str, dtype: str, count: int) -> Storage:
        member = self._members.get(f"{self._prefix}data/{key}")
        storage = super()._open(key, dtype, count)
        if member is None or member.file_size < count * storage.item:
            raise BadModel(f"the numbers of a tensor are missing: {DAMAGED}")
        storage.start = self._data_start(member)
        return storage

    def _data_start(self, member: zipfile.ZipInfo) -> int:
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise BadModel("the tensors of this file are compressed, which torch never does: get the original file")
        head = read_at(self.file, member.header_offset, LOCAL_HEADER)
        name, extra = (int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
        start = member.header_offset + LOCAL_HEADER + name + extra
        if head[:4] != b"PK\3\4" or start + member.file_size > self.size:
            raise BadModel("the download is incomplete or damaged: get the file again")
        return start

    def _check_overlap(self) -> None:
        """Members that share bytes are the trick of zip bombs."""
        end = 0
        for member in sorted(self._members.values(), key=lambda one: one.header_offset):
            if member.header_offset < end:
                raise BadModel(f"members of this archive overlap: {DAMAGED}")
            end = member.header_offset + LOCAL_HEADER + member.compress_size


class _LegacyReader(_CheckpointReader):
    def __init__(self, file: BinaryIO, stream: BinaryIO) -> None:
        super().__init__(file)
        self._stream = stream

    def read(self) -> Checkpoint:
        magic, version, notes = (self._machine().run(self._stream) for _ in range(3))
        if magic != MAGIC or version != 1001 or not isinstance(notes, dict):
            if self.found.foreign:  # a pickle alone: say what it wanted
                return self._checked(None)
            raise BadModel("this pickle is not a file of torch.save: it is no voice, index or support file")
        if notes.get("little_endian") is False:
            raise Unsupported("the file was saved on a big-endian machine: save it again on a usual one")
        root = self._machine().run(self._stream)
        self._place(self._machine().run(self._stream))
        return self._checked(root)

    def _place(self, keys: object) -> None:
        """Each storage is a 64-bit count and its numbers, in the order of `keys`."""
        at = self._stream.tell()
        if not isinstance(keys, list) or set(map(str, keys)) != set(self.storages) or len(keys) != len(self.storages):
            raise BadModel(f"the list of tensors is damaged: {DAMAGED}")
        for key in keys:
            storage = self.storages[str(key)]
            count = int.from_bytes(read_at(self.file, at, 8), "little")
            storage.start, at = at + 8, at + 8 + count * storage.item
            if count != storage.count or at > self.size:
                raise BadModel("the download is incomplete or damaged: get the file again")
