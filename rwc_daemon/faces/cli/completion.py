"""`rwcctl completion SHELL`: what a shell reads to complete rwcctl's commands, options, voices and microphones.

The shell asks rwcctl itself at each press of Tab (argcomplete), so that voices that came in a minute ago are offered.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import argcomplete

from rwc_daemon import controls
from rwc_daemon.errors import RwcError
from rwc_daemon.faces.cli.remote import connected

SHELLS = ("bash", "zsh", "fish")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "completion",
        description="Print what a shell needs to complete rwcctl. "
        'For this shell only: eval "$(rwcctl completion bash)"; '
        "for every one, put that line into ~/.bashrc or ~/.zshrc, or for fish: "
        "rwcctl completion fish > ~/.config/fish/completions/rwcctl.fish",
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    print(argcomplete.shellcode(["rwcctl"], shell=args.shell))
    return 0


def answer(parser: argparse.ArgumentParser) -> None:
    """Answers the shell that asks, and ends this process. `parser` knows every command."""
    for action in actions(parser):
        name = action.metavar if isinstance(action.metavar, str) else action.dest
        if name in KNOWN:
            setattr(action, "completer", KNOWN[name])  # noqa: B010 - argcomplete's way, unknown to argparse's types
    argcomplete.autocomplete(parser)


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of a parser and of the commands below it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from actions(below)


def voices(**_: Any) -> list[str]:
    return _asked(lambda daemon: [voice["id"] for voice in daemon.voices()])


def microphones(**_: Any) -> list[str]:
    return ["default", *_asked(lambda daemon: [found["name"] for found in daemon.inputs()])]


def control_names(**_: Any) -> list[str]:
    return list(controls.NAMES)


# by what the help calls an argument
KNOWN: dict[str, Callable[..., list[str]]] = {
    "VOICE": voices,
    "V": voices,
    "INPUT": microphones,
    "KEY": control_names,
}


def _asked(question: Callable[[Any], list[str]]) -> list[str]:
    """Nothing where no daemon answers: completion never complains."""
    try:
        with connected() as daemon:
            return question(daemon)
    except RwcError:
        return []
