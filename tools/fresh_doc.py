"""The table of docs/measurements/fresh_machines.md: one row per system and user, the newest visit."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from tools.perfdoc import write_section

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "measurements" / "fresh_machines.md"
SECTION = "machines"
HEAD = (
    "| system | as | date, commit | `./tools/start` (s) | again (s) | demo, measured (ms) "
    "| left out | tests | trouble |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


@dataclass
class Row:
    """One visit; empty: not reached."""

    system: str
    user: str
    commit: str
    setup_s: float = 0.0
    again_s: float = 0.0
    demo_ms: str = ""
    left_out: list[str] = field(default_factory=list)
    tests: str = ""
    trouble: str = ""

    @property
    def good(self) -> bool:
        return not self.trouble

    def line(self) -> str:
        times = [f"{seconds:.1f}" if seconds else "" for seconds in (self.setup_s, self.again_s)]
        cells = [self.system, self.user, f"{date.today()}, {self.commit}", *times, self.demo_ms]
        cells += [", ".join(self.left_out), self.tests, self.trouble.replace("|", "/")]
        return "| " + " | ".join(cells) + " |\n"


def write_row(row: Row) -> Row:
    """In place of an older row of the same system and user."""
    text = DOCUMENT.read_text(encoding="utf-8")
    body = text.partition(f"<!-- {SECTION} -->")[2].partition(f"<!-- /{SECTION} -->")[0]
    rows = {_key(line): f"{line}\n" for line in body.splitlines() if line.startswith("| ") and "---" not in line}
    rows.pop(_key(HEAD), None)
    if row.user != "–":
        rows.pop((row.system, "–"), None)
    rows[row.system, row.user] = row.line()
    write_section(SECTION, HEAD + "".join(rows[key] for key in sorted(rows)), DOCUMENT)
    return row


def _key(line: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in line.strip("|\n ").split("|")]
    return cells[0], cells[1]


def commit() -> str:
    """Of the checkout; "+" where it has changes that are not committed."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "no commit"
