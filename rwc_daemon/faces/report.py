"""The report of a conversion run: how well each file kept to what was asked, as JSON and as one page.

The page holds its drawings, its picture and that file's sound in itself, so that it can be mailed. The players of the
other files find them by their place relative to the page.
"""

from __future__ import annotations

import base64
import html
import io
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import numpy as np
import soundfile
import soxr

from rwc_daemon.batch.convert import START
from rwc_daemon.batch.jobs import FileJob, FileResult
from rwc_daemon.batch.measure import Measurement
from rwc_daemon.batch.sound_file import read_sound
from rwc_daemon.controls import Controls, to_dict, turned
from rwc_daemon.errors import BadAudio
from rwc_daemon.faces.cli import printable
from rwc_daemon.faces.picture import draw_demo
from rwc_daemon.faces.report_page import PAGE

PICTURES = 1  # files shown with spectrograms: those whose pitch is furthest off
PICTURE_S = 20.0  # of each, from its start
SPARK_WIDTH, SPARK_HEIGHT = 260, 44  # pixels of a file's pitch drawing
POINTS = 400  # of a pitch drawing


@dataclass(frozen=True)
class ReportRun:
    """What the page says at its top."""

    voice: str
    controls: Controls
    seed: int
    took_s: float
    """Of the whole run, all workers together."""


@dataclass(frozen=True)
class ReportEntry:
    """One file of the run: a result or an error."""

    job: FileJob
    result: FileResult | None
    error: str = ""


def write_report(path: Path, run: ReportRun, entries: Sequence[ReportEntry]) -> tuple[Path, Path]:
    """Writes PATH as .html and .json and returns both. Raises BadAudio where that cannot be written."""
    stem = path.name.removesuffix(".html").removesuffix(".json")
    page, data = path.with_name(stem + ".html"), path.with_name(stem + ".json")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        # names of files may hold bytes that are no text: JSON writes them as escapes, and so does the page
        told = json.dumps(as_data(run, entries), indent=1, ensure_ascii=False) + "\n"
        data.write_text(told, "utf-8", "backslashreplace")
        page.write_text(as_page(run, entries, page.parent), "utf-8", "backslashreplace")
    except OSError as failed:
        raise BadAudio(f"cannot write the report {page}: {failed.strerror}") from failed
    return page, data


def as_data(run: ReportRun, entries: Sequence[ReportEntry]) -> dict[str, Any]:
    """The report as plain values; figures are rounded to what they are worth."""
    return {
        "format": 1,
        "voice": run.voice,
        "controls": to_dict(run.controls),
        "seed": run.seed,
        "written": datetime.now().astimezone().isoformat(timespec="seconds"),
        "summary": _rounded(_summary(run, entries)),
        "files": [_rounded(_file_data(entry)) for entry in entries],
    }


def as_page(run: ReportRun, entries: Sequence[ReportEntry], folder: Path) -> str:
    """The page's HTML; `folder`: where it will lie, for its links to the files."""
    summary = _summary(run, entries)
    tiles = [
        ("files", f"{summary['converted']}" + (f" + {summary['failed']} failed" if summary["failed"] else "")),
        ("sound", _clock(summary["seconds"])),
        ("real time", _number(summary["speed"], "{:.1f} ×")),
        ("pitch error, median", _number(summary["pitch_error_cents"], "{:.0f} cents")),
        ("clipped samples", f"{summary['clipped']}"),
    ]
    return PAGE.format(
        voice=html.escape(run.voice),
        controls=html.escape(turned(run.controls, START) or "all controls at their defaults"),
        seed=run.seed,
        written=datetime.now().strftime("%Y-%m-%d %H:%M"),
        tiles="".join(f"<div class=tile><b>{value}</b><span>{label}</span></div>" for label, value in tiles),
        rows="".join(_rows(entries, folder)),
        pictures="".join(_picture(entry) for entry in _worth_a_look(entries)),
    )


def _summary(run: ReportRun, entries: Sequence[ReportEntry]) -> dict[str, Any]:
    results = [entry.result for entry in entries if entry.result]
    figures = [result.measured.figures for result in results if result.measured]
    errors = [f.pitch.error_cents for f in figures if f.pitch.error_cents is not None]
    seconds = sum(result.converted.seconds for result in results)
    return {
        "converted": len(results),
        "failed": len(entries) - len(results),
        "seconds": seconds,
        "took_s": run.took_s,
        "speed": seconds / run.took_s if run.took_s else None,
        "pitch_error_cents": median(errors) if errors else None,
        "clipped": sum(f.clipped_out for f in figures),
    }


def _file_data(entry: ReportEntry) -> dict[str, Any]:
    names = {"source": str(entry.job.source), "target": str(entry.job.target)}
    if not entry.result:
        return {**names, "ok": False, "error": entry.error}
    done = entry.result.converted
    data = {
        **names,
        "ok": True,
        "duration_s": done.seconds,
        "took_s": done.took_s,
        "real_time_factor": done.real_time_factor,
        "rate_hz": done.rate,
        "frames": done.frames,
        "notes": list(done.notes),
    }
    return {**data, **(asdict(entry.result.measured.figures) if entry.result.measured else {})}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _rows(entries: Sequence[ReportEntry], folder: Path) -> Iterator[str]:
    """A row a file; where the files lie in several folders, a line with its name above each folder's."""
    several = len({entry.job.source.parent for entry in entries}) > 1
    shown = None
    for entry in entries:
        source, target = entry.job.source.parent, entry.job.target.parent
        if several and source != shown:
            yield f"<tr class=folder><td colspan=10>{_text(source)} → {_text(target)}</td></tr>"
            shown = source
        yield _row(entry, folder)


def _row(entry: ReportEntry, folder: Path) -> str:
    players = "".join(_player(_link(path, folder)) for path in (entry.job.source, entry.job.target) if entry.result)
    where = html.escape(str(entry.job.target), quote=True)
    name = f"<td class=name title='{where}'>{_text(entry.job.source.name)}{players}</td>"
    if not entry.result:
        return f"<tr>{name}<td class=bad colspan=9>{html.escape(entry.error)}</td></tr>"
    done, measured = entry.result.converted, entry.result.measured
    if not measured:
        return f"<tr>{name}<td colspan=9></td></tr>"
    f = measured.figures
    cells = [
        _spark(measured),
        _number(f.pitch.correlation, "{:.3f}"),
        _pair(f.pitch.error_cents, f.pitch.error_p95_cents, "{:.0f}", " / "),
        _pair(f.pitch.wanted_hz, f.pitch.obtained_hz, "{:.0f}"),
        _pair(f.loudness_in_lufs, f.loudness_out_lufs, "{:.1f}"),
        _number(f.peak_out_db, "{:.1f}"),
        f"<b class=bad>{f.clipped_out}</b>" if f.clipped_out else "0",
        _pair(f.snr_in_db, f.snr_out_db, "{:.0f}"),
        f"{_clock(done.seconds)}<br><small>{done.real_time_factor:.2f}</small>",
    ]
    return f"<tr>{name}" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _text(name: Path | str) -> str:
    return html.escape(str(name))


def _player(url: str) -> str:
    return f"<audio controls preload=none src='{url}'></audio>"


def _link(path: Path, folder: Path) -> str:
    """The place of a file as the page's browser finds it."""
    return html.escape(quote(os.fsencode(os.path.relpath(path, folder))), quote=True)


def _spark(measured: Measurement) -> str:
    """TargetFormat pitch as a broad pale line, obtained as a thin dark one upon it."""
    tracks = measured.wanted_hz, measured.obtained_hz
    voiced = np.concatenate([track[track > 0] for track in tracks])
    if not len(voiced):
        return "<span class=none>no pitch</span>"
    low, high = np.log2(np.percentile(voiced, (2, 98)))
    frames = max(len(track) for track in tracks)
    lines = [
        _path(track, frames, low - 0.1, high + 0.1, kind) for track, kind in zip(tracks, ("wanted", "got"), strict=True)
    ]
    size = f"width={SPARK_WIDTH} height={SPARK_HEIGHT} viewBox='0 0 {SPARK_WIDTH} {SPARK_HEIGHT}'"
    return f"<svg {size}>{''.join(lines)}</svg>"


def _path(track: np.ndarray, frames: int, low: float, high: float, kind: str) -> str:
    step = max(1, frames // POINTS)
    words, pen_up = [], True
    for n in range(0, len(track), step):
        if track[n] <= 0:
            pen_up = True
            continue
        x = SPARK_WIDTH * n / frames
        y = SPARK_HEIGHT * float(np.clip((high - np.log2(track[n])) / (high - low), 0, 1))
        words.append(f"{'M' if pen_up else 'L'}{x:.1f} {y:.1f}")
        pen_up = False
    return f"<path class={kind} d='{''.join(words)}'/>"


def _worth_a_look(entries: Sequence[ReportEntry]) -> list[ReportEntry]:
    """The files whose pitch is furthest off."""
    done = [entry for entry in entries if entry.result and entry.result.measured]
    return sorted(done, key=_pitch_error, reverse=True)[:PICTURES]


def _pitch_error(entry: ReportEntry) -> float:
    assert entry.result is not None
    assert entry.result.measured is not None
    return entry.result.measured.figures.pitch.error_cents or 0.0


def _picture(entry: ReportEntry) -> str:
    before, after = read_sound(entry.job.source), read_sound(entry.job.target)
    rate, name = after.rate, html.escape(entry.job.source.name, quote=True)
    x = soxr.resample(before.x[: int(PICTURE_S * before.rate)], before.rate, rate)
    y = after.x[: len(x)]
    png = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a letter of the name that the font does not have
        draw_demo(png, x, y, rate, printable.name(entry.job.source.name))
    picture = f"<img alt='in and out: {name}' src='{_data('image/png', png.getvalue())}'>"
    return picture + "".join(
        f"<figure>{what}: {_player(_sound(z, rate))}</figure>" for what, z in (("in", x), ("out", y))
    )


def _sound(x: np.ndarray, rate: int) -> str:
    """f32[n] @rate as a URL that holds it all."""
    flac = io.BytesIO()
    soundfile.write(flac, x, rate, format="FLAC", subtype="PCM_16")
    return _data("audio/flac", flac.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _number(value: float | None, form: str) -> str:
    return "<span class=none>–</span>" if value is None else form.format(value).replace("-", "−")


def _pair(first: float | None, second: float | None, form: str, between: str = " → ") -> str:
    if first is None and second is None:
        return _number(None, form)
    return _number(first, form) + between + _number(second, form)


def _clock(seconds: float) -> str:
    """0:07, 12:30, 1:02:03."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
