"""One D-Bus call at a time: is it in the contract, are its values of the right kind, what does the API answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dbus_next import Message, Variant

from rwc_daemon.control.api import DaemonApi
from rwc_daemon.controls import NAMES, dbus_name, to_dict
from rwc_daemon.errors import OutOfRange
from rwc_daemon.faces.dbus_types import (
    INPUT,
    INTERFACE,
    METHODS,
    PATH,
    PROPERTIES,
    STATISTICS,
    VOICE,
    WRITABLE,
    dictionary,
    introspection,
    plain,
)

STANDARD = "org.freedesktop.DBus."
PROPERTIES_INTERFACE = STANDARD + "Properties"
NUMBER_KINDS = "ynqiuxtd"
LONGEST_TEXT = 4096  # a path; nothing in the contract needs more
CONTROLS = {dbus_name(name): name for name in NAMES}

Answer = tuple[str, list[Any]]  # the D-Bus types and the values of a reply
# what tools ask of any object: (interface, member) → the types it takes
COMMON: dict[tuple[str, str], str] = {
    (PROPERTIES_INTERFACE, "Get"): "ss",
    (PROPERTIES_INTERFACE, "Set"): "ssv",
    (PROPERTIES_INTERFACE, "GetAll"): "s",
    (STANDARD + "Introspectable", "Introspect"): "",
    (STANDARD + "Peer", "Ping"): "",
    (STANDARD + "Peer", "GetMachineId"): "",
}


class Refused(Exception):
    """A call that is not in the contract; `name` is D-Bus's own error name."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = STANDARD + "Error." + name


def properties_of(api: DaemonApi) -> dict[str, Any]:
    """Every property of the contract and its value now."""
    shown: dict[str, Any] = {dbus_name(name): value for name, value in to_dict(api.controls).items()}
    shown |= {dbus_name(name): value for name, value in asdict(api.status).items()}
    shown["LatencyMs"] = round(shown["LatencyMs"], 1)
    shown["Load"] = round(shown["Load"], 3)
    return {name: shown[name] for name in PROPERTIES}


class Calls:
    """Performs calls on the daemon's API; `watch(client, on)` keeps the list of those who look at levels."""

    def __init__(self, api: DaemonApi, watch: Callable[[str, bool], Awaitable[None]]) -> None:
        self._api, self._watch = api, watch

    async def perform(self, message: Message) -> Answer:
        """Raises Refused, RwcError."""
        interface, member = _target(message)
        wanted = METHODS[member].signature if interface == INTERFACE else COMMON[interface, member]
        if message.signature != wanted:
            raise Refused("InvalidArgs", f"{member} takes '{wanted}', not '{message.signature[:60]}'")
        _check_texts(message.body)
        if interface == INTERFACE:
            return await self._method(member, message.sender, plain(message.body))
        return await self._common(member, message)

    # ---- the contract's methods ----

    async def _method(self, member: str, client: str, args: list[Any]) -> Answer:
        api = self._api
        match member:
            case "LoadVoice":
                await api.load(*args)
            case "UseVoice":
                voice, controls = args
                await api.use(voice, _scalars(controls))
            case "ListVoices":
                voices = await api.voices()
                return "aa{sv}", [[dictionary(_only(asdict(voice), VOICE), VOICE) for voice in voices]]
            case "ImportVoice":
                return "u", [api.import_voice(*args)]
            case "RemoveVoice":
                await api.remove_voice(*args)
            case "CancelJob":
                api.cancel_job(*args)
            case "SetControls":
                api.set_controls(_scalars(*args))
            case "ResetControls":
                api.reset_controls()
            case "ResetLatency":
                api.reset_latency()
            case "GetStatistics":
                return "a{sv}", [dictionary(api.statistics(), STATISTICS)]
            case "ListInputs":
                inputs = await api.inputs()
                return "aa{sv}", [[dictionary(_only(asdict(item), INPUT), INPUT) for item in inputs]]
            case "WatchLevels":
                await self._watch(client, *args)
            case "Quit":
                api.quit()
        return "", []

    # ---- what every object answers ----

    async def _common(self, member: str, message: Message) -> Answer:
        match member:
            case "Introspect":
                return "s", [introspection() if message.path == PATH else _way_to(message.path)]
            case "Ping":
                return "", []
            case "GetMachineId":
                return "s", [Path("/etc/machine-id").read_text().strip()]
            case "GetAll":
                _check_interface(message.body[0])
                shown = properties_of(self._api)
                return "a{sv}", [dictionary(shown, PROPERTIES)]
            case "Get":
                name = _property(*message.body)
                return "v", [Variant(PROPERTIES[name], properties_of(self._api)[name])]
            case _:
                interface, name, value = message.body
                await self._set(_property(interface, name), value)
                return "", []

    async def _set(self, name: str, value: Variant) -> None:
        if name not in WRITABLE:
            raise Refused("PropertyReadOnly", f"{name} cannot be set")
        _check_kind(name, value)
        if name == "Mode":
            self._api.set_mode(value.value)
        elif name == "Input":
            await self._api.set_input(value.value)
        elif name == "InputChannel":
            self._api.set_input_channel(value.value)
        else:
            self._api.set_controls({CONTROLS[name]: value.value})


def _target(message: Message) -> tuple[str, str]:
    """The interface and member meant (the interface may be left out); raises Refused."""
    member = message.member
    candidates = [INTERFACE] if member in METHODS else []
    candidates += [interface for interface, name in COMMON if name == member]
    interface = message.interface or (candidates[0] if candidates else "")
    if interface not in candidates:
        raise Refused("UnknownMethod", f"no method {interface}.{member}".replace(" .", " "))
    if message.path != PATH and (member != "Introspect" or not _way_to(message.path)):
        if interface == STANDARD + "Peer":
            return interface, member
        raise Refused("UnknownObject", f"no object {message.path[:200]}: use {PATH}")
    return interface, member


def _way_to(path: str) -> str:
    """The introspection of a folder above our object; empty elsewhere."""
    parts, above = PATH.strip("/").split("/"), path.strip("/").split("/") if path != "/" else []
    if len(above) >= len(parts) or parts[: len(above)] != above:
        return ""
    return f'<node>\n  <node name="{parts[len(above)]}"/>\n</node>\n'


def _check_interface(interface: str) -> None:
    if interface not in (INTERFACE, ""):
        raise Refused("UnknownInterface", f"no properties of {interface[:200]}: use {INTERFACE}")


def _property(interface: str, name: str, *_: Any) -> str:
    _check_interface(interface)
    if name not in PROPERTIES:
        raise Refused("UnknownProperty", f"no property {name[:60]}; known: {', '.join(PROPERTIES)}")
    return name


def _check_kind(name: str, value: Variant) -> None:
    """Any kind of number for a number, a text for a text; raises OutOfRange."""
    number = WRITABLE[name] != "s"
    if value.signature not in NUMBER_KINDS if number else value.signature != "s":
        raise OutOfRange(f"{name} takes {'a number' if number else 'a text'}, not '{value.signature[:20]}'")


def _scalars(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuses containers, which no control is."""
    for name, value in values.items():
        if not isinstance(value, int | float | str):
            raise OutOfRange(f"{name[:60]} takes a number or a text, not a {type(value).__name__}")
    return values


def _only(values: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    return {name: values[name] for name in kinds}


def _check_texts(value: Any) -> None:
    """Raises OutOfRange for a text that is longer than any in the contract, however deep it lies."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise OutOfRange(f"a text of {len(value)} characters is too long: at most {LONGEST_TEXT}")
    if isinstance(value, Variant):
        _check_texts(value.value)
    elif isinstance(value, dict):
        _check_texts([*value.keys(), *value.values()])
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)
