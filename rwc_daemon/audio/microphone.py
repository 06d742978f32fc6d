"""RWC Mic, the node that applications record: found, made, or made again.

In this order: the holder's loopback node ("loopback", rwc_daemon.audio.holder); a null sink of the PulseAudio server
with the class of a source ("null-sink"); PulseAudio's source that is a JACK client ("jack-source"); the JACK ports
alone ("ports"). `ensure` is safe to call at any time and any number of times.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pulsectl

from rwc_daemon.audio import holder, libjack
from rwc_daemon.audio.graph import GraphWatch
from rwc_daemon.audio.names import MicrophoneNames
from rwc_daemon.audio.pulse import visit
from rwc_daemon.audio.standby import Standby
from rwc_daemon.errors import NoAudioServer

UNIT = holder.FIRST.unit
WAIT_S = 2.0
GRACE_S = 0.5
POLL_S = 0.02
COMMAND_TIMEOUT_S = 5.0
UNSERVED = (
    "RWC Mic is there, but the session manager does not serve it: 'rwcctl doctor --fix' restarts the audio servers"
)
CONFIG_NAME = "PIPEWIRE_CONFIG_NAME"  # read by libpipewire


class Microphone:
    """One node, never two."""

    def __init__(self, watch: GraphWatch) -> None:
        self._watch, self._names = watch, watch.graph().names
        self._standby = Standby(watch)
        self.tier = ""
        # as `ensure` found it last

    def present(self) -> bool:
        if libjack.pipewire_runs():
            node = self._watch.graph().microphone
            return node is not None and bool(self._watch.graph().ports_of(node, output=True))
        return _jack_source_loaded(self._names)

    def ensure(self) -> str:
        """The tier that serves. May take seconds where it must start something; blocks. Raises NoAudioServer."""
        libjack.require_server()
        if not libjack.pipewire_runs():
            self.tier = _ensure_pulseaudio(self._names)
            return self.tier
        self.tier = self._ensure_pipewire()
        self._standby.ensure()
        return self.tier

    def _ensure_pipewire(self) -> str:
        # a view of the graph that is still coming in has no node yet: a holder that lives is given a moment, not an
        # end, since a recorder whose node vanishes is moved to the unprocessed microphone
        if self.present() or (holder_lives(self._names) and self._appears(GRACE_S)):
            return "null-sink" if self._is_null_sink() else "loopback"
        if self._watch.graph().microphone:
            return self._await_ports()
        if self._start_holder() and self._appears():
            return "loopback"
        end_own_holder(self._names)  # a holder without a node must not bring a second one later
        if _load_null_sink(self._names) and self._appears():
            return "null-sink"
        return "ports"

    def _await_ports(self) -> str:
        """The session manager gives nodes their ports; where it hangs, no other node would fare better."""
        if self._appears():
            return "null-sink" if self._is_null_sink() else "loopback"
        raise NoAudioServer(UNSERVED)

    def _is_null_sink(self) -> bool:
        graph = self._watch.graph()
        return graph.feed is None

    def restart(self) -> None:
        """The node made again, where its process lives and passes nothing on; recorders wait in the standby. Blocks."""
        if self.tier == "loopback" and self._start_holder():
            self._appears()

    def _start_holder(self) -> bool:
        names = self._names
        return restart_unit(names.unit) if unit_is_installed(names.unit) else start_own_holder(names)

    def _appears(self, timeout_s: float = WAIT_S) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.present():
                return True
            time.sleep(POLL_S)
        return False

    def stop(self) -> None:
        """Removes what `ensure` made; a node that its systemd unit holds stays until logout, and with it the standby,
        which is there for whoever records when that unit stops. It stays for those who record now, too."""
        if libjack.pipewire_runs() and not self._standby.prepare() and not unit_is_installed(self._names.unit):
            self._standby.remove()
        end_own_holder(self._names)
        # asked only where there is something to remove: a PulseAudio server that lost the session bus answers nobody
        if self.tier == "null-sink":
            _with_pulse(lambda pulse: _unload(pulse, "module-null-sink", f"sink_name={self._names.node}"))
        elif self.tier == "jack-source":
            _with_pulse(lambda pulse: _unload(pulse, "module-jack-source", f"source_name={self._names.node}"))


def unit_is_installed(unit: str) -> bool:
    return _systemctl("cat", unit)


def restart_unit(unit: str) -> bool:
    """Also after a failure, and where the holder has outlived its server without a node."""
    _systemctl("reset-failed", unit)
    return _systemctl("restart", unit)


def _systemctl(*arguments: str) -> bool:
    if not (libjack.runtime_dir() / "systemd").exists():
        return False  # no user manager: asking would only wait
    command = ["systemctl", "--user", "--quiet", *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False).returncode == 0
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return False


def holder_lives(names: MicrophoneNames = holder.FIRST) -> bool:
    """Ours or the unit's, with its node or without."""
    return _is_holder(_noted_holder(names), names) or _systemctl("is-active", names.unit)


def own_folder() -> Path:
    return libjack.runtime_dir() / "rwc"


def _configuration(names: MicrophoneNames) -> Path:
    return own_folder() / f"{names.file}.conf"


def _note(names: MicrophoneNames) -> Path:
    return own_folder() / f"{names.file}.pid"


def _noted_holder(names: MicrophoneNames) -> int:
    """The process that this or an earlier daemon started as holder; 0: none."""
    try:
        return int(_note(names).read_text())
    except (OSError, ValueError):
        return 0


def _is_holder(pid: int, names: MicrophoneNames) -> bool:
    """Still that process: another one may have its number by now."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"{CONFIG_NAME}={_configuration(names)}".encode() in environment


def start_own_holder(names: MicrophoneNames) -> bool:
    """Where no unit does it (containers, private sessions). It outlives us, as the unit would, but not its server."""
    end_own_holder(names)
    command = holder.pw_loopback(names)
    if not shutil.which(command[0]):
        return False
    configuration = _configuration(names)
    holder.write(configuration, holder.configuration())
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {CONFIG_NAME: str(configuration)},
    )
    _note(names).write_text(str(process.pid))
    return True


def end_own_holder(names: MicrophoneNames) -> None:
    if pid := _noted_holder(names):
        try:
            if _is_holder(pid, names):
                os.kill(pid, signal.SIGTERM)
            _reap(pid)
        except (ProcessLookupError, ChildProcessError):
            pass  # reaped long ago, or an earlier daemon's child
    for leftover in (_note(names), _configuration(names)):
        leftover.unlink(missing_ok=True)


def _reap(pid: int) -> None:
    """Waits for a child of ours, so that no zombie stays; an earlier daemon's raises ChildProcessError."""
    deadline = time.monotonic() + WAIT_S
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += WAIT_S
        time.sleep(POLL_S)


def _with_pulse(action: Callable[[pulsectl.Pulse], bool]) -> bool:
    """False where no PulseAudio server answers or it refuses."""
    try:
        with visit("rwc-microphone") as pulse:
            return action(pulse)
    except pulsectl.PulseError:
        return False


def _unload(pulse: pulsectl.Pulse, name: str, argument: str) -> bool:
    """Exactly ours: other people's modules may have names that contain ours."""
    for module in pulse.module_list():
        if module.name == name and argument in (module.argument or "").split():
            pulse.module_unload(module.index)
    return True


def _load_null_sink(names: MicrophoneNames) -> bool:
    # node.description on its own: inside sink_properties a blank ends the value
    arguments = (
        f"sink_name={names.node} media.class=Audio/Source/Virtual channel_map=mono channels=1 "
        f"node.description='\"{names.description}\"' sink_properties='device.description=\"{names.description}\"' "
        "node.virtual=false priority.session=0 monitor.passthrough=true device.icon-name=audio-input-microphone"
    )

    def load(pulse: pulsectl.Pulse) -> bool:
        _unload(pulse, "module-null-sink", f"sink_name={names.node}")
        pulse.module_load("module-null-sink", arguments)
        return True

    return _with_pulse(load)


def _jack_source_loaded(names: MicrophoneNames) -> bool:
    return _with_pulse(lambda pulse: any(source.name == names.node for source in pulse.source_list()))


def _ensure_pulseaudio(names: MicrophoneNames) -> str:
    """PulseAudio beside jackd: a source that is itself a JACK client. It goes when jackd goes."""

    def load(pulse: pulsectl.Pulse) -> bool:
        arguments = (
            f"source_name={names.node} client_name={names.node} channels=1 channel_map=mono connect=0 "
            f"source_properties='device.description=\"{names.description}\"'"
        )
        pulse.module_load("module-jack-source", arguments)
        return True

    if _jack_source_loaded(names) or _with_pulse(load):
        return "jack-source"
    return "ports"
