"""Texts that D-Bus cannot carry: names of files and nodes are bytes of anybody's choice. Signals must outlive them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from rwc_daemon.errors import OutOfRange, RwcError
from rwc_daemon.faces.dbus_client import Daemon
from testkit.daemon_parts import Bus, Whole
from testkit.dbus_calls import run, until

UNSAYABLE = "no \udcff and no \0 either"
SAID = "no \ufffd and no \ufffd either"


def test_a_home_whose_name_is_no_text_is_told(bus: Bus, tmp_path: Path) -> None:
    home = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    home.mkdir()
    (home / "state").write_text("no folder, so that nothing can be saved")

    async def check(daemon: Daemon, whole: Whole) -> None:
        await daemon.listen()
        await daemon.set("Pitch", 2)
        fault = await until(daemon, lambda event: event.signal == "Fault" and "cannot write" in event.values[1])
        assert "/\ufffd/state/state.json" in fault.values[1]
        assert "\ufffd" in (await daemon.call("GetStatistics"))["fault_message"]
        await daemon.set("Pitch", 3)
        await until(daemon, lambda event: event.changed.get("Pitch") == 3)

    run(bus, home, check)


def test_faults_and_answers_of_any_text(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        await daemon.listen()
        whole.core.first.faults.begin("here", "Silent", UNSAYABLE)
        event = await until(daemon, lambda event: event.signal == "Fault")
        assert event.values == ("Silent", SAID)
        assert (await daemon.call("GetStatistics"))["fault_message"] == SAID
        await daemon.set("Pitch", 3)
        await until(daemon, lambda event: event.changed.get("Pitch") == 3)

    run(bus, tmp_path, check)


def test_a_client_is_told_which_text_it_may_not_send(bus: Bus, tmp_path: Path) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        for text in ("a\0b", "a\udcffb"):
            with pytest.raises(OutOfRange, match="UTF-8 text"):
                await daemon.call("LoadVoice", text)
            with pytest.raises(OutOfRange, match="UTF-8 text"):
                await daemon.call("ImportVoice", "/x", {"name": text})
        assert await daemon.get("Mode") == "convert"

    run(bus, tmp_path, check)


def test_an_error_in_telling_is_a_fault_and_signals_go_on(
    bus: Bus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        await daemon.listen()
        whole.core._events.job_done(-1, True, "no number that the contract knows")
        event = await until(daemon, lambda event: event.signal == "Fault")
        assert event.values == (
            "Failed",
            "a signal on D-Bus was lost by an error inside rwc-daemon: 'rwcctl logs' has the details",
        )
        assert "Traceback" in caplog.text
        await daemon.set("Pitch", 4)
        await until(daemon, lambda event: event.changed.get("Pitch") == 4)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "D-Bus signals" and task.done()]

    run(bus, tmp_path, check)


def test_an_answer_that_cannot_be_sent_is_an_error(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(daemon: Daemon, whole: Whole) -> None:
        monkeypatch.setattr(whole.core.library, "bring_in", lambda *_: -1)
        with pytest.raises(RwcError, match="an error inside rwc-daemon"):
            await daemon.call("ImportVoice", "/x", {}, timeout_s=10)

    run(bus, tmp_path, check)
