"""rwcctl: what a user types.

One table of commands; each lives in a module of this folder that has `add_parser(subparsers)` and `run(args) -> int`.
Only the module of the command that was typed is imported, so that `rwcctl status` answers at once.

Exit status: 0 done, 1 the request failed, 2 wrong usage or value, 3 no daemon or session bus.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from rwc_daemon.controls import ROWS
from rwc_daemon.errors import RwcError
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.printable import any_text, sentence

PACKAGE = "rwc_daemon.faces.cli"
USAGE, INTERRUPTED = 2, 130
EXIT_STATUS = "0 done, 1 failed (stderr says why), 2 wrong usage or value, 3 no daemon or session bus."
NAME_WIDTH = 13  # of a command in the overview, with the blanks around it

# the controls that have a command of their own
STEPPED = {row.command: ("control", f"show or set {row.called}, in {row.unit}") for row in ROWS.values() if row.command}
# heading → command → (module, what it does)
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "see": {
        "status": ("status", "state, voice, input, latency and its parts, counters"),
        "watch": ("watch", "live view: levels, pitch, latency, load"),
        "latency": ("latency", "measure the delay through the live graph"),
        "doctor": ("checkup", "what is wrong on this machine and how to fix it"),
        "bench": ("bench", "how fast the voices are on this machine"),
        "logs": ("service", "what daemon and microphone wrote to the journal"),
    },
    "voices": {
        "voices": ("voice", "list the voices"),
        "use": ("voice", "switch to a voice, live"),
        "voice": ("voice", "details of one voice"),
        "import": ("importing", "bring in .pth, .safetensors, .onnx, .index, a folder or a zip"),
        "remove": ("voice", "delete an imported voice"),
        "assets": ("assets", "support files of RVC voices: list, fetch, add"),
        "convert": ("convert", "convert sound files; needs no daemon"),
        "demo": ("demo", "hear a sentence converted: in.wav, out.wav, demo.png"),
    },
    "turn": {
        **STEPPED,
        "set": ("control", "set any control"),
        "get": ("control", "show one control, or all"),
        "reset": ("control", "all controls back to where they start"),
        "mode": ("control", "convert, mute or bypass"),
        "mute": ("control", "RWC Mic is silent"),
        "unmute": ("control", "RWC Mic converts again"),
        "inputs": ("inputs", "list the microphones that can feed RWC"),
        "input": ("inputs", "choose the microphone, or follow the default"),
    },
    "service": {
        "completion": ("completion", "what bash, zsh or fish needs to complete rwcctl"),
        "install": ("service", "install and start the systemd user services"),
        "uninstall": ("service", "stop and remove them; voices stay"),
    },
}
MODULES = {command: module for group in COMMANDS.values() for command, (module, _) in group.items()}


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, and whose every command knows --json."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "allow_abbrev": False, "conflict_handler": "resolve"})
        self.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON, for scripts")

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"rwcctl: {sentence(message)} (see: {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    any_text()
    try:
        status = act(words)
        sys.stdout.flush()
        return status
    except RwcError as no:
        return complain(str(no), no.exit_status)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has gone (`rwcctl voices | head`); keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as bug:  # noqa: BLE001 - the top of this process: no traceback reaches a user unasked
        if isinstance(bug, OSError) and bug.filename:
            return complain(f"{bug.filename}: {bug.strerror}", 1)  # a path that the system refuses
        if os.environ.get("RWC_DEBUG"):
            traceback.print_exc()
        return complain(f"unexpected {type(bug).__name__}: {bug} (a bug in RWC; RWC_DEBUG=1 shows where)", 1)


def act(words: list[str]) -> int:
    """Do what was typed; raises RwcError, or SystemExit for wrong usage and help."""
    if "_ARGCOMPLETE" in os.environ:
        load("completion").answer(whole_parser())  # a shell asks; this does not return
    command = next((word for word in words if not word.startswith("-")), "")
    parser = Parser(prog="rwcctl", add_help=False, usage="rwcctl COMMAND … (rwcctl --help lists them)")
    if not command:
        return without_command(parser, words)
    if command not in MODULES:
        parser.error(f"no command '{command}'{did_you_mean(command, MODULES)}")
    module = load(command)
    module.add_parser(parser.add_subparsers(dest="command", metavar="COMMAND", prog="rwcctl", parser_class=Parser))
    args = parser.parse_args(words)
    args.json = getattr(args, "json", False)
    return int(module.run(args))


def whole_parser() -> Parser:
    """Of all commands: for completion and the man page. Imports every command's module."""
    parser = Parser(prog="rwcctl", description="Speaks to rwc-daemon, the microphone that converts your voice.")
    parser.add_argument("--version", action="version", version=version_line())
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", prog="rwcctl", parser_class=Parser)
    for name in dict.fromkeys(MODULES.values()):
        importlib.import_module(f"{PACKAGE}.{name}").add_parser(subparsers)
    return parser


def load(command: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.{MODULES[command]}")


def without_command(parser: Parser, words: list[str]) -> int:
    if "--version" in words:
        print(version_line())
        return 0
    if words and words[0] in ("-h", "--help"):
        print(overview())
        return 0
    if words:
        parser.error(f"unknown option '{words[0]}'")
    print(overview(), file=sys.stderr)
    return USAGE


def version_line() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"rwcctl {version('rwc-daemon')}"
    except PackageNotFoundError:
        return "rwcctl (not installed: run ./tools/start)"


def overview() -> str:
    """All commands, by what one wants."""
    lines = [
        "rwcctl COMMAND [ARGUMENT …] [--json]",
        "",
        "Speaks to rwc-daemon, the microphone that converts your voice.",
    ]
    for heading, group in COMMANDS.items():
        lines += ["", heading]
        lines += [f"  {command:<10} {show.hanging(what, NAME_WIDTH)}" for command, (_, what) in group.items()]
    ends = ["rwcctl COMMAND --help tells ranges and units.", "", f"Exit status: {EXIT_STATUS}"]
    return "\n".join([*lines, "", *(show.hanging(end, 2) for end in ends)])


def did_you_mean(word: str, known: Sequence[str] | dict[str, str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f": did you mean '{near[0]}'?" if near else ""


def complain(message: str, status: int) -> int:
    """One line on stderr, whatever the message held."""
    print("rwcctl: " + sentence(message), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
