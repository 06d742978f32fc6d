"""Listeners that come and go, voices that change, engines that die: what of it stays behind.

    python -m testkit.faults.leaks [--cycles N] [--switches N] [--kills N]

Prints a JSON object per series: what there was before it and after it, in the same state of rest.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.faults.world import World, run, until

WARM_UP = 8
VOICES = ("deep", "whisper", "bright", "giant")
LOOKS = 5  # at most, for two that agree
SETTLE_S = 3.0


@dataclass(frozen=True)
class Left:
    """What exists at one moment."""

    nodes: int
    ports: int
    links: int
    clients: int
    """In PipeWire."""
    modules: int
    """Of the PulseAudio server."""
    processes: int
    """Of the user."""
    files: int
    """The user's in /dev/shm, /tmp and the runtime folder."""
    daemon_fds: int
    daemon_threads: int
    daemon_mb: float
    engine_fds: int
    engine_threads: int
    engine_mb: float


def look(world: World) -> Left:
    kinds = Counter(item["type"].rpartition(":")[2] for item in objects(run("pw-dump", "--no-colors")))
    figures = world.statistics()
    daemon, engine = Path(f"/proc/{world.pid('rwc-daemon')}"), Path(f"/proc/{figures['engine_pid']}")
    return Left(
        nodes=kinds["Node"],
        ports=kinds["Port"],
        links=kinds["Link"],
        clients=kinds["Client"],
        modules=len(run("pactl", "list", "short", "modules").splitlines()),
        processes=sum(1 for path in Path("/proc").iterdir() if path.name.isdigit() and ours(path)),
        files=sum(1 for path in files() if ours(path)),
        daemon_fds=fds(daemon),
        daemon_threads=threads(daemon),
        daemon_mb=resident_mb(daemon),
        engine_fds=fds(engine),
        engine_threads=threads(engine),
        engine_mb=resident_mb(engine),
    )


def objects(dump: str) -> list[dict[str, Any]]:
    """What pw-dump lists. Where something changes meanwhile another array follows, and on a slow machine the first may
    be empty; what goes while it is listed has a number alone."""
    found: dict[int, dict[str, Any]] = {}
    while dump:
        items, end = json.JSONDecoder().raw_decode(dump)
        found |= {item["id"]: item for item in items}
        dump = dump[end:].lstrip()
    return [item for item in found.values() if "type" in item]


def files() -> Iterator[Path]:
    """Of all users: other programs' folders come and go meanwhile, which `os.walk` forgives and `rglob` does not."""
    for top in ("/dev/shm", "/tmp", os.environ["XDG_RUNTIME_DIR"]):
        for folder, folders, names in os.walk(top):
            yield from (Path(folder, name) for name in folders + names)


def ours(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.getuid()
    except OSError:
        return False


def fds(process: Path) -> int:
    return sum(1 for _ in (process / "fd").iterdir())


def threads(process: Path) -> int:
    return sum(1 for _ in (process / "task").iterdir())


def resident_mb(process: Path) -> float:
    line = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def rest(world: World) -> Left:
    """The session with nobody listening, once it has come to rest: two looks in a row count the same."""
    until(lambda: world.state() == "idle" and "rwc:" not in run("pw-link", "-o"), "rest")
    time.sleep(SETTLE_S)
    last = look(world)
    for _ in range(LOOKS):
        time.sleep(SETTLE_S)
        before, last = last, look(world)
        if counted(before) == counted(last):
            break
    return last


def counted(left: Left) -> dict[str, int]:
    return {what: n for what, n in asdict(left).items() if not what.endswith("_mb")}


def one_listener(daemon: SyncDaemon) -> None:
    """Comes, hears something, goes."""
    with subprocess.Popen(["parec", "-d", "rwc_mic", "--latency-msec=20"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.read(4096)
        until(lambda: daemon.get("Listeners") == 1, "the listener counted")
        process.kill()
    until(lambda: daemon.get("Listeners") == 0, "the listener gone")


def listeners(world: World, count: int) -> None:
    with SyncDaemon.connect() as daemon:
        for number in range(count):
            one_listener(daemon)
            if number % 10 == 0:  # the others come back before the client is closed
                until(lambda: "rwc:" not in run("pw-link", "-o"), "the client closed")


def switches(world: World, count: int) -> None:
    """While somebody records, so that every one is a crossfade."""
    with (
        SyncDaemon.connect() as daemon,
        subprocess.Popen(["parec", "-d", "rwc_mic", "--latency-msec=20"], stdout=subprocess.DEVNULL) as recorder,
    ):
        try:
            until(lambda: daemon.get("State") == "live", "a listener")
            for number in range(count):
                voice = VOICES[number % len(VOICES)]
                daemon.call("LoadVoice", voice)
                until(lambda voice=voice: daemon.get("Voice") == voice, f"voice {voice}, the {number + 1}th")
        finally:
            recorder.kill()


def kills(world: World, count: int) -> None:
    """Quick deaths in a row, so each is answered more slowly; from the fifth on after half a minute."""
    for _ in range(count):
        pid = world.statistics()["engine_pid"]
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: world.statistics().get("engine_pid") not in (0, pid), "another engine")
        until(lambda: world.state() == "idle", "rest")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cycles", type=int, default=40)
    parser.add_argument("--switches", type=int, default=60)
    parser.add_argument("--kills", type=int, default=3)
    options = parser.parse_args()
    world = World(Path.home())
    try:
        world.start(record=False)
        series: tuple[tuple[str, Callable[[World, int], None], int], ...] = (
            ("listener cycles", listeners, options.cycles),
            ("voice switches", switches, options.switches),
            ("engine kills", kills, options.kills),
        )
        # what is done for the first time fills caches
        for _, work, count in series:
            work(world, min(WARM_UP, 1 + count // 3))
        before = rest(world)
        for name, work, count in series:
            begun = time.monotonic()
            work(world, count)
            took_s = round(time.monotonic() - begun, 1)
            row = {"series": name, "count": count, "took_s": took_s}
            after = rest(world)
            print(json.dumps(row | {"before": asdict(before), "after": asdict(after)}), flush=True)
            before = after
    except AssertionError:
        print(world.log(), file=sys.stderr)
        raise
    finally:
        world.stop()


if __name__ == "__main__":
    main()
