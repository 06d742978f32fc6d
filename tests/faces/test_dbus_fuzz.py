"""Calls with values of every type: each is answered, none changes what it was refused for, none breaks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rwc_daemon.control.microphone_core import MicrophoneCore
from rwc_daemon.faces.dbus import DbusFace
from rwc_daemon.faces.dbus_client import Daemon
from testkit.daemon_parts import Bus, whole_core
from testkit.fuzz.calls import call, fuzz
from testkit.fuzz.messages import Random

CALLS = 4000


def test_thousands_of_strange_calls(bus: Bus, tmp_path: Path) -> None:
    account = fuzz(CALLS, seed=7, folder=tmp_path, bus=bus)
    assert not account.culprits
    assert account.tried == CALLS
    assert account.taken > CALLS / 10
    assert account.refused > CALLS / 10


def state_of(microphone: MicrophoneCore) -> tuple[object, ...]:
    return microphone.controls, microphone.status.mode, microphone.status.input


@pytest.mark.parametrize("seed", range(3))
def test_a_refused_call_changes_nothing(bus: Bus, tmp_path: Path, seed: int) -> None:
    async def check() -> None:
        async with whole_core(tmp_path) as whole:
            face = await DbusFace.open(whole.api, bus.address)
            await whole.until_state("idle")
            source = Random(seed)
            async with await Daemon.connect(address=bus.address) as daemon:
                for _ in range(150):
                    before = state_of(whole.core.first)
                    error, trouble = await call(daemon, source.message(), whole)
                    assert not trouble
                    if error:
                        assert state_of(whole.core.first) == before
            face.close()

    asyncio.run(check())
