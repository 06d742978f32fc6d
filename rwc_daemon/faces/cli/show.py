"""How rwcctl prints: aligned lines and tables in plain text, a little colour on a terminal, JSON when asked.

On a terminal, long text is wrapped between words to the terminal's width. Output to a pipe is never wrapped, so that
scripts find each record on one line.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
LABEL_WIDTH = 14
GAP = 2  # cells between the columns of a table
MIN_WIDTH, MIN_CELL = 16, 6  # text and table cells are never squeezed below this
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def coloured() -> bool:
    """Colour only where a person looks, and not where they said no (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str) -> str:
    if not text or not coloured():
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def as_json(value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # JSON has escapes of its own, also for file names that are no text
        text = json.dumps(value, indent=2)
    print(text)


def columns() -> int:
    """Width of the terminal in cells; 0 where the output is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` visible cells, broken between words; longer words are cut. 0: one line."""
    if width <= 0 or _visible(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        if not lines[-1]:
            lines[-1] = word
        elif _visible(lines[-1]) + 1 + _visible(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
        while "\x1b" not in lines[-1] and len(lines[-1]) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return lines


def hanging(text: str, indent: int, most: int = 0) -> str:
    """`text` for a terminal, its further lines `indent` cells in; `most`: width where the terminal is wider."""
    width = min(filter(None, (columns(), most)), default=0)
    return ("\n" + " " * indent).join(wrapped(text, max(MIN_WIDTH, width - indent) if width else 0))


def line(label: str, text: str) -> None:
    """One aligned line: a quiet label, then what it is."""
    print(paint(f"{label:<{LABEL_WIDTH}}", "dim") + hanging(text, LABEL_WIDTH))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], marked: int | None = None) -> None:
    """Columns as wide as their widest cell, or narrower where the terminal is; the row numbered `marked` in bold."""
    cells = [list(map(str, row)) for row in rows]
    widths = _fitted([max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))])
    for text in _row(header, widths):
        print(paint(text, "dim"))
    for number, row in enumerate(cells):
        for text in _row(row, widths):
            print(paint(text, "bold") if number == marked else text)


def _fitted(widths: list[int]) -> list[int]:
    """The widest columns give way until the table fits the terminal."""
    room = columns() - GAP * (len(widths) - 1)
    fitted = list(widths)
    while columns() and sum(fitted) > room and max(fitted) > MIN_CELL:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of one row."""
    parts = [wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    height = max(len(part) for part in parts)
    padded = [part + [""] * (height - len(part)) for part in parts]
    lines = zip(*padded, strict=True)
    return [(" " * GAP).join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]


def _visible(text: str) -> int:
    """Cells that `text` takes, without its colours."""
    return len(ESCAPE.sub("", text))


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
