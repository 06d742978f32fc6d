"""Streams that share engines: they come and go, and what becomes of one is not the others' business."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from rwc_daemon.control import engine_pool, supervisor
from rwc_daemon.control.engine_pool import EnginePool
from rwc_daemon.control.engine_process import Death
from rwc_daemon.messages import StreamEnded
from tests.control.test_supervisor import OPTIONS, Watched

pytestmark = pytest.mark.realtime


def run(
    data_dir: Path, count: int, check: Callable[[list[Watched]], Coroutine[None, None, None]], most: int = 1
) -> None:
    """`check` with so many streams that convert; afterwards no process and no descriptor is left."""

    async def whole() -> None:
        pool = EnginePool(data_dir, OPTIONS, most)
        streams = [Watched(data_dir, pool) for _ in range(count)]
        for stream in streams:
            stream.supervisor.start()
        try:
            for stream in streams:
                await stream.until_voice()
            await check(streams)
        finally:
            pids = {stream.supervisor.pid for stream in streams}
            for stream in streams:
                await stream.supervisor.stop()
                stream.link.close()
        assert not any(pid and os.path.exists(f"/proc/{pid}") for pid in pids)

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(whole())
    assert len(os.listdir("/proc/self/fd")) == before


def test_streams_share_an_engine_and_the_last_takes_it_along(tmp_path: Path) -> None:
    async def check(streams: list[Watched]) -> None:
        first, second = streams
        pid = first.supervisor.pid
        assert second.supervisor.pid == pid
        await first.supervisor.stop()
        assert os.path.exists(f"/proc/{pid}")
        second.messages.clear()
        await second.until(lambda: len(second.messages) > 1)
        first.messages.clear()
        first.supervisor.start()
        await first.until_voice()
        assert first.supervisor.pid == pid
        assert not second.deaths

    run(tmp_path, 2, check)


def test_there_are_more_engines_where_one_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_pool, "FULL", 2)

    async def check(streams: list[Watched]) -> None:
        engines = [stream.supervisor.pid for stream in streams]
        assert sorted(engines.count(pid) for pid in set(engines)) == [2, 3]

    run(tmp_path, 5, check, most=2)


def test_an_engine_that_is_killed_comes_back_with_all_its_streams(tmp_path: Path) -> None:
    async def check(streams: list[Watched]) -> None:
        os.kill(streams[0].supervisor.pid, signal.SIGKILL)
        for stream in streams:
            await stream.until(lambda stream=stream: stream.ups == 2)
        assert len({stream.supervisor.pid for stream in streams}) == 1
        assert all(stream.deaths == [Death("was killed from outside (SIGKILL)", False, True)] for stream in streams)

    run(tmp_path, 2, check)


def test_after_a_crash_each_stream_is_alone_so_that_the_next_one_tells_whose_fault_it_was(tmp_path: Path) -> None:
    async def check(streams: list[Watched]) -> None:
        os.kill(streams[0].supervisor.pid, signal.SIGSEGV)
        for stream in streams:
            await stream.until(lambda stream=stream: stream.ups == 2)
        assert len({stream.supervisor.pid for stream in streams}) == len(streams)
        assert not any(death.own_fault for stream in streams for death in stream.deaths)
        os.kill(streams[1].supervisor.pid, signal.SIGSEGV)
        await streams[1].until(lambda: streams[1].ups == 3)
        assert [death.own_fault for death in streams[1].deaths] == [False, True]
        assert [len(stream.deaths) for stream in (streams[0], streams[2])] == [1, 1]

    run(tmp_path, 3, check)


def test_a_stream_that_hangs_gets_another_engine_and_the_others_stay(tmp_path: Path) -> None:
    async def check(streams: list[Watched]) -> None:
        first, second = streams
        pid = second.supervisor.pid
        for _ in range(2):  # two looks without a word of it, while there is word of the other
            for stream in streams:
                stream.supervisor.converting = True
            first.supervisor.check(elapsed_s=2.0, converting=True)
        await first.until(lambda: first.ups == 2)
        assert first.deaths == [Death("hung", own_fault=True, quick=True)]
        assert first.supervisor.pid != pid == second.supervisor.pid
        assert second.ups == 1
        second.messages.clear()
        await second.until(lambda: bool(second.messages))

    run(tmp_path, 2, check)


def test_a_stream_that_ends_by_itself_comes_back_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "WAITS_S", (0.0,))

    async def check(streams: list[Watched]) -> None:
        first, second = streams
        pid = second.supervisor.pid
        first.supervisor.heard(StreamEnded("ValueError: no"))
        await first.until(lambda: first.ups == 2)
        assert [death.own_fault for death in first.deaths] == [True]
        assert first.supervisor.pid == second.supervisor.pid == pid
        assert not second.deaths

    run(tmp_path, 2, check)
