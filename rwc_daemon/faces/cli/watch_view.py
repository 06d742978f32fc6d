"""What `rwcctl watch` draws: bars, pitch rulers and figures of one moment, with rich.

The view fits the terminal: bars take the width that is there, and where there are too few lines, blank lines go first,
then the rows of least use. What the user must see (state, mode, fault, levels) stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.align import Align
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rwc_daemon.faces.cli.show import duration
from rwc_daemon.faces.cli.status import (
    PARTS,
    STATES,
    controls_text,
    input_text,
    mode_text,
    past_text,
    server_text,
    voice_text,
)

WIDEST = 100
ROOMY = 70  # cells from which on there are margins
FIGURE = 10  # cells of the figure behind a bar
SHORTEST_BAR = 6
FLOOR_DB = -60.0
LOUD_DB, CLIP_DB = -18.0, -6.0
LOWEST_HZ, HIGHEST_HZ = 50.0, 800.0
RULER_HZ = (60, 100, 150, 220, 330, 500, 750)
INSIDE, OUTSIDE = "dodger_blue1", "dark_orange"  # in and out, as in the demo's picture
PART_COLOURS = ("steel_blue1", "medium_purple1", "dark_orange", "grey62", "sea_green3")
COUNTERS = ("xruns", "underruns", "overruns", "missed_cycles", "late_cycles")
EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True)
class ViewRow:
    """One row of the view."""

    label: str
    content: RenderableType
    keep: int = 9
    """The rows with the least number go first where the terminal has too few lines."""


@dataclass(frozen=True)
class Shape:
    """How wide things are, in cells."""

    columns: int

    @property
    def width(self) -> int:
        return min(WIDEST, self.columns)

    @property
    def margin(self) -> int:
        return 2 if self.columns >= ROOMY else 0

    @property
    def label(self) -> int:
        return 8

    @property
    def content(self) -> int:
        frame = 2 + 2 * self.margin
        return self.width - frame - self.label - self.gap

    @property
    def gap(self) -> int:
        return 2 if self.columns >= ROOMY else 1

    @property
    def bar(self) -> int:
        return max(SHORTEST_BAR, self.content - FIGURE)


def view(report: dict[str, Any], levels: dict[str, float], size: tuple[int, int] = (WIDEST, 40)) -> RenderableType:
    """One moment. `report`: as `status.gather` gives it; `levels`: in_db and out_db, dB full scale; `size`: columns and
    lines of the terminal."""
    shape, lines = Shape(size[0]), size[1]
    rows = sections(report, levels, shape)
    box = _boxed(rows, report, shape)
    while _height(box, shape) > lines and len(rows) > 1:
        least = min(rows, key=lambda row: row.keep)
        rows.remove(least)
        box = _boxed(rows, report, shape)
    return Align.center(box, vertical="middle")


def _boxed(rows: Sequence[ViewRow], report: dict[str, Any], shape: Shape) -> Panel:
    colour, meaning = STATES.get(report["state"], ("yellow", ""))
    title = Text.assemble(("RWC Mic ", "bold"), (report["state"], f"bold {colour}"), (f"  {meaning}", "dim"))
    grid = Table.grid(padding=(0, shape.gap, 0, 0))
    grid.add_column(justify="right", style="dim", width=shape.label)
    grid.add_column(width=shape.content)
    for row in rows:
        grid.add_row(row.label, row.content)
    return Panel(
        grid,
        title=title,
        title_align="left",
        subtitle="Ctrl+C ends",
        subtitle_align="right",
        width=shape.width,
        border_style=colour,
        padding=(0, shape.margin),
    )


def _height(box: Panel, shape: Shape) -> int:
    measuring = Console(width=shape.width)
    return len(measuring.render_lines(box, measuring.options))


def sections(report: dict[str, Any], levels: dict[str, float], shape: Shape) -> list[ViewRow]:
    """All rows, in their order; `view` takes some away where they do not fit."""
    statistics, gap = report["statistics"], Text()
    rows = [ViewRow("voice", Text(voice_text(report), style="bold"))]
    if report["mode"] != "convert":
        rows.append(ViewRow("mode", Text(mode_text(report["mode"]), style="bold red")))
    fault, silence = report["fault"]["message"], statistics.get("silence_message", "")
    if fault:
        rows.append(ViewRow("fault", Text(fault, style="bold red")))
    if silence and silence != fault:
        rows.append(ViewRow("silence", Text(silence, style="yellow")))
    return [
        *rows,
        ViewRow("controls", Text(controls_text(report["controls"])), 5),
        ViewRow("input", Text(input_text(report)), 7),
        ViewRow("", gap, 0),
        ViewRow("in", level(levels["in_db"], shape.bar)),
        ViewRow("out", level(levels["out_db"], shape.bar)),
        ViewRow("", gap, 0),
        ViewRow("pitch in", pitch(statistics.get("pitch_in_hz", 0.0), INSIDE, shape.bar), 6),
        ViewRow("out", pitch(statistics.get("pitch_out_hz", 0.0), OUTSIDE, shape.bar), 6),
        ViewRow("Hz", ruler(shape.bar), 1),
        ViewRow("", gap, 0),
        ViewRow("latency", latency(report, shape), 8),
        ViewRow("load", load(report, shape.bar), 8),
        ViewRow("counters", counters(report, shape.content), 4),
        ViewRow("", gap, 0),
        ViewRow("server", Text(server_text(statistics)), 3),
        ViewRow("engine", engine(statistics), 2),
        *_past(report),
    ]


def _past(report: dict[str, Any]) -> list[ViewRow]:
    if report["fault"]["message"] or not report["last_fault"]["message"]:
        return []
    return [ViewRow("trouble", Text(past_text(report["last_fault"]), style="dim"), 5)]


def bar(share: float, width: int, style: str) -> Text:
    """A bar of `width` cells, `share` of it filled, in eighths of a cell."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    filled = "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")
    return Text.assemble((filled, style), ("─" * (width - len(filled)), "grey35"))


def level(db: float, width: int) -> Text:
    style = "red" if db > CLIP_DB else "yellow" if db > LOUD_DB else "green"
    figure = f"{db:.1f} dB" if db > FLOOR_DB else "silent"
    return _with_figure(bar((db - FLOOR_DB) / -FLOOR_DB, width, style), figure)


def place(hz: float, width: int) -> int:
    """The cell of a frequency on a ruler of `width` cells, which is even in octaves."""
    share = math.log(hz / LOWEST_HZ) / math.log(HIGHEST_HZ / LOWEST_HZ)
    return min(width - 1, max(0, round(share * (width - 1))))


def pitch(hz: float, style: str, width: int) -> Text:
    if hz <= 0:
        return _with_figure(Text("─" * width, "grey35"), "unvoiced", "dim")
    cell = place(hz, width)
    dial = Text.assemble(("─" * cell, "grey35"), ("●", style), ("─" * (width - 1 - cell), "grey35"))
    return _with_figure(dial, f"{hz:.1f} Hz", style)


def ruler(width: int) -> Text:
    cells = [" "] * width
    free = 0
    for hz in RULER_HZ:
        label = str(hz)
        start = max(0, place(hz, width) - len(label) // 2)
        if start >= free and start + len(label) <= width:
            cells[start : start + len(label)] = label
            free = start + len(label) + 1
    return Text("".join(cells).rstrip(), style="dim")


def latency(report: dict[str, Any], shape: Shape) -> RenderableType:
    """One bar cut into the named parts, and under it what each colour is."""
    total, parts = report["latency_ms"], report["latency"]
    if total <= 0:
        return Text("known once somebody records", style="dim")
    stripe, names = Text(), []
    ends = [round(shape.bar * sum(parts[part] for part in PARTS[: n + 1]) / total) for n in range(len(PARTS))]
    for part, colour, start, end in zip(PARTS, PART_COLOURS, [0, *ends], ends, strict=False):
        stripe.append("█" * (end - start), style=colour)
        names.append(Text.assemble(("■ ", colour), f"{part} {parts[part]:.1f}"))
    return Group(_with_figure(stripe, f"{total:.1f} ms", "bold"), _packed(names, shape.content))


def load(report: dict[str, Any], width: int) -> Text:
    share = report["load"]
    style = "red" if share > 1 else "yellow" if share > 0.8 else "green"
    return _with_figure(bar(share, width, style), f"{100 * share:.1f} %")


def counters(report: dict[str, Any], width: int) -> Text:
    """Quiet while zero, red where not."""
    counts = {name: report["statistics"].get(name, 0) for name in COUNTERS}
    named = counts.items()
    return _packed([Text(f"{n.replace('_', ' ')} {c}", "bold red" if c else "dim") for n, c in named], width)


def _with_figure(drawing: Text, figure: str, style: str = "") -> Text:
    return Text.assemble(drawing, (f"{figure:>{FIGURE}}", style))


def _packed(pieces: Sequence[Text], width: int) -> Text:
    """The pieces beside each other, in as many lines as they need; no piece is broken."""
    lines: list[Text] = []
    for piece in pieces:
        if lines and len(lines[-1]) + 2 + len(piece) <= width:
            lines[-1] = Text.assemble(lines[-1], "  ", piece)
        else:
            lines.append(piece)
    return Text("\n").join(lines)


def engine(statistics: dict[str, Any]) -> Text:
    p50, p95 = statistics.get("compute_p50_ms", 0.0), statistics.get("compute_p95_ms", 0.0)
    text = f"{statistics.get('engine_resident_mb', 0.0):.0f} MB, restarted {statistics.get('engine_restarts', 0)} times"
    if p95:
        text += f", a block takes {p50:.2f} ms (p95 {p95:.2f})"
    return Text(text + f", up {duration(statistics.get('uptime_s', 0.0))}")
