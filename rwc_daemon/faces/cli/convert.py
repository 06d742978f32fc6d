"""`rwcctl convert`: sound files into converted sound files, without the daemon.

Several processes share the files; each target appears whole or not at all, so that a run that was stopped goes on with
`--skip-existing`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rwc_daemon import controls as control_table
from rwc_daemon.controls import Controls
from rwc_daemon.errors import BadAudio, NoSuchVoice, OutOfRange
from rwc_daemon.families import FAMILIES, cores_for_file, shipped

if TYPE_CHECKING:
    from rwc_daemon.batch.jobs import BatchOptions, FileJob
    from rwc_daemon.faces.cli.selection import Skipped
    from rwc_daemon.faces.report import ReportEntry

FIRST_VOICE = "deep"


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "convert",
        description="Convert sound files with offline quality. Reads wav, flac, ogg, opus and mp3 at any rate, "
        "and with the extra 'media' m4a, aac, webm, wma and the sound of videos; writes wav, flac and ogg, as long as "
        "the source to the sample. Needs no daemon.",
        epilog="A run that was stopped goes on with --skip-existing: targets appear whole or not at all. A name that "
        "begins with a dash is given as ./-name.",
    )
    parser.add_argument("inputs", metavar="IN", nargs="+", help="files, folders (with all below them) or 'patterns*'")
    parser.add_argument(
        "-o", "--out", metavar="OUT", required=True, action=Once, help="a file for one file, else a folder"
    )
    _add_voice(parser)
    _add_controls(parser)
    _add_output(parser)


class Once(argparse.Action):
    """An option that may stand there once: of two targets neither is the one that was meant."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: Any, *_: Any) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{self.metavar} is given twice: one run has one target")
        setattr(namespace, self.dest, value)


def _add_voice(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("voice")
    group.add_argument("--voice", metavar="VOICE", help="default: the one in use, 'deep' where none was chosen yet")
    group.add_argument("--model", metavar="PATH", type=Path, help="a voice file (.pth …), used without importing it")
    group.add_argument("--index", metavar="PATH", type=Path, help="its index")
    group.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="auto, cpu or cuda")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same result (default 0)")


def _add_controls(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("controls", "Not given: what is remembered for the voice, else the default.")
    start = control_table.to_dict(Controls())
    for name, span in control_table.NUMBERS.items():
        first = "off" if name == "gate_db" else f"{start[name]:g}"
        words = f"{span.doc} ({span.low:g} … {span.high:g} {span.unit}; default {first})"
        group.add_argument(_option(name), dest=name, metavar="N", help=words)
    for name, choices in control_table.CHOICES.items():
        group.add_argument(
            _option(name),
            dest=name,
            metavar="NAME",
            help=f"{control_table.ROWS[name].doc} ({', '.join(choices)}; default {start[name]})",
        )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--format", default="", choices=("wav", "flac", "ogg"), help="in a folder; default: as the source"
    )
    group.add_argument("--rate", type=int, default=0, metavar="HZ", help="8000 … 192000; default: the source's")
    group.add_argument(
        "--stereo", action="store_true", help="keep the channel count, all channels alike (default: mono)"
    )
    there = group.add_mutually_exclusive_group()
    there.add_argument("--skip-existing", action="store_true", help="leave out what is there already")
    there.add_argument("--overwrite", action="store_true", help="replace what is there already")
    group.add_argument("--jobs", type=int, metavar="N", help="processes (default: as many as help here)")
    group.add_argument(
        "--report", nargs="?", const="", metavar="PATH", help="figures of each file, as PATH.html and .json"
    )


def run(args: argparse.Namespace) -> int:
    from rwc_daemon.faces.cli.outcome import Outcome
    from rwc_daemon.faces.cli.selection import select

    order, cores_each = _order(args)
    jobs, beside = select(args.inputs, args.out, args.format)
    todo, skipped = _sifted(jobs, args)
    began = time.perf_counter()
    try:
        entries = _converted(todo, order, args.jobs, cores_each)
    except KeyboardInterrupt:
        print("stopped: the same command with --skip-existing goes on from here", file=sys.stderr)
        raise
    outcome = Outcome(order, entries, [*skipped, *beside], time.perf_counter() - began)
    wanted = args.report is not None and entries  # nothing new: an earlier report is left as it is
    page = outcome.report(Path(args.report or _report_beside(Path(args.out)))) if wanted else None
    outcome.tell(page, args.json)
    return 1 if any(entry.error for entry in entries) else 0


def _order(args: argparse.Namespace) -> tuple[BatchOptions, int]:
    """What all files share, checked, and how many cores one process uses well with this voice."""
    from rwc_daemon.batch.convert import HIGHEST_RATE, LOWEST_RATE, START, TargetFormat
    from rwc_daemon.batch.jobs import BatchOptions
    from rwc_daemon.host import paths

    if args.rate and not LOWEST_RATE <= args.rate <= HIGHEST_RATE:
        raise OutOfRange(f"--rate is from {LOWEST_RATE} to {HIGHEST_RATE} Hz; not {args.rate}")
    if args.jobs is not None and not 1 <= args.jobs <= 256:
        raise OutOfRange(f"--jobs is from 1 to 256; not {args.jobs}")
    if not 0 <= args.seed < 2**63:
        raise OutOfRange(f"--seed is a whole number from 0 on; not {args.seed}")
    voice, cores_each, remembered = _voice(args)
    given = {name: getattr(args, name) for name in control_table.NAMES if getattr(args, name) is not None}
    order = BatchOptions(
        data_dir=paths.data_dir(),
        voice=voice,
        model=args.model,
        index=args.index,
        device=args.device,
        controls=control_table.changed(START, {**remembered, **given}),
        seed=args.seed,
        wanted=TargetFormat(args.rate, args.stereo),
        measured=args.report is not None,
    )
    return order, cores_each


def _voice(args: argparse.Namespace) -> tuple[str, int, dict[str, Any]]:
    """Id, cores for a process and remembered controls of the voice; the id is empty where a file is the voice."""
    from rwc_daemon.host import paths
    from rwc_daemon.voices.repository import VoiceRepository

    if args.model:
        if args.voice:
            raise OutOfRange("give --voice or --model, not both")
        for path in filter(None, (args.model, args.index)):
            if not path.is_file():
                raise NoSuchVoice(f"no file {path}")
        return "", cores_for_file(), {}
    if args.index:
        raise OutOfRange("--index goes with --model; an imported voice has its index already")
    repository = VoiceRepository(paths.data_dir())
    info = repository.find(args.voice or _chosen())
    remembered = {} if info.id in shipped() else repository.store.remembered(info.id)
    return info.id, FAMILIES[info.kind].cores, remembered


def _chosen() -> str:
    """The voice that the daemon was last told to use."""
    from rwc_daemon.host import paths
    from rwc_daemon.host.state import StateFile

    saved, _ = StateFile(paths.state_dir() / "state.json").load()
    return saved.voice or FIRST_VOICE


def _sifted(jobs: Sequence[FileJob], args: argparse.Namespace) -> tuple[list[FileJob], list[Skipped]]:
    """(to convert, to leave out). Raises BadAudio where something is there and no word was said about it."""
    there = [job for job in jobs if os.path.lexists(job.target)]
    if args.overwrite or not there:
        return list(jobs), []
    if args.skip_existing:
        from rwc_daemon.faces.cli.selection import Skipped

        known = set(there)
        skipped = [Skipped(job.source, "there already", job.target) for job in there]
        return [job for job in jobs if job not in known], skipped
    first = there[0].target
    what = f"{first} exists" if len(there) == 1 else f"{first} and {len(there) - 1} more exist"
    raise BadAudio(f"{what} already: add --overwrite to replace or --skip-existing to leave out")


def _converted(jobs: Sequence[FileJob], order: BatchOptions, asked: int | None, cores_each: int) -> list[ReportEntry]:
    """Every job as an entry, in the order of the jobs."""
    from rwc_daemon.batch import workers
    from rwc_daemon.batch.jobs import FileWork
    from rwc_daemon.faces.cli.progress import Bar
    from rwc_daemon.faces.report import ReportEntry

    processes, threads = _processes(asked, cores_each, len(jobs))
    entries: dict[int, ReportEntry] = {}
    events = workers.run(jobs, functools.partial(FileWork, order), processes, threads)
    with Bar([job.source for job in jobs]) as bar, contextlib.closing(events):
        for event in events:
            if isinstance(event, workers.JobProgressed):
                bar.at(event.job, event.fraction)
                continue
            bar.at(event.job, 1.0)
            job = jobs[event.job]
            if isinstance(event, workers.JobFailed):
                entries[event.job] = ReportEntry(job, None, str(event.error))
            else:
                entries[event.job] = ReportEntry(job, event.result)
    return [entries[number] for number in sorted(entries)]


def _processes(asked: int | None, cores_each: int, files: int) -> tuple[int, int]:
    """(processes, threads in each). Nets use several cores, and memory for every process.

    The threads do not depend on the number of files: nets give other last bits with another number of threads.
    """
    cores = len(os.sched_getaffinity(0))
    wanted = asked or max(1, cores // cores_each)
    return max(1, min(wanted, files)), max(1, cores // wanted)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _report_beside(out: Path) -> Path:
    return out / "report" if out.is_dir() else out.with_name(out.stem + ".report")
