"""rwc-daemon as a process in a real session: life and death, exit statuses, idle cost, faults, what is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.daemon_session import (
    ROOT,
    Session,
    children_of,
    cpu_s,
    running_daemon,
    session,
    until,
    until_state,
    wakeups,
)

IDLE_S = 8.0


class Recorder:
    """An ordinary program that records RWC Mic."""

    def __init__(self, desktop: Session, path: Path) -> None:
        self._path = path
        self._process = desktop.spawn(
            "parec", "-d", "rwc_mic", "--latency-msec=10", "--format=float32le", "--channels=1", stdout=path.open("wb")
        )

    def seconds(self) -> float:
        return self._path.stat().st_size / 4 / 44100

    def sound(self) -> np.ndarray:
        content = self._path.read_bytes()
        return np.frombuffer(content[: len(content) // 4 * 4], np.float32)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def run_daemon(desktop: Session, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rwc_daemon", *arguments]
    env = {**desktop.env, **environment}
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def refused(done: subprocess.CompletedProcess[str], status: int) -> str:
    assert done.returncode == status, done
    assert done.stdout == ""
    assert done.stderr.startswith("rwc-daemon: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def inputs_linked(desktop: Session) -> bool:
    return "rwc:input" in desktop.run("pw-link", "-l")


def test_idle_costs_nothing_and_captures_nothing(
    desktop: Session, process: subprocess.Popen[bytes], daemon: SyncDaemon
) -> None:
    until(lambda: daemon.get("LatencyMs") > 0 and not inputs_linked(desktop))
    pid, engine = process.pid, daemon.call("GetStatistics")["engine_pid"]
    time.sleep(6)  # what the look above woke may settle; nodes that nobody uses are suspended after 5 s
    busy_s, own, nets = cpu_s(pid) + cpu_s(engine), wakeups(pid), wakeups(engine)
    time.sleep(IDLE_S)
    # Woken seldom is what costs nothing; what one wake-up costs is the machine's affair (0.05 to 12 ms were seen).
    assert wakeups(pid) - own <= 4 * IDLE_S  # two a second are its own; the rest is what a busy test machine says
    assert wakeups(engine) - nets <= 4 * IDLE_S
    assert cpu_s(pid) + cpu_s(engine) - busy_s <= 0.1 * IDLE_S  # nobody works without being woken
    assert not inputs_linked(desktop)
    assert not daemon.call("GetStatistics")["capturing"]


def test_a_recorder_is_served_and_let_go(desktop: Session, daemon: SyncDaemon, tmp_path: Path) -> None:
    recorder = Recorder(desktop, tmp_path / "sound")
    until_state(daemon, "live")
    until(lambda: recorder.seconds() > 0.5)
    assert daemon.get("Listeners") == 1
    figures = daemon.call("GetStatistics")
    assert figures["capturing"]
    assert figures["input_node"] == "fake_mic"
    assert "rwc:input" in desktop.run("pw-link", "-l")
    recorder.stop()
    until_state(daemon, "idle")
    until(lambda: not inputs_linked(desktop))


def test_a_killed_engine_leaves_the_node_and_comes_back(desktop: Session, daemon: SyncDaemon, tmp_path: Path) -> None:
    recorder = Recorder(desktop, tmp_path / "sound")
    until_state(daemon, "live")
    node = desktop.run("pactl", "list", "sources", "short")
    pid = daemon.call("GetStatistics")["engine_pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: daemon.call("GetStatistics")["engine_pid"] not in (0, pid))
    until_state(daemon, "live")
    after = desktop.run("pactl", "list", "sources", "short")
    assert [line.split()[:2] for line in after.splitlines()] == [line.split()[:2] for line in node.splitlines()]
    assert daemon.get("Voice") == "deep"
    recorder.stop()


def test_a_restarted_pipewire_is_found_again(desktop: Session, daemon: SyncDaemon, tmp_path: Path) -> None:
    recorder = Recorder(desktop, tmp_path / "sound")
    until_state(daemon, "live")
    recorder.stop()
    desktop.restart("pipewire")
    until(lambda: "rwc_mic" in desktop.run("pactl", "list", "sources", "short"))
    again = Recorder(desktop, tmp_path / "again")
    until_state(daemon, "live")
    until(lambda: again.seconds() > 0.2)
    again.stop()
    assert desktop.run("pactl", "list", "sources", "short").count("rwc_mic") == 1


def test_a_second_daemon_exits_with_three(desktop: Session, daemon: SyncDaemon) -> None:
    assert "another rwc-daemon" in refused(run_daemon(desktop), 3)
    assert daemon.get("State") == "idle"


def test_bad_settings_exit_with_two(desktop: Session, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[audio]\nlistn = 'auto'\n")
    said = refused(run_daemon(desktop, "--config", str(tmp_path / "config.toml")), 2)
    assert "line 2" in said
    assert "did you mean 'audio.listen'?" in said
    assert "no such file" in refused(run_daemon(desktop, "--config", str(tmp_path / "none")), 2)
    assert "RWC_AUDIO_LISTEN" in refused(run_daemon(desktop, RWC_AUDIO_LISTEN="never"), 2)
    assert run_daemon(desktop, "--nonsense").returncode == 2


def test_no_session_bus_exits_with_one(desktop: Session, tmp_path: Path) -> None:
    done = run_daemon(desktop, DBUS_SESSION_BUS_ADDRESS=f"unix:path={tmp_path}/none")
    assert "no D-Bus session bus answers" in refused(done, 1)


def test_the_process_is_free_of_heavy_libraries() -> None:
    check = "import sys, rwc_daemon.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "matplotlib", "faiss", "onnxruntime", "scipy", "jack"} & set(done.stdout.split())


def test_stop_leaves_nothing_and_quit_stops(tmp_path: Path) -> None:
    with session(tmp_path / "session") as desktop:
        with running_daemon(desktop) as process, SyncDaemon.connect(address=desktop.bus) as daemon:
            until_state(daemon, "idle")
            recorder = Recorder(desktop, tmp_path / "sound")
            until_state(daemon, "live")
            children = children_of(process.pid)
            daemon.call("Quit")
            assert process.wait(30) == 0
            assert not [child for child in children if os.path.exists(f"/proc/{child}")]
            links = desktop.run("pw-link", "-l")
            assert "rwc:" not in links
            recorder.stop()
        state = Path(desktop.env["XDG_STATE_HOME"]) / "rwc/state.json"
        assert state.stat().st_mode & 0o777 == 0o600


def test_a_lost_bus_ends_it_with_one(tmp_path: Path) -> None:
    with session(tmp_path / "session") as desktop, running_daemon(desktop) as process:
        desktop.kill("dbus-daemon")
        assert process.wait(30) == 1


def test_without_an_audio_server_it_lives_and_says_so(tmp_path: Path) -> None:
    with session(tmp_path / "session") as desktop:
        empty = tmp_path / "nowhere"
        empty.mkdir()
        with (
            running_daemon(desktop, XDG_RUNTIME_DIR=str(empty)) as process,
            SyncDaemon.connect(address=desktop.bus) as daemon,
        ):
            until_state(daemon, "degraded")
            figures = daemon.call("GetStatistics")
            assert figures["fault_code"] == "NoAudioServer"
            assert "start" in figures["fault_message"]
            assert process.poll() is None


def test_systemd_hears_ready_status_pings_and_the_end(tmp_path: Path) -> None:
    with session(tmp_path / "session") as own, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)

        def hear(wanted: str) -> str:
            while wanted not in (said := systemd.recv(4096).decode()):
                pass
            return said

        with running_daemon(own, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="20000000") as process:
            assert "STATUS=" in hear("READY=1")
            assert "rwc_mic" in own.run("pactl", "list", "sources", "short")
            for _ in range(3):
                hear("WATCHDOG=1")
            hear("STATUS=idle: deep")
            # the whole machine sleeps: nothing is killed for that
            with SyncDaemon.connect(address=own.bus) as daemon:
                engine = daemon.call("GetStatistics")["engine_pid"]
                for number in (signal.SIGSTOP, signal.SIGCONT):
                    for pid in (process.pid, engine):
                        os.kill(pid, number)
                    time.sleep(7 if number == signal.SIGSTOP else 1)
                assert daemon.call("GetStatistics")["engine_pid"] == engine
        hear("STOPPING=1")
