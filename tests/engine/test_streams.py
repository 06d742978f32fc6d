"""Several streams of one engine: each is its own, whatever becomes of the others."""

import threading
import time

import numpy as np
import pytest

from rwc_daemon.controls import Controls, to_dict
from rwc_daemon.messages import EngineFault, Heartbeat, SetControls, VoiceOn
from testkit.many_streams import BadVoice, ManyStreams
from testkit.plain_voices import CostlyVoice, DelayVoice
from testkit.whole_engine import QUANTUM

CYCLES = 150


@pytest.fixture
def streams_of():
    made = []

    def make(*voices, **options):
        made.append(ManyStreams(*voices, **options))
        return made[-1]

    yield make
    for streams in made:
        for voice in streams.repository._voices.values():
            voice.over = True
        streams.close()


def gain(stream, cycles=CYCLES // 2):
    """What the stream played of its own input lately: the factor, and the correlation."""
    played = stream.played[-cycles * QUANTUM :]
    best = max(range(40 * QUANTUM), key=lambda lag: abs(np.dot(played, _lagged(stream, played, lag))))
    heard = _lagged(stream, played, best)
    return np.dot(played, heard) / np.dot(heard, heard), np.corrcoef(played, heard)[0, 1]


def _lagged(stream, played, lag):
    end = len(stream.heard) - lag
    return stream.heard[end - len(played) : end]


def losses(stream):
    counters = stream.link.counters()
    return counters.underruns, counters.skipped_samples


def test_each_stream_has_its_own_voice_and_its_own_input(streams_of):
    streams = streams_of(DelayVoice(name="half", gain=0.5), DelayVoice(name="third", gain=-0.3))
    half, third = streams.open("half"), streams.open("third")
    streams.play(CYCLES)
    for stream, wanted in ((half, 0.5), (third, -0.3)):
        factor, alike = gain(stream)
        assert factor == pytest.approx(wanted, rel=0.05)
        assert abs(alike) > 0.99
        assert losses(stream)[1] == 0


def test_controls_of_one_stream_are_not_those_of_another(streams_of):
    streams = streams_of(CostlyVoice("net"))
    first, second = streams.open("net"), streams.open("net")
    first.stream.obey(SetControls(to_dict(Controls(gate_db=-90, pitch=5.0))))
    streams.play(60)
    seen = [stream.stream._inference._switcher.stream._session.seen.pitch for stream in (first, second)]
    assert seen == [5.0, 0.0]


def test_streams_of_one_voice_share_its_weights(streams_of):
    streams = streams_of(CostlyVoice("net", size=2**20))
    for _ in range(4):
        streams.open("net")
    assert [voice for voice, _ in streams.repository.loads] == ["net"]


def test_a_voice_that_is_played_is_shared_though_the_budget_has_no_room_for_it(streams_of):
    streams = streams_of(CostlyVoice("a", size=2**20), CostlyVoice("b", size=2**20))
    for voice in ("a", "b", "a", "b"):
        streams.open(voice)
    assert [voice for voice, _ in streams.repository.loads] == ["a", "b"]


@pytest.mark.parametrize("way", ["raises", "hangs", "spins", "nan"])
def test_one_bad_stream_costs_the_others_no_sample(streams_of, way):
    bad_voice = BadVoice("bad", way)
    streams = streams_of(bad_voice, DelayVoice(name="good", gain=0.5))
    good, bad, other = streams.open("good"), streams.open("bad"), streams.open("good")
    streams.play(CYCLES)
    before = [losses(stream) for stream in (good, other)]
    bad_voice.bad = True
    streams.play(CYCLES, waits=[good, other])
    assert [losses(stream) for stream in (good, other)] == before
    for stream in (good, other):
        factor, alike = gain(stream)
        assert factor == pytest.approx(0.5, rel=0.05)
        assert alike > 0.99
    assert not bad.played[-CYCLES // 2 * QUANTUM :].any()  # silence, never the microphone
    if way == "raises":
        assert isinstance(bad.ended[0], ZeroDivisionError)
    if way == "nan":
        assert any(isinstance(message, EngineFault) and message.code == "BadModel" for message in bad.said)


def test_a_stream_that_hangs_in_python_is_ended_when_it_is_closed(streams_of):
    bad_voice = BadVoice("bad", "spins")
    streams = streams_of(bad_voice, DelayVoice(name="good"))
    good, bad = streams.open("good"), streams.open("bad")
    bad_voice.bad = True
    streams.play(10, waits=[good])
    bad.stream.close()
    bad.stream.join(10)
    assert not bad.stream._thread.is_alive()
    streams.play(10, waits=[good])


def test_a_stream_that_is_closed_leaves_the_others_and_no_thread(streams_of):
    streams = streams_of(DelayVoice(name="good"), CostlyVoice("net"))
    good = streams.open("good")
    threads = threading.active_count()
    for _ in range(10):
        gone = streams.open("net")
        streams.streams.remove(gone)
        gone.close()
    end = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == threads
    before = losses(good)
    streams.play(CYCLES)
    assert losses(good) == before


def test_each_stream_gives_its_own_signs_of_life(streams_of):
    streams = streams_of(DelayVoice(name="good"))
    two = [streams.open("good") for _ in range(2)]
    for stream in two:
        stream.said.clear()
    end = time.monotonic() + 10
    while time.monotonic() < end and not all(any(isinstance(m, Heartbeat) for m in stream.said) for stream in two):
        streams.cycle()
    beats = [next(m for m in stream.said if isinstance(m, Heartbeat)) for stream in two]
    assert all(beat.blocks > 0 for beat in beats)


def test_a_voice_changes_in_one_stream_alone(streams_of):
    streams = streams_of(DelayVoice(name="half", gain=0.5), DelayVoice(name="third", gain=-0.3))
    first, second = streams.open("half"), streams.open("half")
    second.said.clear()
    first.said.clear()
    first.use("third")
    for _ in streams.cycles():
        if any(isinstance(message, VoiceOn) for message in first.said):
            break
    streams.play(CYCLES)
    assert gain(first)[0] == pytest.approx(-0.3, rel=0.05)
    assert gain(second)[0] == pytest.approx(0.5, rel=0.05)
    assert not any(isinstance(message, VoiceOn) for message in second.said)
