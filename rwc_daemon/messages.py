"""What the daemon and the engine say to each other, one JSON line a message over a socket pair.

Calls go down (daemon → engine), events go up. Every message is a frozen dataclass; `encode` and `decode` are the only
doors. A line names the stream that it is about, by the number that the daemon gave it; 0 is the engine itself. Both
ends are of one version, so a message that cannot be read is a bug and raises BadMessage.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any


class BadMessage(ValueError):
    """A line that is not one of the messages below."""


ENGINE = 0  # the number of no stream: what is about the whole engine


# ---- down: daemon → engine ----


@dataclass(frozen=True)
class OpenStream:
    """A stream of this number begins; its rings come beside the channel (link/handing.py)."""

    generation: int
    """Of its rings, see `SharedRings.new_generation`."""


@dataclass(frozen=True)
class CloseStream:
    """This stream is over; nothing answers."""


@dataclass(frozen=True)
class Configure:
    """The graph as it is now; the engine plans, starts a fresh stream at the newest sample and answers Planned."""

    rate: int
    """Samples per second."""
    quantum: int
    """Samples per cycle."""
    slack_ms: float = 0.0
    """Converted voice kept ready beyond one quantum."""
    total: int = 0
    """Samples: block, slack and delay together are padded to this; 0: as short as can be."""


@dataclass(frozen=True)
class SetSlack:
    """How much converted voice is kept ready; answered by Planned where it changes anything."""

    number: int
    """Of the Planned that `slack` is about; about an older one it means nothing."""
    slack: int
    """Samples."""
    total: int
    """See Configure; holds whatever the number."""


@dataclass(frozen=True)
class LoadVoice:
    """Load this voice beside the playing one and switch to it; answered by VoiceOn or VoiceFailed."""

    voice: str
    """Its id."""
    controls: dict[str, Any] = field(default_factory=dict)
    """All of `Controls`, with which it begins; empty: as SetControls said before."""
    number: int = 0
    """Counts these; in the answer again."""


@dataclass(frozen=True)
class SetControls:
    controls: dict[str, Any]
    """All of `Controls`, by name."""
    voice: str = ""
    """The id of the voice that they are for; empty: every voice."""


@dataclass(frozen=True)
class Suspend:
    """Nobody listens: drop the stream, keep the weights."""


@dataclass(frozen=True)
class WatchPitch:
    """Somebody looks at levels: put pitch figures into Heartbeat."""

    on: bool


@dataclass(frozen=True)
class Quit:
    pass


# ---- up: engine → daemon ----


@dataclass(frozen=True)
class Ready:
    """The engine runs and waits for OpenStream."""

    pid: int


@dataclass(frozen=True)
class StreamEnded:
    """A stream has ended by an error of its own; the engine and its other streams go on."""

    reason: str


@dataclass(frozen=True)
class VoiceOn:
    """This voice converts from now on (or from the first Configure on)."""

    voice: str
    """Its id."""
    device: str
    """ "cpu", "cuda:0 NVIDIA …"."""
    load_ms: float
    number: int = 0
    """Of the LoadVoice that this answers, also where the voice played before; 0: nobody asked."""
    kind: str = ""
    """A key of `families.FAMILIES`."""


@dataclass(frozen=True)
class VoiceFailed:
    """What was asked cannot be had; what played plays on."""

    voice: str
    code: str
    """A class name of `errors`."""
    message: str
    number: int = 0
    """As in VoiceOn."""


@dataclass(frozen=True)
class Planned:
    """The sizes of the stream that runs now; all samples @host."""

    rate: int
    quantum: int
    block: int
    slack: int
    delay: int
    """What the stream (gate, voice, limiter) holds back."""
    number: int = 0
    """Counts streams."""
    needed: int = 0
    """The part of `slack` that is there for jitter; the rest pads to a constant latency."""
    own: int = 0
    """What `needed` is on a calm machine, before the daemon asked for more."""


@dataclass(frozen=True)
class Heartbeat:
    """Once a second while alive; figures are of the last second."""

    blocks: int
    """Blocks converted."""
    load: float
    """Compute time over audio time, 0 … (above 1: too slow)."""
    compute_p50_ms: float
    compute_p95_ms: float
    compute_max_ms: float
    skipped: int
    """Samples dropped because the engine was behind."""
    resident_mb: float
    pitch_in_hz: float = 0.0
    """0: unvoiced, or nobody watches."""
    pitch_out_hz: float = 0.0
    overloaded: bool = False
    """Computing takes nearly as long as speaking, so slack does not help against what is late."""


@dataclass(frozen=True)
class EngineFault:
    """Something the user should know; the engine goes on (or says it last)."""

    code: str
    message: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class QualityReduced:
    """The overload controller runs something lighter than the user asked for."""

    message: str
    """What and why; empty: all is as asked again."""


@dataclass(frozen=True)
class RequestUnmet:
    """The voice plays as before, because what the user asked of it cannot be had (a tracker that is not there)."""

    code: str = ""
    """A class name of `errors`."""
    message: str = ""
    """Empty: over."""


Message = (
    OpenStream
    | CloseStream
    | Configure
    | SetSlack
    | LoadVoice
    | SetControls
    | Suspend
    | WatchPitch
    | Quit
    | Ready
    | StreamEnded
    | VoiceOn
    | VoiceFailed
    | Planned
    | Heartbeat
    | EngineFault
    | QualityReduced
    | RequestUnmet
)
KINDS: dict[str, type] = {kind.__name__: kind for kind in Message.__args__}
TYPES: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
    "dict[str, Any]": dict,
}


def encode(message: Message, stream: int = ENGINE) -> bytes:
    """One line, with its newline."""
    line = {"is": type(message).__name__, "stream": stream, **asdict(message)}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message in a line, every field of its type; raises BadMessage."""
    return decode_addressed(line)[1]


def decode_addressed(line: bytes) -> tuple[int, Message]:
    """The stream that a line is about, and the message; raises BadMessage."""
    try:
        parts = json.loads(line)
        stream = parts.pop("stream", ENGINE)
        _check(stream, "int")
        message: Message = KINDS[parts.pop("is")](**parts)
        for one in fields(message):
            _check(getattr(message, one.name), str(one.type))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as bad:
        raise BadMessage(f"not a message: {line[:200]!r}") from bad
    return stream, message


def _check(value: object, kind: str) -> None:
    """`kind`: the annotation of a field. Raises TypeError."""
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise TypeError(f"{value!r} is no {kind}")
