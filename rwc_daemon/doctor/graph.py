"""The doctor looks at the audio graph: which microphone feeds RWC, and whether recorders of RWC Mic are linked.

The running daemon is asked, so that doctor and status say the same; without one the same rules are applied here.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from rwc_daemon.audio import libjack
from rwc_daemon.audio.graph import Graph, PipeWireGraph
from rwc_daemon.audio.input_choice import DEFAULT, InputChoice, decide_input
from rwc_daemon.audio.microphone import UNSERVED
from rwc_daemon.audio.unlinked import explain, unlinked_recorders
from rwc_daemon.control.linking import PATIENCE_S
from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Asked, Finding, answer

CLIENT = "rwc"  # our JACK client's name where no daemon says another
SERVERS = ("pipewire", "wireplumber", "pipewire-pulse")
SESSION = Path(__file__).parents[2] / "tools" / "session"


def graph(asked: Asked, state_dir: Path) -> list[Finding]:
    """Nothing where plain JACK2 serves, unless a daemon runs."""
    if asked.running:
        choice, wanted = asked.get("input_node", ""), asked.get("Input", DEFAULT)
        fault = asked.get("fault_message", "")
        trouble = asked.get("unlinked", "") or (fault if fault == UNSERVED else "")
        return [_input(choice, asked.get("input_note", ""), wanted), *_linking(trouble)]
    if not libjack.pipewire_runs():
        return []
    view, unlinked = _look()
    wanted = saved_input(state_dir / "state.json")
    found: InputChoice = decide_input(view, wanted, CLIENT)
    return [_input(found.name, found.note, wanted), *_linking(unlinked)]


def _input(name: str, note: str, wanted: str) -> Finding:
    if not name:
        return Finding("input", BAD, note or "no microphone feeds RWC: RWC Mic is silent", "`rwcctl inputs` lists them")
    if note:
        return Finding("input", NOTE, f"{name}: {note}", "`rwcctl input NAME` chooses another one")
    return Finding("input", GOOD, f"{name}, {'the default source' if wanted == DEFAULT else 'chosen by name'}")


def _linking(trouble: str) -> list[Finding]:
    if not trouble:
        return []
    text, _, _ = trouble.partition(": ")
    command = restart_servers()
    fix = " ".join(command) if command else f"restart {', '.join(SERVERS)}, in this order, by whatever started them"
    return [Finding("linking", BAD, text, fix, command)]


def restart_servers() -> tuple[str, ...]:
    """The command that restarts the audio servers of this session; empty: nobody knows who started them.

    WirePlumber alone would not do: it stands still beside streams that run, and again when it is restarted again.
    """
    folder = Path(os.environ.get("XDG_RUNTIME_DIR", "")).parent
    if (folder / "started").exists() and SESSION.exists():
        return (str(SESSION), "restart", "--dir", str(folder), "pipewire")
    units = tuple(name for name in SERVERS if answer("systemctl", "--user", "is-active", name))
    if "pipewire" not in units:
        return ()
    return ("systemctl", "--user", "restart", *dict.fromkeys((*units, "wireplumber")))


def _look() -> tuple[Graph, str]:
    """The graph now, and what is wrong with the linking after a moment's patience."""
    watch = PipeWireGraph()
    watch.start()
    try:
        waiting = {node.serial for node in unlinked_recorders(watch.graph())}
        if waiting:
            time.sleep(PATIENCE_S)
        view = watch.graph()
        late = [node for node in unlinked_recorders(view) if node.serial in waiting]
        return view, explain(view, len(late)) if late else ""
    finally:
        watch.stop()


def saved_input(state: Path) -> str:
    """What the next daemon will follow; a damaged file is its business."""
    try:
        saved = json.loads(state.read_text(encoding="utf-8"))["input"]
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT
    return saved if isinstance(saved, str) else DEFAULT
