"""The memory shared by daemon and engine: microphone ring, voice ring, settings and counters of the audio callback.

One memfd and one eventfd, made by the daemon and handed to the engine: nothing with a name is left behind, whoever
dies. Index work is C (ring.h); samples are numpy float32, mono. Indexes are absolute sample counts: voice sample k is
the conversion of microphone sample k.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from rwc_daemon.controls import MODES
from rwc_daemon.errors import EngineFailed
from rwc_daemon.link._ring import ffi, lib

BUCKETS_PER_OCTAVE = 8


class StaleWriter(EngineFailed):
    """Another engine has taken over: this one must end."""


@dataclass(frozen=True)
class Counters:
    """Counters of the audio callback since the rings were made."""

    cycles: int
    """Graph cycles served."""
    missed_cycles: int
    """Cycles that the graph ran without us (frame time jumped)."""
    late_cycles: int
    """More than 1.5 periods after the one before."""
    xruns: int
    """As the server reported them."""
    underruns: int
    """Times that converted voice ran out."""
    overruns: int
    """Cycles whose microphone samples found the ring full."""
    retargets: int
    """Changes of mode or playout delay."""
    silence_samples: int
    """Played instead of voice while converting."""
    skipped_samples: int
    """Dropped by the engine to catch up."""
    last_cycle_ns: int
    """CLOCK_MONOTONIC of the newest cycle; 0: none yet."""
    quantum: int
    """Samples of the newest cycle."""
    rate: int
    """samples/s as the callback last heard it; 0: not yet."""
    callback_p50_us: float
    callback_p999_us: float
    callback_max_us: float
    """Time spent in the callback's body."""


def bucket_upper_ns(index: int) -> float:
    """The largest time counted in a bucket; callback.c has the inverse."""
    octave, part = divmod(index, BUCKETS_PER_OCTAVE)
    return float(2**octave * (1 + (part + 1) / BUCKETS_PER_OCTAVE))


def percentile_us(histogram: np.ndarray, share: float) -> float:
    """The time that `share` of the counts stay within, to a bucket's width (12.5 %); 0 where nothing is counted."""
    total = int(histogram.sum())
    if total == 0:
        return 0.0
    return bucket_upper_ns(int(np.searchsorted(np.cumsum(histogram), share * total))) / 1000


class SharedRings:
    """Shared memory with both rings. The daemon makes it with `create`, the engine opens it with `attach`."""

    def __init__(self, memory_fd: int, wake_fd: int) -> None:
        self.memory_fd = memory_fd
        self.wake_fd = wake_fd
        self._memory = mmap.mmap(memory_fd, 0)
        self._buffer = ffi.from_buffer(self._memory, require_writable=True)
        self._link = ffi.cast("rwc_link *", self._buffer)
        self._generation = 0

    @classmethod
    def create(cls, capacity: int = 2**18) -> SharedRings:
        """`capacity`: samples per ring, a power of two."""
        assert capacity >= 2**10, capacity
        assert capacity & (capacity - 1) == 0, capacity
        memory_fd = os.memfd_create("rwc-link", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(memory_fd, lib.rwc_link_bytes(capacity))
        # sealed: nobody can shrink it under the callback's feet
        fcntl.fcntl(memory_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        link = cls(memory_fd, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        lib.rwc_format(link._link, capacity)
        return link

    @classmethod
    def attach(cls, memory_fd: int, wake_fd: int) -> SharedRings:
        """Opens the rings from descriptors that were handed over, which `close` closes. Raises EngineFailed if they are
        no rings."""
        link = cls(memory_fd, wake_fd)
        if lib.rwc_capacity_of(link._link, len(link._memory)):
            return link
        link.close()
        raise EngineFailed("the shared memory is not of this version: restart rwc-daemon")

    def close(self) -> None:
        """Unmaps the memory; no callback may run on it any more. Idempotent."""
        if self._link is None:
            return
        self._link = None
        ffi.release(self._buffer)
        self._memory.close()
        os.close(self.memory_fd)
        os.close(self.wake_fd)

    @property
    def address(self) -> int:
        """Address of the memory in this process, for the native callback."""
        return int(ffi.cast("uintptr_t", self._link))

    @property
    def size(self) -> int:
        """Bytes of the memory."""
        return len(self._memory)

    @property
    def capacity(self) -> int:
        return int(lib.rwc_capacity_of(self._link, len(self._memory)))

    # the daemon's end

    def set_mode(self, mode: str) -> None:
        """Sets `convert`, `mute` or `bypass`; new rings are muted."""
        lib.rwc_set_mode(self._link, MODES.index(mode))

    def new_generation(self) -> int:
        """Returns the number for the next engine; the one before can no longer be heard."""
        return int(lib.rwc_new_generation(self._link))

    def counters(self) -> Counters:
        snapshot = ffi.new("rwc_snapshot *")
        lib.rwc_take_snapshot(self._link, snapshot)
        histogram = np.frombuffer(ffi.buffer(snapshot.histogram), np.uint64)
        return Counters(
            **{name: int(getattr(snapshot, name)) for name in _PLAIN_COUNTERS},
            callback_p50_us=percentile_us(histogram, 0.5),
            callback_p999_us=percentile_us(histogram, 0.999),
            callback_max_us=snapshot.callback_max_ns / 1000,
        )

    def reset_timings(self) -> None:
        """Starts counting callback times afresh."""
        lib.rwc_reset_timings(self._link)

    def peaks(self) -> tuple[float, float]:
        """Returns the largest magnitudes in and out since the last call, linear."""
        return float(lib.rwc_take_peak(self._link, 0)), float(lib.rwc_take_peak(self._link, 1))

    def peak_beside(self) -> float:
        """Of the microphone's channel that is not converted, since the last call, linear."""
        return float(lib.rwc_take_peak(self._link, 2))

    # the engine's end

    def set_playout(self, playout: int, slack: int) -> None:
        """Sets when voice is played: `playout` samples after its microphone sample came. Playing starts once `slack`
        more samples are ready."""
        assert 0 <= slack <= playout <= self.capacity // 2, (playout, slack, self.capacity)
        lib.rwc_set_playout(self._link, playout, slack)

    def set_wake(self, block: int) -> None:
        """Sets how many samples wake the engine."""
        assert 1 <= block <= self.capacity // 2, block
        lib.rwc_set_wake(self._link, block)

    def join(self, generation: int) -> None:
        """Starts reading at the newest microphone sample, with an empty voice ring. Raises StaleWriter."""
        self._generation = generation
        self._check(lib.rwc_join(self._link, generation))

    def wait(self, timeout_s: float) -> bool:
        """Sleeps until a wake-up block is there (`set_wake`); False when the time is over before, or when somebody
        else woke us through `wake_fd` (an order)."""
        return int(lib.rwc_wait(self._link, self.wake_fd, max(0, round(1000 * timeout_s)))) > 0

    def wake(self) -> None:
        """Ends a `wait` of any thread."""
        os.eventfd_write(self.wake_fd, 1)

    def available(self) -> int:
        """Number of microphone samples that can be read."""
        return int(lib.rwc_available(self._link))

    def position(self) -> int:
        """Index of the next microphone sample that `read` gives."""
        return int(lib.rwc_position(self._link))

    def lag(self) -> int:
        """Number of samples by which the voice is behind what plays next; above 0 it is too late to be heard."""
        return int(lib.rwc_lag(self._link))

    def read(self, n: int) -> np.ndarray:
        """Reads the next microphone samples, f32[n]; `n` is at most `available()`. Raises StaleWriter."""
        out = np.empty(n, np.float32)
        self._check(lib.rwc_mic_get(self._link, self._generation, _floats(out), n))
        return out

    def write(self, y: np.ndarray) -> None:
        """Writes the next voice samples, f32[n], never beyond what was read. Raises StaleWriter."""
        samples = np.ascontiguousarray(y, np.float32)
        assert samples.ndim == 1, samples.shape
        self._check(lib.rwc_voice_put(self._link, self._generation, _floats(samples), samples.size))

    def write_nothing(self, n: int) -> None:
        """Marks the next `n` samples as missing: RWC Mic fades out before them and in after them. Raises
        StaleWriter."""
        self._check(lib.rwc_voice_put(self._link, self._generation, ffi.NULL, n))

    def skip(self, n: int) -> None:
        """Drops the next `n` microphone samples, leaves their turn silent and counts them. Raises StaleWriter."""
        self._check(lib.rwc_skip(self._link, self._generation, n))

    def _check(self, status: int) -> None:
        if status == lib.RWC_STALE:
            raise StaleWriter(f"engine {self._generation} was replaced by another")
        assert status != lib.RWC_SHORT, "read more microphone samples than there are"
        assert status != lib.RWC_AHEAD, "wrote more voice than microphone samples were read"


_PLAIN_COUNTERS = (
    "cycles",
    "missed_cycles",
    "late_cycles",
    "xruns",
    "underruns",
    "overruns",
    "retargets",
    "silence_samples",
    "skipped_samples",
    "last_cycle_ns",
    "quantum",
    "rate",
)


def _floats(x: np.ndarray) -> Any:
    return ffi.cast("float *", ffi.from_buffer(x))
