"""Which microphone feeds RWC while programs record RWC Mic: the session's default, and everybody says the same."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pulsectl
import pytest

from rwc_daemon.faces.dbus_client import SyncDaemon
from testkit.browser import browser
from testkit.daemon_session import until
from testkit.running import Running, running_daemon

SOON_S = 10.0  # on a busy machine; it takes 0.1 s on a calm one
STAYS_S = 1.5  # longer than the daemon's own look, which comes each second


class Desk:
    """A daemon in a session with two microphones that look real: `good` has more priority, `near` is the default."""

    def __init__(self, running: Running) -> None:
        self.running = running
        environment = running.run("env").stdout.splitlines()
        self.env = dict(line.split("=", 1) for line in environment if "=" in line)
        self.daemon = SyncDaemon.connect(address=self.env["DBUS_SESSION_BUS_ADDRESS"])
        # one connection that stays, like that of a desktop's mixer: nothing else changes in the graph when it acts
        self.pulse = pulsectl.Pulse("mixer", server=f"unix:{self.env['XDG_RUNTIME_DIR']}/pulse/native")
        for name, priority in (("good", 3000), ("near", 10)):
            self.load(
                "module-null-sink", f"sink_name={name}", "media.class=Audio/Source/Virtual", "channel_map=mono",
                "node.virtual=false", f"priority.session={priority}",
            )  # fmt: skip
        self.default("near")

    def load(self, module: str, *words: str) -> int:
        return int(self.pulse.module_load(module, " ".join(words)))

    def default(self, name: str) -> None:
        until(lambda: any(source.name == name for source in self.pulse.source_list()))
        self.pulse.default_set(next(source for source in self.pulse.source_list() if source.name == name))

    def fed_by(self) -> list[str]:
        """The nodes that are linked to our client's input."""
        lines = self.running.run("pw-link", "--links", "--input").stdout.splitlines()
        if "rwc:input" not in lines:
            return []
        below = lines[lines.index("rwc:input") + 1 :]
        names = []
        for line in below:
            if not line.startswith("  |<-"):
                break
            names.append(line.removeprefix("  |<-").strip().rpartition(":")[0])
        return names

    def is_fed_by(self, name: str) -> None:
        until(lambda: self.fed_by() == [name], SOON_S)
        until(lambda: self.statistics()["input_node"] == name, SOON_S)
        assert self.fed_by() == [name]

    def statistics(self) -> dict:
        return self.daemon.call("GetStatistics")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running_daemon(tmp_path_factory.mktemp("session")) as running:
        desk = Desk(running)
        yield desk
        desk.pulse.close()
        desk.daemon.close()


@contextmanager
def process(desk: Desk, *command: str) -> Iterator[None]:
    done = subprocess.Popen(command, env=desk.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        done.terminate()
        done.wait(10)


@contextmanager
def chromium(desk: Desk) -> Iterator[None]:
    with browser(desk.env) as page, page.recording("RWC Mic"):
        yield


RECORDERS: dict[str, Callable[[Desk, Path], object]] = {
    "parec": lambda desk, folder: process(desk, "parec", "-d", "rwc_mic", "--latency-msec=20"),
    "pw-record": lambda desk, folder: process(desk, "pw-record", "--target", "rwc_mic", str(folder / "out.wav")),
    "chromium": lambda desk, folder: chromium(desk),
}


@pytest.mark.parametrize("recorder", RECORDERS)
def test_the_default_feeds_us_whoever_records_and_is_followed(desk: Desk, tmp_path: Path, recorder: str) -> None:
    with RECORDERS[recorder](desk, tmp_path):  # type: ignore[attr-defined]
        desk.is_fed_by("near")
        time.sleep(STAYS_S)
        desk.is_fed_by("near")
        desk.default("good")
        desk.is_fed_by("good")
        desk.default("near")
        desk.is_fed_by("near")
        assert not desk.statistics()["fault_message"]
    until(lambda: desk.daemon.get("Listeners") == 0, SOON_S)


def said(desk: Desk) -> dict[str, str]:
    """What each place tells a user about the input."""
    status = desk.running.rwcctl("status").stdout
    marked = [line for line in desk.running.rwcctl("inputs").stdout.splitlines() if line.startswith("*")]
    findings = json.loads(desk.running.rwcctl("doctor", "--json").stdout)["findings"]
    return {
        "status": next(line for line in status.splitlines() if line.lstrip().startswith("input")),
        "inputs": " ".join(marked),
        "doctor": next(f["text"] for f in findings if f["part"] == "input"),
    }


def test_status_inputs_and_doctor_say_the_same(desk: Desk, tmp_path: Path) -> None:
    with RECORDERS["parec"](desk, tmp_path):  # type: ignore[attr-defined]
        desk.default("rwc_mic")
        desk.is_fed_by("good")
        told = said(desk)
        assert all("good" in text for text in told.values())
        assert "the default source is RWC Mic itself" in told["status"]
        assert "the default source is RWC Mic itself" in told["doctor"]
    until(lambda: desk.daemon.get("Listeners") == 0, SOON_S)
    desk.default("near")


def test_a_virtual_default_feeds_us_unless_it_hears_rwc_mic(desk: Desk, tmp_path: Path) -> None:
    clean = desk.load("module-remap-source", "master=near", "source_name=clean", "channel_map=mono")
    circle = desk.load("module-remap-source", "master=rwc_mic", "source_name=circle", "channel_map=mono")
    with RECORDERS["parec"](desk, tmp_path):  # type: ignore[attr-defined]
        desk.default("clean")
        desk.is_fed_by("clean")
        assert not desk.statistics()["input_note"]
        desk.default("circle")
        desk.is_fed_by("good")
        time.sleep(STAYS_S)
        desk.is_fed_by("good")
        until(lambda: "'circle' hears RWC Mic" in desk.statistics()["fault_message"], SOON_S)
        # by name neither
        assert desk.running.rwcctl("input", "circle").returncode == 0
        until(lambda: "'circle' hears RWC Mic" in desk.statistics()["input_note"], SOON_S)
        assert desk.fed_by() == ["good"]
        desk.running.rwcctl("input", "default")
        desk.default("near")
        desk.is_fed_by("near")
    for module in (clean, circle):
        desk.pulse.module_unload(module)
