"""Reads what a pickle says, and runs none of it: a small machine of our own for pickle's operations.

Python's own unpickler imports and calls whatever a file names. Here a name stays a `Name`, a call is handed to the
reader's `build` (which knows a dozen harmless ones) and objects that cannot be known become `Inert`. `pickletools`
splits the stream into operations; it executes nothing.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, Protocol, runtime_checkable

from rwc_daemon.errors import BadModel

MOST_OPERATIONS = 1_000_000
MOST_DEPTH = 1000  # open marks
MOST_BITS = 128
DAMAGED = "the file is damaged: get it again"
Build = Callable[["Name", Any], object]
Persistent = Callable[[object], object]


class Name(NamedTuple):
    """A global that the file names. It is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"[:120]


@dataclass(frozen=True, eq=False)
class Inert:
    """Stands where an unknown object was; does nothing, holds nothing."""

    name: Name


@runtime_checkable
class Stateful(Protocol):
    """An object of ours that is filled after it was made."""

    def build(self, state: Any) -> None:
        """Raises TypeError or ValueError for a state that makes no sense."""


class _Mark:
    pass


class Machine:
    """Runs one pickle. Raises BadModel for anything it does not know."""

    def __init__(self, build: Build, persistent: Persistent) -> None:
        self._make, self._persistent = build, persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._marks = 0

    def run(self, stream: BinaryIO) -> Any:
        """The object that the stream describes: dicts, lists, tuples, texts, numbers and what `build` made."""
        try:
            for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
                if count > MOST_OPERATIONS:
                    raise BadModel(f"this pickle is absurdly long: {DAMAGED}")
                self._step(operation.name, argument)
            return self._stack.pop()
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error):
            raise BadModel(f"the pickle inside cannot be read: {DAMAGED}") from None

    def _step(self, name: str, argument: Any) -> None:
        if name in _IGNORED:
            return
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _MAKERS:
            self._stack.append(_MAKERS[name]())
        elif name in _VALUES:
            self._stack.append(_checked(argument))
        elif (handler := getattr(self, "_" + name.lower(), None)) is not None:
            handler(argument)
        else:
            raise BadModel(f"the pickle inside uses {name}, which no model file needs: do not trust this file")

    # -- the stack ------------------------------------------------------------------------------------------------

    def _mark(self, _: Any) -> None:
        self._marks += 1
        if self._marks > MOST_DEPTH:
            raise BadModel(f"this pickle is nested absurdly deep: {DAMAGED}")
        self._stack.append(_Mark)

    def _since_mark(self) -> list[Any]:
        at = len(self._stack) - 1
        while self._stack[at] is not _Mark:
            at -= 1
            if at < 0:
                raise IndexError
        found = self._stack[at + 1 :]
        del self._stack[at:]
        self._marks -= 1
        return found

    def _pop(self, _: Any) -> None:
        if self._stack.pop() is _Mark:
            self._marks -= 1

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    # -- the memo -------------------------------------------------------------------------------------------------

    def _put(self, at: int) -> None:
        self._memo[at] = self._stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, at: int) -> None:
        self._stack.append(self._memo[at])

    _binget = _long_binget = _get

    # -- containers -----------------------------------------------------------------------------------------------

    def _tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _last(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError
        found = tuple(self._stack[-count:])
        del self._stack[-count:]
        self._stack.append(found)

    def _tuple1(self, _: Any) -> None:
        self._last(1)

    def _tuple2(self, _: Any) -> None:
        self._last(2)

    def _tuple3(self, _: Any) -> None:
        self._last(3)

    def _list(self, _: Any) -> None:
        self._stack.append(self._since_mark())

    _frozenset = _list

    def _dict(self, _: Any) -> None:
        pairs = self._since_mark()
        self._stack.append({})
        self._fill(self._stack[-1], pairs)

    def _append(self, _: Any) -> None:
        value = self._stack.pop()
        self._extend([value])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    _additems = _appends

    def _extend(self, values: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(values)
        elif not isinstance(self._stack[-1], Inert):
            raise TypeError

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._fill(self._stack[-1], [key, value])

    def _setitems(self, _: Any) -> None:
        pairs = self._since_mark()
        self._fill(self._stack[-1], pairs)

    def _fill(self, target: Any, pairs: list[Any]) -> None:
        if not isinstance(target, (dict, Inert)) or len(pairs) % 2:
            raise TypeError
        if isinstance(target, Inert):
            return
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # only plain keys: hashing a deeply nested tuple would run out of stack
            if type(key) in (str, int, float, bool):
                target[key] = value

    # -- what would run code --------------------------------------------------------------------------------------

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(Name(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise TypeError
        self._stack.append(Name(module, name))

    def _reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._call(function, arguments))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self._stack.pop()
        self._reduce(None)

    def _obj(self, _: Any) -> None:
        function, *arguments = self._since_mark()
        self._stack.append(self._call(function, tuple(arguments)))

    def _inst(self, argument: str) -> None:
        self._global(argument)
        name = self._stack.pop()
        self._stack.append(self._call(name, tuple(self._since_mark())))

    def _call(self, function: Any, arguments: Any) -> object:
        if isinstance(function, Inert):
            return Inert(function.name)
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise TypeError
        return self._make(function, arguments)

    def _build(self, _: Any) -> None:
        """State goes to those of our objects that take some; for others (a state dict's notes) it means nothing."""
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Stateful):
            target.build(state)

    def _binpersid(self, _: Any) -> None:
        self._stack.append(self._persistent(self._stack.pop()))

    def _persid(self, argument: str) -> None:
        self._stack.append(self._persistent(argument))


def _checked(value: Any) -> Any:
    if type(value) is int and value.bit_length() > MOST_BITS:
        raise BadModel(f"the pickle inside holds an absurdly long number: {DAMAGED}")
    return value


_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_MAKERS: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_SET": list}
_VALUES = frozenset(
    ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
     "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
     "BINBYTES8", "BYTEARRAY8")
)  # fmt: skip
