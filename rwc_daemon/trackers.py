"""The pitch trackers, a row each. A new one is a module of `voices/f0/` and a row here: settings, D-Bus, the doctor and
the ladder of quality follow (docs/extending.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackerRow:
    """What is known of a tracker before it is loaded."""

    module: str
    """Below `rwc_daemon.voices.f0`; imported when the tracker is opened."""
    make: str
    """What in it makes one: called without arguments, or as (path, device, dtype) where there are weights."""
    package: str = ""
    """The optional package that it needs, by its name in `extras.OPTIONAL`."""
    weights: bool = False
    """A net: it needs the asset of its own name."""
    lighter: tuple[str, ...] = ("yin",)
    """What takes its place on a machine that is too slow, one after the other."""
    grid_frames: int = 0
    """It works on a whole number of so many frames (10 ms each) less one: live windows are made to fit; 0: on any."""


TRACKERS: dict[str, TrackerRow] = {
    "rmvpe": TrackerRow("rmvpe", "Rmvpe.load", "torch", weights=True, lighter=("fcpe", "yin"), grid_frames=32),
    "fcpe": TrackerRow("fcpe", "Fcpe.load", "torch", weights=True),
    "crepe": TrackerRow("crepe", "Crepe.load", "torch", weights=True, lighter=("fcpe", "yin")),
    "crepe-tiny": TrackerRow("crepe", "Crepe.load_tiny", "torch", weights=True),
    "harvest": TrackerRow("world", "Harvest", "pyworld", lighter=("fcpe", "yin")),
    "dio": TrackerRow("world", "Dio", "pyworld"),
    "pm": TrackerRow("praat", "Praat", "praat-parselmouth"),
    "yin": TrackerRow("yin", "Yin", lighter=()),
    "autocorrelation": TrackerRow("autocorrelation", "Autocorrelation", lighter=()),
}
AUTO = ("rmvpe", "fcpe", "harvest", "yin")
"""What "auto" takes: the first that can be had."""
