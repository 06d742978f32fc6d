"""A live session: sizes, delay, splice, silence, controls, the same bits."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.dsp.resample import resample
from rwc_daemon.errors import BadModel, MissingAsset, OutOfRange
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.f0.yin import Yin
from rwc_daemon.voices.rvc.live import LiveStep, tracked_16k
from rwc_daemon.voices.rvc.session import RvcSession
from rwc_daemon.voices.rvc.sola import Geometry, Sola, best_offset, fade_in, follow_envelope
from rwc_daemon.voices.rvc.voice import RvcVoice, choose_device, choose_precision
from testkit.yardstick.step import PhaseStartsAgain
from tests.voices.rvc.tiny import SPEAKERS, made_assets, made_card, made_voice, speech

RATE = 48000
CONTROLS = Controls(f0_method="yin", quality="low", gate_db=-90)


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return made_voice(tmp_path_factory.mktemp("voice"))


def plan(rate=RATE, ms=100):
    return Plan.offline(rate, Block(ms, on_hop=True))


def through(voice, x, controls=CONTROLS, seed=0, rate=RATE, ms=100):
    stream = Stream(voice, plan(rate, ms), controls, seed)
    return np.concatenate([stream.feed(x), stream.flush()]), stream


@pytest.mark.parametrize(("rate", "kind"), [(48000, "40k"), (44100, "48k"), (32000, "32k"), (96000, "44.1k")])
def test_as_much_comes_out_as_went_in_plus_the_delay(tmp_path, rate, kind):
    x = speech(0.55, rate)
    y, stream = through(made_voice(tmp_path, rate=kind), x, rate=rate)
    assert len(y) == len(x) + stream.delay
    assert np.isfinite(y).all()
    assert y[stream.delay + rate // 10 :].std() > 1e-4


def test_one_seed_gives_the_same_bits_however_cut(voice):
    x = speech(0.7)
    whole, _ = through(voice, x)
    stream = Stream(voice, plan(), CONTROLS, 0)
    parts = [stream.feed(part) for part in np.split(x, [7, 5000, 5001, 19200, 30000])]
    assert np.array_equal(np.concatenate([*parts, stream.flush()]), whole)
    assert not np.array_equal(through(voice, x, seed=1)[0], whole)


class Echo:
    """A step whose voice is the sound itself: what the window holds, from the first rendered frame on."""

    def __init__(self, geometry, rate):
        self.g, self.rate = geometry, rate

    def run(self, x_16k, tracker, controls):
        part = x_16k[self.g.skip * 160 :][: self.g.rendered * 160]
        return resample(part, 16000, self.rate)

    def rest(self):
        pass

    def forget_pitch(self):
        pass


@pytest.mark.parametrize("search", [0, 480])
def test_the_delay_is_exact(search):
    g = Geometry(RATE, 4800, 24000, 2400, search)
    session = RvcSession(g, 40000, Echo(g, 40000), None)
    t = np.arange(RATE) / RATE
    x = (0.3 * np.sin(2 * np.pi * 300 * t) + 0.2 * np.sin(2 * np.pi * 1234 * t)).astype(np.float32)
    controls = replace(CONTROLS, envelope=0.0)
    y = np.concatenate([session.convert(block, controls) for block in np.split(x, 10)])
    late = y[g.delay + 4800 :] - x[4800 : len(x) - g.delay] if not search else None
    assert session.delay == 2400 + search
    if late is not None:
        assert np.abs(late).max() < 0.01


def test_renderings_agree_where_they_overlap(voice):
    """Noise and phase are owned: what one block renders of a moment, the next renders too."""
    g = Geometry(RATE, 4800, 24000, 2400, 0)
    x = speech(2.0, 16000)
    overlaps = []
    for kind in (LiveStep, PhaseStartsAgain):
        step = kind(voice.renderer, g, voice.noise(0))
        outs = [
            step.run(x[start : start + g.window_16k], Yin(), CONTROLS)
            for start in range(0, len(x) - g.window_16k, g.block_16k)
        ]
        hop, fade = voice.renderer.config.hop, g.fade // g.hop
        pairs = [(a[10 * hop : (10 + fade) * hop], b[: fade * hop]) for a, b in pairwise(outs[2:])]
        overlaps.append(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))
    owned, redrawn = overlaps
    assert owned > 0.8
    assert owned > redrawn + 0.2


def test_silence_is_silent_and_wakes_without_a_lost_onset(voice):
    session = voice.open(plan(), CONTROLS)
    x = speech(0.4)
    for block in np.split(x, 4):
        loud = session.convert(block, CONTROLS)
    assert loud.std() > 1e-4
    nothing = np.zeros(4800, np.float32)
    quiet = [session.convert(nothing, CONTROLS, silent=True) for _ in range(4)]
    assert quiet[0].any()  # what was held back
    assert not quiet[-1].any()
    assert session.convert(x[:4800], CONTROLS)[session.delay :].std() > 1e-4


def test_primed_sessions_know_the_past(voice):
    x = speech(0.8)
    blocks = np.split(x, 8)
    fresh, primed = voice.open(plan(), CONTROLS), voice.open(plan(), CONTROLS)
    for block in blocks[:-1]:
        fresh.convert(block, CONTROLS)
        primed.prime(block)
    a, b = fresh.convert(blocks[-1], CONTROLS), primed.convert(blocks[-1], CONTROLS)
    assert 0.5 < b[2400:].std() / a[2400:].std() < 2


@pytest.mark.parametrize("change", [{"pitch": 5.0}, {"formant": 3.0}, {"envelope": 0.0}, {"speaker": 2}])
def test_controls_are_read_every_block(voice, change):
    x = speech(0.6)
    still, moved = voice.open(plan(), CONTROLS), voice.open(plan(), CONTROLS)
    for n, block in enumerate(np.split(x, 6)):
        a = still.convert(block, CONTROLS)
        b = moved.convert(block, replace(CONTROLS, **change) if n >= 3 else CONTROLS)
        assert np.array_equal(a, b) == (n < 3)
        assert len(b) == 4800


def test_a_session_keeps_its_tracker_and_does_not_begin_without_it(voice):
    session = voice.open(plan(), CONTROLS)
    assert np.isfinite(session.convert(speech(0.1), replace(CONTROLS, f0_method="rmvpe"))).all()
    with pytest.raises(MissingAsset, match="rwcctl assets fetch fcpe"):
        voice.open(plan(), replace(CONTROLS, f0_method="fcpe"))


def test_filling_unvoiced_gaps_is_a_switch_of_the_voice(voice):
    x = np.concatenate([speech(0.3), np.zeros(4800, np.float32), speech(0.3)])
    plain, filled = through(voice, x)[0], through(replace(voice, fill_gaps=True), x)[0]
    assert not np.array_equal(plain, filled)


def test_auto_takes_the_best_tracker_that_is_there(voice):
    assert voice.tracker("auto").name == "harvest"
    assert voice.tracker("auto") is voice.tracker("harvest")


def test_voices_without_f0_need_no_tracker(tmp_path):
    voice = made_voice(tmp_path, rate="48k", version="v1", f0=False)
    y, _ = through(voice, speech(0.3), replace(CONTROLS, f0_method="rmvpe"))
    assert y.std() > 1e-5


def test_speakers(voice):
    with pytest.raises(OutOfRange, match=f"0 … {SPEAKERS - 1}"):
        voice.open(plan(), replace(CONTROLS, speaker=SPEAKERS))


def test_what_is_missing_or_wrong_is_said_at_load(tmp_path):
    card = made_card(tmp_path / "voice")
    with pytest.raises(MissingAsset):
        RvcVoice.load(card, type(made_assets(tmp_path / "there"))(tmp_path / "nowhere"), "cpu")
    assets = made_assets(tmp_path / "assets")
    card.weights.write_bytes(b"no safetensors")
    with pytest.raises(BadModel, match="cannot be read"):
        RvcVoice.load(card, assets, "cpu")


def test_devices_and_precisions():
    assert choose_device("cpu") == "cpu"
    assert choose_precision("cpu", "bfloat16") == "bfloat16"
    with pytest.raises(OutOfRange):
        choose_device("tpu")
    with pytest.raises(OutOfRange):
        choose_precision("cpu", "int3")


# ---- the parts ----


def test_rmvpe_gets_a_window_that_needs_no_padding():
    assert tracked_16k("rmvpe", 4000) == 4960
    assert tracked_16k("rmvpe", 4321) == 5120 * 2 - 160
    assert tracked_16k("yin", 4000) == 4800


def test_fades_end_at_0_and_1():
    rise = fade_in(100)
    assert rise[0] == 0
    assert rise[-1] == pytest.approx(1)


def test_the_splice_finds_where_the_tail_goes_on():
    x = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    assert best_offset(x[100:], x[137:537], 200) == 37
    assert best_offset(x, x[137:537], 0) == 0
    assert best_offset(x, np.zeros(400, np.float32), 200) == 0


def test_the_splice_joins_a_steady_sound_without_a_seam():
    g = Geometry(RATE, 4800, 4800, 960, 0)
    x = np.sin(2 * np.pi * 200 * np.arange(6 * 4800 + 960) / RATE).astype(np.float32)
    splice = Sola(g)
    y = np.concatenate([splice.feed(x[n * 4800 : n * 4800 + 5760]) for n in range(6)])
    assert np.abs(y[960:] - x[960 : 6 * 4800]).max() < 1e-6


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_loudness_follows_by_the_share(share):
    t = np.arange(24000) / RATE
    y, heard = np.sin(2 * np.pi * 500 * t).astype(np.float32), (0.1 * np.sin(2 * np.pi * 700 * t)).astype(np.float32)
    got = follow_envelope(y, heard, 480, share)
    assert np.sqrt(np.mean(got[5000:-5000] ** 2)) == pytest.approx(np.sqrt(0.5) * 0.1**share, rel=0.02)


def test_voices_share_the_content_encoder(tmp_path):
    assets = made_assets(tmp_path / "assets")
    one, two = (RvcVoice.load(made_card(tmp_path / name), assets, "cpu") for name in ("one", "two"))
    assert one.renderer.content is two.renderer.content
