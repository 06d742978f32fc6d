"""The speakers that come with the package, on a sentence that somebody else says."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.families import FAMILIES
from rwc_daemon.plan import Plan
from rwc_daemon.store.assets import Assets
from rwc_daemon.voices.base import VoiceInfo, VoiceSource
from rwc_daemon.voices.f0.yin import Yin
from rwc_daemon.voices.light import voice, weights
from testkit.builtin.sounds import RATE, spoken

SPEAKERS = list(FAMILIES["light"].ships)
HOP = RATE // 100


def load(id: str) -> voice.LightVoice:
    return voice.load(VoiceSource(VoiceInfo(id, id, "light"), None, Assets(Path("/nowhere"))))


@cache
def source() -> np.ndarray:
    x = spoken(text="Six foxes are waiting by the old river, she says.")
    return np.asarray(np.pad(x, (0, -len(x) % HOP)), np.float32)


def converted(id: str, controls: Controls | None = None) -> np.ndarray:
    """In time with the source, which is said twice so that its pitch is known."""
    x = np.concatenate([source(), source(), np.zeros(10 * HOP, np.float32)])
    controls = controls or Controls()
    session = load(id).open(Plan(RATE, 1, HOP), controls)
    y = np.concatenate([session.convert(x[n : n + HOP], controls) for n in range(0, len(x), HOP)])
    return y[session.delay + len(source()) :][: len(source())]


@pytest.mark.parametrize("id", SPEAKERS)
def test_a_speaker_says_it_at_their_own_height_in_your_melody_and_time(id):
    y = converted(id)
    theirs, own = (Yin().track(np.ascontiguousarray(one[::3])) for one in (source(), y))
    both = (theirs > 0) & (own > 0)
    assert both.sum() > 0.7 * (theirs > 0).sum()
    assert np.median(own[both]) == pytest.approx(load(id)._nets.pitch_hz, rel=0.12)
    moved = np.log2(own[both] / theirs[both])
    sure = np.abs(moved - np.median(moved)) < 0.3
    assert sure.mean() > 0.8
    assert np.corrcoef(np.log(theirs[both][sure]), np.log(own[both][sure]))[0, 1] > 0.9
    levels = [np.log(np.sqrt(np.mean(one.reshape(-1, HOP) ** 2, axis=1)) + 1e-3) for one in (source(), y)]
    likeness = [np.corrcoef(levels[0][5:-5], np.roll(levels[1], -n)[5:-5])[0, 1] for n in range(-4, 5)]
    assert abs(int(np.argmax(likeness)) - 4) <= 1, "late or early by more than 10 ms"
    assert max(likeness) > 0.85


def test_pitch_counts_on_top_of_the_speakers_own():
    low, high = (Yin().track(np.ascontiguousarray(converted("oak", Controls(pitch=n))[::3])) for n in (0.0, 5.0))
    assert np.median(high[high > 0]) / np.median(low[low > 0]) == pytest.approx(2 ** (5 / 12), rel=0.05)


def test_they_are_small_and_need_no_torch():
    assert sum(path.stat().st_size for path in weights.DATA.glob("*.safetensors")) < 20e6
    assert {path.stem for path in weights.DATA.glob("*.safetensors")} == {"content", "decoder", *SPEAKERS}
    script = "import sys; from tests.voices.light.test_shipped import load; load('oak')"
    script += "; sys.exit(bool({'torch', 'onnxruntime'} & set(sys.modules)))"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0
