"""RWC Mic's volume is held, whoever turns it; a mute in the mixer is the user's own. Real servers."""

from __future__ import annotations

import subprocess
import time

import numpy as np
import pulsectl
import pytest

from rwc_daemon.audio.holder import NODE
from rwc_daemon.audio.pulse import visit
from testkit.harness.fixtures import audio_session  # noqa: F401
from testkit.harness.session import Recorder, wait_for
from tests.audio.test_pipewire import RATE, Rig, play, rig, tone  # noqa: F401

WINDOW = RATE // 200


@pytest.fixture
def held(rig: Rig):  # noqa: F811
    """The percents that were put back; the listeners look at every change, as the daemon's do."""
    seen: list[float] = []
    rig.listeners.volume.on_held = seen.append
    rig.graph.on_change = lambda: (rig.listeners.look(), None)[1]
    yield seen
    rig.graph.on_change = lambda: None


def levels_db(x: np.ndarray) -> np.ndarray:
    """Peaks of each 5 ms, f32[n] → f32[n / 240]."""
    whole = x[: len(x) // WINDOW * WINDOW].reshape(-1, WINDOW)
    return 20 * np.log10(np.abs(whole).max(axis=1) + 1e-9)


def test_a_visit_lasts_as_long_as_the_server_takes(audio_session) -> None:  # noqa: F811
    begin = time.monotonic()
    with visit("test") as pulse:
        assert pulse.server_info()
    assert time.monotonic() - begin < 1.0


def test_another_program_cannot_turn_rwc_mic_down(rig: Rig, held: list[float]) -> None:  # noqa: F811
    with Recorder(channels=1) as recorder:
        wait_for(lambda: rig.listeners.look() == 1, what="the recorder counts")
        rig.engage()
        with pulsectl.Pulse("test") as pulse:
            assert pulse.get_source_by_name(NODE).volume.value_flat == pytest.approx(1)
        before = len(recorder.heard)
        turning = subprocess.Popen(["sh", "-c", f"sleep 0.6; pactl set-source-volume {NODE} 10%"])
        play(tone(2.0))
        assert turning.wait(5) == 0
        level = levels_db(recorder.heard[before:, 0])
    sounding = level[level > -60]
    dip = np.flatnonzero(np.abs(sounding - np.median(sounding)) > 0.5)
    inside = dip[(dip > 5) & (dip < len(sounding) - 5)]  # the tone's own beginning and end
    assert np.median(sounding) == pytest.approx(-6.0, abs=0.5)
    assert len(sounding) > 340
    assert not len(inside) or np.ptp(inside) < 40  # 200 ms
    assert held == [pytest.approx(10, abs=0.5)]
    with pulsectl.Pulse("test") as pulse:
        assert pulse.get_source_by_name(NODE).volume.value_flat == pytest.approx(1, abs=0.01)


def test_a_mute_in_the_mixer_stays(rig: Rig, held: list[float]) -> None:  # noqa: F811
    with pulsectl.Pulse("test") as pulse:
        pulse.mute(pulse.get_source_by_name(NODE), True)
        wait_for(lambda: rig.graph.graph().node(NODE).mixer.muted, what="the graph shows the mute")
        time.sleep(0.3)
        assert pulse.get_source_by_name(NODE).mute == 1
        pulse.mute(pulse.get_source_by_name(NODE), False)
    wait_for(lambda: not rig.graph.graph().node(NODE).mixer.muted, what="the graph shows its end")
    assert held == []
