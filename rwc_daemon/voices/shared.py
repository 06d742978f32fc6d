"""Support nets are large and the same for every voice: as long as one voice holds them, the others get the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

Net = TypeVar("Net")
_held: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
_lock = threading.Lock()


def shared(path: Path, how: tuple[Any, ...], load: Callable[[], Net]) -> Net:
    """What `load` makes of the file at `path`, or what it made before, if that is still in use, was loaded in the same
    way (`how`: device, precision, …) and the file has not changed since. Raises what `load` raises, and OSError."""
    stat = path.stat()
    key = (path, stat.st_ino, stat.st_mtime_ns, stat.st_size, *how)
    with _lock:
        net = _held.get(key)
        if net is None:
            net = _held[key] = load()
    return net
