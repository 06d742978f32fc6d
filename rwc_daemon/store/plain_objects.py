"""Harmless objects that pickles hold beside the weights: numbers of numpy, dates, paths, sets.

Each is made here from its pickled parts, as plain data (numbers, texts, lists, dicts); the class that the file names
is never imported and nothing of it is called. What is not in this list is `NOT_PLAIN`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rwc_daemon.errors import BadModel
from rwc_daemon.store.unpickle import Name

NOT_PLAIN = object()
MOST_SHOWN = 4096  # numbers of an array that are kept; facts of a voice are a handful
DAMAGED = "the file is damaged: get it again"
# other homes of the same names, in older and newer Pythons and numpys
HOMES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "pathlib._local": "pathlib",
}


class Namespace(dict[str, Any]):
    """An `argparse.Namespace` or the like: its attributes."""

    def build(self, state: Any) -> None:
        if isinstance(state, dict):
            self.update({key: value for key, value in state.items() if type(key) is str})


class Dtype:
    """A type of numpy's numbers, by its letter, size and byte order."""

    def __init__(self, text: str) -> None:
        self.text, self.order = text.lstrip("<>|="), "<"

    def build(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def read(self, data: bytes) -> list[Any]:
        """The numbers or texts in `data`; nothing for kinds that are no plain numbers."""
        if self.text[:1] not in tuple("biufcSU?") or not self.text[1:].isdecimal() or len(self.text) > 6:
            return []
        # made from a letter and a size that were checked above, so numpy reads no text of the file
        kind = np.dtype(("|" if self.text[0] in "bSU?" and self.text[1:] == "1" else self.order) + self.text)
        if not kind.itemsize or len(data) % kind.itemsize:
            raise ValueError(self.text)
        return np.frombuffer(data[: MOST_SHOWN * kind.itemsize], kind).tolist()


class Array(list[Any]):
    """An array of numpy as nested lists; empty where it is too long to be a fact."""

    def build(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], Dtype)):
            raise TypeError
        _, shape, dtype, _, data = state
        if isinstance(data, bytes):
            self[:] = _nested(dtype.read(data), shape)


def _nested(numbers: list[Any], shape: Any) -> list[Any]:
    if not isinstance(shape, tuple) or len(shape) > 8 or any(type(n) is not int or n < 0 for n in shape):
        raise TypeError
    if math.prod(shape) != len(numbers):
        return []  # too long, or no plain numbers
    for size in reversed(shape[1:]):
        numbers = [numbers[at : at + size] for at in range(0, len(numbers), size)] if size else []
    return numbers


def make(name: Name, arguments: tuple[Any, ...]) -> Any:
    """The plain data that a call stands for, or `NOT_PLAIN`. Raises BadModel where its parts make no sense."""
    maker = MAKERS.get((HOMES.get(name.module, name.module), name.name))
    if maker is None:
        return NOT_PLAIN
    try:
        return maker(*arguments)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError, UnicodeError):
        raise BadModel(f"a '{name}' in the file is malformed: {DAMAGED}") from None


# -- the makers: each takes what the pickle hands to the class ---------------------------------------------------------


def _items(found: Iterable[Any] = (), *_: Any) -> list[Any]:
    if not isinstance(found, (list, tuple)):
        raise TypeError
    return list(found)


def _table(found: Any = (), *_: Any) -> dict[Any, Any]:
    """`defaultdict(factory)` is empty, `Counter(dict)` is full."""
    return dict(found) if isinstance(found, dict) else {}


def _same(value: Any = 0, *_: Any) -> Any:
    if type(value) not in (int, float, str, bool, bytes):
        raise TypeError
    return value


def _complex(real: Any = 0, imaginary: Any = 0) -> complex:
    return complex(float(_same(real)), float(_same(imaginary)))


def _parts(*parts: Any) -> tuple[Any, ...]:
    return tuple(_same(part) if part is not None else None for part in parts)


def _bytes(value: Any = b"", encoding: Any = "latin-1", *_: Any) -> bytes:
    """Pickles of protocol 2 hold bytes as a text to be encoded."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if str(encoding).replace("-", "").lower() not in ("latin1", "utf8", "ascii"):
        raise ValueError
    return value.encode("utf-8" if "utf" in str(encoding).lower() else "latin-1")  # type: ignore[no-any-return]


def _path(*parts: Any) -> str:
    return "/".join(str(_same(part)) for part in parts).replace("//", "/")


def _date(data: Any, *_: Any) -> str:
    year_high, year_low, month, day = _bytes(data)[:4]
    return f"{256 * year_high + year_low:04d}-{month & 0x7F:02d}-{day:02d}"


def _time(data: Any, *_: Any) -> str:
    hour, minute, second = _bytes(data)[:3]
    return f"{hour & 0x7F:02d}:{minute:02d}:{second:02d}"


def _datetime(data: Any, *_: Any) -> str:
    found = _bytes(data)
    return f"{_date(found)}T{_time(found[4:])}"


def _duration(days: Any = 0, seconds: Any = 0, microseconds: Any = 0) -> float:
    return float(86400 * _same(days) + _same(seconds) + _same(microseconds) / 1e6)


def _reconstructed(kind: Any, base: Any, state: Any = None) -> Any:
    """How old protocols write an object of a class: only of the harmless ones."""
    if not isinstance(kind, Name) or not isinstance(base, Name):
        raise TypeError
    found = make(kind, () if state is None else (state,))
    if found is NOT_PLAIN:
        raise KeyError
    return found


def _scalar(dtype: Any, data: Any = b"") -> Any:
    found = dtype.read(_bytes(data))
    return found[0] if found else str(dtype.text)


def _empty_array(*_: Any) -> Array:
    return Array()


def _from_buffer(data: Any, dtype: Any, shape: Any, *_: Any) -> Array:
    return Array(_nested(dtype.read(_bytes(data)), shape))


def _namespace(*_: Any) -> Namespace:
    return Namespace()


MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    **{("builtins", name): _items for name in ("set", "frozenset", "list", "tuple")},
    **{("builtins", name): _same for name in ("int", "long", "float", "str", "unicode", "bool")},
    **{("builtins", name): _parts for name in ("slice", "range", "xrange")},
    ("builtins", "dict"): _table,
    ("builtins", "complex"): _complex,
    ("builtins", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytes,
    ("_codecs", "encode"): _bytes,
    ("copyreg", "_reconstructor"): _reconstructed,
    ("collections", "defaultdict"): _table,
    ("collections", "Counter"): _table,
    ("collections", "deque"): _items,
    ("datetime", "date"): _date,
    ("datetime", "time"): _time,
    ("datetime", "datetime"): _datetime,
    ("datetime", "timedelta"): _duration,
    ("datetime", "timezone"): _same,
    ("decimal", "Decimal"): _same,
    ("fractions", "Fraction"): lambda *parts: "/".join(str(_same(part)) for part in parts),
    ("uuid", "UUID"): _namespace,
    ("argparse", "Namespace"): _namespace,
    ("types", "SimpleNamespace"): _namespace,
    **{("pathlib", name): _path for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")},
    ("numpy", "dtype"): lambda text, *_: Dtype(_same(text)),
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}
