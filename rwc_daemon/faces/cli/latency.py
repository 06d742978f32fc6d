"""`rwcctl latency`: the delay that is, beside the delay that is claimed."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rwc_daemon.errors import NotReady, Overloaded
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.remote import RunningDaemon, connected
from rwc_daemon.faces.cli.status import PARTS

if TYPE_CHECKING:
    from rwc_daemon.faces.cli.through import Line

LEAST_LIKENESS = 0.5
RESET_S = 0.5  # until the engine has answered and the figure is the new one
SPARE_MS = 400.0  # silence after the bursts, beyond the delay that is claimed
ATTEMPTS = 4  # a busy machine asks for more slack, or loses sound, while it is measured


@dataclass(frozen=True)
class Measured:
    """One measurement."""

    measured_ms: float
    sum_ms: float
    parts_ms: dict[str, float]
    likeness: float
    """Of the envelopes of what was sent and what came back, 0 … 1."""
    quantum_ms: float
    voice: str


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "latency",
        description="Plays noise bursts into the daemon for some seconds, records RWC Mic in the same graph, finds "
        "them again, and shows the delay (ms) beside the sum of the parts that the daemon names. Your microphone is "
        "not heard meanwhile; the input is put back afterwards.",
    )
    parser.add_argument(
        "--reset",
        action="store_true",
        help="measure nothing; give back the latency that was added while the machine was busy",
    )


def run(args: argparse.Namespace) -> int:
    from rwc_daemon.faces.cli.through import open_line, scratch

    if args.reset:
        return reset(args)
    with connected() as daemon, scratch() as folder, open_line(daemon, folder) as line:
        found = measure(daemon, line)
    if args.json:
        show.as_json(asdict(found))
    else:
        write(found)
    return 0


def reset(args: argparse.Namespace) -> int:
    with connected() as daemon:
        daemon.call("ResetLatency")
        time.sleep(RESET_S)
        now_ms, figures = daemon.properties()["LatencyMs"], daemon.statistics()
    if args.json:
        show.as_json({"reset": True, "latency_ms": now_ms})
        return 0
    print(f"The latency is {now_ms:.1f} ms now; it grows again where sound comes too late.")
    if figures["fault_code"] == Overloaded.__name__:
        print(f"It is longer than on a calm machine: {figures['fault_message']}")
    return 0


def measure(daemon: RunningDaemon, line: Line) -> Measured:
    """Raises NotReady where the bursts were not heard, or where the delay never stands still."""
    for _ in range(ATTEMPTS):
        before = daemon.statistics()
        found = attempt(daemon, line)
        if found.likeness >= LEAST_LIKENESS and found.parts_ms == parts_of(before):
            return found
        if found.likeness < LEAST_LIKENESS and daemon.statistics()["underruns"] == before["underruns"]:
            raise NotReady(
                f"the bursts did not come back (likeness {found.likeness:.2f}): RWC Mic is silent or very unlike its "
                "input; see `rwcctl status`, and try `rwcctl use plain` to compare"
            )
    raise NotReady("sound was lost or the delay changed during every measurement: the machine is too busy; try again")


def attempt(daemon: RunningDaemon, line: Line) -> Measured:
    from rwc_daemon.faces.bursts import LONGEST_MS, bursts, delay_between

    claimed_ms = sum(parts_of(daemon.statistics()).values())
    played = bursts(line.rate, tail_ms=min(LONGEST_MS, claimed_ms + SPARE_MS))
    delay = delay_between(played, line.round_trip(played), line.rate)
    statistics, voice = daemon.statistics(), daemon.properties()["Voice"]
    parts = parts_of(statistics)
    quantum_ms = 1000 * statistics["quantum_samples"] / statistics["rate_hz"]
    return Measured(delay.ms, sum(parts.values()), parts, delay.likeness, quantum_ms, voice)


def parts_of(statistics: dict[str, Any]) -> dict[str, float]:
    return {part: statistics.get(f"latency_{part}_ms", 0.0) for part in PARTS}


def write(found: Measured) -> None:
    parts = " + ".join(f"{part} {value:.1f}" for part, value in found.parts_ms.items())
    show.line("voice", found.voice)
    show.line("measured", show.paint(f"{found.measured_ms:.1f} ms", "bold") + f" (likeness {found.likeness:.2f})")
    show.line("sum", f"{found.sum_ms:.1f} ms = {parts}")
    show.line("difference", f"{found.measured_ms - found.sum_ms:+.1f} ms (one quantum is {found.quantum_ms:.1f} ms)")
