"""The loader's order of work: what is wanted last comes first, and what is ready waits for nothing."""

import queue
import threading
import time

import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.engine import loader as module
from rwc_daemon.engine.load_request import LoadedVoice, LoadFailed, LoadRequest, PrewarmedStep, StreamConfig
from rwc_daemon.engine.loader import Loader
from rwc_daemon.engine.voice_cache import VoiceCache
from rwc_daemon.engine.warming import warm
from rwc_daemon.plan import Block, Plan
from testkit.plain_voices import CostlyVoice, DelaySession, DelayVoice
from testkit.whole_engine import Repository

DEADLINE_S = 20.0


class Warming:
    """Warms when it is let, and tells what it was asked for."""

    def __init__(self, monkeypatch):
        self.begun, self.let = queue.Queue(), threading.Semaphore(0)
        monkeypatch.setattr(module, "warm", self)

    def __call__(self, voice, plan, controls, threads, stop, op_queue):
        self.begun.put((voice.info.id, controls.quality))
        assert self.let.acquire(timeout=DEADLINE_S)
        return None if stop() else 1.0


@pytest.fixture
def warming(monkeypatch):
    return Warming(monkeypatch)


@pytest.fixture
def done(warming):
    done = queue.Queue()
    repository = Repository(CostlyVoice("a"), CostlyVoice("b", missing=("rmvpe",)), DelayVoice(name="plain"))
    done.loader = Loader(repository, "cpu", lambda: StreamConfig(Controls(quality="high")), VoiceCache(1000))
    done.loader.start(done.put)
    return done


def loaded(done, warming, voice):
    done.loader.request(LoadRequest(voice))
    assert warming.begun.get(timeout=DEADLINE_S) == (voice, "high")
    warming.let.release()
    found = done.get(timeout=DEADLINE_S)
    assert isinstance(found, LoadedVoice)
    assert found.voice.info.id == voice
    return found


def test_a_newer_wish_makes_an_older_one_void(done, warming):
    loaded(done, warming, "plain")
    done.loader.request(LoadRequest("a"))
    warming.begun.get(timeout=DEADLINE_S)
    done.loader.request(LoadRequest("b"))
    warming.let.release(2)
    assert done.get(timeout=DEADLINE_S).voice.info.id == "b"
    assert done.empty()


def test_the_first_voice_comes_though_another_is_wanted_meanwhile(done, warming):
    done.loader.request(LoadRequest("a"))
    warming.begun.get(timeout=DEADLINE_S)
    done.loader.request(LoadRequest("b"))
    warming.let.release(2)
    assert [done.get(timeout=DEADLINE_S).voice.info.id for _ in range(2)] == ["a", "b"]


def test_the_unprocessed_voice_is_not_brought_for_want_of_another(done, warming):
    done.loader.request(LoadRequest("plain"))
    warming.begun.get(timeout=DEADLINE_S)
    done.loader.request(LoadRequest("a"))
    warming.let.release(2)
    assert done.get(timeout=DEADLINE_S).voice.info.id == "a"


def test_what_is_warm_comes_at_once_whatever_the_thread_does(done, warming):
    first = loaded(done, warming, "a")
    done.loader.request(LoadRequest("b"))
    warming.begun.get(timeout=DEADLINE_S)
    done.loader.request(LoadRequest("a"))
    assert done.get_nowait().voice.info.id == "a"
    done.loader.request(LoadRequest("a", first.asked, level=1, prewarm_only=True))
    warming.let.release(2)
    assert isinstance(done.get(timeout=DEADLINE_S), PrewarmedStep)  # and never b, which was given up
    assert done.empty()


def test_a_step_of_the_voice_that_is_left_does_not_hold_up_the_next_one(done, warming):
    first = loaded(done, warming, "a")
    done.loader.request(LoadRequest("b"))
    warming.begun.get(timeout=DEADLINE_S)
    done.loader.request(LoadRequest("a", first.asked, level=1))
    warming.let.release()
    assert done.get(timeout=DEADLINE_S).voice.info.id == "b"


def test_warming_ahead_gives_way_to_everything_and_is_not_played(done, warming):
    first = loaded(done, warming, "a")
    done.loader.request(LoadRequest("a", first.asked, level=1, prewarm_only=True))
    assert warming.begun.get(timeout=DEADLINE_S) == ("a", "balanced")
    done.loader.request(LoadRequest("a", first.asked, level=2))
    warming.let.release(2)
    assert warming.begun.get(timeout=DEADLINE_S) == ("a", "low")
    reduced = done.get(timeout=DEADLINE_S)
    assert (reduced.level, reduced.reduced) == (2, True)
    done.loader.request(LoadRequest("a", first.asked, level=1, prewarm_only=True))
    warming.let.release()
    assert isinstance(done.get(timeout=DEADLINE_S), PrewarmedStep)


def test_a_voice_left_at_a_lighter_step_comes_back_at_it(done, warming):
    first = loaded(done, warming, "a")
    done.loader.request(LoadRequest("a", first.asked, level=2))
    warming.let.release()
    done.get(timeout=DEADLINE_S)
    done.loader.request(LoadRequest("plain"))
    warming.let.release()
    done.get(timeout=DEADLINE_S)
    done.loader.request(LoadRequest("a"))
    again = done.get_nowait()
    assert (again.level, again.reduced, again.controls.quality) == (2, False, "low")


def test_a_step_that_cannot_be_had_is_said_with_its_level(done, monkeypatch):
    monkeypatch.setattr(module, "warm", warm)
    controls = Controls(quality="high", f0_method="rmvpe")
    done.loader.request(LoadRequest("b", controls, level=1))
    failed = done.get(timeout=DEADLINE_S)
    assert isinstance(failed, LoadFailed)
    assert (failed.voice, failed.level, failed.code) == ("b", 1, "MissingAsset")


def test_warming_stops_between_two_blocks():
    voice = DelayVoice()
    plan = Plan.fit(48000, 128, Block(5))
    stops = iter([False, False, True])
    assert warm(voice, plan, Controls(), stop=lambda: next(stops)) is None
    assert len(voice.heard) == 2
    assert warm(voice, plan, Controls()) > 0


@pytest.mark.parametrize(
    ("work_ms", "blocks"), [([9, 9, 8, 8], 4), ([9, 9, 40, 20, 8, 8], 6), ([9, 9, *[80, 40, 20] * 2], 8)]
)
def test_a_block_s_cost_is_measured_until_two_were_not_disturbed(work_ms, blocks):
    """The first two only settle; what never settles is given up after six."""

    class Uneven(DelayVoice):
        def open(self, plan, controls, seed=0):
            return UnevenSession(self, plan)

    class UnevenSession(DelaySession):
        def convert(self, x, controls, silent=False):
            until_s = time.thread_time() + next(left_s)
            while time.thread_time() < until_s:
                pass
            return super().convert(x, controls, silent)

    voice, left_s = Uneven(), (ms / 1000 for ms in work_ms)
    cost_ms = warm(voice, Plan.fit(48000, 128, Block(5)), Controls())
    assert min(work_ms[2:]) <= cost_ms < 1.5 * min(work_ms[2:])
    assert len(voice.heard) == blocks
