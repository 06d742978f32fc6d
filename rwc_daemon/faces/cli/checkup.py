"""`rwcctl doctor`: the report of doctor/examine.py on a terminal."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from typing import Any

from rwc_daemon.errors import RwcError
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.remote import connected

SIGNS = {"good": ("✓", "green"), "note": ("•", "yellow"), "bad": ("✗", "red")}
WIDTH = 110


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "doctor",
        description="Looks at host, packages, GPU, realtime permission, audio server, node, voices, daemon, timings, "
        "and says how to fix what is wrong. Needs no daemon. Exit status 1 where something stops RWC Mic.",
    )
    parser.add_argument(
        "--fix", action="store_true", help="run the fixes that are safe to run, say which, and look again"
    )


def run(args: argparse.Namespace) -> int:
    from rwc_daemon.doctor import fixing
    from rwc_daemon.doctor.examine import examine, to_dict

    def look() -> list[Any]:
        return examine(ask())

    findings, fixed = look(), []
    if args.fix:
        for done in fixing.fix(findings):
            fixed.append(done)
            if not args.json:
                print(fix_text(done))
        if fixed:
            findings = fixing.look_again(look, fixed)
        if not args.json:
            print("" if fixed else "Nothing was found that can be fixed from here.\n")
    report = to_dict(findings)
    if args.json:
        show.as_json(report | ({"fixed": [asdict(done) for done in fixed]} if args.fix else {}))
    else:
        write(report)
    return 0 if report["well"] else 1


def fix_text(done: Any) -> str:
    """`done`: a `fixing.Fixed`."""
    sign = show.paint("✓", "green") if done.ok else show.paint("✗", "red")
    return f"{sign} {done.part}: ran `{shlex.join(done.command)}`" + ("" if done.ok else f", which failed: {done.said}")


def ask() -> Any:
    """What a running daemon says of itself; a daemon that does not answer is a finding, not a failure."""
    from rwc_daemon.doctor.finding import Asked

    try:
        with connected() as daemon:
            return Asked(True, properties=daemon.properties(), statistics=daemon.statistics())
    except RwcError as no:
        return Asked(False, why_not=str(no))


def write(report: dict[str, Any]) -> None:
    findings = report["findings"]
    width = max(len(finding["part"]) for finding in findings) + 2
    for finding in findings:
        sign, colour = SIGNS[finding["state"]]
        head = f"{show.paint(sign, colour)} {finding['part']:<{width}}"
        print(head + show.hanging(finding["text"], width + 2, WIDTH))
        if finding["fix"]:
            print(" " * (width + 2) + show.paint("→ " + show.hanging(finding["fix"], width + 4, WIDTH), "bold"))
    wrong = sum(finding["state"] == "bad" for finding in findings)
    print()
    print(show.paint("All is well." if not wrong else f"{wrong} to fix.", "red" if wrong else "green"))
    if any(finding["fix_command"] for finding in findings if finding["state"] != "good"):
        print("`rwcctl doctor --fix` runs what is safe to run.")
