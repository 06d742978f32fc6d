"""How rwcctl prints: aligned lines and tables in plain text, a little colour on a terminal, JSON when asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
LABEL_WIDTH = 14


def coloured() -> bool:
    """Colour only where a person looks, and not where they said no (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str) -> str:
    if not text or not coloured():
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def as_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def line(label: str, text: str) -> None:
    """One aligned line: a quiet label, then what it is."""
    print(paint(f"{label:<{LABEL_WIDTH}}", "dim") + text)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], marked: int | None = None) -> None:
    """Columns as wide as their widest cell; the row numbered `marked` in bold."""
    cells = [list(map(str, row)) for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    print(paint(_row(header, widths), "dim"))
    for number, row in enumerate(cells):
        text = _row(row, widths)
        print(paint(text, "bold") if number == marked else text)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def size(count: float) -> str:
    """Bytes for people: 0 → '', 57344 → '56 kB' (powers of 1000, as disks are sold)."""
    if count <= 0:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"


def duration(seconds: float) -> str:
    """42 → '42 s', 150 → '2 min', 7300 → '2 h 1 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
