"""The core through its API, with a real engine process and the real callback: idle, live, killed, restarted."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rwc_daemon.control import events, saving
from rwc_daemon.errors import MissingAsset, NoSuchControl, NoSuchInput, NoSuchVoice, OutOfRange, Unsupported
from rwc_daemon.families import FAMILIES
from rwc_daemon.messages import VoiceOn
from rwc_daemon.settings import Settings
from rwc_daemon.store.voices import VoiceStore
from testkit.daemon_parts import Whole, whole_core
from testkit.makers import make_assets, make_voice
from testkit.pretended_audio import RATE


def run(folder: Path, check: Callable[[Whole], Awaitable[None]], settings: Settings | None = None) -> None:
    async def whole() -> None:
        async with whole_core(folder, settings) as it:
            await check(it)

    asyncio.run(whole())


def tone(quantum: int) -> np.ndarray:
    """A voice-like tone of 187.5 Hz that fits every quantum of 256."""
    phase = 2 * np.pi * np.arange(quantum) * 187.5 / RATE
    return (0.3 * np.sin(phase) + 0.1 * np.sin(2 * phase)).astype(np.float32)


def heard_since(whole: Whole, start: int) -> float:
    """Loudest sample that recorders got since block `start`."""
    blocks = whole.graph.recorded[start:]
    return max((float(np.abs(block).max()) for block in blocks), default=0.0)


def test_idle_then_live_then_idle(tmp_path: Path) -> None:
    async def check(whole: Whole) -> None:
        api, client = whole.api, whole.graph.audio.client
        await whole.until(lambda: api.status.state == "idle" and api.status.latency_ms > 0)  # rehearsed
        await whole.until(lambda: not client.is_open)
        assert api.status.voice == "deep"
        assert not api.statistics()["capturing"]
        whole.graph.source = tone
        whole.graph.record(1)
        await whole.until_state("live")
        await whole.until(lambda: heard_since(whole, -20) > 0.05)
        assert api.status.listeners == 1
        assert api.statistics()["capturing"]
        parts = api.statistics()
        ours_ms = sum(parts[f"latency_{name}_ms"] for name in ("block", "voice", "slack"))
        assert math.isclose(client.latency, ours_ms * RATE / 1000)
        names = ("input", "block", "voice", "slack", "output")
        total = sum(parts[f"latency_{name}_ms"] for name in names)
        assert math.isclose(parts["latency_total_ms"], total)
        whole.graph.record(0)
        await whole.until_state("idle")
        await whole.until(lambda: not client.is_open)

    run(tmp_path, check)


def test_a_killed_engine_is_silence_and_then_the_same_voice(tmp_path: Path) -> None:
    async def check(whole: Whole) -> None:
        api = whole.api
        whole.graph.source = tone
        whole.graph.record(1)
        await whole.until_state("live")
        await whole.until(lambda: heard_since(whole, -20) > 0.05)
        os.kill(api.statistics()["engine_pid"], signal.SIGKILL)
        await whole.until_state("degraded")
        assert "killed from outside" in api.statistics()["fault_message"]
        assert api.status.voice == "deep"
        await whole.until_state("live")
        start = len(whole.graph.recorded)
        await whole.until(lambda: heard_since(whole, start) > 0.05)
        assert api.statistics()["engine_restarts"] == 1
        assert api.statistics()["fault_code"] == ""
        assert [fault.code for fault in whole.heard.faults] == ["EngineFailed"]

    run(tmp_path, check)


def test_a_voice_is_switched_live_and_an_unknown_one_is_not(tmp_path: Path) -> None:
    async def check(whole: Whole) -> None:
        api = whole.api
        whole.graph.record(1)
        await whole.until_state("live")
        await api.load("robot")
        assert api.status.loading == "robot"
        await whole.until(lambda: api.status.voice == "robot" and not api.status.loading)
        with pytest.raises(NoSuchVoice, match="did you mean robot"):
            await api.load("robt")
        with pytest.raises(Unsupported, match="built in"):
            await api.remove_voice("robot")
        assert api.status.voice == "robot"

    run(tmp_path, check)
    saved = json.loads((tmp_path / "state/state.json").read_text())
    assert saved["voice"] == "robot"


def test_wrong_values_change_nothing(tmp_path: Path) -> None:
    async def check(whole: Whole) -> None:
        api = whole.api
        await whole.until_state("idle")
        api.set_controls({"pitch": 2})
        before = api.controls
        for wanted in ({"pitch": math.nan}, {"pitch": 1, "formant": 13}, {"pitch": True}, {"quality": "best"}):
            with pytest.raises(OutOfRange):
                api.set_controls(wanted)
        with pytest.raises(NoSuchControl, match="did you mean 'pitch'"):
            api.set_controls({"pich": 1})
        with pytest.raises(OutOfRange, match="convert, mute, bypass"):
            api.set_mode("loud")
        with pytest.raises(NoSuchInput, match="known: default"):
            await api.set_input("nothing")
        assert api.controls is before
        assert (api.status.mode, api.status.input) == ("convert", "default")

    run(tmp_path, check)


def test_what_was_set_is_there_after_a_restart_but_not_bypass(tmp_path: Path) -> None:
    async def first(whole: Whole) -> None:
        await whole.until_state("idle")
        whole.api.set_controls({"Pitch": -3, "gate-db": -50})
        whole.api.set_mode("bypass")
        await whole.api.set_input("webcam")
        await whole.api.set_input("rwc-probe")  # for a measurement: not saved
        assert whole.api.status.input == "webcam"

    async def second(whole: Whole) -> None:
        assert (whole.api.controls.pitch, whole.api.controls.gate_db) == (-3, -50)
        assert whole.api.status.mode == "convert"
        assert whole.api.status.input == "webcam"
        assert whole.graph.audio.router.current == "webcam"
        whole.api.set_mode("mute")

    async def third(whole: Whole) -> None:
        assert whole.api.status.mode == "mute"

    run(tmp_path, first)
    assert (tmp_path / "state/state.json").stat().st_mode & 0o777 == 0o600
    run(tmp_path, second)
    run(tmp_path, third)


def test_bypass_survives_only_when_pinned(tmp_path: Path) -> None:
    pinned = replace(Settings(), privacy=replace(Settings().privacy, pin_bypass=True))

    async def first(whole: Whole) -> None:
        whole.api.set_mode("bypass")

    async def second(whole: Whole) -> None:
        assert whole.api.status.mode == "bypass"

    async def third(whole: Whole) -> None:
        assert whole.api.status.mode == "convert"

    run(tmp_path, first, pinned)
    run(tmp_path, second, pinned)
    run(tmp_path, third)


def test_mute_is_silence_and_bypass_is_the_bare_voice(tmp_path: Path) -> None:
    async def check(whole: Whole) -> None:
        api = whole.api
        whole.graph.source = tone
        api.set_mode("mute")
        whole.graph.record(1)
        await whole.until_state("live")
        start = len(whole.graph.recorded)
        await whole.until(lambda: len(whole.graph.recorded) > start + 100)
        assert heard_since(whole, start) == 0
        api.set_mode("bypass")
        await whole.until(lambda: np.array_equal(whole.graph.recorded[-1], tone(256)))

    run(tmp_path, check)


def test_without_a_server_it_waits_and_says_so(tmp_path: Path) -> None:
    async def check(whole: Whole) -> None:
        whole.graph.record(1)
        await whole.until_state("live")
        whole.graph.down = whole.graph.stalled = True
        await whole.until_state("degraded")
        assert whole.api.statistics()["fault_code"] == "NoAudioServer"
        whole.graph.down = whole.graph.stalled = False
        await whole.until_state("live")
        assert whole.api.statistics()["fault_code"] == ""

    run(tmp_path, check)


def test_a_new_quantum_is_a_new_plan(tmp_path: Path) -> None:
    async def check(whole: Whole) -> None:
        whole.graph.record(1)
        await whole.until_state("live")
        whole.graph.quantum = 1024
        await whole.until(lambda: whole.api.statistics()["block_samples"] % 1024 == 0)
        await whole.until_state("live")

    run(tmp_path, check)


def test_levels_are_told_only_while_watched(tmp_path: Path) -> None:
    async def check(whole: Whole) -> None:
        whole.graph.source = tone
        whole.graph.record(1)
        await whole.until_state("live")
        assert not whole.heard.seen_levels
        whole.api.watch_levels("a page", True)
        await whole.until(lambda: len(whole.heard.seen_levels) > 5)
        assert -12 < whole.heard.seen_levels[-1].in_db < -6
        await whole.until(lambda: whole.api.statistics()["pitch_in_hz"] > 0)
        whole.api.watch_levels("a page", False)
        count = len(whole.heard.seen_levels)
        await asyncio.sleep(5 * events.LEVELS_S)
        assert len(whole.heard.seen_levels) == count

    run(tmp_path, check)


def test_a_damaged_state_is_said_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/state.json").write_text("{")

    async def check(whole: Whole) -> None:
        await whole.until(lambda: bool(whole.heard.faults))
        assert "was damaged" in whole.heard.faults[0].message
        await whole.until_state("idle")

    run(tmp_path, check)


def test_a_voice_that_is_gone_gives_way_to_the_first(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/state.json").write_text('{"voice": "ann"}')

    async def check(whole: Whole) -> None:
        await whole.until_state("idle")
        assert whole.api.status.voice == "deep"
        assert whole.heard.faults[0].code == "NoSuchVoice"
        assert "'deep' takes its place" in whole.heard.faults[0].message

    run(tmp_path, check)


def test_a_voice_that_ends_the_engine_twice_is_replaced(tmp_path: Path) -> None:
    """Not by the unprocessed voice: by the last good one, or a built-in."""

    async def check(whole: Whole) -> None:
        api = whole.api
        whole.graph.record(1)
        for _ in range(2):
            await whole.until_state("live")
            os.kill(api.statistics()["engine_pid"], signal.SIGSEGV)
            await whole.until_state("degraded")
        await whole.until_state("live")
        assert api.status.voice == "bright"
        assert api.status.mode == "convert"
        words = [fault.message for fault in whole.heard.faults]
        assert any(
            "'deep' cannot be used, 'bright' takes its place: it ended the engine twice" in text for text in words
        )
        await api.load("deep")  # the user's word counts again
        await whole.until(lambda: api.status.voice == "deep")

    run(tmp_path, check)


def test_a_loaded_voice_begins_with_its_own_controls(tmp_path: Path) -> None:
    """Not with those of the voice before. That one stream does it is shown by tests/engine/test_own_controls.py."""
    files = tmp_path / "files"
    files.mkdir()
    make_assets(tmp_path / "data/assets", names=("contentvec",))
    store = VoiceStore(tmp_path / "data/voices")
    voice = store.bring_in([make_voice(files)])[0].id
    store.remember(voice, {"f0_method": "yin", "pitch": 3.0, "speaker": 0})

    async def check(whole: Whole) -> None:
        api = whole.api
        whole.graph.record(1)
        await whole.until_state("live")
        api.set_controls({"pitch": -2, "f0_method": "pm", "gate_db": -70})
        loaded = asyncio.ensure_future(api.use(voice, {}))
        await whole.until(lambda: api.status.loading == voice)
        api.set_controls({"formant": 1.5})  # turned while it loads: it wins, and the playing voice has it at once
        assert (api.controls.pitch, api.controls.formant) == (-2, 1.5)
        assert await loaded == voice
        now = api.controls
        assert (now.pitch, now.formant, now.f0_method, now.gate_db) == (3.0, 1.5, "yin", -70)
        await api.use("robot", {"pitch": 7})
        assert (api.controls.pitch, api.controls.f0_method) == (7, "pm")
        await api.use(voice, {})
        assert (api.controls.pitch, api.controls.formant) == (3.0, 1.5)

    run(tmp_path, check)
    assert store.remembered(voice)["formant"] == 1.5


def test_the_playing_voice_is_used_anew_once_that_has_taken_effect(tmp_path: Path) -> None:
    """Another quality or tracker lays the nets out anew: the answer comes when that plays, or cannot be had."""
    files = tmp_path / "files"
    files.mkdir()
    make_assets(tmp_path / "data/assets", names=("contentvec",))
    voice = VoiceStore(tmp_path / "data/voices").bring_in([make_voice(files)])[0].id

    async def check(whole: Whole) -> None:
        api = whole.api
        whole.graph.record(1)
        await api.use(voice, {"f0_method": "yin", "quality": "low"})
        low = api.statistics()["latency_block_ms"]
        await asyncio.gather(api.use(voice, {"quality": "high"}), api.use(voice, {"quality": "high", "pitch": 2}))
        assert api.statistics()["latency_block_ms"] > low
        assert (api.controls.quality, api.controls.pitch, api.status.voice) == ("high", 2, voice)
        for _ in range(2):
            with pytest.raises(MissingAsset, match="rmvpe"):
                await api.use(voice, {"f0_method": "rmvpe"})
        assert (api.status.voice, api.status.loading) == (voice, "")
        await api.use(voice, {"f0_method": "yin"})
        await whole.until(lambda: api.statistics()["fault_code"] == "")
        api.set_controls({"f0_method": "rmvpe"})  # nobody waits: a fault until another one is chosen
        await whole.until(lambda: api.statistics()["fault_code"] == "MissingAsset")
        assert "rmvpe" in api.statistics()["fault_message"]
        api.set_controls({"f0_method": "yin"})
        await whole.until(lambda: api.statistics()["fault_code"] == "")
        await api.use("deep", {"pitch": 1})
        await api.use("deep", {"pitch": 2})
        assert (api.status.voice, api.controls.pitch) == ("deep", 2)

    run(tmp_path, check)


def test_whether_a_voice_holds_much_memory_is_said_by_its_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a voice of the library: an engine with a light one is not ended while nobody listens."""
    monkeypatch.setitem(FAMILIES, "light", replace(FAMILIES["rvc"], heavy=False))

    async def check(whole: Whole) -> None:
        await whole.until_state("idle")
        voices = whole.core.first.voice_controller
        assert not voices.heavy  # 'deep'
        for kind, heavy in (("light", False), ("rvc", True)):
            voices.on_message(VoiceOn("ann", "cpu", 1.0, kind=kind))
            assert voices.heavy == heavy

    run(tmp_path, check)


def test_a_full_disk_is_a_fault_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    async def check(whole: Whole) -> None:
        await whole.until_state("idle")
        await whole.until((tmp_path / "state/state.json").exists)
        before = (tmp_path / "state/state.json").read_text()
        monkeypatch.setattr(os, "fsync", full)
        whole.api.set_controls({"pitch": 5})
        await whole.until_state("degraded")
        assert "No space left on device" in whole.api.statistics()["fault_message"]
        assert (tmp_path / "state/state.json").read_text() == before
        monkeypatch.undo()
        whole.api.set_controls({"pitch": 6})
        await whole.until_state("idle")

    monkeypatch.setattr(saving, "AGAIN_S", 0.5)
    run(tmp_path, check)
    assert json.loads((tmp_path / "state/state.json").read_text())["controls"]["pitch"] == 6
