"""The controls that one turns while live. A control is one row: a field of `Controls`, with all that is said of it.

D-Bus property, `rwcctl`, the Python face, saved state and what a voice remembers are read from the rows. `Controls` is
what a conversion reads between two blocks. `parse`, `parsed` and `changed` are the border: they take what a user or a
D-Bus client gave and answer with checked values, or raise and change nothing.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from rwc_daemon.errors import NoSuchControl, OutOfRange
from rwc_daemon.trackers import TRACKERS

F0_METHODS = ("auto", *TRACKERS)
F0_GAPS = ("zero", "fill")
QUALITIES = ("low", "balanced", "high")
MODES = ("convert", "mute", "bypass")  # what RWC Mic plays: in the order of the enum in link/ring.h


@dataclass(frozen=True)
class ControlRow:
    """What is said of a control, beside its name and the value with which it starts."""

    doc: str
    """What it does, for people."""
    low: float = 0.0
    high: float = 0.0
    unit: str = ""
    whole: bool = False
    """Only whole numbers."""
    choices: tuple[str, ...] = ()
    """The words that it may be; empty for a number."""
    remembered: bool = False
    """Each imported voice has its own; all others belong to the user."""
    fixed: bool = False
    """A voice's nets are laid out for it: a change loads the voice again, beside the playing one."""
    command: str = ""
    """Its own command of `rwcctl`, if it has one; also a short name of the control."""
    called: str = ""
    """With `command`: how the list of commands calls it."""
    python: str = ""
    """Its name in the Python face, where that is another one."""

    @property
    def dbus_type(self) -> str:
        return "s" if self.choices else "u" if self.whole else "d"


def number(start: float, low: float, high: float, unit: str, doc: str, **more: Any) -> Any:
    """A control that is a number from `low` to `high`."""
    return field(default=start, metadata={"row": ControlRow(doc, low, high, unit, **more)})


def choice(start: str, choices: tuple[str, ...], doc: str, **more: Any) -> Any:
    """A control that is one of some words."""
    return field(default=start, metadata={"row": ControlRow(doc, choices=choices, **more)})


@dataclass(frozen=True)
class Controls:
    """One setting of all controls."""

    pitch: float = number(
        0.0, -24, 24, "semitones", "moves the pitch",
        remembered=True, command="pitch", called="the pitch shift", python="pitch_shift",
    )  # fmt: skip
    formant: float = number(
        0.0, -12, 12, "semitones", "moves the formants: smaller or larger speaker",
        remembered=True, command="formant", called="the formant shift", python="formant_shift",
    )  # fmt: skip
    """The spectral envelope moves by 2^(formant/12)."""
    index_rate: float = number(0.75, 0, 1, "share", "how much of the voice's own index is mixed in", remembered=True)
    protect: float = number(0.33, 0, 0.5, "share", "guards unvoiced consonants from the index; 0.5 is off")
    envelope: float = number(0.75, 0, 1, "share", "0 keeps the voice's loudness, 1 follows yours")
    """1 - rms_mix_rate of other programs."""
    gate_db: float = number(-60.0, -90, 0, "dB", "quieter input counts as silence; -90 is off")
    """dB full scale."""
    input_gain_db: float = number(0.0, -30, 30, "dB", "louder or softer before conversion")
    output_gain_db: float = number(0.0, -30, 30, "dB", "louder or softer after conversion")
    volume_db: float = number(
        0.0, -30, 12, "dB", "volume of RWC Mic, which other programs cannot change",
        command="volume", called="the volume of RWC Mic",
    )  # fmt: skip
    """RWC Mic's volume in the mixer is held at 100 %."""
    speaker: int = number(
        0, 0, 65535, "number", "which speaker of a voice with several", whole=True, remembered=True, fixed=True
    )
    f0_method: str = choice("auto", F0_METHODS, "how the pitch is tracked", remembered=True, fixed=True)
    f0_gaps: str = choice(
        "zero", F0_GAPS, "pitch of unvoiced sounds: none, or filled for voices that expect that", remembered=True
    )
    """Unvoiced frames: 0 Hz, or filled with their neighbours' pitch (some voices trained since 2026 expect that)."""
    quality: str = choice("balanced", QUALITIES, "better sound, or less latency and work", fixed=True)

    @property
    def louder_db(self) -> float:
        """The voice's gain and RWC Mic's volume, both before the limiter: neither can overdrive a recorder."""
        return self.output_gain_db + self.volume_db


ROWS: dict[str, ControlRow] = {one.name: one.metadata["row"] for one in fields(Controls)}
NAMES = tuple(ROWS)
NUMBERS = {name: row for name, row in ROWS.items() if not row.choices}
CHOICES = {name: row.choices for name, row in ROWS.items() if row.choices}
REMEMBERED = tuple(name for name, row in ROWS.items() if row.remembered)
FIXED = tuple(name for name, row in ROWS.items() if row.fixed)
SHORT = {row.command: name for name, row in ROWS.items() if row.command}
BY_PYTHON_NAME = {row.python or name: name for name, row in ROWS.items()}


def known_name(name: str) -> str:
    """`gate-db`, `GateDb` or `gate_db` → `gate_db`; raises NoSuchControl with the nearest name."""
    plain = name.replace("-", "_")
    snake = "".join("_" + c.lower() if c.isupper() else c for c in plain).lstrip("_").replace("__", "_")
    snake = SHORT.get(snake, snake)
    if snake in NAMES:
        return snake
    near = difflib.get_close_matches(snake, NAMES, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "known: " + ", ".join(NAMES)
    raise NoSuchControl(f"no control '{name}': {hint}")


def dbus_name(name: str) -> str:
    """`gate_db` → `GateDb`, the property on the bus."""
    return "".join(part.capitalize() for part in name.split("_"))


def parse(name: str, value: Any) -> float | int | str:
    """The value of one control, checked. Numbers may come as text. Raises NoSuchControl or OutOfRange."""
    name = known_name(name)
    row = ROWS[name]
    if row.choices:
        if value not in row.choices:
            raise OutOfRange(f"{name} is one of {', '.join(row.choices)}; not '{value}'")
        return str(value)
    try:
        found = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not row.low <= found <= row.high or (row.whole and found != int(found)):
        kind = "a whole number" if row.whole else "a number"
        raise OutOfRange(f"{name} is {kind} from {row.low:g} to {row.high:g} {row.unit}; not '{value}'")
    return int(found) if row.whole else found


def parsed(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """All of `wanted` by its names here, checked. Raises NoSuchControl or OutOfRange."""
    return {known_name(name): parse(name, value) for name, value in wanted.items()}


def changed(controls: Controls, wanted: Mapping[str, Any]) -> Controls:
    """All of `wanted` set at once, or nothing: raises before anything is changed."""
    return replace(controls, **parsed(wanted))


def to_dict(controls: Controls) -> dict[str, float | int | str]:
    return asdict(controls)


def turned(controls: Controls, start: Controls | None = None) -> str:
    """Returns the controls that are not where they start, in words: "pitch -5, speaker 1"."""
    defaults = to_dict(start or Controls())
    other = {name: value for name, value in to_dict(controls).items() if value != defaults[name]}
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in other.items()
    )
