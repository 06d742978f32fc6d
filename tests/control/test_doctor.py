"""The doctor's judgements, from faked machines."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from rwc_daemon.control import doctor, doctor_audio, doctor_host
from rwc_daemon.control.finding import BAD, GOOD, NOTE, Finding

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
    assert only(doctor_audio.sources()).state == GOOD


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
    assert found.mend


@pytest.mark.parametrize(
    ("default", "sources", "word"),
    [
        ("rwc_mic", (MIC, source("usb")), "itself"),
        ("speaker.monitor", (MIC, source("usb"), source("speaker.monitor")), "monitor"),
        ("rwc_mic", (MIC,), "no microphone"),
    ],
)
def test_default_source_wrong(pulse, default: str, sources: tuple, word: str) -> None:
    pulse(default, *sources)
    found = only(doctor_audio.sources())
    assert found.state == NOTE
    assert word in found.text
    assert found.mend


def test_a_healthy_daemon() -> None:
    asked = doctor.Asked(True, properties=WELL, statistics={})
    assert {finding.state for finding in doctor.daemon(asked) + doctor.timings(asked)} == {GOOD}


@pytest.mark.parametrize(
    ("change", "part", "state"),
    [
        ({"State": "degraded"}, "daemon", BAD),
        ({"Mode": "bypass"}, "mode", NOTE),
        ({"input_node": ""}, "input", BAD),
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
    ("torch", "reachable", "word", "state"),
    [("", None, "not installed", NOTE), ("2.13.0+cpu", None, "without CUDA", NOTE),
     ("2.13.0", None, "cannot reach", BAD), ("2.13.0", "13.0", "CUDA 13.0", GOOD)],
)  # fmt: skip
def test_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, torch: str, reachable: str | None, word: str, state: str):
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setattr(doctor_host, "NVIDIA_DRIVER", driver)
    monkeypatch.setattr(doctor_host, "_version", lambda package: torch)
    monkeypatch.setattr(doctor_host, "answer", lambda *words, **_: "A card" if words[0] == "nvidia-smi" else reachable)
    found = only(doctor_host.gpu())
    assert word in found.text
    assert found.state == state
