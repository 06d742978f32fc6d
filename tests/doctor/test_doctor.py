"""The doctor's judgements, from faked machines."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from rwc_daemon import extras
from rwc_daemon.audio.holder import STANDBY_CONFIGURATION, STANDBY_FILE
from rwc_daemon.doctor import audio as doctor_audio
from rwc_daemon.doctor import disk as doctor_disk
from rwc_daemon.doctor import examine as doctor
from rwc_daemon.doctor import fixing
from rwc_daemon.doctor import graph as doctor_graph
from rwc_daemon.doctor import host as doctor_host
from rwc_daemon.doctor import services as doctor_services
from rwc_daemon.doctor import voices as doctor_voices
from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Finding

WELL = {
    "State": "live", "Voice": "deep", "Device": "cpu", "Mode": "convert", "cycles": 1000, "rate_hz": 48000,
    "quantum_samples": 128, "load_ratio": 0.2, "input_node": "mic", "capturing": True, "latency_total_ms": 20.0,
}  # fmt: skip


def source(name: str, **more: Any) -> types.SimpleNamespace:
    volume = types.SimpleNamespace(value_flat=more.pop("volume", 1.0))
    plain = {"description": name, "mute": 0, "channel_count": 1, "proplist": {}}
    return types.SimpleNamespace(name=name, volume=volume, **{**plain, **more})


@pytest.fixture
def pulse(monkeypatch: pytest.MonkeyPatch):
    def answers(default: str, *sources: types.SimpleNamespace) -> None:
        server = types.SimpleNamespace(default_source_name=default, server_name="PulseAudio (on PipeWire 0.3.65)")
        monkeypatch.setattr(doctor_audio, "_pulse", lambda: {"server": server, "sources": sources})

    return answers


MIC = source("rwc_mic", description="RWC Mic")


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1
    return findings[0]


def test_node_there(pulse) -> None:
    pulse("usb", source("usb"), MIC)
    assert only(doctor_audio.microphone()).state == GOOD


@pytest.mark.parametrize(
    ("sources", "word"),
    [
        ((), "do not see"),
        ((MIC, source("other", description="RWC Mic")), "2 sources"),
        ((source("rwc_mic", mute=1),), "muted"),
        ((source("rwc_mic", volume=0.0),), "volume 0"),
    ],
)
def test_node_wrong(pulse, sources: tuple, word: str) -> None:
    pulse("usb", *sources)
    found = only(doctor_audio.microphone())
    assert found.state == BAD
    assert word in found.text
    assert found.fix


@pytest.mark.parametrize(
    ("node", "note", "state", "word"),
    [
        ("usb", "", GOOD, "usb, the default source"),
        ("usb", "the default source is RWC Mic itself: using 'usb' instead", NOTE, "usb: the default source is"),
        ("", "no microphone is connected: plug one in", BAD, "no microphone is connected"),
        ("", "", BAD, "RWC Mic is silent"),
    ],
)
def test_the_input_is_what_the_daemon_says(tmp_path: Path, node: str, note: str, state: str, word: str) -> None:
    statistics = {"input_node": node, "input_note": note}
    found = only(
        doctor_graph.graph(doctor.Asked(True, properties={"Input": "default"}, statistics=statistics), tmp_path)
    )
    assert found.state == state
    assert word in found.text
    assert found.fix or state == GOOD


def test_recorders_that_nobody_links_can_be_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = {"input_node": "usb", "unlinked": "the session manager links nobody: what to do"}
    asked = doctor.Asked(True, properties={"Input": "default"}, statistics=statistics)
    # a private session of tools/session
    (tmp_path / "started").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    found = doctor_graph.graph(asked, tmp_path)[1]
    assert (found.state, found.text) == (BAD, "the session manager links nobody")
    assert found.fix_command[1:] == ("restart", "--dir", str(tmp_path), "pipewire")
    assert Path(found.fix_command[0]).name == "session"
    # systemd's user manager
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "other" / "run"))
    monkeypatch.setattr(doctor_graph, "answer", lambda *command: None if "pulse" in command[-1] else "active")
    found = doctor_graph.graph(asked, tmp_path)[1]
    assert found.fix_command == ("systemctl", "--user", "restart", "pipewire", "wireplumber")
    # started by something else: said, not tried
    monkeypatch.setattr(doctor_graph, "answer", lambda *command: None)
    found = doctor_graph.graph(asked, tmp_path)[1]
    assert found.fix_command == ()
    assert "restart pipewire, wireplumber" in found.fix


def test_fixes_are_run_once_each_and_told() -> None:
    good, bad = ("true",), ("sh", "-c", "echo first; echo why >&2; exit 3")
    findings = [
        Finding("a", BAD, "", fix_command=good),
        Finding("b", NOTE, "", fix_command=good),
        Finding("c", BAD, "", fix_command=bad),
    ]
    findings += [Finding("d", GOOD, "", fix_command=("sh", "-c", "exit 9")), Finding("e", BAD, "", "by hand")]
    done = list(fixing.fix([*findings, Finding("f", BAD, "", fix_command=("/nowhere/at/all",))]))
    assert [(one.command[0], one.ok) for one in done] == [("true", True), ("sh", False), ("/nowhere/at/all", False)]
    assert done[1].said == "why"
    looks = iter([[Finding("c", BAD, "")], [Finding("c", GOOD, "")], []])
    assert fixing.look_again(lambda: next(looks), done)[0].state == GOOD


def test_a_healthy_daemon() -> None:
    asked = doctor.Asked(True, properties=WELL, statistics={})
    assert {finding.state for finding in doctor.daemon(asked) + doctor.timings(asked)} == {GOOD}


@pytest.mark.parametrize(
    ("change", "part", "state"),
    [
        ({"State": "degraded"}, "daemon", BAD),
        ({"Mode": "bypass"}, "mode", NOTE),
        ({"fault_message": "the engine died"}, "fault", BAD),
        ({"load_ratio": 1.2}, "load", BAD),
        ({"underruns": 4}, "load", NOTE),
        ({"late_cycles": 4}, "cycles", NOTE),
    ],
)
def test_a_daemon_with_something_wrong(change: dict[str, Any], part: str, state: str) -> None:
    asked = doctor.Asked(True, properties={**WELL, **change}, statistics={})
    found = {finding.part: finding.state for finding in doctor.daemon(asked) + doctor.timings(asked)}
    assert found[part] == state


def test_no_daemon_says_why() -> None:
    found = only(doctor.daemon(doctor.Asked(False, why_not="rwc-daemon does not run")))
    assert found.state == BAD
    assert "does not run" in found.text


def test_settings_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert only(doctor_host.settings(path, {})).state == GOOD
    path.write_text("[audio]\nlissen = 'auto'\n")
    found = only(doctor_host.settings(path, {}))
    assert found.state == BAD
    assert "listen" in found.text


@pytest.mark.parametrize(
    ("torch", "reachable", "wanted", "used", "word", "state"),
    [("", None, "auto", "", "not installed", NOTE), ("2.13.0+cpu", None, "auto", "", "without CUDA", NOTE),
     ("2.13.0", None, "auto", "", "cannot reach", BAD), ("2.13.0", "13.0", "auto", "cuda", "CUDA 13.0", GOOD),
     ("2.13.0", "13.0", "cpu", "cpu", "engine.device", NOTE), ("2.13.0", "13.0", "auto", "cpu", "on the CPU", NOTE)],
)  # fmt: skip
def test_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, torch: str, reachable: str | None, wanted: str, used: str,
    word: str, state: str,
) -> None:  # fmt: skip
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setattr(doctor_host, "NVIDIA_DRIVER", driver)
    monkeypatch.setattr(extras, "installed", lambda package: torch)
    monkeypatch.setattr(doctor_host, "answer", lambda *words, **_: "A card" if words[0] == "nvidia-smi" else reachable)
    found = only(doctor_host.gpu(wanted, used))
    assert word in found.text
    assert found.state == state
    assert found.fix or state == GOOD


def test_realtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_host, "_way_to_realtime", lambda daemon: "")
    assert only(doctor_host.realtime("fifo 83", 0)).state == GOOD
    assert "rtkit" in only(doctor_host.realtime("", 0)).fix
    monkeypatch.setattr(doctor_host, "_way_to_realtime", lambda daemon: "rtkit")
    assert only(doctor_host.realtime("", 0)).state == GOOD
    found = only(doctor_host.realtime("other", 0))
    assert found.state == NOTE
    assert "restart" in found.fix


UNIT = "ActiveState={}\nResult={}\nUnitFileState={}"


def manager(monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], facts: str) -> None:
    """A user manager that answers so."""

    def answer(*words: str) -> str | None:
        if "cat" in words:
            return "" if words[-1] in installed else None
        return facts if "show" in words else ""

    monkeypatch.setattr(doctor_services, "answer", answer)
    monkeypatch.setattr(doctor_services.libjack, "plain_jack", lambda: False)


BOTH = ("rwc-daemon.service", "rwc-mic.service")


@pytest.mark.parametrize(
    ("installed", "facts", "word", "state"),
    [
        (BOTH, UNIT.format("active", "success", "enabled"), "started at login", GOOD),
        ((), "", "not installed", NOTE),
        (BOTH[:1], UNIT.format("active", "success", "enabled"), "rwc-mic.service is not installed", BAD),
        (BOTH, UNIT.format("failed", "signal", "enabled"), "failed (last result: signal)", BAD),
        (BOTH, UNIT.format("active", "success", "disabled"), "does not start at login", NOTE),
    ],
)
def test_services(monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], facts: str, word: str, state: str):
    manager(monkeypatch, installed, facts)
    found = doctor_services.services()
    assert word in found[-1].text
    assert found[-1].state == state
    assert found[-1].fix or state == GOOD


def test_services_where_nobody_manages_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_services, "answer", lambda *words: None)
    assert doctor_services.services() == []
    assert doctor_services.standby(Path("/nowhere")) == []


def test_the_standby_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    manager(monkeypatch, BOTH, "")
    assert only(doctor_services.standby(tmp_path)).fix == "rwcctl install"
    file = tmp_path / STANDBY_FILE
    file.parent.mkdir(parents=True)
    file.write_text(STANDBY_CONFIGURATION)
    assert doctor_services.standby(tmp_path) == []
    file.write_text("changed")
    assert only(doctor_services.standby(tmp_path)).state == BAD


def test_a_holder_of_a_session_that_is_gone(tmp_path: Path) -> None:
    there, gone = tmp_path / "there/rwc/mic.conf", tmp_path / "gone/rwc/mic.conf"
    there.parent.mkdir(parents=True)
    there.touch()
    for pid, config in ((7, there), (8, gone), (9, "/etc/other.conf")):
        process = tmp_path / "proc" / str(pid)
        process.mkdir(parents=True)
        (process / "cmdline").write_bytes(b"pw-loopback\0-c\0001\0")
        (process / "environ").write_bytes(f"HOME=/\0PIPEWIRE_CONFIG_NAME={config}\0".encode())
    assert only(doctor_services.leftovers(tmp_path / "proc")).fix == "kill 8"


@pytest.mark.parametrize(("free_mb", "states"), [(50_000, [GOOD]), (300, [NOTE]), (1, [BAD, BAD])])
def test_room_on_disk(monkeypatch: pytest.MonkeyPatch, free_mb: float, states: list[str]) -> None:
    monkeypatch.setattr(doctor_disk, "_free_mb", lambda folder: free_mb)
    assert [finding.state for finding in doctor_disk.room()] == states


def test_damaged_states_that_lie_about(tmp_path: Path) -> None:
    assert doctor_disk.damaged(tmp_path) == []
    for number in (1, 2):
        (tmp_path / f"state.json.damaged-{number}").touch()
    found = only(doctor_disk.damaged(tmp_path))
    assert "2 damaged saved states" in found.text
    assert "rm " in found.fix


@pytest.mark.parametrize(
    ("missing", "word", "state"),
    [([], "without network", GOOD), (["landlock"], "5.13", NOTE), (["namespaces", "new"], "no new", NOTE),
     (None, "could not be tried", BAD)],
)  # fmt: skip
def test_confinement(monkeypatch: pytest.MonkeyPatch, missing: list[str] | None, word: str, state: str) -> None:
    monkeypatch.setattr(doctor_disk, "missing_layers", lambda: missing)
    found = only(doctor_disk.confinement())
    assert word in found.text
    assert found.state == state


def test_a_tracker_that_cannot_be_had() -> None:
    trackers = {"rmvpe": "the weights of rmvpe are not here: `rwcctl assets fetch rmvpe`, or choose yin", "yin": ""}
    assert doctor_voices._tracker("rmvpe", trackers, needed=False).state == GOOD
    found = doctor_voices._tracker("rmvpe", trackers, needed=True)
    assert (found.state, found.fix) == (NOTE, "`rwcctl assets fetch rmvpe`, or choose yin")
    assert "no neural one" in doctor_voices._tracker("auto", trackers, needed=True).text
    assert doctor_voices._tracker("auto", {"fcpe": ""}, needed=True).state == GOOD


def test_trouble_that_is_over_is_a_note() -> None:
    past = {"last_fault_message": "the engine died", "last_fault_age_s": 12.3}
    found = doctor.daemon(doctor.Asked(True, properties={**WELL, **past}, statistics={}))[-1]
    assert (found.part, found.state) == ("trouble", NOTE)
    assert "12 s ago, over" in found.text
