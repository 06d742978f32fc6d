"""The daemon's in-process API, on a whole core with a pretended graph and a real engine."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from rwc_daemon.control.api import DaemonApi, FaultReported, LevelsMeasured, StateChanged, Told
from rwc_daemon.errors import NoSuchControl, NoSuchVoice, OutOfRange, Superseded
from testkit.daemon_parts import Whole, whole_core


async def gathered(api: DaemonApi, into: list[Told]) -> None:
    async for event in api.subscribe():
        into.append(event)


async def uses(whole: Whole) -> None:
    await whole.until_state("idle")
    assert await whole.api.use("tiny", {"pitch": -3.0}) == "tiny"
    assert (whole.api.status.voice, whole.api.controls.pitch) == ("tiny", -3.0)
    for voice, controls, error in (
        ("nobody", {}, NoSuchVoice),
        ("deep", {"pitch": 99.0}, OutOfRange),
        ("deep", {"pich": 1.0}, NoSuchControl),
    ):
        with pytest.raises(error):
            await whole.api.use(voice, controls)
    assert (whole.api.status.voice, whole.api.status.loading, whole.api.controls.pitch) == ("tiny", "", -3.0)


async def superseded(whole: Whole) -> None:
    await whole.until_state("idle")
    os.kill(whole.core.first.voice_controller.supervisor.pid, signal.SIGSTOP)  # so that nothing converts meanwhile
    try:
        older = asyncio.create_task(whole.api.use("tiny"))
        await whole.until(lambda: whole.api.status.loading == "tiny")
        newer = asyncio.create_task(whole.api.use("giant"))
        with pytest.raises(Superseded):
            await older
    finally:
        os.kill(whole.core.first.voice_controller.supervisor.pid, signal.SIGCONT)
    assert await newer == "giant"


async def levels(whole: Whole) -> None:
    events: list[Told] = []
    task = asyncio.create_task(gathered(whole.api, events))
    await asyncio.sleep(0)

    async def heard_again() -> None:
        before = sum(isinstance(event, LevelsMeasured) for event in events)
        await whole.until(lambda: sum(isinstance(event, LevelsMeasured) for event in events) > before + 1)

    whole.api.watch_levels("page", True)
    whole.api.watch_levels("terminal", True)
    await heard_again()
    whole.api.watch_levels("terminal", False)
    await heard_again()
    assert whole.core.first.levels.on
    whole.api.watch_levels("page", False)
    assert not whole.core.first.levels.on
    task.cancel()


async def told(whole: Whole) -> None:
    await whole.until_state("idle")
    events: list[Told] = []
    task = asyncio.create_task(gathered(whole.api, events))
    await asyncio.sleep(0)
    for step in range(50):
        whole.api.set_controls({"pitch": step / 10})
    whole.core.first.faults.happened("Interrupted", "something")
    await whole.until(lambda: any(isinstance(event, FaultReported) for event in events))
    await whole.until(lambda: any(isinstance(e, StateChanged) and e.controls.pitch == 4.9 for e in events))
    changes = [event for event in events if isinstance(event, StateChanged)]
    assert len(changes) < 10, "what is set in one go is told together"
    task.cancel()


async def slowly(whole: Whole) -> None:
    await whole.until_state("idle")
    subscription = whole.api.subscribe()
    for step in range(5):
        whole.api.set_controls({"pitch": float(step)})
        await asyncio.sleep(0.02)  # told, and not read
    event = await anext(subscription)
    assert isinstance(event, StateChanged)
    assert event.controls.pitch == 4.0
    whole.api.set_controls({"pitch": 5.0})
    event = await anext(subscription)
    assert isinstance(event, StateChanged)
    assert event.controls.pitch == 5.0


async def closing(whole: Whole) -> None:
    subscription = whole.api.subscribe()
    waiting = asyncio.create_task(anext(subscription, None))
    await asyncio.sleep(0)
    subscription.close()
    async with asyncio.timeout(5):
        while (event := await waiting) is not None:
            waiting = asyncio.create_task(anext(subscription, None))
            assert isinstance(event, StateChanged)
    whole.api.set_controls({"pitch": 1.0})  # nobody is told any more, and nothing breaks


@pytest.mark.parametrize("body", [uses, superseded, levels, told, slowly, closing], ids=lambda body: body.__name__)
def test_the_api(body, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    async def run() -> None:
        async with whole_core(tmp_path) as whole:
            await body(whole)

    asyncio.run(run())
