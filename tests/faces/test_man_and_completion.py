"""The manual pages say what the help says; a real bash completes commands, options and voices."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rwc_daemon import __main__ as daemon
from rwc_daemon.faces.cli import main
from rwc_daemon.faces.cli.completion import SHELLS, actions
from rwc_daemon.faces.cli.main import MODULES
from testkit.running import Running, running_daemon

PAGES = Path(__file__).resolve().parents[2] / "docs" / "man"
PROGRAM = Path(sys.executable).parent / "rwcctl"
COMPLETE = """
eval "$(rwcctl completion bash)"
COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; read -ra COMP_WORDS <<<"$1"
[[ $1 != *" " ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete rwcctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(line: str, session: Running | None = None, **environment: str) -> list[str]:
    """What bash offers after `line` and Tab, in a session or outside."""
    command = ["bash", "--norc", "-c", COMPLETE, "bash", line]
    paths = f"{PROGRAM.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        session.enter(*command) if session else command,
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environment, "PATH": paths},
    )  # fmt: skip
    assert done.stderr == ""
    return [word.strip() for word in done.stdout.split("\n") if word.strip()]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_daemon(tmp_path_factory.mktemp("session")) as it:
        yield it


def test_pages_name_every_command_and_option() -> None:
    """After a change of a command: .venv/bin/python tools/man_pages."""
    for page, parser in (("rwcctl.1", main.whole_parser()), ("rwc-daemon.1", daemon.parser())):
        text = (PAGES / page).read_text(encoding="utf-8").replace("\\-", "-")
        text = re.sub(r"\\f[BIR]", "", text)
        known = {option for action in actions(parser) for option in action.option_strings}
        said = set(re.findall(r"(?<![\w-])--[a-z0-9][a-z0-9-]*", text))
        assert {option for option in known if option.startswith("--")} - {"--help"} <= said, page
    commands = set(re.findall(r"^\.SS \\fBrwcctl (\S+)\\fR", (PAGES / "rwcctl.1").read_text(), re.M))
    assert set(MODULES) <= commands


def test_man_finds_the_page_beside_the_program() -> None:
    paths = f"{PROGRAM.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["man", "-w", "rwcctl"], capture_output=True, text=True, check=False, env={**os.environ, "PATH": paths}
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).resolve() == PAGES / "rwcctl.1"


def test_pages_are_clean_roff() -> None:
    for page in PAGES.glob("*.1"):
        done = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", str(page)],
            capture_output=True, text=True, check=False, env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert done.returncode == 0
        assert done.stderr == ""
        assert "SEE ALSO" in done.stdout


def test_bash_completes_commands_and_options() -> None:
    assert completed("rwcctl sta") == ["status"]
    assert set(completed("rwcctl un")) == {"uninstall", "unmute"}
    assert "--timeout" in completed("rwcctl use --")
    assert set(completed("rwcctl mode ")) >= {"convert", "mute", "bypass"}
    assert "gate_db" in completed("rwcctl set ga")


def test_bash_completes_voices_and_microphones(running: Running) -> None:
    assert completed("rwcctl use rob", running) == ["robot"]
    assert "fake_mic" in completed("rwcctl input ", running)


def test_without_a_daemon_completion_says_nothing(tmp_path: Path) -> None:
    assert completed("rwcctl use rob", DBUS_SESSION_BUS_ADDRESS=f"unix:path={tmp_path}/none") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_its_code(shell: str) -> None:
    done = subprocess.run([PROGRAM, "completion", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "rwcctl" in done.stdout
    assert subprocess.run([PROGRAM, "completion", "tcsh"], capture_output=True, check=False).returncode == 2
