"""What is large comes in beside a voice that plays, so the GIL must never be held for long.

A thread that ticked every millisecond while a voice was loaded for the first time found it held for 519 ms by the
dynamic loader over torch's libraries, and several times for 120 to 206 ms by collections of garbage that walk through
all that was imported. Without both the longest was 50 ms (torch 2, two busy cores).
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

# torch's own order and scope; the last of them is most of it. What is missing here is torch's to complain about
LIBRARIES = (
    ("libtorch_global_deps.so", os.RTLD_GLOBAL),
    ("libtorch_cpu.so", os.RTLD_LOCAL),
    ("libtorch_cuda.so", os.RTLD_LOCAL),
)
# torch and what it and the nets import when they are first used
MODULES = ("rwc_daemon.voices.rvc.voice", "torch._dynamo", "faiss")

HUGE_PAGE = 1 << 21  # bytes of a huge page
MADV_COLLAPSE = 25  # Linux 6.1
USED = HUGE_PAGE // mmap.PAGESIZE // 16  # small pages in use that make a large one worth its memory
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def import_all() -> None:
    """All that imported voices need, before it is needed."""
    with without_gc():
        import_torch()
        for name in MODULES:
            with suppress(ImportError):
                importlib.import_module(name)


def import_torch() -> None:
    """Torch alone, where it is installed; what the calling thread does with it runs on one thread."""
    open_libraries()
    with suppress(ImportError):
        importlib.import_module("torch")
    use_threads(1)


def open_libraries() -> None:
    """Maps torch's libraries, which importing it then finds; ctypes lets go of the GIL for a call like this."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None or "torch" in sys.modules:
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    for name, scope in LIBRARIES:
        path = Path(found.origin).parent / "lib" / name
        if path.exists():
            dlopen(os.fsencode(path), os.RTLD_NOW | scope)


@contextmanager
def without_gc() -> Iterator[None]:
    """No collection of garbage meanwhile; afterwards what came in is left out of every later one."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def trim_heap() -> None:
    """Memory that nobody uses goes back to the system: half a gigabyte once a voice was loaded, in 4 ms."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # not every C library has it
    if trim is not None:
        trim(ctypes.c_size_t(0))


def use_huge_pages() -> None:
    """What lies in small pages, because memory around it was given back, lies in large ones from now on: 0.1 s for a
    voice. The kernel gets there by itself in seven minutes; until then one block in twenty took a fifth longer.

    It would gather what is hardly used as well, 50 MB more after five minutes: it is told to leave that as it is.
    """
    with suppress(OSError):
        if "[never]" in HUGE_PAGES.read_text():
            return
        for begin, end in _own_memory():
            _gather(begin, end)


def _gather(begin: int, end: int) -> None:
    """What the kernel has no room for, or does not know how to do, stays as it is."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with open("/proc/self/pagemap", "rb") as pages:
        pages.seek(begin // mmap.PAGESIZE * 8)
        entries = np.frombuffer(pages.read((end - begin) // mmap.PAGESIZE * 8), np.int64)
    used = (entries < 0).reshape(-1, HUGE_PAGE // mmap.PAGESIZE).sum(axis=1)  # the uppermost bit: it is there
    for n in np.flatnonzero(used):
        for advice in (mmap.MADV_HUGEPAGE, MADV_COLLAPSE) if used[n] >= USED else (mmap.MADV_NOHUGEPAGE,):
            madvise(begin + int(n) * HUGE_PAGE, HUGE_PAGE, advice)


def _own_memory() -> Iterator[tuple[int, int]]:
    """Whole huge pages of the heap and of what is mapped beside it."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        place, rights, *_, inode, name = (*line.split(maxsplit=5), "")[:6]
        begin, end = (int(address, 16) for address in place.split("-"))
        begin, end = -(-begin // HUGE_PAGE) * HUGE_PAGE, end // HUGE_PAGE * HUGE_PAGE
        if rights == "rw-p" and inode == "0" and name in ("", "[heap]") and begin < end:
            yield begin, end


def collect_garbage() -> None:
    """Everything, once; for a moment in which nobody listens."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def use_threads(count: int) -> None:
    """Nets that the calling thread runs from now on work on so many threads; nothing where there is no torch yet."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.get_num_threads()  # a thread's first look takes over what another one set last: let that be over
        torch.set_num_threads(count)


def in_thread_pool(count: int, work: Callable[[], object]) -> None:
    """Runs nets on so many threads, and dismisses them.

    The OpenMP runtime keeps a thread pool for every thread that ever had one, and while it keeps more threads than
    there are cores, none of them spins before it sleeps: the playing voice's blocks took 101 ms instead of 55 while
    the loader had one. A pool ends with the thread that called it.
    """
    with ThreadPoolExecutor(1, "nets", use_threads, (count,)) as pool:
        pool.submit(work).result()
