"""`rwcctl doctor`: the report of control/doctor.py on a terminal."""

from __future__ import annotations

import argparse
from typing import Any

from rwc_daemon.errors import RwcError
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.remote import connected

SIGNS = {"good": ("✓", "green"), "note": ("•", "yellow"), "bad": ("✗", "red")}
WIDTH = 110


def add_parser(subparsers: Any) -> None:
    subparsers.add_parser(
        "doctor",
        description="Looks at host, packages, GPU, realtime permission, audio server, node, voices, daemon, timings, "
        "and says how to mend what is wrong. Needs no daemon. Exit status 1 where something stops RWC Mic.",
    )


def run(args: argparse.Namespace) -> int:
    from rwc_daemon.control import doctor

    report = doctor.to_dict(doctor.examine(ask()))
    if args.json:
        show.as_json(report)
    else:
        write(report)
    return 0 if report["well"] else 1


def ask() -> Any:
    """What a running daemon says of itself; a daemon that does not answer is a finding, not a failure."""
    from rwc_daemon.control.doctor import Asked

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
        if finding["mend"]:
            print(" " * (width + 2) + show.paint("→ " + show.hanging(finding["mend"], width + 4, WIDTH), "bold"))
    wrong = sum(finding["state"] == "bad" for finding in findings)
    print()
    print(show.paint("All is well." if not wrong else f"{wrong} to mend.", "red" if wrong else "green"))
