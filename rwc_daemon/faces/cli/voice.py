"""`rwcctl voices`, `use`, `voice`, `remove`."""

from __future__ import annotations

import argparse
from typing import Any

from rwc_daemon import controls
from rwc_daemon.errors import NoSuchVoice, NotReady
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.duration import seconds
from rwc_daemon.faces.cli.remote import RunningDaemon, connected

LOAD_TIMEOUT_S = 120.0  # a large voice on a slow disk, with its support files


def add_parser(subparsers: Any) -> None:
    subparsers.add_parser("voices", description="All voices; the one in use is marked with *.")
    use = subparsers.add_parser(
        "use", description="Switch to a voice; the old one plays on until the new one converts."
    )
    use.add_argument("voice", metavar="VOICE", help="id or name, as `rwcctl voices` lists it")
    use.add_argument(
        "--timeout", type=seconds, default=LOAD_TIMEOUT_S, metavar="SECONDS", help="how long to wait (default 120 s)"
    )
    details = subparsers.add_parser("voice", description="Everything known about one voice.")
    details.add_argument("voice", metavar="VOICE", nargs="?", help="id or name (default: the voice in use)")
    remove = subparsers.add_parser("remove", description="Delete an imported voice from this machine.")
    remove.add_argument("voice", metavar="VOICE", help="id or name")


def run(args: argparse.Namespace) -> int:
    acts = {"voices": voices, "use": use, "voice": details, "remove": remove}
    with connected() as daemon:
        acts[args.command](daemon, args)
    return 0


def voices(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    found, current = daemon.voices(), daemon.properties()["Voice"]
    if args.json:
        show.as_json([{**voice, "current": voice["id"] == current} for voice in found])
        return
    rows = [row(voice, voice["id"] == current) for voice in found]
    marked = next((number for number, voice in enumerate(found) if voice["id"] == current), None)
    show.table(("", "voice", "kind", "rate", "pitch", "speakers", "size", "from"), rows, marked)


def row(voice: dict[str, Any], current: bool) -> tuple[str, ...]:
    kind = " ".join(filter(None, (voice["kind"], voice["version"])))
    rate = f"{voice['rate'] / 1000:g} kHz" if voice["rate"] else "any"
    follows = "follows" if voice["f0"] else "fixed"
    label = voice["id"] if voice["name"].lower() in ("", voice["id"]) else f"{voice['id']} ({voice['name']})"
    speakers = str(voice["speakers"])
    return ("*" if current else "", label, kind, rate, follows, speakers, show.size(voice["size"]), voice["origin"])


def use(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    voice = daemon.use(args.voice, args.timeout)
    latency_ms, own = daemon.properties()["LatencyMs"], daemon.controls()
    if args.json:
        show.as_json({"voice": voice, "latency_ms": latency_ms, "controls": own})
        return
    at = f" at {latency_ms:.0f} ms" if latency_ms else ""  # 0: nobody has listened yet
    turned = controls.turned(controls.changed(controls.Controls(), own))
    print(f"'{voice}' converts now{at}{'; ' + turned if turned else ''}.")


def details(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    wanted = args.voice or daemon.properties()["Voice"]
    if not wanted:
        raise NotReady("no voice is in use yet: name one, or try `rwcctl status`")
    found = find(daemon, wanted)
    if args.json:
        show.as_json(found)
        return
    for key, value in found.items():
        if key == "notes":
            for note in value:
                show.line("note", note)
        elif key == "index_vectors":
            show.line("index", f"{value} vectors" if value else "none")
        else:
            show.line(key, show.size(value) if key == "size" else str(value))


def find(daemon: RunningDaemon, wanted: str) -> dict[str, Any]:
    """The entry of one voice, by id or name; raises NoSuchVoice, naming near ones."""
    import difflib

    found = daemon.voices()
    for voice in found:
        if wanted in (voice["id"], voice["name"]):
            return voice
    near = difflib.get_close_matches(wanted, [voice["id"] for voice in found], n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "`rwcctl voices` lists them"
    raise NoSuchVoice(f"no voice '{wanted}': {hint}")


def remove(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    daemon.call("RemoveVoice", args.voice)
    if args.json:
        show.as_json({"removed": args.voice})
    else:
        print(f"{args.voice} is removed.")
