"""`rwcctl bench`: how fast the voices are on this machine, and how the audio callback fared."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rwc_daemon.errors import RwcError
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.duration import seconds
from rwc_daemon.faces.cli.remote import connected

if TYPE_CHECKING:
    from rwc_daemon.voices.base import Samples, Voice

RATE, QUANTUM = 48000, 128
WARM_BLOCKS = 5  # the first blocks fill caches and are not what a call sounds like
CALLBACK = (
    "cycles",
    "missed_cycles",
    "late_cycles",
    "callback_p50_us",
    "callback_p999_us",
    "callback_max_us",
    "underruns",
)


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "bench",
        description="Converts the demo's sentence with each voice, block by block as live: time per block, share of "
        "real time, delay. Beside it the callback timing of the running daemon, if one runs.",
    )
    parser.add_argument("voices", metavar="VOICE", nargs="*", help="only these (default: all)")
    parser.add_argument("--seconds", type=seconds, default=5.0, metavar="N", help="of sound per voice (default 5)")
    parser.add_argument("--quantum", type=int, default=QUANTUM, metavar="N", help="samples per cycle (default 128)")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu or cuda (default auto)")


def run(args: argparse.Namespace) -> int:
    report = {"rate_hz": RATE, "quantum_samples": args.quantum, "voices": [], "callback": callback()}
    for row in measured(args):
        report["voices"].append(row)
    if args.json:
        show.as_json(report)
    else:
        write(report)
    return 0 if any("load" in row for row in report["voices"]) else 1


def measured(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per voice; a voice that cannot be loaded gives the reason."""
    from rwc_daemon.faces.sentence import sentence
    from rwc_daemon.host import paths
    from rwc_daemon.voices.repository import VoiceRepository

    repository = VoiceRepository(paths.data_dir())
    speech = sentence(RATE)
    for name in args.voices or [voice.id for voice in repository.list()]:
        try:
            yield {"voice": name, **timed(repository.load(name, args.device), speech, args)}
        except RwcError as no:
            if args.voices:
                raise
            yield {"voice": name, "why_not": str(no)}


def timed(voice: Voice, speech: Samples, args: argparse.Namespace) -> dict[str, Any]:
    """Times of one voice over `args.seconds` of sound, as the engine would run it."""
    import numpy as np

    from rwc_daemon.controls import Controls
    from rwc_daemon.conversion.stream import Stream
    from rwc_daemon.plan import Plan

    plan = Plan.fit(RATE, args.quantum, voice.block)
    stream = Stream(voice, plan, Controls())
    blocks = max(WARM_BLOCKS + 1, round(args.seconds * RATE / plan.block))
    sound = np.resize(speech, blocks * plan.block)
    spent = []
    for n in range(blocks):
        begin = time.perf_counter()
        stream.feed(sound[n * plan.block : (n + 1) * plan.block])
        spent.append(1000 * (time.perf_counter() - begin))
    kept = np.array(spent[WARM_BLOCKS:])
    block_ms = plan.ms(plan.block)
    return {
        "block_ms": block_ms,
        "delay_ms": plan.ms(plan.playout + stream.delay),
        "p50_ms": float(np.percentile(kept, 50)),
        "p95_ms": float(np.percentile(kept, 95)),
        "max_ms": float(kept.max()),
        "load": float(kept.mean() / block_ms),
    }


def callback() -> dict[str, Any]:
    """The daemon's own figures; empty where none runs."""
    try:
        with connected() as daemon:
            statistics = daemon.statistics()
    except RwcError:
        return {}
    return {name: statistics.get(name, 0) for name in CALLBACK}


def write(report: dict[str, Any]) -> None:
    print(f"{RATE} Hz, quantum {report['quantum_samples']}; times per block in ms\n")
    figures = ("block_ms", "p50_ms", "p95_ms", "max_ms")
    rows = [
        (
            row["voice"],
            *(f"{row[name]:.2f}" for name in figures),
            f"{100 * row['load']:.1f} %",
            f"{row['delay_ms']:.1f} ms",
        )
        for row in report["voices"]
        if "load" in row
    ]
    show.table(("voice", "block", "p50", "p95", "max", "load", "delay"), rows)
    for row in report["voices"]:
        if "why_not" in row:
            print(f"{row['voice']}: {row['why_not']}")
    print()
    figures_of = report["callback"]
    if not figures_of.get("cycles"):
        print(
            "callback: no figures (no daemon runs, or nobody has recorded yet); tools/bench_callback measures it alone"
        )
        return
    show.line(
        "callback",
        "p50 {callback_p50_us:.1f} µs, p99.9 {callback_p999_us:.1f} µs, max {callback_max_us:.1f} µs".format(
            **figures_of
        ),
    )
    show.line(
        "cycles",
        "{cycles} served, {missed_cycles} missed, {late_cycles} late, {underruns} underruns".format(**figures_of),
    )
