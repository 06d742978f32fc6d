"""The doctor looks at the audio side: servers, libjack, the node."""

from __future__ import annotations

from typing import Any

from rwc_daemon.audio import libjack as jack
from rwc_daemon.audio.holder import DESCRIPTION, NODE
from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Finding, answer
from rwc_daemon.errors import MissingPackage, NoAudioServer


def servers() -> list[Finding]:
    core, pulse = answer("pw-cli", "info", "0"), _pulse()
    found = []
    if core is not None:
        found.append(Finding("pipewire", GOOD, f"PipeWire {_version_in(answer('pipewire', '--version'))}"))
        found.append(_session_manager())
    if pulse:
        info = pulse["server"]
        name = info.server_name if "PipeWire" not in info.server_name else f"pipewire-pulse ({info.server_name})"
        found.append(Finding("pulse", GOOD, name))
    if core is not None and not pulse:
        fix = "install pipewire-pulse, then: systemctl --user enable --now pipewire-pulse.socket"
        found.append(Finding("pulse", BAD, "PipeWire runs without pipewire-pulse: most programs see no source", fix))
    if core is None and not pulse and not jack.jackd_runs():
        fix = "on a desktop: systemctl --user start pipewire wireplumber pipewire-pulse; elsewhere: ./tools/start"
        found.append(Finding("server", BAD, "no audio server answers", fix))
    elif core is None and not pulse:
        found.append(Finding("server", NOTE, "JACK alone: only JACK programs can record rwc:output"))
    return found


def libjack() -> list[Finding]:
    """Whether the libjack of the server that runs can be loaded, as the daemon would do it."""
    if not jack.pipewire_runs() and not jack.jackd_runs():
        return []
    try:
        return [Finding("libjack", GOOD, f"the one of {jack.load().server}")]
    except (NoAudioServer, MissingPackage) as no:
        text, _, fix = str(no).partition(": ")
        return [Finding("libjack", BAD, text, fix)]


def microphone() -> list[Finding]:
    """The node, as an application would see it."""
    pulse = _pulse()
    if not pulse:
        return []
    nodes = [source for source in pulse["sources"] if source.name == NODE]
    if not nodes:
        fix = "start the daemon (./tools/start); on a desktop also: systemctl --user status rwc-mic"
        return [Finding("node", BAD, f"no source '{NODE}': applications do not see {DESCRIPTION}", fix)]
    alike = [source for source in pulse["sources"] if source.description == DESCRIPTION]
    if len(alike) > 1:
        names = ", ".join(source.name for source in alike)
        fix = "stop what made the other one: `pactl list short modules` shows modules"
        return [Finding("node", BAD, f"{len(alike)} sources are named {DESCRIPTION}: {names}", fix)]
    muted = nodes[0].mute or nodes[0].volume.value_flat == 0
    if muted:
        fix = f"pactl set-source-mute {NODE} 0; pactl set-source-volume {NODE} 100%"
        return [Finding("node", BAD, f"{DESCRIPTION} is muted or at volume 0 in the mixer", fix)]
    volume = f"volume {100 * nodes[0].volume.value_flat:.0f} %"
    return [Finding("node", GOOD, f"{nodes[0].description}, {nodes[0].channel_count} channel, {volume}")]


def _pulse() -> dict[str, Any] | None:
    """Server, sources: what the pulse server answers now; None where none does."""
    import pulsectl

    try:
        with pulsectl.Pulse("rwc-doctor", connect=False) as pulse:
            pulse.connect(autospawn=False)
            return {"server": pulse.server_info(), "sources": pulse.source_list()}
    except pulsectl.PulseError:
        return None


def _session_manager() -> Finding:
    manager = answer("wireplumber", "--version")
    if answer("pw-metadata", "0") is None or manager is None:
        fix = "systemctl --user start wireplumber"
        return Finding("session", NOTE, "WirePlumber was not found; another session manager must link sources", fix)
    return Finding("session", GOOD, f"WirePlumber {_version_in(manager)}")


def _version_in(text: str | None) -> str:
    """The last word of the line that names the library in use: "Linked with libpipewire 0.3.65" → "0.3.65"."""
    lines = [line for line in (text or "").splitlines() if line.startswith("Linked")]
    return lines[0].split()[-1] if lines else "of unknown version"
