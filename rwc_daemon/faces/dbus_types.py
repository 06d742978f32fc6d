"""The words of `org.rwc.Daemon1`: every method, property and signal with its D-Bus types, written once.

The service answers from these tables, the client asks with them, and `dbus/org.rwc.Daemon1.xml` is what `introspection`
makes of them (a test compares). No bus is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import quoteattr

from dbus_next import Variant

from rwc_daemon.controls import ROWS, dbus_name

NAME = "org.rwc.Daemon1"
PATH = "/org/rwc/Daemon1"
INTERFACE = "org.rwc.Daemon1"

UNSENDABLE = re.compile("[\0\ud800-\udfff]")
Arguments = tuple[tuple[str, str], ...]  # (name, D-Bus type) each


@dataclass(frozen=True)
class Method:
    takes: Arguments = ()
    gives: Arguments = ()

    @property
    def signature(self) -> str:
        return "".join(kind for _, kind in self.takes)


METHODS: dict[str, Method] = {
    "LoadVoice": Method((("voice", "s"),)),
    "UseVoice": Method((("voice", "s"), ("controls", "a{sv}"))),
    "ListVoices": Method((), (("voices", "aa{sv}"),)),
    "ImportVoice": Method((("path", "s"), ("options", "a{sv}")), (("job", "u"),)),
    "RemoveVoice": Method((("voice", "s"),)),
    "CancelJob": Method((("job", "u"),)),
    "SetControls": Method((("controls", "a{sv}"),)),
    "ResetControls": Method(),
    "ResetLatency": Method(),
    "GetStatistics": Method((), (("statistics", "a{sv}"),)),
    "ListInputs": Method((), (("inputs", "aa{sv}"),)),
    "WatchLevels": Method((("on", "b"),)),
    "Quit": Method(),
}

# properties one may set: the controls, and three more
WRITABLE: dict[str, str] = {
    **{dbus_name(name): row.dbus_type for name, row in ROWS.items()},
    "Mode": "s",
    "Input": "s",
    "InputChannel": "s",
}
READABLE: dict[str, str] = {
    "Voice": "s",
    "Loading": "s",
    "Microphone": "s",
    "State": "s",
    "Device": "s",
    "LatencyMs": "d",
    "Load": "d",
    "Listeners": "u",
    "Xruns": "t",
    "Underruns": "t",
    "Version": "s",
}
PROPERTIES: dict[str, str] = {**WRITABLE, **READABLE}

SIGNALS: dict[str, Arguments] = {
    "Fault": (("code", "s"), ("message", "s")),
    "JobProgress": (("job", "u"), ("fraction", "d")),
    "JobDone": (("job", "u"), ("ok", "b"), ("result", "s")),
    "Levels": (("in_db", "d"), ("out_db", "d")),
}

# what the dictionaries of ListVoices, ListInputs and GetStatistics hold
VOICE: dict[str, str] = {
    "id": "s",
    "name": "s",
    "kind": "s",
    "rate": "u",
    "f0": "b",
    "version": "s",
    "speakers": "u",
    "size": "t",
    "origin": "s",
    "embedder": "s",
    "index_vectors": "u",
    "notes": "as",
}
INPUT: dict[str, str] = {"name": "s", "description": "s", "default": "b", "current": "b", "channels": "u"}
STATISTICS: dict[str, str] = {
    **dict.fromkeys(("cycles", "missed_cycles", "late_cycles", "xruns", "underruns", "overruns", "retargets"), "t"),
    **dict.fromkeys(("silence_samples", "skipped_samples"), "t"),
    **dict.fromkeys(("callback_p50_us", "callback_p999_us", "callback_max_us", "level_in_db", "level_out_db"), "d"),
    **dict.fromkeys(("rate_hz", "quantum_samples", "block_samples"), "u"),
    **dict.fromkeys(("latency_input_ms", "latency_block_ms", "latency_voice_ms", "latency_slack_ms"), "d"),
    **dict.fromkeys(("latency_output_ms", "latency_total_ms"), "d"),
    **dict.fromkeys(("compute_p50_ms", "compute_p95_ms", "compute_max_ms", "load_ratio"), "d"),
    "latency_note": "s",
    "engine_pid": "u",
    "engine_restarts": "t",
    "microphone_stalls": "t",
    "engine_resident_mb": "d",
    "pitch_in_hz": "d",
    "pitch_out_hz": "d",
    "uptime_s": "d",
    "scheduling": "s",
    "server": "s",
    "client_name": "s",
    "input_node": "s",
    "input_note": "s",
    "unlinked": "s",
    "input_channel": "s",
    "silence_cause": "s",
    "silence_message": "s",
    "fault_code": "s",
    "fault_message": "s",
    "last_fault_code": "s",
    "last_fault_message": "s",
    "last_fault_age_s": "d",
    "daemon_pid": "u",
    "capturing": "b",
    "volume_put_back": "t",
}


def dictionary(values: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, Variant]:
    """`values` as an a{sv}; a key without a known type is a bug of ours."""
    return {
        key: Variant(kinds[key], list(value) if isinstance(value, tuple) else value) for key, value in values.items()
    }


def sendable(value: Any) -> Any:
    """Returns `value` with every text in it as D-Bus carries it: UTF-8 without NUL, U+FFFD in place of all else.

    Names of files and nodes are bytes of anybody's choice. dbus-next cannot encode a lone surrogate, and the bus
    hangs up on whoever sends NUL.
    """
    if isinstance(value, str):
        return UNSENDABLE.sub("\ufffd", value)
    if isinstance(value, Variant):
        return Variant(value.signature, sendable(value.value))
    if isinstance(value, dict):
        return {sendable(key): sendable(item) for key, item in value.items()}
    return [sendable(item) for item in value] if isinstance(value, list) else value


def plain(value: Any) -> Any:
    """What came over the bus, with every Variant taken off."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def guessed(value: Any) -> Variant:
    """A Variant for a value whose type only Python knows: options and controls on their way to the daemon."""
    if isinstance(value, bool):
        return Variant("b", value)
    if isinstance(value, int):
        return Variant("x", value)
    if isinstance(value, list):
        return Variant("as", value)
    return Variant("d", value) if isinstance(value, float) else Variant("s", str(value))


_DOCTYPE = """<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
"""
_STANDARD = """  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="machine" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface" type="s" direction="in"/>
      <arg name="property" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface" type="s" direction="in"/>
      <arg name="property" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <method name="GetAll">
      <arg name="interface" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface" type="s"/>
      <arg name="changed" type="a{sv}"/>
      <arg name="invalidated" type="as"/>
    </signal>
  </interface>
"""


def introspection() -> str:
    """The XML that `Introspect` answers with; the same text is shipped as `dbus/org.rwc.Daemon1.xml`."""
    lines = [f'  <interface name="{INTERFACE}">']
    for name, method in METHODS.items():
        args = _args(method.takes, "in") + _args(method.gives, "out")
        lines += _element("method", name, args)
    for name, kind in PROPERTIES.items():
        access = "readwrite" if name in WRITABLE else "read"
        lines.append(f'    <property name="{name}" type={quoteattr(kind)} access="{access}"/>')
    for name, arguments in SIGNALS.items():
        lines += _element("signal", name, _args(arguments))
    return _DOCTYPE + f'<node name="{PATH}">\n' + "\n".join(lines) + "\n  </interface>\n" + _STANDARD + "</node>\n"


def _args(arguments: Arguments, direction: str = "") -> list[str]:
    way = f' direction="{direction}"' if direction else ""
    return [f'      <arg name="{name}" type={quoteattr(kind)}{way}/>' for name, kind in arguments]


def _element(tag: str, name: str, args: list[str]) -> list[str]:
    if not args:
        return [f'    <{tag} name="{name}"/>']
    return [f'    <{tag} name="{name}">', *args, f"    </{tag}>"]
