"""Progress bars on stderr: only where a person looks, so that scripts and journals stay clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

# bytes of a second of speech as it is usually kept: enough for a bar, and no file need be opened
BYTES_A_SECOND = {".wav": 96_000, ".flac": 50_000, ".aif": 96_000, ".aiff": 96_000}
COMPRESSED = 16_000
LEAST_S = 0.1
SPEED_OVER_S = 600.0  # the time left follows the mean speed of so long


class Bar:
    """Many files, weighted by their length, as one bar with the time left."""

    def __init__(self, sources: Sequence[Path]) -> None:
        self._console = Console(stderr=True)
        self._shown = self._console.is_terminal
        self._seconds = [_seconds(source) for source in sources]
        self._done = [0.0] * len(sources)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[files]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._shown,
            transient=True,
            speed_estimate_period=SPEED_OVER_S,
        )
        self._task = self._progress.add_task("loading the voice", total=sum(self._seconds), files="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def at(self, file: int, fraction: float) -> None:
        """File number `file` is done to this share, 0 … 1."""
        self._done[file] = fraction
        done = sum(share * seconds for share, seconds in zip(self._done, self._seconds, strict=True))
        finished = sum(share >= 1 for share in self._done)
        files = f"{finished}/{len(self._done)} files" if len(self._done) > 1 else ""
        self._progress.update(self._task, description="converting", completed=done, files=files)


@contextmanager
def share_bar(what: str, size: int = 0) -> Iterator[Callable[[float], None]]:
    """A bar for one thing; gives what is told the share done, 0 … 1. `size`: bytes, where it is a download."""
    console = Console(stderr=True)
    figures: tuple[ProgressColumn, ...] = (TextColumn("{task.percentage:3.0f} %"),)
    if size:
        figures = (DownloadColumn(), TransferSpeedColumn())
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), *figures, TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=size or 1)
        yield lambda share: progress.update(task, completed=share * (size or 1))


def _seconds(source: Path) -> float:
    try:
        size = source.stat().st_size
    except OSError:
        size = 0  # the conversion will say what is wrong with it
    return max(LEAST_S, size / BYTES_A_SECOND.get(source.suffix.lower(), COMPRESSED))
