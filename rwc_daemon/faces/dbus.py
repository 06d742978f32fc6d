"""`org.rwc.Daemon1` on the session bus: translates calls to the daemon's API, and its events to signals.

dbus-next is used at the level of messages: its service objects would send tracebacks to callers. Every call is answered
from the tables of `dbus_types`; an error of ours goes out as `org.rwc.Error.<code>`, anything else as
`org.rwc.Error.Failed` with a plain sentence, its traceback in the journal.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from dbus_next import Message, MessageFlag, MessageType, NameFlag, RequestNameReply, Variant
from dbus_next.aio import MessageBus

from rwc_daemon.control.api import (
    DaemonApi,
    FaultReported,
    JobAdvanced,
    JobEnded,
    LevelsMeasured,
    StateChanged,
    Subscription,
    Told,
)
from rwc_daemon.errors import DBUS_PREFIX, AlreadyRunning, RwcError
from rwc_daemon.faces.dbus_bus import close_bus, open_bus, post
from rwc_daemon.faces.dbus_calls import Calls, Refused, properties_of
from rwc_daemon.faces.dbus_client import BUS, BUS_PATH, PROPERTIES_INTERFACE
from rwc_daemon.faces.dbus_types import INTERFACE, NAME, PATH, PROPERTIES, SIGNALS, sendable

log = logging.getLogger(__name__)

LONGEST_MESSAGE = 600
TELL_AGAIN_S = 1.0
SIGNAL_LOST = "a signal on D-Bus was lost by an error inside rwc-daemon: 'rwcctl logs' has the details"


class DbusFace:
    """One connection, one name, one object."""

    def __init__(self, bus: MessageBus, api: DaemonApi) -> None:
        self._bus, self._api = bus, api
        self._calls = Calls(api, self._watch)
        self._answers: set[asyncio.Task[None]] = set()
        self._told = properties_of(api)
        self._events: Subscription
        self._teller: asyncio.Task[None]
        self._watchers: set[str] = set()

    @classmethod
    async def open(cls, api: DaemonApi, address: str | None = None) -> DbusFace:
        """Takes the name; raises NoSessionBus, or AlreadyRunning where another daemon has it."""
        face = cls(await open_bus(address), api)
        face._bus.add_message_handler(face._on_message)
        answer = await face._bus.request_name(NAME, NameFlag.DO_NOT_QUEUE)
        if answer is not RequestNameReply.PRIMARY_OWNER:
            close_bus(face._bus)
            raise AlreadyRunning("another rwc-daemon runs in this session: 'rwcctl status' shows it")
        face._events = api.subscribe()
        face._begin_telling()
        return face

    async def lost(self) -> None:
        """Returns when the bus is gone."""
        try:
            await self._bus.wait_for_disconnect()
        except (OSError, EOFError) as why:
            log.debug("the session bus is gone: %s", why)

    def close(self) -> None:
        self._events.close()
        close_bus(self._bus)

    # ---- told by the daemon ----

    def _begin_telling(self) -> None:
        self._teller = asyncio.get_running_loop().create_task(self._tell_events(), name="D-Bus signals")
        self._teller.add_done_callback(self._telling_ended)

    def _telling_ended(self, teller: asyncio.Task[None]) -> None:
        """An error of ours costs one signal, is told as a fault, and telling goes on."""
        if teller.cancelled() or (bug := teller.exception()) is None:
            return
        log.error("a signal on D-Bus was lost", exc_info=bug)
        self._api.report("Failed", SIGNAL_LOST)
        asyncio.get_running_loop().call_later(TELL_AGAIN_S, self._begin_telling)

    async def _tell_events(self) -> None:
        async for event in self._events:
            self._tell(event)

    def _tell(self, event: Told) -> None:
        match event:
            case StateChanged():
                self._tell_changes()
            case FaultReported(code, message):
                self._signal("Fault", code, message)
            case JobAdvanced(job, fraction):
                self._signal("JobProgress", job, fraction)
            case JobEnded(job, ok, result):
                self._signal("JobDone", job, ok, result)
            case LevelsMeasured(in_db, out_db):
                self._signal("Levels", in_db, out_db)

    def _tell_changes(self) -> None:
        now, before = properties_of(self._api), self._told
        self._told = now
        changed = {name: Variant(PROPERTIES[name], value) for name, value in now.items() if value != before[name]}
        if changed:
            body = [INTERFACE, changed, []]
            self._send(Message.new_signal(PATH, PROPERTIES_INTERFACE, "PropertiesChanged", "sa{sv}as", body))

    def _signal(self, name: str, *values: Any) -> None:
        kinds = "".join(kind for _, kind in SIGNALS[name])
        self._send(Message.new_signal(PATH, INTERFACE, name, kinds, list(values)))

    # ---- asked by clients ----

    def _on_message(self, message: Message) -> bool:
        """True: handled. Every method call is: dbus-next's own answers leak tracebacks."""
        if message.message_type is MessageType.METHOD_CALL:
            task = asyncio.get_running_loop().create_task(self._answer(message))
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)
            return True
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            name, _, owner = message.body
            if not owner:
                self._unwatch(name)
        return False

    async def _answer(self, message: Message) -> None:
        try:
            kinds, values = await self._calls.perform(message)
            self._reply(message, Message.new_method_return(message, kinds, values))
        except Refused as refused:
            self._reply(message, _error(message, refused.name, str(refused)))
        except RwcError as error:
            self._reply(message, _error(message, error.dbus_name, str(error)))
        except Exception:
            log.exception("the call of %s failed", message.member)
            text = "an error inside rwc-daemon: 'rwcctl logs' has the details"
            self._reply(message, _error(message, DBUS_PREFIX + "Failed", text))

    def _reply(self, message: Message, reply: Message) -> None:
        if not message.flags & MessageFlag.NO_REPLY_EXPECTED:
            self._send(reply)

    def _send(self, message: Message) -> None:
        message.body = sendable(message.body)
        post(self._bus, message)

    # ---- who watches levels ----

    async def _watch(self, client: str, on: bool) -> None:
        """Until told otherwise, or until the client leaves the bus."""
        if not on:
            self._unwatch(client)
            return
        if client in self._watchers:
            return
        self._watchers.add(client)
        rule = f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{client}'"
        await self._ask_bus("AddMatch", "s", [rule])
        there = await self._ask_bus("NameHasOwner", "s", [client])
        if not there.body[0]:
            self._unwatch(client)
        self._api.watch_levels(client, client in self._watchers)

    def _unwatch(self, client: str) -> None:
        if client not in self._watchers:
            return
        self._watchers.discard(client)
        rule = f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{client}'"
        message = Message(
            destination=BUS,
            path=BUS_PATH,
            interface=BUS,
            member="RemoveMatch",
            signature="s",
            body=[rule],
            flags=MessageFlag.NO_REPLY_EXPECTED,
        )
        self._send(message)
        self._api.watch_levels(client, False)

    async def _ask_bus(self, member: str, kinds: str, body: list[Any]) -> Message:
        message = Message(destination=BUS, path=BUS_PATH, interface=BUS, member=member, signature=kinds, body=body)
        reply = await self._bus.call(message)
        assert reply is not None
        return reply


def _error(message: Message, name: str, text: str) -> Message:
    plain = "".join(c if c.isprintable() else " " for c in text)[:LONGEST_MESSAGE]
    return Message.new_error(message, name, plain)
