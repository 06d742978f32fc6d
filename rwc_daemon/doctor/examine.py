"""One report of everything RWC stands on: what was found, whether it is well, and how to fix it.

`examine` needs no daemon. What only a running daemon knows (properties and statistics of the contract) is handed in by
the face that asks, since the bus is its business.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rwc_daemon.audio.microphone import UNSERVED
from rwc_daemon.doctor import audio, disk, graph, host, programs, services, silence, voices
from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Asked, Finding
from rwc_daemon.host import paths


def examine(asked: Asked) -> list[Finding]:
    """The whole report, from the ground up."""
    config = paths.config_file()
    checks: tuple[Callable[[], list[Finding]], ...] = (
        host.machine,
        host.packages,
        programs.programs,
        lambda: host.gpu(host.wanted_device(config, os.environ), voices.device_of_nets(asked)),
        lambda: host.realtime(asked.get("scheduling", ""), asked.get("daemon_pid", 0)),
        host.rttime,
        disk.room,
        lambda: host.settings(config, os.environ),
        lambda: disk.damaged(paths.state_dir()),
        audio.servers,
        audio.libjack,
        services.services,
        lambda: services.standby(config.parent.parent),
        services.leftovers,
        audio.microphone,
        lambda: graph.graph(asked, paths.state_dir()),
        lambda: silence.silence(asked.statistics if asked.running else None, paths.state_dir()),
        voices.voices,
        lambda: voices.assets(asked.get("F0Method", "")),
        disk.confinement,
        lambda: daemon(asked),
        lambda: timings(asked),
    )
    return [finding for check in checks for finding in check()]


def to_dict(findings: list[Finding]) -> dict[str, Any]:
    return {"well": all(f.state != BAD for f in findings), "findings": [asdict(finding) for finding in findings]}


def daemon(asked: Asked) -> list[Finding]:
    if not asked.running:
        text, _, fix = asked.why_not.partition(": ")
        return [Finding("daemon", BAD, text, fix)]
    state, voice = asked.get("State"), asked.get("Voice") or "none yet"
    found = [Finding("daemon", BAD if state == "degraded" else GOOD, f"state {state}, pid {asked.get('daemon_pid')}")]
    found.append(
        Finding("voice", GOOD if asked.get("Voice") else NOTE, f"{voice} on {asked.get('Device') or 'no device'}")
    )
    if asked.get("Mode") != "convert":
        fix = "rwcctl mode convert"
        found.append(Finding("mode", NOTE, f"{asked.get('Mode')}: what RWC Mic plays is not converted", fix))
    # the checks of the graph have said these already
    if asked.get("fault_message", "") not in ("", UNSERVED, asked.get("input_note"), asked.get("unlinked")):
        found.append(Finding("fault", BAD, asked.get("fault_message"), "`rwcctl logs` has the whole story"))
    if asked.get("last_fault_message") and asked.get("last_fault_message") != asked.get("fault_message"):
        text = f"{asked.get('last_fault_message')} ({asked.get('last_fault_age_s'):.0f} s ago, over)"
        found.append(Finding("trouble", NOTE, text, "`rwcctl logs` has the whole story"))
    return found


def timings(asked: Asked) -> list[Finding]:
    """Figures of the running daemon, judged."""
    if not asked.get("cycles"):
        return [Finding("timings", NOTE, "none yet: they come when somebody records RWC Mic (try `rwcctl latency`)")]
    rate, quantum = asked.get("rate_hz", 0), asked.get("quantum_samples", 0)
    load, late = asked.get("load_ratio", 0.0), asked.get("late_cycles", 0) + asked.get("missed_cycles", 0)
    p999, underruns = asked.get("callback_p999_us", 0.0), asked.get("underruns", 0)
    total = asked.get("latency_total_ms", 0.0)
    return [
        Finding("graph", GOOD, f"{rate} Hz, quantum {quantum}, callback p99.9 {p999:.0f} µs"),
        Finding("cycles", GOOD if not late else NOTE, f"{asked.get('cycles')} served, {late} late or missed"),
        Finding("latency", GOOD, f"{total:.1f} ms microphone to application"),
        Finding(
            "load",
            BAD if load > 1 else NOTE if load > 0.8 or underruns else GOOD,
            f"{100 * load:.0f} % of real time, {underruns} underruns",
            "a lighter voice, or `rwcctl set quality low`" if load > 0.8 else "",
        ),
    ]
