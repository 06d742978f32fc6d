"""`rwcctl status`: one screen that says whether RWC Mic works, and if not, why."""

from __future__ import annotations

import argparse
from typing import Any

from rwc_daemon import controls, extras
from rwc_daemon.audio.input_choice import MONITOR
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.remote import RunningDaemon, connected

SILENT_DB = -120.0
PARTS = ("input", "block", "voice", "slack", "output")  # of latency, microphone to application
PROBE = "rwc-probe"  # the client of `rwcctl latency` and `demo`
COUNTERS = ("xruns", "underruns", "overruns", "missed_cycles", "late_cycles", "engine_restarts", "microphone_stalls")
STATES = {
    "starting": ("yellow", "the engine or the server is not ready yet"),
    "idle": ("green", "ready; nobody records RWC Mic"),
    "live": ("green", "somebody records RWC Mic"),
    "degraded": ("red", "RWC Mic plays silence"),
}
MICROPHONES = {
    "loopback": "RWC Mic, in its own holder process",
    "null-sink": "RWC Mic, as a null sink of the pulse server",
    "jack-source": "RWC Mic, as a jack-source of PulseAudio",
    "ports": "no source: only JACK programs can record rwc:output",
}


def add_parser(subparsers: Any) -> None:
    subparsers.add_parser(
        "status", help="state, voice, input, latency", description="What RWC Mic does at this moment."
    )


def run(args: argparse.Namespace) -> int:
    with connected() as daemon:
        report = gather(daemon)
    if args.json:
        show.as_json(report)
    else:
        write(report)
    return 0


def gather(daemon: RunningDaemon) -> dict[str, Any]:
    """Everything the status shows; keys are those of the JSON."""
    have, statistics = daemon.properties(), daemon.statistics()
    return {
        "state": have["State"],
        "voice": have["Voice"],
        "loading": have["Loading"],
        "mode": have["Mode"],
        "input": have["Input"],
        "input_node": statistics.get("input_node", ""),
        "microphone": have["Microphone"],
        "device": have["Device"],
        "listeners": have["Listeners"],
        "latency_ms": have["LatencyMs"],
        "latency": {part: statistics.get(f"latency_{part}_ms", 0.0) for part in PARTS},
        "load": have["Load"],
        "xruns": have["Xruns"],
        "underruns": have["Underruns"],
        "fault": {key: statistics.get(f"fault_{key}", "") for key in ("code", "message")},
        "last_fault": {key: statistics.get(f"last_fault_{key}", "") for key in ("code", "message", "age_s")},
        "controls": {name: have[controls.dbus_name(name)] for name in controls.NAMES},
        "statistics": statistics,
        "version": have["Version"],
        "left_out": extras.left_out(),
    }


def write(report: dict[str, Any]) -> None:
    statistics = report["statistics"]
    colour, meaning = STATES.get(report["state"], ("yellow", ""))
    print(show.paint("RWC Mic", "bold"), show.paint(report["state"], colour), show.paint(f"({meaning})", "dim"))
    show.line("voice", voice_text(report))
    if report["mode"] != "convert":
        show.line("mode", show.paint(mode_text(report["mode"]), "red"))
    show.line("controls", controls_text(report["controls"]))
    show.line("input", input_text(report))
    show.line("levels", levels_text(statistics))
    show.line("listeners", str(report["listeners"]))
    show.line("latency", latency_text(report))
    if statistics.get("latency_note"):
        show.line("", statistics["latency_note"])
    show.line("load", load_text(report))
    show.line("counters", counters_text({**statistics, "xruns": report["xruns"], "underruns": report["underruns"]}))
    show.line("node", MICROPHONES.get(report["microphone"], report["microphone"] or "not there yet"))
    show.line("server", server_text(statistics))
    fault, silence = report["fault"]["message"], statistics.get("silence_message", "")
    if fault:
        show.line("fault", show.paint(fault, "red"))
    if silence and silence != fault:
        show.line("silence", show.paint(silence, "yellow"))
    if report["last_fault"]["message"] not in ("", fault, silence):
        show.line("last trouble", past_text(report["last_fault"]))
    if report["left_out"]:
        show.line("left out", f"{', '.join(report['left_out'])}: could not be installed, `rwcctl doctor` says why")


def past_text(fault: dict[str, Any]) -> str:
    """A fault that is over: "the engine was killed … (12 s ago, over)"."""
    return f"{fault['message']} ({show.duration(fault['age_s'])} ago, over)"


def voice_text(report: dict[str, Any]) -> str:
    text = report["voice"] or "none yet"
    if report["device"]:
        text += f" on {report['device']}"
    return text + (f", loading {report['loading']}" if report["loading"] else "")


def mode_text(mode: str) -> str:
    return {"bypass": "bypass: RWC Mic plays your UNPROCESSED voice", "mute": "mute: RWC Mic is silent"}.get(mode, mode)


def controls_text(values: dict[str, Any]) -> str:
    """Pitch and formant always; the others only where they are not as they start."""
    start = controls.to_dict(controls.Controls())
    shown = [f"pitch {values['pitch']:+g}", f"formant {values['formant']:+g}"]
    for name, value in values.items():
        if name not in ("pitch", "formant") and value != start[name]:
            shown.append(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}")
    return ", ".join(shown)


def input_text(report: dict[str, Any]) -> str:
    chosen, node, statistics = report["input"], report["input_node"], report["statistics"]
    follows = chosen in ("", "default")
    if node == PROBE:
        return f"{PROBE} (a measurement), then {'the default source' if follows else chosen} again"
    note = statistics.get("input_note", "")
    if not node:
        return note or "none is known yet"
    side = statistics.get("input_channel")
    text = node + (f", {'both channels mixed' if side == 'mix' else side + ' channel'}" if side else "")
    if not note:
        monitor = "what this output plays, no microphone" if chosen.endswith(MONITOR) else ""
        note = "the default source" if follows else monitor
    text += f" ({note})" if note else ""
    return text if statistics.get("capturing") else f"{text}, opened when somebody records"


def levels_text(statistics: dict[str, Any]) -> str:
    """Peaks of the last second, in and out."""
    if not statistics.get("capturing"):
        return "heard once somebody records"
    shown = (level_text(statistics.get(f"level_{way}_db", SILENT_DB)) for way in ("in", "out"))
    return "in {}, out {}".format(*shown)


def level_text(level_db: float) -> str:
    return f"{level_db:.0f} dB" if level_db > SILENT_DB else "digital silence"


def latency_text(report: dict[str, Any]) -> str:
    parts = " + ".join(f"{part} {value:.1f}" for part, value in report["latency"].items())
    if report["latency_ms"] <= 0:
        return "known once somebody records"
    total = show.paint(f"{report['latency_ms']:.1f} ms", "bold")
    return f"{total} = {parts}"


def load_text(report: dict[str, Any]) -> str:
    statistics = report["statistics"]
    text = f"{100 * report['load']:.0f} % of real time"
    if p95 := statistics.get("compute_p95_ms", 0.0):
        text += f" (a block takes {statistics.get('compute_p50_ms', 0.0):.2f} ms, p95 {p95:.2f} ms)"
    return text


def counters_text(statistics: dict[str, Any]) -> str:
    return " · ".join(f"{name.replace('_', ' ')} {statistics.get(name, 0)}" for name in COUNTERS)


def server_text(statistics: dict[str, Any]) -> str:
    server = statistics.get("server") or "none"
    if not statistics.get("rate_hz"):
        return server
    rate, quantum = statistics["rate_hz"], statistics.get("quantum_samples", 0)
    scheduling = statistics.get("scheduling") or "unknown"
    return f"{server}, {rate} Hz, quantum {quantum}, callback scheduled {scheduling}"
