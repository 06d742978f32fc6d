"""The engine as its own process, on a real link, driven by the real callback body, cycle by cycle."""

import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from rwc_daemon.controls import Controls, to_dict
from rwc_daemon.engine.worker import last_words
from rwc_daemon.messages import (
    Configure,
    Heartbeat,
    LoadVoice,
    Planned,
    Quit,
    Ready,
    SetControls,
    Suspend,
    VoiceFailed,
    VoiceOn,
)
from rwc_daemon.store.voices import VoiceStore
from testkit.engine_process import EngineProcess
from testkit.makers import make_voice

pytestmark = pytest.mark.realtime

RATE, QUANTUM = 48000, 128
SLACK_MS = 60.0  # so that a busy test machine is not what is tested


@pytest.fixture
def engine(tmp_path):
    engine = EngineProcess(tmp_path)
    yield engine
    engine.close()


def start(engine, voice="plain", **controls):
    engine.expect(Ready)
    engine.send(SetControls(to_dict(Controls(gate_db=-90, **controls))))
    engine.send(Configure(RATE, QUANTUM, SLACK_MS))
    engine.send(LoadVoice(voice))
    planned = engine.expect(Planned)
    assert engine.expect(VoiceOn).voice == voice
    return planned


def test_plain_comes_out_at_exactly_the_stated_latency(engine):
    planned = start(engine)
    x = np.random.default_rng(1).normal(0, 0.05, RATE).astype(np.float32)
    y = engine.play(x)
    latency = planned.block + planned.slack + planned.delay
    middle = slice(RATE // 2, len(y))
    assert np.corrcoef(y[middle], x[RATE // 2 - latency : len(y) - latency])[0, 1] > 0.99
    while engine.expect(Heartbeat).blocks == 0:
        engine.play(x[:QUANTUM])


def test_no_voice_and_no_configure_is_silence(engine):
    engine.expect(Ready)
    y = engine.play(np.full(QUANTUM * 40, 0.5, np.float32))
    assert not y.any()


def test_an_unknown_voice_is_said_and_the_old_one_plays_on(engine):
    start(engine)
    engine.send(LoadVoice("nobody"))
    failed = engine.expect(VoiceFailed)
    assert (failed.voice, failed.code) == ("nobody", "NoSuchVoice")
    y = engine.play(np.random.default_rng(1).normal(0, 0.05, RATE // 2).astype(np.float32))
    assert np.std(y[-4800:]) > 0.02


def test_a_voice_change_while_playing_has_no_underrun(engine):
    start(engine)
    x = np.random.default_rng(1).normal(0, 0.05, 2 * RATE).astype(np.float32)
    engine.play(x[: RATE // 2])
    before = engine.link.counters()
    engine.send(LoadVoice("deep"))
    engine.play(x[RATE // 2 :])
    assert engine.expect(VoiceOn).voice == "deep"
    after = engine.link.counters()
    assert after.underruns == before.underruns
    assert after.retargets == before.retargets  # same block, same hold: nothing to re-arm


def test_a_killed_engine_leaves_silence_and_one_underrun(engine):
    start(engine)
    x = np.full(RATE, 0.25, np.float32) * np.sin(np.arange(RATE) * 0.05).astype(np.float32)
    engine.play(x[: RATE // 2])
    before = engine.link.counters().underruns
    os.kill(engine.process.pid, signal.SIGKILL)
    y = engine.play(x[RATE // 2 :])
    assert engine.link.counters().underruns - before <= 1
    assert not y[RATE // 8 :].any()


def test_rest_drops_the_stream_and_configure_brings_it_back(engine):
    start(engine)
    x = np.random.default_rng(1).normal(0, 0.05, RATE // 2).astype(np.float32)
    engine.play(x)
    engine.send(Suspend())
    engine.expect(Heartbeat)
    assert not engine.play(x)[RATE // 4 :].any()
    engine.send(Configure(44100, 64, 10.0))
    planned = engine.expect(Planned)
    assert (planned.rate, planned.quantum) == (44100, 64)


def test_quit_and_a_lost_daemon_both_end_it(engine):
    engine.expect(Ready)
    engine.send(Quit())
    assert engine.process.wait(10) == 0


def test_the_engine_ends_with_its_channel(engine):
    engine.expect(Ready)
    engine.socket.shutdown(socket.SHUT_RDWR)
    assert engine.process.wait(10) == 0


def test_slow_imports_wait_until_nobody_listens(engine, tmp_path):
    """An engine that replaces another has somebody waiting; torch, which imported voices need, takes seconds."""
    folder = tmp_path / "files"
    folder.mkdir()
    VoiceStore(tmp_path / "voices").bring_in([make_voice(folder)])
    start(engine)

    def has_torch():
        return "libtorch" in Path(f"/proc/{engine.process.pid}/maps").read_text()

    assert not has_torch()
    engine.send(Suspend())
    deadline = time.monotonic() + 60
    while not has_torch():
        assert time.monotonic() < deadline
        engine.expect(Heartbeat)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (MemoryError("Unable to allocate 562. KiB"), "no memory left"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "no memory left"),
        (ValueError("what"), "the engine stopped: ValueError: what"),
    ],
)
def test_last_words_are_plain(failure, said):
    assert said in last_words(failure)
