"""The controls that one turns while live: names, ranges, units, written once.

`Controls` is what a conversion reads between two blocks. `parse` and `changed` are the border: they take what a user or
a D-Bus client gave and answer with a whole new `Controls`, or raise and change nothing.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from rwc_daemon.errors import NoSuchControl, OutOfRange
from rwc_daemon.trackers import TRACKERS

F0_METHODS = ("auto", *TRACKERS)
F0_GAPS = ("zero", "fill")
QUALITIES = ("low", "balanced", "high")
MODES = ("convert", "mute", "bypass")  # what RWC Mic plays: in the order of the enum in link/ring.h


@dataclass(frozen=True)
class Controls:
    """One setting of all controls; the unit stands under each field."""

    pitch: float = 0.0
    """Semitones."""
    formant: float = 0.0
    """Semitones: the spectral envelope moves by 2^(formant/12)."""
    index_rate: float = 0.75
    """Share of retrieved features, 0 … 1."""
    protect: float = 0.33
    """Share of retrieval kept in unvoiced frames, 0 … 0.5 (0.5: protection off)."""
    envelope: float = 0.75
    """0: the voice's own loudness, 1: loudness follows the input (1 - rms_mix_rate of other programs)."""
    gate_db: float = -60.0
    """dB full scale below which the input counts as silence; -90: off."""
    input_gain_db: float = 0.0
    output_gain_db: float = 0.0
    volume_db: float = 0.0
    """Of RWC Mic: its volume in the mixer is held at 100 %."""
    speaker: int = 0
    """Which speaker of a voice that holds several."""
    f0_method: str = "auto"
    f0_gaps: str = "zero"
    """Unvoiced frames: 0 Hz, or filled with their neighbours' pitch (some voices trained since 2026 expect that)."""
    quality: str = "balanced"

    @property
    def louder_db(self) -> float:
        """The voice's gain and RWC Mic's volume, both before the limiter: neither can overdrive a recorder."""
        return self.output_gain_db + self.volume_db


@dataclass(frozen=True)
class Range:
    """What a control may be set to."""

    low: float
    high: float
    unit: str
    doc: str


NUMBERS: dict[str, Range] = {
    "pitch": Range(-24, 24, "semitones", "moves the pitch"),
    "formant": Range(-12, 12, "semitones", "moves the formants: smaller or larger speaker"),
    "index_rate": Range(0, 1, "share", "how much of the voice's own index is mixed in"),
    "protect": Range(0, 0.5, "share", "guards unvoiced consonants from the index; 0.5 is off"),
    "envelope": Range(0, 1, "share", "0 keeps the voice's loudness, 1 follows yours"),
    "gate_db": Range(-90, 0, "dB", "quieter input counts as silence; -90 is off"),
    "input_gain_db": Range(-30, 30, "dB", "louder or softer before conversion"),
    "output_gain_db": Range(-30, 30, "dB", "louder or softer after conversion"),
    "volume_db": Range(-30, 12, "dB", "volume of RWC Mic, which other programs cannot change"),
    "speaker": Range(0, 65535, "number", "which speaker of a voice with several"),
}
CHOICES: dict[str, tuple[str, ...]] = {"f0_method": F0_METHODS, "f0_gaps": F0_GAPS, "quality": QUALITIES}
SHORT = {"volume": "volume_db"}  # `rwcctl volume` and `rwcctl set volume`
NAMES: tuple[str, ...] = tuple(field.name for field in fields(Controls))


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
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise OutOfRange(f"{name} is one of {', '.join(CHOICES[name])}; not '{value}'")
        return str(value)
    span = NUMBERS[name]
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    whole = name == "speaker"
    if not span.low <= number <= span.high or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise OutOfRange(f"{name} is {kind} from {span.low:g} to {span.high:g} {span.unit}; not '{value}'")
    return int(number) if whole else number


def changed(controls: Controls, wanted: Mapping[str, Any]) -> Controls:
    """All of `wanted` set at once, or nothing: raises before anything is changed."""
    values: dict[str, Any] = {known_name(name): parse(name, value) for name, value in wanted.items()}
    return replace(controls, **values)


def to_dict(controls: Controls) -> dict[str, float | int | str]:
    return asdict(controls)
