"""Keeps one engine process running: starts it, hears it, ends it when it hangs, starts the next one.

The engine is crash-only, so a death is ordinary: the next start follows at once, later ones wait longer. Streams come
and go while it runs; its death is the death of those that are in it, and of no others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from rwc_daemon.host.journal import ENGINE_DOWN, ENGINE_UP, event
from rwc_daemon.link.handing import Rings, hand_over, handing_pair
from rwc_daemon.messages import (
    ENGINE,
    BadMessage,
    CloseStream,
    Message,
    OpenStream,
    Quit,
    Ready,
    decode_addressed,
    encode,
)

log = logging.getLogger(__name__)

STOPPED_S = 1.0  # an engine that somebody has stopped does not go on by itself
SPEAKS_S = 2.5  # a stream of which something was heard since does not hang; there is word of each every second
SILENCE_S = 3.0  # an engine that converts and says nothing for this long hangs; it speaks every second
BUSY_S = 30.0  # one that loads a voice, or has nothing to do: large libraries hold the GIL while they are read
START_S = 60.0  # a cold disk, a large torch
QUICK_S = 10.0  # a death sooner than this after the start is a quick one
MANY = 5  # quick deaths in a row: give up loudly, retry slowly
WAITS_S = (0.0, 0.25, 0.5, 1.0, 2.0)
SLOW_S = 30.0
FULL_BYTES = 1 << 20  # an engine that leaves so much unread hangs
QUIT_S = 2.0
MOST_THREADS = 4  # of nets this small; measured on two cores only


def engine_environment(environ: Mapping[str, str], cores: int) -> dict[str, str]:
    """What the engine must find when it starts; what the user set stays.

    Nets may use all of two cores, and all but one of more: the engine itself takes fewer while other programs want them
    (engine/thread_budget.py). Their threads wait for each other some hundred times a block, mostly for a moment: asleep
    at once two were slower than one (95 and 75 ms a block), spinning for long they take the processor from the one
    they wait for, so they spin briefly (62 ms). Huge pages save three quarters of the page faults while weights are
    read, and a little work later; malloc gives them to its main arena only, and a thread reads the weights, so there is
    one arena for all.
    """
    wanted = {
        "OMP_NUM_THREADS": str(min(MOST_THREADS, max(cores - 1, min(cores, 2)))),
        "GOMP_SPINCOUNT": "10000",
        "OPENBLAS_NUM_THREADS": "1",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1",
    }
    return wanted | dict(environ)


@dataclass(frozen=True)
class Death:
    """How an engine ended."""

    reason: str
    """ "was killed for want of memory", "ended by SIGSEGV", "hung", …"""
    own_fault: bool
    """False: stopped or killed from outside."""
    quick: bool
    """Soon after its start."""


class CountedRings(Rings, Protocol):
    """The rings of a stream."""

    def new_generation(self) -> int: ...


class Hosted(Protocol):
    """One stream, for the engine that it is in; all in the event loop's thread."""

    rings: CountedRings
    silent_s: float
    """Since its engine said something of it."""
    converting: bool
    """It has nothing to do but that."""

    def starting(self) -> None:
        """Its engine is being started."""

    def opened(self) -> None:
        """It is open, and can be told what to do."""

    def heard(self, message: Message) -> None: ...

    def died(self, death: Death) -> None:
        """With its engine, which comes again."""

    def hung(self) -> None:
        """It alone says nothing any more."""

    def move_out(self) -> None:
        """To an engine of its own."""


class EngineProcess:
    """One process at a time, from the first stream to the last. `options`: of its command line. All methods belong to
    the event loop's thread."""

    def __init__(self, data_dir: Path, options: Sequence[str]) -> None:
        self._arguments = ["--data-dir", str(data_dir), *options]
        self._streams: dict[int, Hosted] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._handing: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._pidfd = -1
        self._status = 0
        self._hung = ""
        self.up = False
        self.closed = False
        # no other stream comes in: one of those here has hung, or has ended an engine, and nobody knows which
        self.quick_deaths = 0

    @property
    def pid(self) -> int:
        """0 while there is none."""
        return self._process.pid if self._process else 0

    @property
    def given_up(self) -> bool:
        """It died too often; it is still tried, slowly."""
        return self.quick_deaths >= MANY

    @property
    def wanted(self) -> bool:
        return self._task is not None

    @property
    def streams(self) -> int:
        """How many are in it; with none it has ended, or is about to."""
        return len(self._streams)

    def add(self, number: int, stream: Hosted) -> None:
        """A stream comes in: it is opened as soon as the process runs."""
        self._streams[number] = stream
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_running(), name="engine")
        elif self.up:
            stream.starting()
            self._open(number, stream)

    def drop(self, number: int) -> None:
        """A stream leaves; `stop` follows where it was the last."""
        if self._streams.pop(number, None) is not None and self._streams:
            self.send(CloseStream(), number)

    async def stop(self) -> None:
        """No engine from now on: Quit, two seconds, SIGKILL."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def send(self, message: Message, stream: int = ENGINE) -> None:
        """To the engine that is up; without one the message is dropped."""
        if not self.up or self._writer is None:
            return
        self._writer.write(encode(message, stream))
        if self._writer.transport.get_write_buffer_size() > FULL_BYTES:
            self._end("stopped reading")

    def look(self, number: int) -> None:
        """Called once or twice in two seconds for each stream: ends what hangs. Raises what has ended the watch over
        the engine itself."""
        if self._task is not None and self._task.done():
            self._task.result()
        stream = self._streams[number]
        if self._process is None or stream.silent_s < STOPPED_S:
            return
        converting = all(other.converting for other in self._streams.values())
        patience_s = (SILENCE_S if converting else BUSY_S) if self.up else START_S
        if _is_stopped(self._process.pid):
            self._end("hung")
        elif stream.silent_s > patience_s:
            if any(other.silent_s < SPEAKS_S for other in self._streams.values()):
                self.closed = True  # what hangs there may stay for as long as the process
                stream.hung()
            else:
                self._end("hung")

    async def _keep_running(self) -> None:
        while True:
            wait_s = SLOW_S if self.given_up else WAITS_S[min(self.quick_deaths, len(WAITS_S) - 1)]
            await asyncio.sleep(wait_s)
            death = await self._one_life()
            self.quick_deaths = self.quick_deaths + 1 if death.quick else 0
            event(log, ENGINE_DOWN, f"the engine {death.reason}", logging.WARNING, RWC_QUICK=self.quick_deaths)
            self._tell_streams(death)

    def _tell_streams(self, death: Death) -> None:
        """Where there were several, nobody knows whose fault it was: each comes back in an engine of its own, so that
        the next death tells."""
        streams = list(self._streams.values())
        several = death.own_fault and len(streams) > 1
        for stream in streams:
            stream.died(replace(death, own_fault=False) if several else death)
        if several:
            self.closed = True
            for stream in streams[1:]:
                stream.move_out()

    async def _one_life(self) -> Death:
        """From start to death; whatever ends this coroutine, the process is gone and reaped after it."""
        loop = asyncio.get_running_loop()
        born, kills = loop.time(), oom_kills()
        ours, theirs = socket.socketpair()
        self._handing, taking = handing_pair()
        try:
            with theirs, taking:
                self._spawn(theirs, taking)
        except OSError as failed:
            ours.close()
            self._handing.close()
            return Death(f"could not be started ({failed.strerror})", own_fault=False, quick=True)
        ended = asyncio.Event()
        loop.add_reader(self._pidfd, ended.set)
        listening = loop.create_task(self._listen(ours))
        try:
            await ended.wait()
        except asyncio.CancelledError:
            await self._dismiss(ended)
            raise
        finally:
            self._bury(listening)
        return self._death(loop.time() - born, oom_kills() > kills)

    def _spawn(self, channel: socket.socket, handing: socket.socket) -> None:
        """From the loop's own thread: the engine dies with the thread that started it."""
        fds = (channel.fileno(), handing.fileno())
        command = [sys.executable, "-m", "rwc_daemon.engine.worker"]
        for name, fd in zip(("--channel-fd", "--handing-fd"), fds, strict=True):
            command += [name, str(fd)]
        command += self._arguments
        self._hung = ""
        for stream in self._streams.values():
            stream.starting()
        environment = engine_environment(os.environ, len(os.sched_getaffinity(0)))
        self._process = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL, env=environment)
        self._pidfd = os.pidfd_open(self._process.pid)

    async def _listen(self, channel: socket.socket) -> None:
        reader, self._writer = await asyncio.open_connection(sock=channel)
        try:
            while line := await reader.readline():
                number, message = decode_addressed(line)
                if isinstance(message, Ready):
                    self._arrived(message)
                elif number == ENGINE:
                    for stream in list(self._streams.values()):
                        stream.heard(message)
                elif number in self._streams:  # what it says of one that has left is old
                    self._streams[number].heard(message)
        except (BadMessage, ValueError) as bad:
            log.warning("the engine's channel broke: %s", bad)
            self._end("said something that cannot be read")
        except OSError as broken:
            # it was killed with words of ours unread (ECONNRESET); one that lives on without a channel is found silent
            log.info("the engine's channel ended: %s", broken)

    def _arrived(self, ready: Ready) -> None:
        self.up = True
        event(log, ENGINE_UP, f"the engine runs, process {ready.pid}", RWC_PID=ready.pid)
        for number, stream in list(self._streams.items()):
            self._open(number, stream)

    def _open(self, number: int, stream: Hosted) -> None:
        assert self._handing is not None
        try:
            hand_over(self._handing, number, stream.rings)
        except OSError as failed:
            log.warning("the engine takes no memory: %s", failed)
            self._end("stopped reading")
            return
        self.send(OpenStream(stream.rings.new_generation()), number)
        stream.opened()

    def _end(self, reason: str) -> None:
        """SIGKILL; `_one_life` awaits the end before the next one starts."""
        if self._process is None or self._hung:
            return
        stopped = _is_stopped(self._process.pid)
        self._hung = "was stopped from outside" if stopped else reason
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def _dismiss(self, ended: asyncio.Event) -> None:
        self.send(Quit())
        try:
            async with asyncio.timeout(QUIT_S if self.up else 0.1):
                await ended.wait()
        except TimeoutError:
            self._end("did not quit")
            await ended.wait()

    def _bury(self, listening: asyncio.Task[None]) -> None:
        listening.cancel()
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._writer is not None:
            self._writer.close()
        if self._handing is not None:
            self._handing.close()
        assert self._process is not None
        self._process.kill()  # it lives on only where its dismissal was broken off: nothing may wait for it then
        self._process.wait()
        self._status = self._process.returncode
        self._process = self._writer = self._handing = None
        self.up = False

    def _death(self, lived_s: float, oom: bool) -> Death:
        quick = lived_s < QUICK_S
        if self._hung:
            return Death(self._hung, own_fault="outside" not in self._hung, quick=quick)
        if self._status == -signal.SIGKILL and not oom:
            return Death("was killed from outside (SIGKILL)", own_fault=False, quick=quick)
        if self._status == -signal.SIGKILL:
            return Death("was killed for want of memory", own_fault=True, quick=quick)
        if self._status < 0:
            name = signal.Signals(-self._status).name
            return Death(f"ended by {name}", own_fault=name not in ("SIGTERM", "SIGHUP", "SIGINT"), quick=quick)
        return Death(f"ended with status {self._status}", own_fault=True, quick=quick)


def oom_kills() -> int:
    """How many processes this machine's kernel has killed for want of memory; 0 where it does not say."""
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)


def _is_stopped(pid: int) -> bool:
    """proc(5): state T after the command's closing bracket; t would be a debugger's doing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False
