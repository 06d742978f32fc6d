"""`rwcctl import`: voice files into the store, through the daemon where it runs, straight where it does not."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rwc_daemon import extras
from rwc_daemon.errors import BadModel, NoDaemon, NoSessionBus, by_code
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.progress import share_bar
from rwc_daemon.faces.dbus_client import SyncDaemon
from rwc_daemon.families import FAMILIES
from rwc_daemon.host import paths
from rwc_daemon.store.assets import Assets
from rwc_daemon.store.catalog import packaged
from rwc_daemon.store.encoders import CONTENTVEC, encoder_id

TRACKER = "rmvpe"  # what voices that follow pitch do best with
SILENT_S = 600.0  # an import that says nothing for so long is given up


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "import",
        description="Bring in RVC voices: .pth, .safetensors, .onnx, .index, a folder or a zip. What a file is, its "
        "content says; an index goes to the voice of its width and name. A voice that is here already is not stored "
        "twice, unless --name gives it another name. No file can run code.",
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a voice and its index together, or several")
    parser.add_argument("--name", metavar="NAME", help="what the voice is called (default: the file's name)")


def run(args: argparse.Namespace) -> int:
    given = [Path(os.path.abspath(path)) for path in args.paths]
    for path in given:
        if not path.exists():
            raise BadModel(f"no file or folder {path}")
    came = bring_in(given, args.name)
    missing = missing_for(came.voices)
    if args.json:
        show.as_json({"voices": came.voices, "missing": missing, "left_out": came.left_out})
    else:
        tell(came, missing)
    return 0


@dataclass(frozen=True)
class Came:
    """What an import brought."""

    voices: list[dict[str, Any]]
    #: as `ListVoices` describes them
    left_out: list[str] = field(default_factory=list)
    #: files that were of no use, and why


def bring_in(given: Sequence[Path], name: str | None) -> Came:
    """Raises what the store raises."""
    try:
        daemon = SyncDaemon.connect()
    except (NoDaemon, NoSessionBus):
        return straight(given, name)
    with daemon:
        return through(daemon, given, name)


def straight(given: Sequence[Path], name: str | None) -> Came:
    """Without a daemon: the store is plain files."""
    from rwc_daemon.voices.repository import VoiceRepository

    repository = VoiceRepository(paths.data_dir())
    left_out: list[str] = []
    with share_bar(given[0].name) as progress:
        cards = repository.store.bring_in(given, name, progress, left_out=left_out.append)
    return Came([asdict(repository.describe(card)) for card in cards], left_out)


def through(daemon: SyncDaemon, given: Sequence[Path], name: str | None) -> Came:
    """As a job of the daemon, which then knows the voice at once; Ctrl-C cancels the job."""
    options: dict[str, Any] = {"also": [str(path) for path in given[1:]]} if given[1:] else {}
    if name:
        options["name"] = name
    daemon.listen()
    job = daemon.call("ImportVoice", str(given[0]), options)
    try:
        ids, *left_out = _finished(daemon, job, given[0].name).split("\n")
    except KeyboardInterrupt:
        daemon.call("CancelJob", job)
        raise
    return Came([voice for voice in daemon.call("ListVoices") if voice["id"] in ids.split()], left_out)


def missing_for(voices: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Packages and support files that these voices want and this machine has not: name → what is not possible
    without."""
    assets = Assets(paths.assets_dir())
    rows = {voice["kind"]: FAMILIES[voice["kind"]] for voice in voices}
    own = {encoder_id(voice["embedder"]) for voice in voices if rows[voice["kind"]].assets}
    wanted = dict.fromkeys(sorted(own - {CONTENTVEC}), "voices were made with it")
    if not voices or not all(assets.has(name) for name in own):
        wanted[CONTENTVEC] = "RVC voices cannot speak without it"
    if any(voice["f0"] and rows[voice["kind"]].tracked for voice in voices):
        wanted[TRACKER] = "a simpler pitch tracker is used without it"
    packages = dict.fromkeys(package for row in rows.values() for package in row.packages)
    missing = {
        package: f"{extras.OPTIONAL[package].gives} cannot speak without it"
        for package in packages
        if not extras.installed(package)
    }
    return missing | {name: why for name, why in wanted.items() if not assets.has(name)}


def tell(came: Came, missing: dict[str, str]) -> None:
    for voice in came.voices:
        follows = "follows pitch" if voice["f0"] else "without pitch"
        speakers = f", {voice['speakers']} speakers" if voice["speakers"] > 1 else ""
        index = f"index of {voice['index_vectors']} vectors" if voice["index_vectors"] else "no index"
        what = f"RVC {voice['version']}, {voice['rate'] / 1000:g} kHz, {follows}{speakers}, {index}"
        print(f"{voice['id']}: {voice['name']}, {what}")
        for note in voice["notes"]:
            print(f"note: {note}")
    kept = [note for voice in came.voices for note in voice["notes"]]
    for reason in came.left_out:
        if not any(reason in note for note in kept):  # said already
            print(f"left out: {reason}")
    for name, why in missing.items():
        print(f"missing: {name} ({why}): `{_cure(name)}`")
    if came.voices:
        print(f"next: `rwcctl use {came.voices[0]['id']}`")


def _cure(name: str) -> str:
    """The command that brings a package or support file."""
    if name in extras.OPTIONAL:
        return extras.install_command(extras.OPTIONAL[name].extra)
    return f"rwcctl assets fetch {name}" if name in packaged() else f"rwcctl assets add PATH --name {name}"


def _finished(daemon: SyncDaemon, job: int, what: str) -> str:
    """The ids that a job of the daemon brought in, and lines for what it left out. Raises its error, or NoDaemon."""
    with share_bar(what) as progress:
        while True:
            event = daemon.wait_for(lambda e: e.signal in ("JobProgress", "JobDone") and e.values[0] == job, SILENT_S)
            if event is None:
                raise NoDaemon(f"the import has said nothing for {SILENT_S:g} s: `rwcctl logs` may say why")
            if event.signal == "JobProgress":
                progress(event.values[1])
                continue
            _, ok, result = event.values
            if ok:
                return str(result)
            code, _, message = result.partition(": ")
            raise by_code(code)(message or result)
