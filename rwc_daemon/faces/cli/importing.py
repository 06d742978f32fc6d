"""`rwcctl import`: voice files into the store, through the daemon where it runs, straight where it does not."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rwc_daemon import extras
from rwc_daemon.errors import BadModel, NoDaemon, NoSessionBus, by_code
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.progress import share_bar
from rwc_daemon.faces.dbus_client import SyncDaemon
from rwc_daemon.host import paths
from rwc_daemon.store.assets import Assets

ENCODER, TRACKER = "contentvec", "rmvpe"  # what every RVC voice needs; what those that follow pitch do best with
SILENT_S = 600.0  # an import that says nothing for so long is given up


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "import",
        description="Bring in RVC voices: .pth, .safetensors, .onnx, .index, a folder or a zip. What a file is, its "
        "content says; an index goes to the voice of its width and name. No file can run code.",
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a voice and its index together, or several")
    parser.add_argument("--name", metavar="NAME", help="what the voice is called (default: the file's name)")


def run(args: argparse.Namespace) -> int:
    given = [Path(os.path.abspath(path)) for path in args.paths]
    for path in given:
        if not path.exists():
            raise BadModel(f"no file or folder {path}")
    voices = bring_in(given, args.name)
    missing = missing_for(voices)
    if args.json:
        show.as_json({"voices": voices, "missing": missing})
    else:
        tell(voices, missing)
    return 0


def bring_in(given: Sequence[Path], name: str | None) -> list[dict[str, Any]]:
    """What came in, as `ListVoices` describes it. Raises what the store raises."""
    try:
        daemon = SyncDaemon.connect()
    except (NoDaemon, NoSessionBus):
        return straight(given, name)
    with daemon:
        return through(daemon, given, name)


def straight(given: Sequence[Path], name: str | None) -> list[dict[str, Any]]:
    """Without a daemon: the store is plain files."""
    from rwc_daemon.voices.shelf import Shelf, info_of

    with share_bar(given[0].name) as progress:
        cards = Shelf(paths.data_dir()).store.bring_in(given, name, progress)
    return [asdict(info_of(card)) for card in cards]


def through(daemon: SyncDaemon, given: Sequence[Path], name: str | None) -> list[dict[str, Any]]:
    """As a job of the daemon, which then knows the voice at once; Ctrl-C cancels the job."""
    options: dict[str, Any] = {"also": [str(path) for path in given[1:]]} if given[1:] else {}
    if name:
        options["name"] = name
    daemon.listen()
    job = daemon.call("ImportVoice", str(given[0]), options)
    try:
        ids = _finished(daemon, job, given[0].name)
    except KeyboardInterrupt:
        daemon.call("CancelJob", job)
        raise
    return [voice for voice in daemon.call("ListVoices") if voice["id"] in ids]


def missing_for(voices: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Packages and support files that these voices want and this machine has not: name → what is not possible
    without."""
    assets = Assets(paths.assets_dir())
    wanted = {ENCODER: "RVC voices cannot speak without it"}
    if any(voice["f0"] for voice in voices):
        wanted[TRACKER] = "a simpler pitch tracker is used without it"
    missing = {} if extras.installed("torch") else {"torch": "RVC voices cannot speak without it"}
    return missing | {name: why for name, why in wanted.items() if not assets.has(name)}


def tell(voices: Sequence[dict[str, Any]], missing: dict[str, str]) -> None:
    for voice in voices:
        follows = "follows pitch" if voice["f0"] else "without pitch"
        speakers = f", {voice['speakers']} speakers" if voice["speakers"] > 1 else ""
        print(
            f"{voice['id']}: {voice['name']}, RVC {voice['version']}, {voice['rate'] / 1000:g} kHz, {follows}{speakers}"
        )
    for name, why in missing.items():
        cure = extras.install_command("rvc") if name in extras.OPTIONAL else f"rwcctl assets fetch {name}"
        print(f"missing: {name} ({why}): `{cure}`")
    if voices:
        print(f"next: `rwcctl use {voices[0]['id']}`")


def _finished(daemon: SyncDaemon, job: int, what: str) -> list[str]:
    """The ids that a job of the daemon brought in. Raises the job's error, or NoDaemon."""
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
                return result.split()
            code, _, message = result.partition(": ")
            raise by_code(code)(message or result)
