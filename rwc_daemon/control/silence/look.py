"""What the graph says of the way of the sound: the part of `Observed` that daemon and doctor both see."""

from __future__ import annotations

from rwc_daemon.audio.graph import Graph
from rwc_daemon.audio.mixer import UNPLUGGED, Mixer
from rwc_daemon.control.silence.observed import Observed, ObservedRecorder


def look(graph: Graph, input_name: str) -> Observed:
    """`input_name`: node.name of the microphone that feeds RWC Mic, or would."""
    microphone, feeding = graph.microphone, graph.node(input_name) if input_name else None
    mixer = feeding.mixer if feeding else Mixer()
    readers = [reader for reader in graph.readers_of(microphone) if not reader.meter] if microphone else []
    return Observed(
        microphone=microphone.mixer if microphone else None,
        input=feeding.name if feeding else "",
        input_description=feeding.description if feeding else "",
        input_mixer=mixer,
        jack=_unplugged(graph, mixer),
        recorders=tuple(ObservedRecorder(reader.description or reader.name, reader.mixer) for reader in readers),
    )


def _unplugged(graph: Graph, mixer: Mixer) -> str:
    """The card's way in that this node records, where nothing is plugged into it; empty: all is well."""
    for jack in graph.jacks.get(mixer.card, ()):
        if jack.port_of_card == mixer.port_of_card and jack.available == UNPLUGGED:
            return jack.description or "the microphone's plug"
    return ""
