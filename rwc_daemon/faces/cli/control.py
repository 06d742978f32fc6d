"""`rwcctl set`, `get`, `reset`, `mode`, `mute`, `unmute`, and the controls that have a command of their own."""

from __future__ import annotations

import argparse
from typing import Any

from rwc_daemon import controls
from rwc_daemon.errors import RwcError
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.remote import RunningDaemon, connected


class NeedsYes(RwcError):
    """Bypass plays the unprocessed voice: the user says so twice."""

    exit_status = 2


def add_parser(subparsers: Any) -> None:
    for name in controls.SHORT:
        add_stepped(subparsers, name)
    known = "\n".join(f"  {name:<15} {span(name)}" for name in controls.NAMES)
    raw = argparse.RawDescriptionHelpFormatter
    setting = subparsers.add_parser("set", description=f"Set a control:\n\n{known}", formatter_class=raw)
    setting.add_argument("key", metavar="KEY", help="one of the names above")
    setting.add_argument("value", metavar="VALUE", help="within the range above")
    getting = subparsers.add_parser("get", description=f"Show controls:\n\n{known}", formatter_class=raw)
    getting.add_argument("key", metavar="KEY", nargs="?", help="only this one")
    subparsers.add_parser("reset", description="All controls back to where they start.")
    mode = subparsers.add_parser("mode", description="What RWC Mic plays.")
    mode.add_argument(
        "mode", metavar="MODE", nargs="?", choices=controls.MODES, help="convert, mute or bypass; without: show it"
    )
    mode.add_argument("--yes", action="store_true", help="needed for bypass, which plays your unprocessed voice")
    subparsers.add_parser("mute", description="RWC Mic is silent until `rwcctl unmute`.")
    subparsers.add_parser("unmute", description="RWC Mic plays the converted voice again.")


def add_stepped(subparsers: Any, name: str) -> None:
    control = controls.known_name(name)
    parser = subparsers.add_parser(name, description=f"Show or set: {span(control)}.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("value", metavar="N", nargs="?", help=f"the new value: {limits(control)}")
    how.add_argument("--by", metavar="±N", help="so much more or less than now, for instance --by +2")


def span(name: str) -> str:
    """What a control does and takes, in one line."""
    row = controls.ROWS[name]
    takes = "one of " + ", ".join(row.choices) if row.choices else limits(name)
    return f"{takes}: {row.doc}"


def limits(name: str) -> str:
    known = controls.NUMBERS[name]
    return f"{known.low:g} … {known.high:g}" + ("" if known.unit == "number" else f" {known.unit}")


def run(args: argparse.Namespace) -> int:
    if args.command == "mode" and args.mode == "bypass" and not args.yes:
        raise NeedsYes(
            "bypass lets everyone hear your unprocessed voice: say `rwcctl mode bypass --yes` if you want that"
        )
    acts = {"set": set_one, "get": get, "reset": reset, "mode": mode, "mute": mute, "unmute": unmute}
    with connected() as daemon:
        acts.get(args.command, stepped)(daemon, args)
    return 0


def stepped(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    name = controls.known_name(args.command)
    now = daemon.controls()[name]
    if args.value is None and args.by is None:
        tell(args, {name: now})
        return
    wanted = args.value
    if args.by is not None:
        wanted = now + step(name, args.by)
    turn(daemon, args, {name: controls.parse(name, wanted)})


def step(name: str, text: str) -> float:
    """The size of a relative change; refused where it is no number."""
    widest = controls.NUMBERS[name].high - controls.NUMBERS[name].low
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= widest:
        raise controls.OutOfRange(f"--by takes a number of {controls.NUMBERS[name].unit}, such as +2; not '{text}'")
    return value


def set_one(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    name = controls.known_name(args.key)
    turn(daemon, args, {name: controls.parse(name, args.value)})


def turn(daemon: RunningDaemon, args: argparse.Namespace, wanted: dict[str, Any]) -> None:
    daemon.set_controls(wanted)
    now = daemon.controls()
    tell(args, {name: now[name] for name in wanted})


def get(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    now = daemon.controls()
    names = [controls.known_name(args.key)] if args.key else list(controls.NAMES)
    if args.json or args.key:
        tell(args, {name: now[name] for name in names})
        return
    show.table(("control", "now", "takes"), [(name, text(now[name]), span(name)) for name in names])


def reset(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    daemon.call("ResetControls")
    tell(args, daemon.controls())


def mode(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    if args.mode:
        daemon.put("Mode", args.mode)
    tell(args, {"mode": daemon.properties()["Mode"]})


def mute(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    daemon.put("Mode", "mute")
    tell(args, {"mode": "mute"})


def unmute(daemon: RunningDaemon, args: argparse.Namespace) -> None:
    daemon.put("Mode", "convert")
    tell(args, {"mode": "convert"})


def tell(args: argparse.Namespace, values: dict[str, Any]) -> None:
    if args.json:
        show.as_json(values)
        return
    for name, value in values.items():
        print(f"{name} {text(value)}" + unit(name))


def text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def unit(name: str) -> str:
    known = controls.NUMBERS.get(name)
    return f" {known.unit}" if known and known.unit in ("semitones", "dB") else ""
