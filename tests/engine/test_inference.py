"""The inference and loader threads on a real link, driven cycle by cycle; the shelf holds voices made for tests."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from plain_voices import CostlyVoice, DelayVoice

from rwc_daemon.audio.callback import Callback
from rwc_daemon.controls import Controls
from rwc_daemon.engine import loader
from rwc_daemon.engine.crew import Crew
from rwc_daemon.engine.inference import Inference
from rwc_daemon.engine.loader import Loader
from rwc_daemon.engine.meter import Meter
from rwc_daemon.engine.wish import Setup, Wish
from rwc_daemon.errors import NoSuchVoice
from rwc_daemon.link.ring import Link
from rwc_daemon.messages import Configure, Eased, EngineFault, Keep, Planned, Unmet, VoiceFailed, VoiceOn
from rwc_daemon.plan import Block

RATE, QUANTUM = 48000, 128
OPEN = Controls(gate_db=-90)
DEADLINE_S = 20.0


class Shelf:
    """Voices by id; `loads` says how often each was read, and where to."""

    def __init__(self, *voices):
        self._voices = {voice.info.id: voice for voice in voices}
        self.loads = []

    def list(self):
        return [voice.info for voice in self._voices.values()]

    def find(self, wanted):
        if wanted not in self._voices:
            raise NoSuchVoice(f"no voice '{wanted}'")
        return self._voices[wanted].info

    def load(self, wanted, device):
        self.loads.append((wanted, device))
        voice = self._voices[wanted]
        voice.device = device
        return voice


class Engine:
    """Both threads, the link, the callback, and what was said."""

    def __init__(self, *voices, budget_mb=0.0, without_gpu=""):
        self.link = Link.create()
        self.callback = Callback(self.link, RATE)
        self.link.set_mode("convert")
        self.said = queue.Queue()
        self.setup = Setup(OPEN, RATE, QUANTUM)
        self.shelf = Shelf(*voices)
        self.loader = Loader(self.shelf, "auto", lambda: self.setup, budget_mb, without_gpu)
        generation = self.link.new_generation()
        self.seconds = 0.0  # as the deadline controller counts them: of the graph, not of the clock on the wall
        self.busy = 0.0  # cores that other programs use
        crew = Crew(2, 2, lambda: self.busy)
        clock = lambda: self.seconds  # noqa: E731
        self.inference = Inference(self.link, generation, OPEN, self.loader, self.said.put, crew, clock)
        self.order(Configure(RATE, QUANTUM))
        self.loader.start(self.order)
        self.thread = threading.Thread(target=self.inference.run)
        self.thread.start()

    def order(self, order):
        self.inference.orders.put(order)
        self.link.wake()

    def use(self, voice):
        self.loader.want(Wish(voice))

    def set(self, **controls):
        self.setup = replace(self.setup, controls=replace(self.setup.controls, **controls))
        self.order(self.setup.controls)

    def play(self, x):
        """The graph runs over x as fast as the engine follows; what RWC Mic would play."""
        out = []
        for n in range(0, len(x) - QUANTUM + 1, QUANTUM):
            out.append(self.callback.run_cycle(x[n : n + QUANTUM]))
            self.seconds += QUANTUM / RATE
            end = time.monotonic() + DEADLINE_S
            while self._behind() and time.monotonic() < end:
                time.sleep(0.0002)
        return np.concatenate(out)

    def _behind(self):
        deck = self.inference._deck
        return deck is not None and (self.link.available() >= deck.block or self.link.lag() > -QUANTUM)

    @property
    def session(self):
        """The one that plays; others may have been made to be warmed."""
        return self.inference._deck.stream._session

    def expect(self, kind):
        """The next message of this kind, while the graph runs over noise."""
        end = time.monotonic() + DEADLINE_S
        noise = np.random.default_rng(2).normal(0, 0.05, 40 * QUANTUM).astype(np.float32)
        while time.monotonic() < end:
            self.play(noise)
            try:
                message = self.said.get(timeout=0.01)
            except queue.Empty:
                continue
            if isinstance(message, kind):
                return message
        raise AssertionError(f"the engine never said {kind.__name__}")

    def said_nothing_of(self, kind):
        return not any(isinstance(message, kind) for message in list(self.said.queue))

    def settle(self):
        """The loader has warmed what it was asked for."""
        end = time.monotonic() + DEADLINE_S
        while (self.loader._wanted or self.loader._doing) and time.monotonic() < end:
            time.sleep(0.005)

    def close(self):
        self.order(None)
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.settle()  # what it brings needs the link
        self.callback.close()
        self.link.close()


@pytest.fixture
def engine_of():
    made = []

    def make(*voices, **options):
        made.append(Engine(*voices, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def test_another_quality_is_another_stream_with_its_own_block(engine_of):
    engine = engine_of(CostlyVoice("net", {"low": 40, "balanced": 20, "high": 80}))
    engine.use("net")
    assert engine.expect(VoiceOn).voice == "net"
    engine.set(quality="high", pitch=3)
    planned = engine.expect(Planned)
    assert planned.block == 80 * 48
    engine.play(np.zeros(RATE // 2, np.float32))
    assert engine.session.seen.quality == "high"
    assert engine.session.seen.pitch == 3


def test_knobs_that_need_no_new_stream_get_none(engine_of):
    engine = engine_of(CostlyVoice("net"))
    engine.use("net")
    engine.expect(VoiceOn)
    session = engine.session
    engine.set(pitch=5.0, envelope=0.2)
    engine.play(np.zeros(RATE // 2, np.float32))
    assert engine.session is session
    assert session.seen.pitch == 5.0


def test_a_tracker_that_cannot_be_had_is_said_and_the_voice_plays_on(engine_of):
    engine = engine_of(CostlyVoice("net", missing=("crepe",)))
    engine.use("net")
    engine.expect(VoiceOn)
    engine.set(f0_method="crepe")
    assert engine.expect(Unmet).code == "MissingAsset"
    engine.play(np.zeros(RATE // 2, np.float32))
    assert engine.session.seen.f0_method == "auto"
    engine.set(f0_method="yin")
    assert engine.expect(Unmet) == Unmet()
    assert engine.session.seen.f0_method == "yin"


class Machine:
    """What blocks cost is told, not spent, so that a busy test machine is not what is tested."""

    def __init__(self, monkeypatch):
        self.slowness, self.engine = 1.0, None
        self._costs = {"low": 0.2, "balanced": 0.4, "high": 0.6}
        monkeypatch.setattr(Meter, "fullness", property(lambda meter: self._fullness()))
        monkeypatch.setattr(loader, "warm", lambda voice, plan, controls, *_: self._warm(plan, controls))

    def _fullness(self):
        return self.slowness * self._costs.get(getattr(self.engine.session, "made_for", ""), 0.0)

    def _warm(self, plan, controls):
        return self.slowness * self._costs[controls.quality] * plan.ms(plan.block)


def test_a_voice_too_slow_is_eased_with_a_word_and_goes_back_when_there_is_room(engine_of, monkeypatch):
    machine = Machine(monkeypatch)
    engine = machine.engine = engine_of(CostlyVoice("net"))
    engine.set(quality="high")
    engine.use("net")
    engine.expect(VoiceOn)
    machine.slowness = 1.8
    assert "quality balanced" in engine.expect(Eased).message
    machine.slowness = 3.0
    assert "quality low" in engine.expect(Eased).message
    underruns = engine.link.counters().underruns
    machine.slowness = 1.0
    while engine.expect(Eased).message:
        pass
    engine.play(np.zeros(RATE // 10, np.float32))
    assert engine.session.made_for == "high"
    assert engine.link.counters().underruns == underruns


def test_a_voice_that_is_known_to_be_too_slow_begins_with_less(engine_of, monkeypatch):
    """Nobody hears seconds of gaps first; and coming back to it, it begins where it stood."""
    machine = Machine(monkeypatch)
    machine.slowness = 4.0
    engine = machine.engine = engine_of(CostlyVoice("net"), DelayVoice(name="other"), budget_mb=1000)
    engine.set(quality="high")
    for _ in range(2):
        engine.use("net")
        assert "quality low" in engine.expect(Eased).message
        engine.use("other")
        assert engine.expect(Eased).message == ""
    assert engine.link.counters().skipped_samples == 0


def test_nets_leave_their_second_thread_to_other_programs_while_these_need_it(engine_of, monkeypatch):
    machine = Machine(monkeypatch)
    engine = machine.engine = engine_of(CostlyVoice("net"))
    engine.use("net")
    engine.expect(VoiceOn)
    assert engine.inference._crew.threads == 2
    engine.busy = 1.0
    engine.play(np.zeros(3 * RATE, np.float32))
    assert engine.inference._crew.threads == 1
    engine.busy = 0.1
    engine.play(np.zeros(8 * RATE, np.float32))
    assert engine.inference._crew.threads == 2
    assert engine.said_nothing_of(Eased)


def test_constant_latency_pads_and_says_what_it_needs(engine_of):
    engine = engine_of(DelayVoice(name="short", block=Block(5)), DelayVoice(name="long", block=Block(20), delay=300))
    engine.order(Configure(RATE, QUANTUM, 0.0, total=6000))
    engine.use("short")
    totals = []
    for voice in ("short", "long"):
        engine.use(voice)
        planned = engine.expect(Planned)
        while planned.block != (256 if voice == "short" else 896 + 128):
            planned = engine.expect(Planned)
        totals.append(planned.block + planned.slack + planned.delay)
        assert planned.needed < planned.slack
    assert totals == [6000, 6000]


def test_slack_asked_for_is_given_unless_it_was_meant_for_another_stream(engine_of):
    engine = engine_of(DelayVoice(name="one"))
    engine.use("one")
    first = engine.expect(Planned)
    engine.order(Keep(first.number + 1, 9999, 0))
    assert engine.expect(Planned).slack == first.slack
    engine.order(Keep(first.number, 1280, 0))
    assert engine.expect(Planned).slack == 1280


def test_the_engine_is_woken_for_a_first_block_that_is_partly_heard(engine_of):
    """After a change to another block size the next block lacks fewer samples than a whole one."""
    engine = engine_of(DelayVoice(name="short", block=Block(5)), DelayVoice(name="long", block=Block(47)))
    engine.use("short")
    engine.expect(VoiceOn)
    before = engine.link.counters().underruns
    engine.use("long")
    assert engine.expect(VoiceOn).voice == "long"
    engine.play(np.zeros(RATE, np.float32))
    assert engine.link.counters().underruns == before


def test_voices_used_last_are_not_read_again(engine_of):
    engine = engine_of(DelayVoice(name="a"), DelayVoice(name="b"), budget_mb=1000)
    for voice in ("a", "b", "a", "b"):
        engine.use(voice)
        assert engine.expect(VoiceOn).voice == voice
    assert engine.shelf.loads == [("a", "auto"), ("b", "auto")]


def test_without_a_budget_only_the_newest_is_kept(engine_of):
    engine = engine_of(CostlyVoice("a", size=2**20), CostlyVoice("b", size=2**20))
    for voice in ("a", "b", "a"):
        engine.use(voice)
        assert engine.expect(VoiceOn).voice == voice
    assert [voice for voice, _ in engine.shelf.loads] == ["a", "b", "a"]


def out_of_memory():
    torch = pytest.importorskip("torch")
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


@pytest.mark.parametrize("without_gpu", ["", "built-in"])
def test_a_gpu_out_of_memory_is_said_and_the_voice_goes_on(engine_of, without_gpu):
    net, other = CostlyVoice("net"), DelayVoice(name="built-in")
    engine = engine_of(net, other, without_gpu=without_gpu)
    engine.use("net")
    engine.expect(VoiceOn)
    net.breaks = out_of_memory()
    fault = engine.expect(EngineFault)
    assert "ran out of memory" in fault.message
    assert engine.expect(VoiceOn).voice == (without_gpu or "net")
    assert engine.shelf.loads[-1][1] == "cpu"
    x = np.random.default_rng(1).normal(0, 0.05, RATE).astype(np.float32)
    assert np.std(engine.play(x)[-9600:]) > 0.01


def test_a_lost_gpu_is_silence_never_the_microphone(engine_of):
    torch = pytest.importorskip("torch")
    net = CostlyVoice("net", gain=0.25)
    engine = engine_of(net)
    engine.use("net")
    engine.expect(VoiceOn)
    engine.settle()
    net.breaks = torch.AcceleratorError("CUDA error: unspecified launch failure")
    heard = engine.play(np.full(RATE, 0.4, np.float32))
    assert np.abs(heard).max() <= 0.25 * 0.4 * 1.3
    assert "was lost" in engine.expect(EngineFault).message


def test_a_gpu_too_small_for_a_voice_is_left_while_loading(engine_of):
    net = CostlyVoice("net", breaks=out_of_memory())
    engine = engine_of(net)
    engine.use("net")
    assert engine.expect(VoiceOn).voice == "net"
    assert [device for _, device in engine.shelf.loads] == ["auto", "cpu"]


def test_an_unknown_voice_is_refused(engine_of):
    engine = engine_of(DelayVoice(name="one"))
    engine.use("nobody")
    assert engine.expect(VoiceFailed).code == "NoSuchVoice"
