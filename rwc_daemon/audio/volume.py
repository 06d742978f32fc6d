"""RWC Mic's volume in the mixer, held at 100 %.

A browser's or a voice chat's automatic gain turns the volume of its source down, for everybody and for good: at 10 % a
recording is 60 dB softer, since the mixer's volumes are cubic. Only the user may make RWC Mic softer, and for that
there is `rwcctl volume`, which changes the sound itself. `channelmix.lock-volumes` would do it in the node, but
PipeWire 0.3.65 does not know it.
"""

from __future__ import annotations

from collections.abc import Callable

from rwc_daemon.audio.graph import Graph, run_quietly
from rwc_daemon.audio.mixer import UNITY

TOLERANCE = 0.005  # 0.04 dB


def ignore_percent(percent: float) -> None:
    """The `on_held` of a hold that nobody watches."""
    del percent


class VolumeHold:
    """Puts the volume back at once, whoever changed it. A mute is the user's own, and stays."""

    def __init__(self) -> None:
        self.on_held: Callable[[float], None] = ignore_percent
        # called with the percent that somebody had set
        self._held = ""
        # what was put back: the graph shows the old volume for a moment longer

    def look(self, graph: Graph) -> None:
        """Call it at every change of the graph. Blocks for some 10 ms where it acts."""
        node = graph.microphone
        if node is None or abs(node.mixer.volume - UNITY) <= TOLERANCE:
            self._held = ""
            return
        volumes = " ".join([str(UNITY)] * node.mixer.channels)
        run_quietly("pw-cli", "set-param", node.id, "Props", f"{{ channelVolumes: [ {volumes} ] }}")
        held = f"{node.serial} {node.mixer.volume}"
        if held != self._held:
            self._held = held
            self.on_held(node.mixer.percent)
