"""The engine as a real child process: started, heard, ended when it hangs, replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from rwc_daemon.control import engine_process as module
from rwc_daemon.control.engine_pool import EnginePool
from rwc_daemon.control.engine_process import Death, engine_environment
from rwc_daemon.control.supervisor import Supervisor
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import Heartbeat, LoadVoice, Message, SetControls, VoiceFailed, VoiceOn

pytestmark = pytest.mark.realtime

DEADLINE_S = 30.0
OPTIONS = ["--device", "cpu"]


class Watched:
    """A supervisor, its link, and everything it told."""

    def __init__(self, data_dir: Path, pool: EnginePool | None = None) -> None:
        self.link = SharedRings.create()
        self.ups = 0
        self.deaths: list[Death] = []
        self.messages: list[Message] = []
        pool = pool or EnginePool(data_dir, OPTIONS)
        self.supervisor = Supervisor(self.link, pool, self.up, self.messages.append, self.deaths.append)

    def up(self) -> None:
        self.ups += 1
        self.supervisor.send(LoadVoice("robot"))

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not what():
                await asyncio.sleep(0.01)

    async def until_voice(self) -> VoiceOn:
        await self.until(lambda: any(isinstance(message, VoiceOn) for message in self.messages))
        return next(message for message in self.messages if isinstance(message, VoiceOn))


def run(data_dir: Path, check: Callable[[Watched], Coroutine[None, None, None]]) -> None:
    """`check` with a running engine; afterwards no process and no descriptor is left."""

    async def whole() -> None:
        watched = Watched(data_dir)
        watched.supervisor.start()
        try:
            await check(watched)
        finally:
            pid = watched.supervisor.pid
            await watched.supervisor.stop()
            watched.link.close()
        assert not pid or not os.path.exists(f"/proc/{pid}")

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(whole())
    assert len(os.listdir("/proc/self/fd")) == before


def test_it_comes_up_takes_a_voice_and_beats(tmp_path: Path) -> None:
    async def check(watched: Watched) -> None:
        assert (await watched.until_voice()).voice == "robot"
        await watched.until(lambda: any(isinstance(message, Heartbeat) for message in watched.messages))
        watched.supervisor.send(LoadVoice("nobody"))
        await watched.until(lambda: isinstance(watched.messages[-1], VoiceFailed))
        assert watched.supervisor.restarts == 0

    run(tmp_path, check)


def test_a_killed_engine_is_replaced_and_not_blamed(tmp_path: Path) -> None:
    async def check(watched: Watched) -> None:
        for turn in range(3):
            await watched.until_voice()
            watched.messages.clear()
            os.kill(watched.supervisor.pid, signal.SIGKILL)
            await watched.until(lambda turn=turn: watched.ups == turn + 2)
        assert watched.supervisor.restarts == 3
        assert not any(death.own_fault for death in watched.deaths)

    run(tmp_path, check)


def test_one_that_is_killed_with_words_unread_is_not_blamed_either(tmp_path: Path) -> None:
    """Its end of the channel is reset then, which is no message that cannot be read."""

    async def check(watched: Watched) -> None:
        await watched.until_voice()
        os.kill(watched.supervisor.pid, signal.SIGSTOP)
        for _ in range(20):
            watched.supervisor.send(LoadVoice("deep"))
        await asyncio.sleep(0.1)
        os.kill(watched.supervisor.pid, signal.SIGKILL)
        await watched.until(lambda: watched.ups == 2)
        assert watched.deaths == [Death("was killed from outside (SIGKILL)", own_fault=False, quick=True)]

    run(tmp_path, check)


def test_a_crash_is_its_own_fault(tmp_path: Path) -> None:
    async def check(watched: Watched) -> None:
        await watched.until_voice()
        os.kill(watched.supervisor.pid, signal.SIGSEGV)
        await watched.until(lambda: watched.ups == 2)
        assert watched.deaths == [Death("ended by SIGSEGV", own_fault=True, quick=True)]

    run(tmp_path, check)


def test_a_stopped_engine_is_killed_before_the_next_one(tmp_path: Path) -> None:
    async def check(watched: Watched) -> None:
        await watched.until_voice()
        old = watched.supervisor.pid
        os.kill(old, signal.SIGSTOP)
        await watched.until(lambda: module._is_stopped(old))
        watched.supervisor.check(elapsed_s=module.STOPPED_S, converting=False)
        await watched.until(lambda: watched.ups == 2)
        assert not os.path.exists(f"/proc/{old}")
        assert watched.deaths == [Death("was stopped from outside", own_fault=False, quick=True)]

    run(tmp_path, check)


def test_patience_is_short_while_it_converts_and_long_while_it_loads(tmp_path: Path) -> None:
    async def check(watched: Watched) -> None:
        await watched.until_voice()
        for _ in range(2):
            watched.supervisor.check(elapsed_s=2.0, converting=False)
        assert not watched.supervisor._engine._hung
        watched.supervisor.check(elapsed_s=2.0, converting=True)
        await watched.until(lambda: watched.ups == 2)
        assert watched.deaths == [Death("hung", own_fault=True, quick=True)]

    run(tmp_path, check)


def test_a_sleep_of_the_whole_machine_kills_nobody(tmp_path: Path) -> None:
    async def check(watched: Watched) -> None:
        await watched.until_voice()
        watched.supervisor.check(elapsed_s=3600.0, converting=True)
        await watched.until(lambda: isinstance(watched.messages[-1], Heartbeat))
        assert not watched.deaths

    run(tmp_path, check)


def test_one_that_reads_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_BYTES", 10_000)

    async def check(watched: Watched) -> None:
        await watched.until_voice()
        os.kill(watched.supervisor.pid, signal.SIGSTOP)
        for _ in range(20_000):
            watched.supervisor.send(SetControls({"pitch": 1.0}))
        await watched.until(lambda: watched.ups == 2)

    run(tmp_path, check)


def test_one_that_talks_nonsense_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import os, sys, time; i = sys.argv.index('--channel-fd'); os.write(int(sys.argv[i + 1]), b'hello\\n')"
    program += "; time.sleep(60)"
    arguments = module.subprocess.Popen

    def popen(command: list[str], **options: object) -> object:
        return arguments([command[0], "-c", program, *command[3:]], **options)  # type: ignore[call-overload]

    async def check(watched: Watched) -> None:
        await watched.until(lambda: bool(watched.deaths))
        assert watched.deaths[0] == Death("said something that cannot be read", own_fault=True, quick=True)

    monkeypatch.setattr(module.subprocess, "Popen", popen)
    run(tmp_path, check)


def test_many_quick_deaths_are_given_up_loudly_and_tried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    monkeypatch.setattr(module, "WAITS_S", (0.0,))
    monkeypatch.setattr(module, "SLOW_S", 0.05)

    async def check(watched: Watched) -> None:
        await watched.until(lambda: watched.supervisor.given_up)
        deaths = len(watched.deaths)
        assert deaths == module.MANY
        await watched.until(lambda: len(watched.deaths) > deaths + 2)
        assert watched.deaths[-1].reason == "ended with status 1"

    run(tmp_path, check)


def test_a_program_that_is_not_there_is_a_death_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "executable", "/nowhere/python")

    async def check(watched: Watched) -> None:
        await watched.until(lambda: len(watched.deaths) > 1)
        assert "could not be started" in watched.deaths[0].reason

    run(tmp_path, check)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (16, 4)])
def test_nets_may_use_two_cores_and_all_but_one_of_more(cores: int, threads: int) -> None:
    assert engine_environment({}, cores)["OMP_NUM_THREADS"] == str(threads)


def test_what_the_user_set_for_the_engine_stays() -> None:
    found = engine_environment({"OMP_NUM_THREADS": "7", "GLIBC_TUNABLES": "", "HOME": "/x"}, cores=8)
    assert (found["OMP_NUM_THREADS"], found["GLIBC_TUNABLES"], found["HOME"]) == ("7", "", "/x")
