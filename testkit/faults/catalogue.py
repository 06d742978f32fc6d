"""Every fault that is put into the session: what is done, and what the user must be told."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.faults import voices
from testkit.faults.world import BIN, MIC, OTHER_MIC, SERVERS, World, microphone_properties, run, systemctl, until

ROOT = Path(__file__).parents[2]
CALLS = 1000


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong while somebody records."""

    name: str
    """As it stands in the table."""
    inject: Callable[[World], None]
    """Returns when the cause is over."""
    told: str = ""
    """A part of the sentence that the user is told; empty: nothing needs to be said."""
    short: bool = True
    """In CI too."""


def kill(unit: str) -> Callable[[World], None]:
    return lambda world: void(systemctl("kill", "-s", "KILL", f"{unit}.service"))


def restart(unit: str) -> Callable[[World], None]:
    return lambda world: void(systemctl("restart", f"{unit}.service"))


def void(_: object) -> None:
    return None


def kill_engine(world: World) -> None:
    os.kill(world.statistics()["engine_pid"], signal.SIGKILL)


def crash_engine(world: World) -> None:
    os.kill(world.statistics()["engine_pid"], signal.SIGSEGV)


def stop_engine(world: World) -> None:
    """It stands still, as in a driver that never returns; the daemon must notice and replace it."""
    pid = world.statistics()["engine_pid"]
    os.kill(pid, signal.SIGSTOP)
    until(lambda: world.statistics().get("engine_pid") not in (0, pid, None), "another engine")


def starve_engine(world: World) -> None:
    """The engine gets no more memory, and is asked for something that needs much."""
    begun, pid = time.time(), world.statistics()["engine_pid"]
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        resource.prlimit(pid, limit, (1 << 20, resource.RLIM_INFINITY))
    world.call("LoadVoice", voices.GOOD)
    until(lambda: world.told_since(begun), "a word about it")
    if world.statistics().get("engine_pid") == pid:
        os.kill(pid, signal.SIGKILL)
        until(lambda: world.statistics().get("engine_pid") not in (0, pid, None), "another engine")
    world.load("whisper")


def raise_in_block(world: World) -> None:
    """The nets find no memory in the middle of a block: torch raises there, and nobody may catch it but the top."""
    world.load(voices.GOOD)
    begun, pid = time.time(), world.statistics()["engine_pid"]
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        resource.prlimit(pid, limit, (1 << 20, resource.RLIM_INFINITY))
    until(
        lambda: any("the engine had no memory left" in text for text in world.told_since(begun)),
        "the engine's last words",
    )
    until(lambda: world.statistics().get("engine_pid") not in (0, pid, None), "another engine")
    world.load("whisper")


def nan_voice(world: World) -> None:
    begun = time.time()
    world.call("LoadVoice", voices.NAN)
    until(lambda: any(voices.NAN in text for text in world.told_since(begun)), "a word about the voice")
    world.load("whisper")


def unknown_speaker(world: World) -> None:
    """A number that the voice's table does not hold."""
    world.load(voices.GOOD)
    world.set("Speaker", 100)
    time.sleep(1.5)
    world.set("Speaker", 0)
    world.load("whisper")


def unplug(world: World) -> None:
    for name in (OTHER_MIC, MIC):
        run("pw-cli", "destroy", name)
    until(lambda: "fake_mic" not in run("pactl", "list", "short", "sources"), "the microphone's end")
    time.sleep(1.5)
    for name in (MIC, OTHER_MIC):
        subprocess.run(
            ["pw-cli", "create-node", "adapter", microphone_properties(name)],
            check=False,
            capture_output=True,
            timeout=20,
        )
    until(lambda: {MIC, OTHER_MIC} <= set(run("pactl", "list", "short", "sources").split()), "the microphones again")


def change_default(world: World) -> None:
    for name in (OTHER_MIC, MIC):
        run("pactl", "set-default-source", name)
        until(lambda name=name: world.statistics().get("input_node") == name, f"{name} as input")
        time.sleep(0.5)


def change_clock(key: str, *values: int) -> Callable[[World], None]:
    def change(world: World) -> None:
        for value in (*values, 0):
            run("pw-metadata", "-n", "settings", "0", f"clock.force-{key}", str(value))
            time.sleep(1.0)

    return change


def lose_bus(world: World) -> None:
    before = world.pid("rwc-daemon")
    systemctl("kill", "-s", "KILL", "dbus.service")
    until(lambda: world.pid("rwc-daemon") not in (0, before), "the daemon on the new bus")


def fill_disk(world: World) -> None:
    """A state to save and a voice to import, and no room for either."""
    ballast = world.home / "ballast"
    subprocess.run(["fallocate", "-l", str(free_bytes(world.home)), ballast], check=True)
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    world.set("Pitch", 1.0)
    until(lambda: world.statistics().get("fault_code") == "BadState", "the fault")
    with SyncDaemon.connect() as daemon:
        daemon.listen()
        job = daemon.call("ImportVoice", str(voices.file_of(world)), {"name": "again"})
        event = daemon.wait_for(lambda e: e.signal == "JobDone" and e.values[0] == job, 60)
        assert event, "the import did not end"
        assert not event.values[1], "there was room for the voice"
    ballast.unlink()
    world.set("Pitch", 0.0)


def free_bytes(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_bsize


def damage_state(world: World) -> None:
    world.state_file.write_bytes(b'{"format": 1, "mode": "byp\xff\x00')
    kill("rwc-daemon")(world)


def damage_config(world: World) -> None:
    """The daemon refuses to start with it; the recorder hears silence until it is fixed."""
    good = world.config.read_text()
    world.config.write_text("[voice\nfirst = whisper")
    kill("rwc-daemon")(world)
    time.sleep(2.0)
    assert world.state() == "gone", "it runs with a damaged configuration"
    world.config.write_text(good)
    systemctl("reset-failed", "rwc-daemon.service")
    systemctl("restart", "rwc-daemon.service")


def suspend(world: World) -> None:
    """Every process of the audio side stands still for longer than any patience, then all go on."""
    units = (*SERVERS, "rwc-mic", "rwc-daemon")
    pids = [world.pid(unit) for unit in units] + [world.statistics()["engine_pid"]]
    for number, rest_s in ((signal.SIGSTOP, 7.0), (signal.SIGCONT, 0.0)):
        for pid in pids:
            os.kill(pid, number)
        time.sleep(rest_s)


def jump_clock(world: World) -> None:
    """The wall clock of daemon and engine: far ahead, far back, and right again."""
    assert world.wall_clock
    for pid in (world.pid("rwc-daemon"), world.statistics()["engine_pid"]):
        assert world.wall_clock.is_seen_by(pid)
    for years in (1, -10, 0):
        world.wall_clock.set(years * 365 * 86400)
        world.set("Pitch", 0.5 if years else 0.0)  # something to save under that date
        time.sleep(2.0)


def second_daemon(world: World) -> None:
    done = subprocess.run([BIN / "rwc-daemon"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done
    assert "another rwc-daemon" in done.stderr


def burst(world: World) -> None:
    with SyncDaemon.connect() as daemon:
        for number in range(CALLS):
            daemon.set("Formant", (number % 7) / 10)
        daemon.set("Formant", 0.0)


def deaf_recorder(world: World) -> None:
    """One more program records and stops reading: nobody else may notice."""
    command = ["parec", "-d", "rwc_mic", "--latency-msec=20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        time.sleep(1.0)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        process.kill()
        assert process.stdout
        process.stdout.close()


def hold_daemon(world: World) -> None:
    """The daemon's process stands still: callback and all. systemd's watchdog would end it after 20 s."""
    pid = world.pid("rwc-daemon")
    os.kill(pid, signal.SIGSTOP)
    until(lambda: world.pid("rwc-daemon") not in (0, pid), "systemd's watchdog", 90)


def wireplumber_and_all(world: World) -> None:
    systemctl("restart", "wireplumber.service")
    time.sleep(3.0)
    world.heal()


def healthy(world: World) -> bool:
    return world.state() == "live" and not world.statistics().get("fault_code")


FAULTS = (
    Fault("engine killed", kill_engine, "the engine was killed"),
    Fault("engine crashed (SIGSEGV)", crash_engine, "SIGSEGV", short=False),
    Fault("engine stands still (SIGSTOP)", stop_engine, "was stopped", short=False),
    Fault("engine gets no more memory while it loads a voice", starve_engine, short=False),
    Fault(
        "engine raises in the middle of a block (no memory)",
        raise_in_block,
        "the engine had no memory left",
        short=False,
    ),
    Fault("voice with NaN weights", nan_voice, voices.NAN),
    Fault("speaker that the voice does not have", unknown_speaker, "", short=False),
    Fault("daemon killed, restarted by systemd", kill("rwc-daemon")),
    Fault("daemon stands still, replaced by systemd", hold_daemon, short=False),
    Fault("holder of RWC Mic killed", kill("rwc-mic")),
    Fault("holder of RWC Mic killed again", kill("rwc-mic"), short=False),
    Fault("holder and daemon killed at once", lambda w: void([kill("rwc-mic")(w), kill("rwc-daemon")(w)]), short=False),
    Fault("PipeWire killed", kill("pipewire")),
    Fault("PipeWire restarted", restart("pipewire"), short=False),
    Fault("pipewire-pulse restarted", restart("pipewire-pulse"), short=False),
    Fault("microphones unplugged for 1.5 s", unplug, "microphone"),
    Fault("default source changed, and back", change_default, short=False),
    Fault("quantum 256, 1024, 64, 256 while running", change_clock("quantum", 1024, 64), short=False),
    Fault("rate 48, 44.1, 48 kHz while running", change_clock("rate", 44100), short=False),
    Fault("session bus killed", lose_bus, short=False),
    Fault("disk full: state and import", fill_disk, "cannot write"),
    Fault("state file damaged, daemon killed", damage_state, "state", short=False),
    Fault("configuration damaged for 2 s, daemon killed", damage_config, short=False),
    Fault("suspend for 7 s (all processes)", suspend, short=False),
    Fault("wall clock of daemon and engine jumps 1 year ahead, 10 back", jump_clock, short=False),
    Fault("second daemon started", second_daemon, short=False),
    Fault(f"{CALLS} D-Bus calls in a row", burst, short=False),
    Fault("recorder that stops reading", deaf_recorder, short=False),
    # the session manager of Debian 12, started again beside running devices, links nobody any more, RWC there or not
    Fault("WirePlumber restarted, then all servers", wireplumber_and_all, short=False),
)
