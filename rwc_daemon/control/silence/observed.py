"""What is known about the way of the sound, at one moment, and what a cause of silence is."""

from __future__ import annotations

from dataclasses import dataclass, field

from rwc_daemon.audio.mixer import Mixer

FOUND_S = 2.0  # digital silence for so long: what the mixer says of the microphone is the reason
DEAD_S, GONE_S = 6.0, 30.0  # … and from a microphone that has never been heard, that was heard before, it is dead
SOFT_S = 15.0  # so long without a voice at its usual level: longer than most pauses
LOW_PERCENT = 20.0  # 42 dB softer, and more


@dataclass(frozen=True)
class ObservedRecorder:
    """One program that records RWC Mic."""

    name: str
    mixer: Mixer


@dataclass(frozen=True)
class SoundSeen:
    """What came and went lately; s and dB full scale."""

    zero_s: float = 0.0
    """Digital silence has come in for so long."""
    faint_s: float = 0.0
    """… or nothing above -80 dB."""
    soft_s: float = 0.0
    """… or nothing above -30 dB: no voice at its usual level."""
    beside_s: float = 0.0
    """… while the microphone's other channel was well above it."""
    heard_s: float = 0.0
    """So many seconds had some sound in them since this microphone feeds us."""
    gated_s: float = 0.0
    """Nothing above the gate has come in for so long."""
    dumb_s: float = 0.0
    """Digital silence has gone out for so long, while sound came in."""

    @property
    def heard(self) -> bool:
        """This microphone has given sound; more than the click with which a sound card may start."""
        return self.heard_s > FOUND_S


@dataclass(frozen=True)
class Observed:
    """Of RWC Mic, of the microphone that feeds it, of who records it."""

    microphone: Mixer | None = None
    """RWC Mic's own; None: it is not in the graph."""
    mode: str = "convert"
    input: str = ""
    """Node.name of the microphone; empty: there is none."""
    input_description: str = ""
    input_mixer: Mixer = field(default_factory=Mixer)
    jack: str = ""
    """The sound card's way in that is chosen, where nothing is plugged into it or its switch is off."""
    channel: str = "auto"
    side: str = ""
    """ "left", "right", "mix": what of it is used; empty: it has one channel."""
    recorders: tuple[ObservedRecorder, ...] = ()
    gate_db: float = -90.0
    sound: SoundSeen | None = None
    """None: nobody listens now."""

    @property
    def silent_in(self) -> bool:
        """Digital silence comes in, or nobody listens and it would."""
        return self.sound is None or self.sound.zero_s >= FOUND_S

    @property
    def input_name(self) -> str:
        """For people."""
        return f"the microphone '{self.input_description or self.input}'"


@dataclass(frozen=True)
class Cause:
    """Why nothing is heard, in one sentence that says what to do."""

    name: str
    """For programs: "microphone-muted"."""
    message: str
    fault: bool = True
    """False: it may well be wanted, or concerns one program of several."""
