"""Tables of docs/measurements/faults.md, each between marks of its own, from what the fault suites print.

`tools/newer_pipewire` ends in `python -m tools.reliability_doc newer <ROWS`, or `newer_stops`, or `rates`.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from tools.perfdoc import write_section

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "measurements" / "faults.md"
HEAD = (
    "| fault | unprocessed voice (samples) | silence (ms) | clicks | lost cycles | cause lasted (ms) "
    "| RWC Mic back after (ms) | converted voice again after (ms) | delay before / after (ms) "
    "| the user is told |\n|" + "---|" * 10 + "\n"
)
COUNTED = ("cycles", "missed_cycles", "late_cycles", "underruns", "xruns")
RATES = (
    "| PipeWire, WirePlumber | minutes | rounds (from sleep) | recorders at 44.1 / 48 / 96 kHz | heard (s) "
    "| unprocessed samples | first sound, latest (ms) | gaps of 20 ms and more (ms, longest) "
    "| rate changes (most in a second) | stalls cured | left behind: nodes, links, descriptors, threads "
    "| not as it should be |\n|" + "---|" * 12 + "\n"
)
LEFT = ("nodes", "links", "daemon_fds", "daemon_threads")
LOADED = (
    "| scheduling | busy cores | quantum | minutes | cycles | missed | late | underruns | xruns | load "
    "| a plain timer beside it: late of wake-ups, worst (ms) |\n|" + "---|" * 11 + "\n"
)


def write_faults(section: str, rows: Iterable[dict[str, Any]]) -> bool:
    """Replaces one table once all rows are there, which are named on stderr as they come; True: no unprocessed
    voice was heard and all recovered. Without a row nothing is written."""
    told = []
    for row in rows:
        told.append(row)
        print(row.get("fault") or row, row.get("trouble", ""), file=sys.stderr, flush=True)
    faults = [row for row in told if "fault" in row]
    if not faults:
        return False
    write_section(section, _page(told, faults), DOCUMENT)
    return not any(row["unprocessed_samples"] or row["trouble"] for row in faults)


def write_series(rows: Iterable[dict[str, Any]]) -> None:
    """What existed before and after each series of the leak test."""
    lines = ["| series | what | before | after |\n|---|---|---|---|\n"]
    for row in rows:
        name = f"{row['count']} {row['series']}, {row['took_s']:.0f} s"
        lines += [f"| {name} | {what} | {n} | {row['after'][what]} |\n" for what, n in row["before"].items()]
    write_section("series", _when() + "".join(lines), DOCUMENT)


def write_stops(rows: Iterable[dict[str, Any]], section: str = "stops") -> bool:
    """What four recorders heard; True: never the microphone itself, and all came back."""
    told = []
    for row in rows:
        told.append(row)
        print(json.dumps(row), file=sys.stderr, flush=True)
    events: dict[str, list[dict[str, Any]]] = {}
    for row in told:
        if "event" in row:
            events.setdefault(row["event"], []).append(row)
    if not events:
        return False
    control = ", ".join(f"{name} {n}" for name, n in told[0]["control"].items())
    lines = [f"The judge on trial: of a second of bypass it found {control} samples.\n\n"]
    lines += [
        "| what happens | times | unprocessed samples, all recorders | not as it should be |\n|---|---|---|---|\n"
    ]
    for name, times in events.items():
        heard = sum(sum(row["unprocessed"].values()) for row in times)
        trouble = "; ".join(dict.fromkeys(row["trouble"] for row in times if row["trouble"])) or "–"
        lines.append(f"| {name} | {len(times)} | {heard} | {trouble} |\n")
    write_section(section, _when() + "".join(lines), DOCUMENT)
    return not any(row["trouble"] or any(row["unprocessed"].values()) for rows in events.values() for row in rows)


def write_rates(rows: Iterable[dict[str, Any]]) -> bool:
    """A row for this PipeWire, beside those of others; True: nothing unprocessed, no storm, nobody left in silence."""
    versions: dict[str, str] = {}
    last: dict[str, Any] = {}
    for row in rows:
        versions, last = row.get("versions", versions), row
        print(json.dumps(row), file=sys.stderr, flush=True)
    if "rate_changes" not in last or "before" not in last:
        return False
    left = [last["after"][what] - last["before"][what] for what in LEFT]
    counted = " / ".join(str(last["recorders"].get(rate, 0)) for rate in ("44100", "48000", "96000"))
    gaps = f"{last['gaps']} ({last['gaps_ms']}, {last['longest_gap_ms']})"
    servers = f"{versions['PipeWire']}, {versions['WirePlumber']}"
    cells = [
        f"{servers}, {date.today()}",
        f"{last['minutes']:g}",
        f"{last['rounds']} ({last['from_sleep']})",
        counted,
        *map(str, (last["heard_s"], last["unprocessed"], last["first_ms"], gaps)),
        f"{last['rate_changes']} ({last['most_changes_in_a_second']})",
        str(last["stalls"]),
        ", ".join(map(str, left)),
        "; ".join(last["troubles"]) or "–",
    ]
    body = DOCUMENT.read_text(encoding="utf-8").partition("<!-- rates -->")[2].partition("<!-- /rates -->")[0]
    kept = [line for line in body.splitlines() if line.startswith("| ") and not line.startswith("| PipeWire,")]
    kept = [f"{line}\n" for line in kept if not line.startswith(f"| {servers},")]
    write_section("rates", RATES + "".join(sorted([*kept, f"| {' | '.join(cells)} |\n"])), DOCUMENT)
    return not (last["unprocessed"] or last["storms"] or last["troubles"] or any(n > 0 for n in left))


def write_loaded(rows: Iterable[dict[str, Any]]) -> None:
    """What was counted at quantum 128 on idle and on busy cores."""
    lines = []
    for row in rows:
        timer = row["machine"]
        counted = " | ".join(str(row[name]) for name in COUNTED)
        lines.append(
            f"| {row['scheduling']} | {row['busy']} | {row['quantum_samples']} | {row['minutes']:g} | {counted} "
            f"| {row['load']:.1f} | {timer['late']} of {timer['wakes']}, {timer['worst_ms']:.1f} |\n"
        )
    write_section("loaded", _when() + LOADED + "".join(lines), DOCUMENT)


def write(section: str, rows: Iterable[dict[str, Any]]) -> bool:
    """What tools/newer_pipewire pipes here."""
    if section == "rates":
        return write_rates(rows)
    return write_stops(rows, section) if section.endswith("stops") else write_faults(section, rows)


def _when() -> str:
    return f"Measured {date.today()}, {os.cpu_count()} cores.\n\n"


def _page(told: list[dict[str, Any]], faults: list[dict[str, Any]]) -> str:
    control = next(row["control_of_48000"] for row in told if "control_of_48000" in row)
    versions = next((row["versions"] for row in told if "versions" in row), {})
    with_what = "".join(f"{name} {version}, " for name, version in versions.items())
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}"
    judge = f"The judge on trial: of 48,000 samples of bypass it found {control} to be unprocessed."
    return f"Measured {date.today()}: {with_what}{machine}. {judge}\n\n{HEAD}" + "".join(map(_line, faults))


def _line(row: dict[str, Any]) -> str:
    back = row["trouble"] or f"{row['back_ms']:.0f}"
    delays = f"{_number(row['delay_before_ms'])} / {_number(row['delay_after_ms'])}"
    figures = f"{row['unprocessed_samples']} | {row['silence_ms']:.0f} | {row['clicks']} | {row['holes']}"
    figures += f" | {row['cause_ms']:.0f} | {_number(row['node_back_ms'])}"
    return f"| {row['fault']} | {figures} | {back} | {delays} | {row['told'] or '–'} |\n"


def _number(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "–" if math.isnan(value) else "never"


if __name__ == "__main__":
    sys.exit(not write(sys.argv[1], map(json.loads, sys.stdin)))
