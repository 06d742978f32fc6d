"""What `rwcctl convert` did, told to people or to scripts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rwc_daemon.batch.jobs import BatchOptions
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.printable import name, sentence
from rwc_daemon.faces.cli.selection import Skipped
from rwc_daemon.faces.report import ReportEntry, ReportRun, as_data, write_report

NAMED = 5  # skipped files, for people; scripts hear of all


@dataclass(frozen=True)
class Outcome:
    """What a run did."""

    order: BatchOptions
    entries: list[ReportEntry]
    skipped: list[Skipped]
    took_s: float

    @property
    def voice(self) -> str:
        return self.order.model.stem if self.order.model else self.order.voice

    @property
    def run(self) -> ReportRun:
        return ReportRun(self.voice, self.order.controls, self.order.seed, self.took_s)

    @property
    def notes(self) -> list[str]:
        """What the voice's user should know."""
        return list(dict.fromkeys(note for entry in self.entries if entry.result for note in entry.result.notes))

    def report(self, path: Path) -> Path:
        """Writes page and data; gives the page."""
        page, _ = write_report(path, self.run, self.entries)
        return page

    def tell(self, page: Path | None, as_json: bool) -> None:
        for entry in self.entries:
            if entry.error:
                print(f"rwcctl: {name(entry.job.source)}: {sentence(entry.error)}", file=sys.stderr)
            for note in entry.result.converted.notes if entry.result else ():
                print(f"rwcctl: {name(entry.job.source)}: note: {sentence(note)}", file=sys.stderr)
        if as_json:
            self._tell_json(page)
        else:
            self._tell_people(page)

    def _tell_json(self, page: Path | None) -> None:
        skipped = [
            {"source": str(one.source), "target": str(one.target) if one.target else None, "reason": one.reason}
            for one in self.skipped
        ]
        extra = {"skipped": skipped, "report": str(page) if page else None, "notes": self.notes}
        show.as_json({**as_data(self.run, self.entries), **extra})

    def _tell_people(self, page: Path | None) -> None:
        done = [entry.result.converted for entry in self.entries if entry.result]
        seconds = sum(one.seconds for one in done)
        if done:
            what = name(done[0].target) if len(done) == 1 else f"{len(done)} files"
            speed = f"{seconds / self.took_s:.1f} times real time"
            print(f"{what}: {seconds:.1f} s of sound with '{self.voice}' in {self.took_s:.1f} s ({speed})")
        for note in self.notes:
            print(f"note: {note}")
        mixed = sum(1 for one in done if one.downmixed)
        if mixed:
            stereo = self.order.wanted.stereo
            kept = "the channels hold it alike" if stereo else "the result is mono (--stereo: all alike)"
            print(f"{_count(mixed, 'file')} had several channels, which were mixed to one voice; {kept}")
        for reason in dict.fromkeys(one.reason for one in self.skipped):
            names = [name(one.source) for one in self.skipped if one.reason == reason]
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            print(f"{_count(len(names), 'file')} skipped, {reason}: {', '.join(names[:NAMED])}{more}")
        failed = len(self.entries) - len(done)
        if failed and len(self.entries) > 1:
            print(f"{_count(failed, 'file')} failed, see above", file=sys.stderr)
        if page:
            print(f"report: {name(page)}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
