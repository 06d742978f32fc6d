"""rwcctl install and uninstall inside a real `systemd --user` session, as an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DESKTOP = ROOT / "testkit" / "harness" / "desktop"
BIN = Path(sys.executable).parent

STORY = """
set -e
export PATH="$BIN:$PATH"
rm -rf ~/.config/rwc ~/.config/systemd ~/.local/share/dbus-1 ~/.local/share/rwc ~/.local/state/rwc
say() { echo "STEP $*"; }
ready() {
  for _ in $(seq 150); do
    rwcctl status --json 2>/dev/null | grep -qE '"state": "(idle|live)"' && return 0
    sleep 0.2
  done
  return 1
}
files() { find ~/.config ~/.local/share -type f -name '*rwc*' | sort; }
pid() { systemctl --user show -p MainPID --value "$1"; }

rwcctl install; ready; say installed
files | sed 's/^/FILE /'
pactl list short sources | grep -q rwc_mic; say source
mic=$(pid rwc-mic) daemon=$(pid rwc-daemon)
rwcctl install
[ "$mic" = "$(pid rwc-mic)" ] && [ "$daemon" = "$(pid rwc-daemon)" ]; say idempotent

systemctl --user kill --kill-whom=main -s KILL rwc-daemon
for _ in $(seq 100); do [ "$(pid rwc-daemon)" != "$daemon" ] && break; sleep 0.1; done; ready; say restarted
[ "$mic" = "$(pid rwc-mic)" ]; say node-untouched

systemctl --user stop rwc-daemon
rwcctl status && exit 1 || [ $? = 3 ]; say no-daemon
busctl --user call org.rwc.Daemon1 /org/rwc/Daemon1 org.rwc.Daemon1 ListVoices >/dev/null; ready; say activated

systemctl --user kill --kill-whom=main -s KILL pipewire
for _ in $(seq 100); do pactl list short sources 2>/dev/null | grep -q rwc_mic && break; sleep 0.1; done
pactl list short sources | grep -q rwc_mic; ready; say server-crash

rwcctl logs -n 200 | grep -q 'RWC Mic'; say logs
rwcctl uninstall
files | sed 's/^/LEFT /'
! systemctl --user list-unit-files | grep rwc; ! pactl list short sources | grep rwc_mic; say uninstalled
rwcctl uninstall; say twice
"""


def in_desktop(script: str) -> subprocess.CompletedProcess[str]:
    shown = dict.fromkeys((sys.base_prefix, sys.prefix, str(ROOT)))
    environment = {**os.environ, "BIN": str(BIN), "RWC_DESKTOP_KEEP": "BIN", "RWC_DESKTOP_SHOW": " ".join(shown)}
    return subprocess.run(
        [str(DESKTOP), "bash", "-c", script], capture_output=True, text=True, check=False, env=environment, timeout=240
    )


@pytest.fixture(scope="module")
def possible() -> None:
    if os.geteuid() != 0 or not Path("/lib/systemd/systemd").exists() or not shutil.which("unshare"):
        pytest.skip("only root can make a desktop session, with systemd and unshare installed")
    if not (BIN / "rwc-daemon").exists():
        pytest.skip("the package is not installed: tools/test does that")


def test_the_life_of_an_installation(possible: None) -> None:
    done = in_desktop(STORY)
    steps = [line.removeprefix("STEP ") for line in done.stdout.splitlines() if line.startswith("STEP ")]
    assert steps == [
        "installed", "source", "idempotent", "restarted", "node-untouched", "no-daemon", "activated", "server-crash",
        "logs", "uninstalled", "twice",
    ], (done.stdout[-3000:], done.stderr[-3000:])  # fmt: skip
    files = [Path(line.removeprefix("FILE ")).name for line in done.stdout.splitlines() if line.startswith("FILE ")]
    assert sorted(files) == [
        "60-rwc-standby.conf",
        "org.rwc.Daemon1.service",
        "rwc-daemon.service",
        "rwc-mic.conf",
        "rwc-mic.service",
    ]
    assert "LEFT" not in done.stdout, "uninstall removes exactly what install wrote"
