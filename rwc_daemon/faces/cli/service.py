"""`rwcctl install`, `uninstall`, `logs`: the systemd user services, D-Bus activation, the journal."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rwc_daemon.audio import libjack
from rwc_daemon.audio.claims import recorders
from rwc_daemon.audio.graph import Graph, PipeWireGraph
from rwc_daemon.audio.standby import Standby
from rwc_daemon.errors import MissingPackage, NotReady, RwcError
from rwc_daemon.faces.cli import show
from rwc_daemon.faces.cli.units import DAEMON, MICROPHONE, stale, wanted_files
from rwc_daemon.store.files import write_atomic

START_TIMEOUT_S = 90
PRIVATE_SESSION = "RWC_SESSION_DIR"  # what tools/session tells its programs
GRAPH_STILL_S, GRAPH_TIMEOUT_S = 0.5, 10.0


def add_parser(subparsers: Any) -> None:
    subparsers.add_parser(
        "install",
        description="Write the systemd user services rwc-mic and rwc-daemon and the D-Bus activation file, then start "
        "them, now and at every login. Repeating it is harmless; nothing is restarted where nothing changed.",
    )
    away = subparsers.add_parser(
        "uninstall",
        description="Stop the services and delete the files that install wrote. Voices and settings stay. While a "
        "program records RWC Mic this is refused, for its user would go on talking to it.",
    )
    away.add_argument("--yes", action="store_true", help="also while programs record: they hear silence from then on")
    logs = subparsers.add_parser(
        "logs",
        description="What daemon and microphone wrote to the journal; in a private session, what its daemon wrote to "
        "the session's own log.",
    )
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing")
    logs.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="the last N lines (default 50)")


def run(args: argparse.Namespace) -> int:
    acts = {"install": install, "uninstall": uninstall, "logs": logs}
    return acts[args.command](args)


def install(args: argparse.Namespace) -> int:
    require_manager()
    # on plain JACK2 the ports are the microphone, and the node's unit would start PipeWire beside it
    files = wanted_files(node=not libjack.plain_jack())
    changed = [file for file in files if stale(file)]
    for file in changed:
        write_atomic(file.path, file.text.encode())
    if changed:
        systemctl("daemon-reload")
        reload_bus()
    services = list(dict.fromkeys(file.service for file in files if file.service))
    systemctl("enable", *services)
    for service in services:
        # a running service is left alone where its files say what they said: the node must not blink for nothing
        systemctl("restart" if any(file.service == service for file in changed) else "start", service)
    report(args, {"written": [str(file.path) for file in changed], "running": services})
    return 0


def uninstall(args: argparse.Namespace) -> int:
    require_manager()
    files = [file for file in wanted_files() if file.path.exists()]
    with quiet_end(args.yes) as silenced:
        # the daemon first: while it runs it holds the node up
        for service in dict.fromkeys(file.service for file in reversed(files) if file.service):
            systemctl("disable", "--now", service)
    for file in files:
        file.path.unlink()
        if file.path.parent.name == "rwc":
            with suppress(OSError):  # the user's own config.toml is in it
                file.path.parent.rmdir()
    if files:
        systemctl("daemon-reload")
        reload_bus()
    report(args, {"silenced": silenced, "removed": [str(file.path) for file in files]})
    return 0


@contextmanager
def quiet_end(yes: bool) -> Iterator[list[str]]:
    """The names of the programs that record RWC Mic: when it is gone they hear silence, never the unprocessed
    microphone. Raises NotReady where there are some and that was not wanted."""
    if not libjack.pipewire_runs():
        yield []
        return
    watch = PipeWireGraph()
    watch.start()
    try:
        standby = Standby(watch)
        names = sorted({recorder.description for recorder in recorders(whole_graph(watch))})
        if names and not yes:
            raise NotReady(
                f"RWC Mic is being recorded by {', '.join(names)}: end that or choose another microphone there, or use "
                "'rwcctl uninstall --yes', after which it hears silence until it does"
            )
        standby.prepare()
        yield names
        if not names and not recorders(whole_graph(watch)):
            standby.remove()
    finally:
        watch.stop()


def whole_graph(watch: PipeWireGraph) -> Graph:
    """The graph once it has stood still for a moment: a view that has just begun may be empty, or a part."""
    end, graph, since = time.monotonic() + GRAPH_TIMEOUT_S, Graph(), time.monotonic()
    while time.monotonic() < min(end, since + GRAPH_STILL_S) or not graph.nodes:
        if time.monotonic() > end:
            raise NotReady("PipeWire does not tell who records RWC Mic: try again, or restart it first")
        if watch.graph() != graph:
            graph, since = watch.graph(), time.monotonic()
        time.sleep(GRAPH_STILL_S / 10)
    return graph


def report(args: argparse.Namespace, done: dict[str, list[str]]) -> None:
    if args.json:
        show.as_json(done)
        return
    for verb, things in done.items():
        for thing in things:
            show.line(verb, thing)
    if not any(done.values()):
        print("Nothing was installed.")


def logs(args: argparse.Namespace) -> int:
    if folder := os.environ.get(PRIVATE_SESSION):
        return private_logs(Path(folder) / "log" / "rwc-daemon", args)
    command = ["journalctl", "-n", str(max(1, args.lines)), "-q", *matches()]
    command += ["-o", "json" if args.json else "short-precise", *(["-f"] if args.follow else ["--no-pager"])]
    try:
        return 1 if subprocess.run(command, check=False).returncode else 0
    except FileNotFoundError:
        raise MissingPackage(
            "there is no journalctl on this machine; the log of a private session: ./tools/start --run rwcctl logs"
        ) from None


def private_logs(path: Path, args: argparse.Namespace) -> int:
    """The same of a private session, whose daemon writes into a file. JSON: an object a line with journald's name."""
    if not path.exists():
        raise NotReady(f"{path} is not there: no daemon was started in this private session by ./tools/start")
    follow = ["--follow=name"] if args.follow else []
    with subprocess.Popen(["tail", "-n", str(max(1, args.lines)), *follow, str(path)], stdout=subprocess.PIPE) as tail:
        assert tail.stdout
        for line in tail.stdout:
            text = line.decode(errors="replace").rstrip("\n")
            print(json.dumps({"MESSAGE": text}, ensure_ascii=False) if args.json else text, flush=args.follow)
    return 1 if tail.returncode else 0


def matches() -> list[str]:
    """Our lines and systemd's about our units. Not `--user`: where the journal is volatile, users have no file of
    their own; and by identifier too, since not every session tells the journal its units."""
    own = f"_UID={os.getuid()}"
    kinds = [f"{field}={unit}" for unit in (DAEMON, MICROPHONE) for field in ("_SYSTEMD_USER_UNIT", "USER_UNIT")]
    kinds.append(f"SYSLOG_IDENTIFIER={DAEMON.removesuffix('.service')}")
    return " + ".join(f"{own} {kind}" for kind in kinds).split()


def require_manager() -> None:
    """Raises NotReady where no systemd user session runs."""
    try:
        systemctl("show-environment")
    except RwcError as no:
        raise NotReady(
            f"no systemd user session answers ({no}): log in to a desktop, or use ./tools/start, "
            "which runs the daemon in a private session"
        ) from no


def systemctl(*words: str) -> str:
    """`systemctl --user …`; raises NotReady with systemd's own last word."""
    command = ["systemctl", "--user", "--no-ask-password", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_TIMEOUT_S)
    except FileNotFoundError:
        raise MissingPackage("systemd is not on this machine: use ./tools/start") from None
    except subprocess.TimeoutExpired:
        raise NotReady(f"systemctl {' '.join(words)} took longer than {START_TIMEOUT_S} s: see `rwcctl logs`") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise NotReady(f"systemctl {' '.join(words)}: {said[0]}")
    return done.stdout


def reload_bus() -> None:
    """The bus learns of new activation files; it reads them by itself only in folders that were there at its start."""
    words = ["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig"]
    subprocess.run(["busctl", "--user", "call", *words], capture_output=True, check=False, timeout=START_TIMEOUT_S)
