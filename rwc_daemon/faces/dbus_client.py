"""The daemon as other programs of ours see it: `rwcctl` asks, sets and waits through this file.

    async with await Daemon.connect() as daemon:          in a coroutine
        await daemon.set("Pitch", 3.0)

    with SyncDaemon.connect() as daemon:                  anywhere else; the same calls, blocking
        daemon.call("LoadVoice", "deep")
        event = daemon.wait_for(lambda e: e.changed.get("Voice") == "deep", timeout_s=30)

`call` and `set` take plain Python values and give plain Python values. An error of the daemon comes back as the class
of `rwc_daemon.errors` that it was raised as; no bus is NoSessionBus, no daemon is NoDaemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from dbus_next import Message, MessageType, Variant
from dbus_next.aio import MessageBus
from dbus_next.errors import DBusError, SignatureBodyMismatchError

from rwc_daemon.errors import DBUS_PREFIX, NoDaemon, NoSessionBus, NotReady, OutOfRange, RwcError, by_code
from rwc_daemon.faces.dbus_bus import NO_BUS, close_bus, open_bus
from rwc_daemon.faces.dbus_types import INTERFACE, METHODS, NAME, PATH, PROPERTIES, guessed, plain, sendable

T = TypeVar("T")

BUS = "org.freedesktop.DBus"
BUS_PATH = "/org/freedesktop/DBus"
PROPERTIES_INTERFACE = "org.freedesktop.DBus.Properties"
REPLY_S = 25.0  # what D-Bus libraries wait by default
GONE = {f"{BUS}.Error.{kind}" for kind in ("ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected")}
NO_DAEMON = "rwc-daemon does not run: start it with 'systemctl --user start rwc-daemon' or './tools/start'"


class NoAnswer(NotReady):
    """The daemon did not answer in time."""


@dataclass(frozen=True)
class Event:
    """Something the daemon said by itself."""

    signal: str
    """ "Changed" (properties), "Fault", "JobProgress", "JobDone", "Levels" or "Gone" (the daemon left the bus)."""
    values: tuple[Any, ...] = ()
    """The signal's arguments in the order of the contract."""
    changed: dict[str, Any] = field(default_factory=dict)
    """ "Changed": property → its new value."""


class Daemon:
    """A connection to the running daemon, for coroutines."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._events: asyncio.Queue[Event] | None = None

    @classmethod
    async def connect(cls, start: bool = False, address: str | None = None) -> Daemon:
        """Opens the session bus. `start`: ask the bus to start the daemon where it does not run (D-Bus activation).

        Raises NoSessionBus or NoDaemon.
        """
        daemon = cls(await open_bus(address))
        try:
            await daemon._meet(start)
        except BaseException:
            daemon.close()
            raise
        return daemon

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        close_bus(self._bus)

    async def call(self, method: str, *args: Any, timeout_s: float = REPLY_S) -> Any:
        """Calls one method of the contract: `call("ImportVoice", path, {"name": "Ann"})` → 7. Raises the daemon's
        error, and NoAnswer after `timeout_s`."""
        known = METHODS[method]
        body = [_typed(value, kind) for value, (_, kind) in zip(args, known.takes, strict=True)]
        answer = await self._ask(NAME, PATH, INTERFACE, method, known.signature, body, timeout_s)
        return plain(answer[0]) if known.gives else None

    async def get(self, name: str) -> Any:
        """One property."""
        return plain((await self._ask(NAME, PATH, PROPERTIES_INTERFACE, "Get", "ss", [INTERFACE, name]))[0])

    async def get_all(self) -> dict[str, Any]:
        """Every property of the contract, by its name there."""
        return plain((await self._ask(NAME, PATH, PROPERTIES_INTERFACE, "GetAll", "s", [INTERFACE]))[0])

    async def set(self, name: str, value: Any) -> None:
        """One property; the daemon checks the value."""
        kind = PROPERTIES[name]
        variant = Variant(kind, _typed(value, kind))
        await self._ask(NAME, PATH, PROPERTIES_INTERFACE, "Set", "ssv", [INTERFACE, name, variant])

    async def listen(self) -> None:
        """From now on events are kept for `next_event`. Call it before the request whose outcome is awaited."""
        if self._events is not None:
            return
        self._events = asyncio.Queue()
        self._bus.add_message_handler(self._on_message)
        rules = (
            f"type='signal',sender='{NAME}',path='{PATH}'",
            f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{NAME}'",
        )
        for rule in rules:
            await self._ask(BUS, BUS_PATH, BUS, "AddMatch", "s", [rule])

    async def next_event(self, timeout_s: float | None = None) -> Event | None:
        """The next event, or None after `timeout_s`."""
        await self.listen()
        assert self._events is not None
        try:
            async with asyncio.timeout(timeout_s):
                return await self._events.get()
        except TimeoutError:
            return None

    async def wait_for(self, wanted: Callable[[Event], bool], timeout_s: float) -> Event | None:
        """The first event that `wanted` says yes to, or None after `timeout_s`; raises NoDaemon when it goes away."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while (event := await self.next_event(max(0.0, end - loop.time()))) is not None:
            if wanted(event):
                return event
            if event.signal == "Gone":
                raise NoDaemon("rwc-daemon ended meanwhile: 'rwcctl logs' says why")
        return None

    async def _meet(self, start: bool) -> None:
        (there,) = await self._ask(BUS, BUS_PATH, BUS, "NameHasOwner", "s", [NAME])
        if there:
            return
        if not start:
            raise NoDaemon(NO_DAEMON)
        try:
            await self._ask(BUS, BUS_PATH, BUS, "StartServiceByName", "su", [NAME, 0])
        except RwcError as failed:
            raise NoDaemon(f"{NO_DAEMON} ({failed})") from failed

    async def _ask(
        self,
        name: str,
        path: str,
        interface: str,
        member: str,
        kinds: str,
        body: list[Any],
        timeout_s: float = REPLY_S,
    ) -> list[Any]:
        if sendable(body) != body:
            raise OutOfRange("D-Bus takes UTF-8 text only, and this name is none: give the file another name")
        message = Message(destination=name, path=path, interface=interface, member=member, signature=kinds, body=body)
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._bus.call(message)
        except TimeoutError:
            raise NoAnswer(f"rwc-daemon gave no answer within {timeout_s:g} s: see 'rwcctl logs'") from None
        except SignatureBodyMismatchError as bad:
            raise OutOfRange(f"{member} does not take that value: {bad}") from bad
        except (OSError, EOFError, DBusError) as lost:
            raise NoSessionBus(NO_BUS) from lost
        if reply is None:  # the bus ended while we waited
            raise NoSessionBus(NO_BUS)
        if reply.message_type is MessageType.ERROR:
            raise _error_of(reply)
        return reply.body

    def _on_message(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL or self._events is None:
            return
        if message.member == "NameOwnerChanged" and message.body[0] == NAME and not message.body[2]:
            self._events.put_nowait(Event("Gone"))
        elif message.member == "PropertiesChanged" and message.body[0] == INTERFACE:
            self._events.put_nowait(Event("Changed", changed=plain(message.body[1])))
        elif message.interface == INTERFACE:
            self._events.put_nowait(Event(message.member, tuple(plain(message.body))))


class SyncDaemon:
    """The same connection for programs without an event loop; every call blocks."""

    def __init__(self, runner: asyncio.Runner, daemon: Daemon) -> None:
        self._runner = runner
        self._daemon = daemon

    @classmethod
    def connect(cls, start: bool = False, address: str | None = None) -> SyncDaemon:
        """As `Daemon.connect`."""
        runner = asyncio.Runner()
        try:
            return cls(runner, runner.run(Daemon.connect(start, address)))
        except BaseException:
            runner.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._runner.run(self._daemon.__aexit__())
        self._runner.close()

    def call(self, method: str, *args: Any, timeout_s: float = REPLY_S) -> Any:
        return self._run(self._daemon.call(method, *args, timeout_s=timeout_s))

    def get(self, name: str) -> Any:
        return self._run(self._daemon.get(name))

    def get_all(self) -> dict[str, Any]:
        return self._run(self._daemon.get_all())

    def set(self, name: str, value: Any) -> None:
        self._run(self._daemon.set(name, value))

    def listen(self) -> None:
        self._run(self._daemon.listen())

    def next_event(self, timeout_s: float | None = None) -> Event | None:
        return self._run(self._daemon.next_event(timeout_s))

    def wait_for(self, wanted: Callable[[Event], bool], timeout_s: float) -> Event | None:
        return self._run(self._daemon.wait_for(wanted, timeout_s))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


def _error_of(reply: Message) -> RwcError:
    name = reply.error_name
    text = str(reply.body[0]) if reply.body else name
    if name in GONE:
        return NoDaemon(NO_DAEMON)
    return by_code(name.removeprefix(DBUS_PREFIX))(text)


def _typed(value: Any, kind: str) -> Any:
    if kind == "a{sv}":
        return {key: guessed(item) for key, item in value.items()}
    if kind == "d" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
