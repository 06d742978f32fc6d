"""`org.rwc.Daemon1` on a real bus: calls, their errors, and signals."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from dbus_next import MessageType, Variant

from rwc_daemon.errors import (
    BadModel,
    NoSuchControl,
    NoSuchInput,
    NoSuchJob,
    NoSuchVoice,
    OutOfRange,
    RwcError,
    Superseded,
    Unsupported,
)
from rwc_daemon.faces import dbus_types
from rwc_daemon.faces.dbus_client import Daemon
from rwc_daemon.families import shipped
from testkit.daemon_parts import Bus, Whole
from testkit.dbus_calls import raw, run, until


def test_the_voice_is_loaded_and_told(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        await daemon.listen()
        await whole.until_state("idle")
        await daemon.call("LoadVoice", "tiny")
        await until(daemon, lambda event: event.changed.get("Loading") == "tiny")
        await until(daemon, lambda event: event.changed.get("Voice") == "tiny")
        shown = await daemon.get_all()
        assert set(shown) == set(dbus_types.PROPERTIES)
        assert (shown["Voice"], shown["Loading"], shown["State"]) == ("tiny", "", "idle")

    run(bus, tmp_path, check)


def test_a_voice_is_used_once_the_call_returns(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        await whole.until_state("idle")
        await daemon.call("UseVoice", "tiny", {"Pitch": -3.0})
        shown = await daemon.get_all()
        assert (shown["Voice"], shown["Loading"], shown["Pitch"]) == ("tiny", "", -3.0)
        await daemon.call("UseVoice", "tiny", {})  # the one that plays already
        for voice, controls, error in (
            ("nobody", {}, NoSuchVoice),
            ("deep", {"pitch": 99.0}, OutOfRange),
            ("deep", {"pich": 1.0}, NoSuchControl),
        ):
            with pytest.raises(error):
                await daemon.call("UseVoice", voice, controls)
            assert await daemon.get("Voice") == "tiny"

    run(bus, tmp_path, check)


def test_a_newer_request_takes_the_place_of_an_older_one(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        await whole.until_state("idle")
        os.kill(whole.core.first.voice_controller.supervisor.pid, signal.SIGSTOP)  # so that nothing converts meanwhile
        try:
            older = asyncio.create_task(daemon.call("UseVoice", "tiny", {}))
            await whole.until(lambda: whole.core.first.status.loading == "tiny")
            newer = asyncio.create_task(daemon.call("UseVoice", "giant", {}))
            with pytest.raises(Superseded, match="'giant' was asked for after it"):
                await older
        finally:
            os.kill(whole.core.first.voice_controller.supervisor.pid, signal.SIGCONT)
        await newer
        assert await daemon.get("Voice") == "giant"

    run(bus, tmp_path, check)


def test_lists_and_statistics_have_the_keys_of_the_contract(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        voices = await daemon.call("ListVoices")
        assert [voice["id"] for voice in voices] == list(shipped())
        assert all(set(voice) == set(dbus_types.VOICE) for voice in voices)
        inputs = await daemon.call("ListInputs")
        assert [one["name"] for one in inputs] == ["usb", "webcam"]
        assert set(await daemon.call("GetStatistics")) == set(dbus_types.STATISTICS)

    run(bus, tmp_path, check)


def test_setting_is_told_once_it_is_so(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        await daemon.listen()
        await daemon.set("Pitch", 4)
        event = await until(daemon, lambda event: "Pitch" in event.changed)
        assert event.changed["Pitch"] == 4.0
        await daemon.call("SetControls", {"Formant": -2.0, "gate-db": -40, "speaker": 3})
        assert whole.core.first.controls.formant == -2
        assert await daemon.get("Speaker") == 3
        await daemon.call("ResetControls")
        assert await daemon.get("Formant") == 0
        await daemon.set("Mode", "mute")
        await daemon.set("Input", "webcam")
        assert (await daemon.get("Mode"), await daemon.get("Input")) == ("mute", "webcam")

    run(bus, tmp_path, check)


def test_what_is_refused_says_why_and_changes_nothing(bus: Bus, tmp_path: Path) -> None:
    refusals: list[tuple[type[RwcError], Callable[[Daemon], Awaitable[None]]]] = [
        (NoSuchVoice, lambda daemon: daemon.call("LoadVoice", "nobody")),
        (NoSuchVoice, lambda daemon: daemon.call("LoadVoice", "")),
        (OutOfRange, lambda daemon: daemon.call("LoadVoice", "x" * 100_000)),
        (OutOfRange, lambda daemon: daemon.set("Pitch", math.nan)),
        (OutOfRange, lambda daemon: daemon.set("Pitch", math.inf)),
        (OutOfRange, lambda daemon: daemon.set("Pitch", 24.001)),
        (OutOfRange, lambda daemon: daemon.set("Quality", "best")),
        (OutOfRange, lambda daemon: daemon.set("Mode", "loud")),
        (NoSuchInput, lambda daemon: daemon.set("Input", "nothing")),
        (OutOfRange, lambda daemon: daemon.call("SetControls", {"pitch": 1.0, "formant": 99.0})),
        (OutOfRange, lambda daemon: daemon.call("SetControls", {"pitch": True})),
        (OutOfRange, lambda daemon: daemon.call("SetControls", {"pitch": "x" * 5000})),
        (NoSuchControl, lambda daemon: daemon.call("SetControls", {"pich": 1.0})),
        (BadModel, lambda daemon: daemon.call("ImportVoice", "voice.pth", {})),
        (OutOfRange, lambda daemon: daemon.call("ImportVoice", "/voice.pth", {"colour": "red"})),
        (OutOfRange, lambda daemon: daemon.call("ImportVoice", "/voice.pth", {"name": ""})),
        (Unsupported, lambda daemon: daemon.call("RemoveVoice", "deep")),
        (NoSuchVoice, lambda daemon: daemon.call("RemoveVoice", "../../etc")),
        (NoSuchJob, lambda daemon: daemon.call("CancelJob", 77)),
        (RwcError, lambda daemon: daemon.set("Voice", "deep")),
    ]

    async def check(daemon: Daemon, whole: Whole) -> None:
        await whole.until_state("idle")
        before = await daemon.get_all()
        for kind, call in refusals:
            with pytest.raises(kind) as caught:
                await call(daemon)
            message = str(caught.value)
            assert 0 < len(message) <= 600
            assert "\n" not in message
            assert "Traceback" not in message
        after = await daemon.get_all()
        figures = ("LatencyMs", "Load", "Xruns", "Underruns")
        assert {**after, **dict.fromkeys(figures)} == {**before, **dict.fromkeys(figures)}

    run(bus, tmp_path, check)


@pytest.mark.parametrize(
    ("error", "member", "kinds", "body", "other"),
    [
        ("InvalidArgs", "LoadVoice", "u", [1], {}),
        ("InvalidArgs", "LoadVoice", "", [], {}),
        ("UnknownMethod", "Explode", "", [], {}),
        ("UnknownMethod", "LoadVoice", "s", ["deep"], {"interface": "org.example"}),
        ("UnknownMethod", "Frob", "", [], {"interface": "org.freedesktop.DBus.Properties"}),
        ("UnknownObject", "LoadVoice", "s", ["deep"], {"path": "/org/rwc"}),
        ("UnknownObject", "Introspect", "", [], {"path": "/x", "interface": "org.freedesktop.DBus.Introspectable"}),
        ("UnknownProperty", "Get", "ss", ["", "Nose"], {"interface": "org.freedesktop.DBus.Properties"}),
        ("UnknownInterface", "Get", "ss", ["a.b", "Pitch"], {"interface": "org.freedesktop.DBus.Properties"}),
        (
            "PropertyReadOnly",
            "Set",
            "ssv",
            ["", "State", Variant("s", "x")],
            {"interface": "org.freedesktop.DBus.Properties"},
        ),
    ],
)
def test_calls_outside_the_contract(
    bus: Bus, tmp_path: Path, error: str, member: str, kinds: str, body: list, other: dict[str, str]
) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        reply = await raw(daemon, member, kinds, body, **other)
        assert reply.message_type is MessageType.ERROR
        assert reply.error_name == f"org.freedesktop.DBus.Error.{error}"

    run(bus, tmp_path, check)


def test_an_error_inside_is_one_plain_sentence(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        monkeypatch.setattr(whole.core.first, "reset_controls", lambda: 1 / 0)
        reply = await raw(daemon, "ResetControls")
        assert reply.error_name == "org.rwc.Error.Failed"
        assert reply.body == ["an error inside rwc-daemon: 'rwcctl logs' has the details"]
        assert "ZeroDivisionError" in caplog.text

    run(bus, tmp_path, check)


def test_an_import_that_fails_is_a_job_that_ends(bus: Bus, tmp_path: Path) -> None:
    (tmp_path / "voice.pth").write_text("<html>404</html>")

    async def check(daemon: Daemon, whole: Whole) -> None:
        await daemon.listen()
        job = await daemon.call("ImportVoice", str(tmp_path / "voice.pth"), {"name": "Ann"})
        done = await until(daemon, lambda event: event.signal == "JobDone")
        assert done.values[:2] == (job, False)
        assert done.values[2].startswith("BadModel: ")
        assert len(await daemon.call("ListVoices")) == len(shipped())

    run(bus, tmp_path, check)


def test_levels_end_with_the_client_that_asked(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        other = await Daemon.connect(address=bus.address)
        await other.listen()
        await other.call("WatchLevels", True)
        await until(other, lambda event: event.signal == "Levels")
        other.close()
        await whole.until(lambda: not whole.core.first.levels.on)
        await daemon.call("WatchLevels", True)
        await daemon.call("WatchLevels", True)
        assert whole.core.first.levels.on
        await daemon.call("WatchLevels", False)
        assert not whole.core.first.levels.on

    run(bus, tmp_path, check)


def test_a_thousand_settings_at_once(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        await whole.until_state("idle")
        calls = [daemon.call("SetControls", {"pitch": step / 100}) for step in range(1001)]
        await asyncio.gather(*calls)
        assert whole.core.first.controls.pitch == 10.0
        assert not whole.heard.faults
        await whole.until(lambda: whole.core.first.stats.heartbeat.resident_mb > 0)

    run(bus, tmp_path, check)


def test_quit_ends_it_after_the_answer(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        await daemon.call("Quit")
        assert whole.core.ended.is_set()

    run(bus, tmp_path, check)
