"""`rwcctl watch`: the live view on a terminal, one line a second into a pipe, one JSON object a second with --json."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rwc_daemon.faces.cli.duration import seconds
from rwc_daemon.faces.cli.remote import RunningDaemon, connected
from rwc_daemon.faces.cli.status import gather

REFRESH_S = 0.1
FIGURES_S = 0.5  # statistics change once a second
PEAK_FALL_DB_PER_S = 20.0
SILENT_DB = -90.0


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "watch",
        description="Live view of levels, pitch in and out, latency parts, load and counters, until Ctrl+C. "
        "Into a pipe, one line a second; with --json, one JSON object a second.",
    )
    parser.add_argument("--seconds", type=seconds, metavar="N", help="stop by itself after N seconds")


def run(args: argparse.Namespace) -> int:
    end = time.monotonic() + args.seconds if args.seconds else float("inf")
    with connected() as daemon, levels_wanted(daemon):
        if args.json or not sys.stdout.isatty():
            return stream(daemon, end, as_json if args.json else as_line)
        return live(daemon, end)


def stream(daemon: RunningDaemon, end: float, said: Callable[[dict[str, Any]], str]) -> int:
    for levels in moments(daemon, end, every_s=1.0):
        print(said({**gather(daemon), "levels": levels}), flush=True)
    return 0


def as_json(report: dict[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False)


def as_line(report: dict[str, Any]) -> str:
    """One moment in one line: "live deep  in -21.0 dB  out -18.2 dB  pitch 118 > 83 Hz  23.4 ms  load 13 %"."""
    statistics, levels = report["statistics"], report["levels"]
    pitch = " > ".join(f"{statistics.get(f'pitch_{side}_hz', 0.0):.0f}" for side in ("in", "out"))
    parts = [
        f"{report['state']} {report['voice'] or 'no voice yet'}",
        f"in {levels['in_db']:.1f} dB",
        f"out {levels['out_db']:.1f} dB",
        f"pitch {pitch} Hz",
        f"{report['latency_ms']:.1f} ms",
        f"load {100 * report['load']:.0f} %",
        f"underruns {report['underruns']}",
    ]
    if report["mode"] != "convert":
        parts.insert(1, f"mode {report['mode']}")
    return "  ".join([*parts, *filter(None, [report["fault"]["message"]])])


def live(daemon: RunningDaemon, end: float) -> int:
    from rich.console import Console
    from rich.live import Live

    from rwc_daemon.faces.cli.watch_view import view

    report, asked = gather(daemon), time.monotonic()
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        for levels in moments(daemon, end, every_s=REFRESH_S):
            if time.monotonic() - asked >= FIGURES_S:
                report, asked = gather(daemon), time.monotonic()
            screen.update(view(report, levels, console.size), refresh=True)
    return 0


@contextmanager
def levels_wanted(daemon: RunningDaemon) -> Iterator[None]:
    """The daemon measures levels and pitch only while somebody looks."""
    daemon.bus.listen()
    daemon.call("WatchLevels", True)
    try:
        yield
    finally:
        daemon.call("WatchLevels", False)


def moments(daemon: RunningDaemon, end: float, every_s: float) -> Iterator[dict[str, float]]:
    """The newest levels, every so often; falling slowly where none come, as meters do."""
    levels = {"in_db": SILENT_DB, "out_db": SILENT_DB}
    shown = time.monotonic()
    while (now := time.monotonic()) < end:
        event = daemon.bus.next_event(max(0.0, shown + every_s - now))
        if event and event.signal == "Levels":
            levels = {
                name: max(float(new), levels[name] - PEAK_FALL_DB_PER_S * REFRESH_S)
                for name, new in zip(levels, event.values, strict=True)
            }
        if time.monotonic() >= shown + every_s:
            shown = time.monotonic()
            yield dict(levels)
