"""Bringing in what is large, in a process of its own: torch is imported once in a process."""

import gc
import os
import subprocess
import sys

import pytest

from rwc_daemon.engine.native_loading import HUGE_PAGE, HUGE_PAGES, collect_garbage, without_gc


def read(path, otherwise):
    return path.read_text() if path.exists() else otherwise


def kernel():
    return tuple(int(part) for part in os.uname().release.split(".")[:2])


def test_libraries_opened_before_are_the_ones_that_torch_uses():
    code = """
import sys
from rwc_daemon.engine.native_loading import import_all, open_libraries, use_threads
use_threads(2)  # nothing to be told yet
open_libraries()
before = open("/proc/self/maps").read()
assert "libtorch_cpu" in before and "libtorch_python" not in before and "torch" not in sys.modules
import_all()
import torch
assert "faiss" in sys.modules and torch.ones(3).sum() == 3
use_threads(1)
assert torch.get_num_threads() == 1
assert {line.split()[-1] for line in open("/proc/self/maps") if "libtorch_cpu" in line} == \\
    {line.split()[-1] for line in before.splitlines() if "libtorch_cpu" in line}
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_no_collection_while_something_comes_in_and_none_of_it_later():
    kept = gc.get_freeze_count()
    with without_gc():
        assert not gc.isenabled()
        brought = [[n] for n in range(10_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() > kept + 9_000
    del brought
    collect_garbage()
    gc.unfreeze()


def test_what_was_let_go_is_given_back_to_the_system():
    code = """
import os
from rwc_daemon.engine.native_loading import trim_heap
from rwc_daemon.engine.voice_cache import used_mb
pieces = [bytes(range(256)) * 400 for _ in range(1000)]  # 100 KB each: none is a mapping of its own
last = bytes(100_000)  # holds the end of the heap
before = used_mb()
pieces = pieces[-1:]
trim_heap()
print(before - used_mb())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.PIPE)
    assert float(done.stdout) > 80


@pytest.mark.skipif("[never]" in read(HUGE_PAGES, "[never]"), reason="this machine has no huge pages")
@pytest.mark.skipif(kernel() < (6, 1), reason="before Linux 6.1 no process could ask for them")
def test_what_is_used_is_gathered_in_large_pages_and_what_is_not_stays_unused():
    code = """
import mmap
import numpy as np
from rwc_daemon.engine.native_loading import HUGE_PAGE, use_huge_pages
def figure(name):
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith(name + ":")) * 1024
def mapped(pages, step):
    memory = np.frombuffer(mmap.mmap(-1, (pages + 1) * HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)
    at = -memory.ctypes.data % HUGE_PAGE
    there = memory[at : at + pages * HUGE_PAGE : step]
    there[:] = np.arange(len(there)) % 251
    return there
full, sparse = mapped(8, 1), mapped(64, HUGE_PAGE)
before = figure("AnonHugePages"), figure("Rss")
use_huge_pages()
print(figure("AnonHugePages") - before[0], figure("Rss") - before[1])
assert all((one == np.arange(len(one)) % 251).all() for one in (full, sparse))
flags = [line.split() for line in open("/proc/self/smaps") if line.startswith("VmFlags:")]
print(sum("nh" in line for line in flags))  # not even by the kernel, later
later = np.lib.stride_tricks.as_strided(sparse, (8 * HUGE_PAGE,), (1,))
later[:] = 7
before = figure("AnonHugePages")
use_huge_pages()
print(figure("AnonHugePages") - before)
assert (later == 7).all()
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.PIPE)
    large, more, left, filled = (int(figure) for figure in done.stdout.split())
    assert large >= 8 * HUGE_PAGE
    assert more < 32 * HUGE_PAGE  # the sparse ones would be 64
    assert left >= 1
    assert filled >= 8 * HUGE_PAGE


def test_a_team_is_dismissed_when_its_work_is_done():
    code = """
import os, time
import torch
from rwc_daemon.engine.native_loading import in_thread_pool, use_threads
use_threads(1)
before = len(os.listdir("/proc/self/task"))
seen = []
def work():
    torch.randn(3000, 3000).relu().sum()
    seen.append((len(os.listdir("/proc/self/task")), torch.get_num_threads()))
for _ in range(3):
    in_thread_pool(2, work)
assert seen == [(before + 2, 2)] * 3, (before, seen)
assert torch.get_num_threads() == 1
end = time.monotonic() + 10
while len(os.listdir("/proc/self/task")) > before and time.monotonic() < end:
    time.sleep(0.01)
assert len(os.listdir("/proc/self/task")) == before
try:
    in_thread_pool(2, lambda: 1 / 0)
except ZeroDivisionError:
    pass
else:
    raise AssertionError("swallowed")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
