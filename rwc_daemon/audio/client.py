"""Our JACK client: two ports, the native callback, latency ranges. Open only while somebody listens.

Nothing of Python runs in a thread of libjack: the C callbacks set a flag and wake a thread of ours, which calls
`on_change`. A dead server may say nothing at all (PipeWire's libjack), so `alive` watches the cycles.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rwc_daemon.audio import libjack
from rwc_daemon.audio.callback import Callback
from rwc_daemon.errors import NoAudioServer
from rwc_daemon.link.ring import SharedRings

CLOSE_TIMEOUT_S = 2.0
FADE_TIMEOUT_S, FADE_POLL_S = 0.1, 0.005
MOST_LEFT = 20  # dead clients: each holds 28 descriptors and 0.8 MB; for more of them a new process is the better end
STALLED_S = 0.05  # no cycle for so long: the server may have died
SHUTDOWN_S = 0.2  # then its libjack says so within this, if it ever does (that of PipeWire 0.3.65 does not)
PROOF_S, PROOF_POLL_S = 0.5, 0.01  # a server that is said to have died shows within this whether it has
SILENCE_S = 1.0  # no cycle for so long, or for four periods: the server is gone
STARTED_S, STARTED_POLL_S = 0.3, 0.005  # a driver that was asleep runs its first cycle within this
PREFERRED_QUANTUM, PREFERRED_RATE = 256, 48000  # yield to what others or the user force


def ignore_change(what: str) -> None:
    """The `on_change` of a client that nobody watches."""
    del what


def no_identity() -> str:
    """The `identity` of a server that nobody watches."""
    return ""


@dataclass(frozen=True)
class LeftBehind:
    """A client that was left open, because its server was taken for dead."""

    client: Any
    callback: Callback
    watcher: threading.Thread | None
    served_by: str
    """The server's identity when it was opened."""


class AudioClient:
    """`open` and `close` may be repeated; both may take long and belong in a worker thread."""

    def __init__(self, link: SharedRings, name: str = "rwc", plain: bool = False) -> None:
        """`plain`: passes its input through and only counts (for the benchmark)."""
        self._link, self._name, self._plain = link, name, plain
        self._client: Any = None
        self._callback: Callback | None = None
        self._watcher: threading.Thread | None = None
        self._lock = threading.Lock()
        self._shut_down = threading.Event()
        self._left_behind: list[LeftBehind] = []
        self._served_by = ""
        self._opened_s = 0.0
        self._delay = 0
        self._input_gain = 1.0
        self.server = ""
        self.on_change: Callable[[str], None] = ignore_change
        # called with "rate", "quantum" or "shutdown" from a thread of ours
        self.identity: Callable[[], str] = no_identity
        # of the server, as the graph shows it; a restart changes it; empty: no server, or one without (JACK2)

    @property
    def is_open(self) -> bool:
        return self._callback is not None

    def open(self) -> None:
        """Raises NoAudioServer."""
        if self.is_open:
            return
        library = libjack.load()
        jack = library.module
        with _pipewire_properties():
            try:
                client = jack.Client(self._name, use_exact_name=True, no_start_server=True)
            except jack.JackOpenError as error:
                raise NoAudioServer(_why_not(self._name, library.server, error.status)) from error
        try:
            self._start(client, library.is_pipewire)
        except (jack.JackError, NoAudioServer) as error:
            client.close()
            raise NoAudioServer(f"{library.server} refused the client '{self._name}': {error}") from error
        self.server = library.server

    def _start(self, client: Any, pipewire: bool) -> None:
        inputs, outputs = client.inports, client.outports
        ports = inputs.register("input"), outputs.register("output"), inputs.register("meter")
        callback = Callback(self._link, client.samplerate)
        callback.register(client, ports, pipewire, self._plain)
        callback.set_delay(self._delay)
        callback.set_input_gain(self._input_gain)
        client.activate()
        self._client, self._callback, self._opened_s = client, callback, time.monotonic()
        self._served_by = self.identity()
        self._shut_down = threading.Event()
        arguments = (callback, self._shut_down)
        self._watcher = threading.Thread(target=self._watch, args=arguments, name="rwc-audio", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Closes the client. It never hangs: a libjack that does not return within two seconds is left to its
        thread."""
        playing = self.alive()
        if playing and not self._served_by:
            self._served_by = self.identity()  # it was opened before the graph had been read
        with self._lock:
            client, callback = self._client, self._callback
            self._client = self._callback = None
        if client is None or callback is None:
            return
        if self._server_died() and len(self._left_behind) < MOST_LEFT:
            # PipeWire 1.4's libjack frees the ports of such a client twice, and that would end this process
            self._left_behind.append(LeftBehind(client, callback, self._watcher, self._served_by))
            os.eventfd_write(callback.notify_fd, 1)
            return
        if playing:
            _fade_out(callback)
        _close_in_time(client, callback, self._watcher)

    def close_left_behind(self) -> int:
        """Closes the clients that were left behind and whose server turns out to live; answers how many there were.

        They hold ports, descriptors and the capture of the microphone. Call it now and then, from the thread that calls
        `close`; it costs nothing while there are none.
        """
        now = self.identity()
        wrong = [left for left in self._left_behind if now and left.served_by == now]
        for left in wrong:
            self._left_behind.remove(left)
            _close_in_time(left.client, left.callback, left.watcher)
        return len(wrong)

    def _server_died(self) -> bool:
        """Whether PipeWire's libjack has said so, which may be a moment after the last cycle, and it is true.

        PipeWire's libjack 0.3.65 calls the shutdown callback for every error of the core, such as the answer to a
        question about a recorder's port that has gone meanwhile (`on_error` in pipewire-jack.c; 1.0 and later call it
        for a broken connection only). A server that lives runs more cycles, or keeps its identity.
        """
        stalled = time.monotonic() - self._newest_s() > STALLED_S
        if not self.server.startswith("pipewire") or not self._shut_down.wait(SHUTDOWN_S if stalled else 0):
            return False
        time.sleep(PROOF_POLL_S)  # a dead server's last wake-up may still be on its way
        newest_s, deadline = self._newest_s(), time.monotonic() + PROOF_S
        while time.monotonic() < deadline:
            if self._newest_s() > newest_s:
                return False
            if self._served_by and self.identity() != self._served_by:
                return True
            time.sleep(PROOF_POLL_S)
        return not self._served_by or self.identity() != self._served_by

    def _watch(self, callback: Callback, shut_down: threading.Event) -> None:
        """Passes events on to `on_change`, until `close` has taken the callback away."""
        while True:
            events = callback.events()
            if "shutdown" in events:
                shut_down.set()
            with self._lock:
                if self._callback is not callback:
                    return
                if "quantum" in events or "latency" in events:
                    # PipeWire keeps latency as quanta plus a rest, so it would scale with the quantum
                    callback.update_latencies()
            for what in events:
                if what != "latency":
                    self.on_change(what)

    @property
    def links_first(self) -> bool:
        """Whether the microphone must be linked, and run, before anything else is: on every PipeWire.

        With several allowed rates, a microphone that is asleep and a program that plays at another rate, a client that
        runs beside that program already changes rates to and fro when it is linked. PipeWire before 0.3.71 gives a
        driver that is asleep the rate of the driver from which a node moves to it (`pw_impl_node_set_driver`), and so
        it never ends; 1.4.2 copies no rate, and changes 3 to 27 times in a moment all the same.
        A client that joins the microphone's driver as its first one brings no rate along: 2 or 3 changes in both.
        """
        return self.server.startswith("pipewire")

    def await_cycle(self) -> None:
        """Waits until cycles come, or for a moment if none do."""
        begun_s = time.monotonic()
        while begun_s - self._newest_s() > STALLED_S and time.monotonic() - begun_s < STARTED_S:
            time.sleep(STARTED_POLL_S)

    @property
    def name(self) -> str:
        return self._name

    @property
    def jack(self) -> Any:
        """The open `jack.Client`, or None: for the graph of plain JACK2."""
        return self._client

    @property
    def rate(self) -> int:
        """Samples/s; 0 while closed. See `quantum`."""
        with self._lock:
            return (int(self._client.samplerate) or PREFERRED_RATE) if self._client else 0

    @property
    def quantum(self) -> int:
        """Samples of the newest cycle; before the first, what the server announces; 0 while closed.

        PipeWire 1.4 announces 0 to a client that it does not run yet, as where no microphone is: then it is what was
        asked for, until the first cycle tells.
        """
        with self._lock:
            if self._client is None:
                return 0
            return self._link.counters().quantum or int(self._client.blocksize) or PREFERRED_QUANTUM

    @property
    def cycles(self) -> int:
        """Graph cycles served since the link was made."""
        return self._link.counters().cycles

    def set_latency(self, delay_samples: int) -> None:
        """Tells the graph how many samples lie between our ports; kept for the next `open`."""
        self._delay = delay_samples
        with self._lock:
            if self._callback:
                self._callback.set_delay(delay_samples)
                self._callback.update_latencies()

    def set_input_gain(self, gain: float) -> None:
        """Linear factor on what the microphone's links bring; kept for the next `open`."""
        self._input_gain = gain
        with self._lock:
            if self._callback:
                self._callback.set_input_gain(gain)

    def input_latency_ms(self) -> float:
        """From the microphone to our input port, as the graph reports it; 0 while closed."""
        with self._lock:
            return self._ms(self._callback.latency_before()) if self._callback else 0.0

    def output_latency_ms(self) -> float:
        """From our output port to whoever records, as the graph reports it; 0 while closed."""
        with self._lock:
            return self._ms(self._callback.latency_behind()) if self._callback else 0.0

    def _ms(self, samples: int) -> float:
        return 1000 * samples / max(1, int(self._client.samplerate))

    def policy(self) -> str:
        """How the kernel schedules the callback: "fifo 83", "rr 20", "other"; "" while closed."""
        with self._lock:
            return self._callback.policy() if self._callback else ""

    def alive(self) -> bool:
        """Whether cycles come; a client that was opened within the last second counts as alive."""
        if not self.is_open:
            return False
        counters = self._link.counters()
        patience_s = max(SILENCE_S, 4 * counters.quantum / max(1, counters.rate))
        return time.monotonic() - self._newest_s() < patience_s

    def _newest_s(self) -> float:
        """When there last was a cycle, or when it was opened; time.monotonic()."""
        return max(self._opened_s, self._link.counters().last_cycle_ns / 1e9)


def _fade_out(callback: Callback) -> None:
    """Fades out, so that whoever still listens hears no click."""
    callback.leave()
    deadline = time.monotonic() + FADE_TIMEOUT_S
    while not callback.silent and time.monotonic() < deadline:
        time.sleep(FADE_POLL_S)


def _close_in_time(client: Any, callback: Callback, watcher: threading.Thread | None) -> None:
    """Closes a client; a libjack that does not return within two seconds is left to its thread."""
    closed = threading.Event()
    arguments = (client, callback, watcher, closed)
    threading.Thread(target=_close, args=arguments, name="rwc-close", daemon=True).start()
    closed.wait(CLOSE_TIMEOUT_S)


def _close(client: Any, callback: Callback, watcher: threading.Thread | None, closed: threading.Event) -> None:
    client.deactivate()
    client.close()
    closed.set()
    os.eventfd_write(callback.notify_fd, 1)
    if watcher:
        watcher.join()  # it may itself be waiting for `closed`, inside on_change
    callback.close()


def _why_not(name: str, server: str, status: Any) -> str:
    if status.name_not_unique:
        return f"a JACK client '{name}' is there already: is another rwc-daemon running?"
    return f"{server} does not answer: {libjack.START}"


@contextmanager
def _pipewire_properties() -> Iterator[None]:
    """What PipeWire's libjack reads when a client opens: by default it would nail the graph's quantum for everybody,
    and run a client without links beside whatever plays (see `AudioClient.links_first`)."""
    before = os.environ.get("PIPEWIRE_PROPS")
    # no description or application name here: they would change the names of our JACK ports
    latency = f"{PREFERRED_QUANTUM}/{PREFERRED_RATE}"
    properties = f"node.lock-quantum = false  node.latency = {latency}  node.always-process = false"
    os.environ["PIPEWIRE_PROPS"] = f"{{ {properties} }}"
    try:
        yield
    finally:
        os.environ.pop("PIPEWIRE_PROPS")
        if before is not None:
            os.environ["PIPEWIRE_PROPS"] = before
