"""The doctor looks at who starts RWC: the systemd user services, the file of the standby node, leftover holders."""

from __future__ import annotations

from pathlib import Path

from rwc_daemon.audio import holder, libjack
from rwc_daemon.audio.microphone import UNIT as MICROPHONE
from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Finding, answer

DAEMON = "rwc-daemon.service"
INSTALL = "rwcctl install"
RESTARTS = 6  # in a row, after which the unit pauses before each start
OWN_CONFIG = b"/rwc/mic.conf"  # of a private session's holder


def services() -> list[Finding]:
    """Whether systemd holds the node and starts the daemon; nothing where no user manager runs."""
    if answer("systemctl", "--user", "show-environment") is None:
        return []
    if not _installed(DAEMON):
        return [Finding("services", NOTE, "not installed: RWC does not start at login", INSTALL)]
    wanted = [DAEMON] if libjack.plain_jack() else [DAEMON, MICROPHONE]
    found = [finding for unit in wanted for finding in _unit(unit)]
    return found or [Finding("services", GOOD, "installed, started at login")]


def why_down() -> str:
    """Where systemd has given the daemon up, or pauses before it tries again; else empty."""
    fact = _facts(DAEMON)
    cure = "'rwcctl logs' says why, 'systemctl --user restart rwc-daemon' starts it again"
    if fact.get("ActiveState") == "failed":
        return f"rwc-daemon does not run, its service has failed (last result: {fact.get('Result')}): {cure}"
    if _pausing(fact):
        return f"rwc-daemon does not run: {_again(fact)}; {cure} at once"
    return ""


def standby(config_home: Path) -> list[Finding]:
    """The file by which PipeWire makes the silent standby at its own start; it belongs to an installation."""
    if libjack.plain_jack() or not _installed(MICROPHONE):
        return []
    path = config_home / holder.STANDBY_FILE
    try:
        same = path.read_text(encoding="utf-8") == holder.STANDBY_CONFIGURATION
    except (OSError, UnicodeDecodeError):
        same = False
    if same:
        return []
    text = f"{path} is missing or changed: when PipeWire restarts, programs may hear the unprocessed microphone"
    return [Finding("standby", BAD, text, INSTALL)]


def leftovers(proc: Path = Path("/proc")) -> list[Finding]:
    """Holders of private sessions whose folder is gone."""
    stale = [pid for pid, config in _holders(proc) if not Path(config).exists()]
    if not stale:
        return []
    text = f"{len(stale)} holder of RWC Mic remained of a private session that is gone"
    return [Finding("leftover", NOTE, text, f"kill {' '.join(map(str, stale))}")]


def _installed(unit: str) -> bool:
    return answer("systemctl", "--user", "cat", unit) is not None


def _unit(name: str) -> list[Finding]:
    if not _installed(name):
        return [Finding("services", BAD, f"{name} is not installed", INSTALL)]
    fact = _facts(name)
    if _pausing(fact):
        return [
            Finding("services", BAD, f"{name}: {_again(fact)}", f"systemctl --user restart {name}; see `rwcctl logs`")
        ]
    if fact.get("ActiveState") not in ("active", "activating"):
        text = f"{name} is {fact.get('ActiveState', 'unknown')} (last result: {fact.get('Result', 'unknown')})"
        return [Finding("services", BAD, text, f"systemctl --user restart {name}; `rwcctl logs` says why it ended")]
    if fact.get("UnitFileState") != "enabled":
        return [Finding("services", NOTE, f"{name} does not start at login", f"systemctl --user enable {name}")]
    return []


def _facts(name: str) -> dict[str, str]:
    properties = "ActiveState,SubState,Result,UnitFileState,NRestarts"
    facts = answer("systemctl", "--user", "show", "-p", properties, name) or ""
    return dict(line.split("=", 1) for line in facts.splitlines() if "=" in line)


def _pausing(fact: dict[str, str]) -> bool:
    return fact.get("SubState") == "start-pre" and int(fact.get("NRestarts") or 0) >= RESTARTS


def _again(fact: dict[str, str]) -> str:
    return f"it ended {fact['NRestarts']} times, each time soon after its start, and is tried again within 30 s"


def _holders(proc: Path) -> list[tuple[int, str]]:
    """Our own processes that hold the node of a private session, each with its configuration."""
    found = []
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = ((folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()).split(b"\0")
        except OSError:
            continue  # somebody else's, or gone
        configs = [word.rpartition(b"=")[2].decode(errors="replace") for word in words if word.endswith(OWN_CONFIG)]
        found += [(int(folder.name), config) for config in configs[:1]]
    return found
