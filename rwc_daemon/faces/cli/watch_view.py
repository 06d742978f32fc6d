"""What `rwcctl watch` draws: bars, pitch rulers and figures of one moment, with rich."""

from __future__ import annotations

import math
from typing import Any

from rich.align import Align
from rich.console import Group, RenderableType
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

WIDTH = 100
BAR = 60
FLOOR_DB = -60.0
LOUD_DB, CLIP_DB = -18.0, -6.0
LOWEST_HZ, HIGHEST_HZ = 50.0, 800.0
RULER_HZ = (60, 100, 150, 220, 330, 500, 750)
INSIDE, OUTSIDE = "dodger_blue1", "dark_orange"  # in and out, as in the demo's picture
PART_COLOURS = ("steel_blue1", "medium_purple1", "dark_orange", "grey62", "sea_green3")
EIGHTHS = " ▏▎▍▌▋▊▉"


def view(report: dict[str, Any], levels: dict[str, float]) -> RenderableType:
    """One moment. `report`: as `status.gather` gives it; `levels`: in_db and out_db, dB full scale."""
    colour, meaning = STATES.get(report["state"], ("yellow", ""))
    title = Text.assemble(("RWC Mic ", "bold"), (report["state"], f"bold {colour}"), (f"  {meaning}", "dim"))
    rows = Table.grid(padding=(0, 2))
    rows.add_column(justify="right", style="dim", width=9)
    rows.add_column()
    for label, content in sections(report, levels):
        rows.add_row(label, content)
    box = Panel(
        rows,
        title=title,
        title_align="left",
        subtitle="Ctrl+C ends",
        subtitle_align="right",
        width=WIDTH,
        border_style=colour,
        padding=(1, 2),
    )
    return Align.center(box, vertical="middle")


def sections(report: dict[str, Any], levels: dict[str, float]) -> list[tuple[str, RenderableType]]:
    statistics = report["statistics"]
    rows: list[tuple[str, RenderableType]] = [("voice", Text(voice_text(report), style="bold"))]
    if report["mode"] != "convert":
        rows.append(("mode", Text(mode_text(report["mode"]), style="bold red")))
    rows += [
        ("controls", Text(controls_text(report["controls"]))),
        ("input", Text(input_text(report))),
        ("", Text()),
        ("in", level(levels["in_db"])),
        ("out", level(levels["out_db"])),
        ("", Text()),
        ("pitch in", pitch(statistics.get("pitch_in_hz", 0.0), INSIDE)),
        ("out", pitch(statistics.get("pitch_out_hz", 0.0), OUTSIDE)),
        ("Hz", ruler()),
        ("", Text()),
        ("latency", latency(report)),
        ("", Text()),
        ("load", load(report)),
        ("counters", counters(report)),
        ("server", Text(server_text(statistics))),
        ("engine", engine(statistics)),
    ]
    if report["fault"]["message"]:
        rows.append(("fault", Text(report["fault"]["message"], style="bold red")))
    elif report["last_fault"]["message"]:
        rows.append(("trouble", Text(past_text(report["last_fault"]), style="dim")))
    return rows


def bar(share: float, width: int, style: str) -> Text:
    """A bar of `width` cells, `share` of it filled, in eighths of a cell."""
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    filled = "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")
    return Text.assemble((filled, style), ("─" * (width - len(filled)), "grey35"))


def level(db: float) -> Text:
    style = "red" if db > CLIP_DB else "yellow" if db > LOUD_DB else "green"
    figure = f"{db:6.1f} dB" if db > FLOOR_DB else "   silent"
    return Text.assemble(bar((db - FLOOR_DB) / -FLOOR_DB, BAR, style), "  ", figure)


def place(hz: float) -> int:
    """The cell of a frequency on the ruler, which is even in octaves."""
    share = math.log(hz / LOWEST_HZ) / math.log(HIGHEST_HZ / LOWEST_HZ)
    return min(BAR - 1, max(0, round(share * (BAR - 1))))


def pitch(hz: float, style: str) -> Text:
    if hz <= 0:
        return Text.assemble(("─" * BAR, "grey35"), ("   unvoiced", "dim"))
    cell = place(hz)
    return Text.assemble(
        ("─" * cell, "grey35"), ("●", style), ("─" * (BAR - 1 - cell), "grey35"), (f"  {hz:6.1f} Hz", style)
    )


def ruler() -> Text:
    cells = [" "] * (BAR + 4)
    for hz in RULER_HZ:
        start = place(hz) - len(str(hz)) // 2
        cells[start : start + len(str(hz))] = str(hz)
    return Text("".join(cells).rstrip(), style="dim")


def latency(report: dict[str, Any]) -> RenderableType:
    """One bar cut into the named parts, and under it what each colour is."""
    total, parts = report["latency_ms"], report["latency"]
    if total <= 0:
        return Text("known once somebody records", style="dim")
    stripe, legend = Text(), Text()
    ends = [round(BAR * sum(parts[part] for part in PARTS[: n + 1]) / total) for n in range(len(PARTS))]
    for part, colour, start, end in zip(PARTS, PART_COLOURS, [0, *ends], ends, strict=False):
        stripe.append("█" * (end - start), style=colour)
        legend.append("■ ", style=colour)
        legend.append(f"{part} {parts[part]:.1f}   ")
    stripe.append(f"  {total:6.1f} ms", style="bold")
    return Group(stripe, legend)


def load(report: dict[str, Any]) -> Text:
    share = report["load"]
    style = "red" if share > 1 else "yellow" if share > 0.8 else "green"
    return Text.assemble(bar(share, BAR, style), f"  {100 * share:6.1f} %")


def counters(report: dict[str, Any]) -> Text:
    """Quiet while zero, red where not."""
    text, statistics = Text(), report["statistics"]
    for name in ("xruns", "underruns", "overruns", "missed_cycles", "late_cycles"):
        count = statistics.get(name, 0)
        text.append(f"{name.replace('_', ' ')} {count}   ", style="bold red" if count else "dim")
    return text


def engine(statistics: dict[str, Any]) -> Text:
    p50, p95 = statistics.get("compute_p50_ms", 0.0), statistics.get("compute_p95_ms", 0.0)
    text = (
        f"{statistics.get('engine_resident_mb', 0.0):.0f} MB, started anew {statistics.get('engine_restarts', 0)} times"
    )
    if p95:
        text += f", a block takes {p50:.2f} ms (p95 {p95:.2f})"
    return Text(text + f", up {duration(statistics.get('uptime_s', 0.0))}")
