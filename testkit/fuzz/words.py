"""Command lines of every kind for rwcctl, in this process, beside a real daemon on a bus of its own.

Left out are the commands that never end or change the machine: watch, logs, install, uninstall, demo, bench, latency
and doctor are typed with words that they must refuse, or asked for their help.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from rwc_daemon.controls import NAMES
from rwc_daemon.errors import NoDaemon
from rwc_daemon.faces.cli import main as cli
from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.daemon_parts import session_bus
from testkit.fuzz.account import Account, Hang, at_most, is_sentence
from testkit.voice_maker import make_voice

ROOT = Path(__file__).parents[2]
SPARED = ("watch", "logs", "install", "uninstall", "demo", "bench", "latency", "doctor")
STATUSES = (0, 1, 2, 3)
WORDS = (
    *("", "-", "--", "-1", "+2", "nan", "inf", "1e999", "9" * 400, "\u0661", "0x10", "\udcff", "é" * 300, "\n", "\t"),
    *("deep", "robot", "default", "convert", "mute", "bypass", "yin", "low", "on", "%s%n", "'; true", "$(true)"),
    *("/dev/zero", "/dev/null", "/proc/self/mem", "/", ".", "..", "../../etc/passwd", "~", "\x7f", "a" * 5000),
)
LONGEST = 30_000  # the words that were typed are said again
DEADLINE_S = 30.0


def options_of(command: str) -> list[str]:
    """Every option that a command knows, by asking its parser."""
    found: list[str] = []

    class Parser(cli.Parser):
        def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
            found.extend(name for name in names if name.startswith("-"))
            return super().add_argument(*names, **settings)

    cli.load(command).add_parser(Parser(prog="x").add_subparsers(parser_class=Parser))
    return found


class Lines:
    """Random command lines; `paths`: files of all kinds that may be named."""

    def __init__(self, seed: int, paths: list[str]) -> None:
        self.dice = random.Random(seed)
        self._words = [*WORDS, *NAMES, *paths]
        self._options = {command: options_of(command) for command in cli.MODULES}

    def line(self) -> list[str]:
        command = self.dice.choice(list(cli.MODULES))
        if self.dice.random() < 0.05:
            command = self.dice.choice(WORDS)
        words = [self._word(command) for _ in range(self.dice.randrange(5))]
        if command in SPARED:
            words.append(self.dice.choice(("--help", "--no-such-option")))
        if self.dice.random() < 0.05:
            return [*words, command]
        return [command, *words]

    def _word(self, command: str) -> str:
        options = self._options.get(command, [])
        if options and self.dice.random() < 0.3:
            return self.dice.choice(options)
        if self.dice.random() < 0.1:
            return str(self.dice.choice((self.dice.uniform(-100, 100), self.dice.randrange(-1000, 1000))))
        return self.dice.choice(self._words)


def typed(words: list[str]) -> tuple[int, str]:
    """Exit status and what stands on stderr."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace"))
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = cli.main(words)
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
    err.flush()
    return status, err.buffer.getvalue().decode()


def judged(status: int, said: str) -> str:
    if status not in STATUSES:
        return f"exit status {status}"
    if "unexpected" in said or "Traceback" in said:
        return said
    told = is_sentence(said, LONGEST) or said.startswith("rwcctl COMMAND")
    return "" if not status or told else f"no sentence: {said!r}"


@contextmanager
def daemon(folder: Path) -> Iterator[None]:
    """A real daemon without an audio server, and this process as its client."""
    (folder / "run").mkdir(mode=0o700)
    before = dict(os.environ)
    with session_bus() as bus:
        homes = {f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
        os.environ.update(homes, XDG_RUNTIME_DIR=str(folder / "run"), DBUS_SESSION_BUS_ADDRESS=bus.address)
        os.environ.update(HOME=str(folder), RWC_ASSETS_OFFLINE="true")
        os.environ.update(PIPEWIRE_REMOTE="none", JACK_DEFAULT_SERVER="none")
        process = subprocess.Popen([sys.executable, "-m", "rwc_daemon"], cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            wait_for_daemon(bus.address)
            yield
            assert process.poll() is None, f"the daemon ended with {process.returncode}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)
            os.environ.clear()
            os.environ.update(before)


def wait_for_daemon(address: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            SyncDaemon.connect(address=address).close()
        except NoDaemon:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the daemon did not come up")


def some_paths(folder: Path) -> list[str]:
    """A good voice, an empty file, a folder, a pipe, a link to nothing, a name that is no UTF-8."""
    place = folder / "files"
    place.mkdir()
    voice = make_voice(place, "v2-40k-f0", name="good")
    (place / "empty.pth").touch()
    (place / "folder").mkdir()
    os.mkfifo(place / "pipe.wav")
    (place / "link.wav").symlink_to(place / "nothing")
    odd = os.fsdecode(bytes(place) + b"/\xff.wav")
    Path(odd).touch()
    return [str(voice), *(str(path) for path in place.iterdir() if path != voice)]


def fuzz(count: int, seed: int, folder: Path) -> Account:
    account, lines = Account(), Lines(seed, some_paths(folder))
    before = Path.cwd()
    with daemon(folder):
        os.chdir(folder)  # what a line writes, it writes here
        try:
            for _ in range(count):
                one(account, lines.line())
        finally:
            os.chdir(before)
    return account


def one(account: Account, words: list[str]) -> None:
    try:
        with at_most():
            status, said = typed(words)
    except Hang:
        account.note(words, "hang", refused=False)
    else:
        account.note(words, judged(status, said), refused=status != 0)
