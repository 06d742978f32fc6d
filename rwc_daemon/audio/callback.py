"""The native callback's Python face: allocates its state, registers it on a JACK client, runs one cycle for tests.

JACK-Client has no call for a C callback, a shutdown callback that PipeWire 0.3.65 honours, latency ranges or thread
set-up; `_callback` brings them, on the same libjack and the client's own pointer.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from rwc_daemon.audio._callback import ffi, lib
from rwc_daemon.errors import NoAudioServer
from rwc_daemon.link.ring import SharedRings

if TYPE_CHECKING:
    import jack

Ports = tuple["jack.OwnPort", "jack.OwnPort", "jack.OwnPort"]  # microphone, voice, the microphone's other channel
EVENTS = {lib.RWC_RATE: "rate", lib.RWC_QUANTUM: "quantum", lib.RWC_SHUTDOWN: "shutdown", lib.RWC_LATENCY: "latency"}
_POLICIES = {os.SCHED_OTHER: "other", os.SCHED_FIFO: "fifo", os.SCHED_RR: "rr"}
_RESET_ON_FORK = 0x40000000


def bind_libjack(library: str) -> None:
    """Finds the functions that JACK-Client lacks in a libjack that is loaded already. Raises NoAudioServer."""
    missing = lib.rwc_bind_libjack(library.encode())
    if missing != ffi.NULL:
        name = ffi.string(missing).decode()
        raise NoAudioServer(f"{library} has no {name}: install PipeWire's pipewire-jack, or JACK2 1.9.10 or newer")


class Callback:
    """Holds one client's memory between cycles. Keep it until the client is closed."""

    def __init__(self, link: SharedRings, rate: int) -> None:
        self.notify_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._link = link  # the callback writes into it: it must outlive us
        self._state = ffi.new("rwc_state *")
        self._state.link = ffi.cast("rwc_link *", link.address)
        self._state.wake_fd = link.wake_fd
        self._state.notify_fd = self.notify_fd
        lib.rwc_set_rate(self._state, rate)
        lib.rwc_set_input_gain(self._state, 1.0)
        lib.rwc_adopt(self._state)
        lib.rwc_lock(self._state, ffi.sizeof("rwc_state"))
        lib.rwc_lock(self._state.link, link.size)

    def register(self, client: jack.Client, ports: Ports, pipewire: bool, plain: bool) -> None:
        """Registers the callback on a client that is not active yet. `plain`: a pass-through that only counts, to
        compare with."""
        self._state.defer_latency = pipewire
        self._state.client = _pointer(client)
        self._state.input, self._state.output, self._state.meter = map(_pointer, ports)
        refused = lib.rwc_register(self._state, plain)
        if refused:
            raise NoAudioServer(f"the audio server refused our callback (registration {refused}): restart it")

    def close(self) -> None:
        """Frees the memory. Call it after the client was closed."""
        os.close(self.notify_fd)

    def events(self) -> list[str]:
        """Waits on `notify_fd`; answers what happened since the last call: "rate", "quantum", "latency", "shutdown"."""
        os.eventfd_read(self.notify_fd)
        bits = lib.rwc_take_events(self._state)
        return [name for bit, name in EVENTS.items() if bits & bit]

    def set_delay(self, samples: int) -> None:
        """Sets the samples between the ports; takes effect with `update_latencies`."""
        lib.rwc_set_delay(self._state, samples)

    def set_input_gain(self, gain: float) -> None:
        """Sets the linear factor on the input: a half where both channels of a stereo microphone meet in our port."""
        lib.rwc_set_input_gain(self._state, gain)

    def update_latencies(self) -> None:
        """Sets the ranges of both ports; from any thread but libjack's own."""
        lib.rwc_update_latencies(self._state)

    def latency_before(self) -> int:
        """Returns the samples from the microphone's capture to our input port, as the graph says."""
        return int(lib.rwc_port_latency(self._state, 0))

    def latency_behind(self) -> int:
        """Returns the samples from our output port to a recorder, as the graph says."""
        return int(lib.rwc_port_latency(self._state, 1))

    def leave(self) -> None:
        """Fades out what plays; nothing follows. Call it before the client is closed."""
        lib.rwc_leave(self._state)

    @property
    def silent(self) -> bool:
        """Whether the last cycle held nothing of ours."""
        return bool(lib.rwc_is_silent(self._state))

    def policy(self) -> str:
        """Returns how the kernel schedules the callback: "fifo 83", "rr 20", "other"; "" before the first cycle."""
        thread = lib.rwc_thread(self._state)
        if not thread:
            return ""
        try:
            policy = os.sched_getscheduler(thread) & ~_RESET_ON_FORK
            priority = os.sched_getparam(thread).sched_priority
        except ProcessLookupError:
            return ""
        name = _POLICIES.get(policy, "other")
        return f"{name} {priority}" if priority else name

    def run_cycle(self, x: np.ndarray, frames: int = 0, time_ns: int = 0) -> np.ndarray:
        """Runs one cycle without an audio server: f32[n] from the microphone in, f32[n] to RWC Mic out."""
        samples = np.ascontiguousarray(x, np.float32)
        out = np.full(samples.size, np.nan, np.float32)
        source = ffi.cast("float *", ffi.from_buffer(samples))
        sink = ffi.cast("float *", ffi.from_buffer(out))
        lib.rwc_test_cycle(self._state, source, sink, samples.size, frames, time_ns)
        return out


class ProbeCallback:
    """Plays one signal and records another in the same cycles: sample i of both belongs to one cycle."""

    def __init__(self) -> None:
        self._state = ffi.new("rwc_probe *")
        self._play = self._record = np.zeros(0, np.float32)

    def register(self, player: jack.Client, recorder: jack.Client) -> None:
        """Registers one port on each of two inactive clients: "output" and "input"."""
        self._state.player, self._state.output = _pointer(player), _pointer(player.outports.register("output"))
        self._state.recorder, self._state.input = _pointer(recorder), _pointer(recorder.inports.register("input"))
        if lib.rwc_register_probe(self._state):
            raise NoAudioServer("the audio server refused the probe's callback: restart it")

    def arm(self, signal: np.ndarray) -> np.ndarray:
        """Starts to play f32[n] with the next cycle and returns f32[n], which fills as it is recorded."""
        assert self.done, "one signal at a time"
        self._play = np.ascontiguousarray(signal, np.float32)
        self._record = np.zeros_like(self._play)
        play, record = (ffi.cast("float *", ffi.from_buffer(x)) for x in (self._play, self._record))
        lib.rwc_arm_probe(self._state, play, record, self._play.size)
        return self._record

    @property
    def position(self) -> int:
        """Number of samples played and recorded so far."""
        return int(lib.rwc_probe_position(self._state))

    @property
    def done(self) -> bool:
        return self.position == self._play.size


def _pointer(thing: Any) -> Any:
    """JACK-Client's own pointer, across two CFFI libraries."""
    from _jack import ffi as jack_ffi

    return ffi.cast("void *", int(jack_ffi.cast("uintptr_t", thing._ptr)))
