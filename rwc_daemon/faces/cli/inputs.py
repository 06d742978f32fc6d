"""`rwcctl inputs` and `rwcctl input`: which microphone feeds RWC."""

from __future__ import annotations

import argparse
from typing import Any

from rwc_daemon.audio.routing import CHANNELS, MONITOR
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.remote import connected


def add_parser(subparsers: Any) -> None:
    subparsers.add_parser("inputs", description="The microphones that can feed RWC; the one in use is marked with *.")
    choose = subparsers.add_parser("input", description="Choose the microphone that feeds RWC.")
    choose.add_argument("name", metavar="INPUT", nargs="?", help="a name of `rwcctl inputs`, or `default` to follow")
    choose.add_argument(
        "--channel",
        choices=CHANNELS,
        help="of a stereo microphone; auto: the left one, unless only the right one has sound",
    )


def run(args: argparse.Namespace) -> int:
    with connected() as daemon:
        if args.command == "inputs":
            write(daemon.inputs(), daemon.statistics().get("input_note", ""), args.json)
            return 0
        if args.name:
            daemon.put("Input", args.name)
        if args.channel:
            daemon.put("InputChannel", args.channel)
        have = daemon.properties()
    chosen, channel = have["Input"], have["InputChannel"]
    if args.json:
        show.as_json({"input": chosen, "channel": channel})
    else:
        print(f"input {chosen}{meaning(chosen)}")
        print(f"channel {channel}")
    return 0


def meaning(chosen: str) -> str:
    """What a choice does where its name does not say it."""
    if chosen == "default":
        return ": follows the default source"
    if chosen.endswith(MONITOR):
        output = chosen.removesuffix(MONITOR)
        return f": RWC Mic converts what the output '{output}' plays, not a microphone (`rwcctl input default` ends it)"
    return ""


def write(inputs: list[dict[str, Any]], note: str, as_json: bool) -> None:
    if as_json:
        show.as_json(inputs)
        return
    if not inputs:
        print("No microphone is there: plug one in, or look at `pactl list short sources`.")
        return
    rows = [row(found) for found in inputs]
    marked = next((number for number, found in enumerate(inputs) if found.get("current")), None)
    show.table(("", "name", "channels", "what it is"), rows, marked)
    if note:
        print(f"\n{note[0].upper()}{note[1:]}.")


def row(found: dict[str, Any]) -> tuple[str, ...]:
    description = found.get("description", "") + (" (the default source)" if found.get("default") else "")
    return ("*" if found.get("current") else "", found["name"], str(found.get("channels", "")), description)
