"""Tables of docs/reliability.md, each between marks of its own, from what the fault suites print.

`tools/newer_pipewire` ends in `python -m tools.reliability_doc newer <ROWS`.
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

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
HEAD = (
    "| fault | bare voice (samples) | silence (ms) | clicks | cause lasted (ms) | converted voice again after (ms) "
    "| delay before / after (ms) | the user is told |\n|---|---|---|---|---|---|---|---|\n"
)


def write_faults(section: str, rows: Iterable[dict[str, Any]]) -> bool:
    """Replaces one table once all rows are there, which are named on stderr as they come; True: no bare voice was
    heard and all recovered. Without a row nothing is written."""
    told = []
    for row in rows:
        told.append(row)
        print(row.get("fault") or row, row.get("trouble", ""), file=sys.stderr, flush=True)
    faults = [row for row in told if "fault" in row]
    if not faults:
        return False
    write_section(section, _page(told, faults), DOCUMENT)
    return not any(row["bare_samples"] or row["trouble"] for row in faults)


def _page(told: list[dict[str, Any]], faults: list[dict[str, Any]]) -> str:
    control = next(row["control_of_48000"] for row in told if "control_of_48000" in row)
    versions = next((row["versions"] for row in told if "versions" in row), {})
    with_what = "".join(f"{name} {version}, " for name, version in versions.items())
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}"
    judge = f"The judge on trial: of 48,000 samples of bypass it found {control} to be bare."
    return f"Measured {date.today()}: {with_what}{machine}. {judge}\n\n{HEAD}" + "".join(map(_line, faults))


def _line(row: dict[str, Any]) -> str:
    back = row["trouble"] or f"{row['back_ms']:.0f}"
    delays = f"{_number(row['delay_before_ms'])} / {_number(row['delay_after_ms'])}"
    figures = f"{row['bare_samples']} | {row['silence_ms']:.0f} | {row['clicks']} | {row['cause_ms']:.0f}"
    return f"| {row['fault']} | {figures} | {back} | {delays} | {row['told'] or '–'} |\n"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0f}"


if __name__ == "__main__":
    sys.exit(not write_faults(sys.argv[1], map(json.loads, sys.stdin)))
