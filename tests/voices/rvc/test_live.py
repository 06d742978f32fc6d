"""The live converter: what each net is spared changes little, and nothing at all where nothing is spared."""

from dataclasses import replace
from itertools import pairwise

import faiss
import numpy as np
import pytest
import torch

from rwc_daemon.controls import QUALITIES, Controls
from rwc_daemon.errors import OutOfRange
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.backends.choice import can_pack
from rwc_daemon.voices.f0.fcpe import Fcpe
from rwc_daemon.voices.f0.yin import Yin
from rwc_daemon.voices.rvc.cuda_graphs import CudaGraphCache, Places
from rwc_daemon.voices.rvc.decoder import Reaches
from rwc_daemon.voices.rvc.live import LIVE_OPTIONS, LiveStep
from rwc_daemon.voices.rvc.quality_preset import QUALITY_PRESETS, QualityPreset
from rwc_daemon.voices.rvc.retrieval import FaissSearch, Index
from rwc_daemon.voices.rvc.sola import Geometry
from rwc_daemon.voices.rvc.synth import Draws, Window
from rwc_daemon.voices.rvc.voice import RvcVoice, live_geometry
from testkit.yardstick.step import ReferenceStep
from tests.voices.rvc.tiny import made_assets, made_card, speech

RATE = 48000
CONTROLS = Controls(f0_method="yin", gate_db=-90)
NOT_HERE = pytest.mark.skipif(not can_pack("cpu", torch.bfloat16), reason="this CPU has no fast bfloat16")


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voice")
    return RvcVoice.load(made_card(folder / "voice"), made_assets(folder / "assets"), "cpu", "float32")


def geometry(block=4800, delay=1440, fade=1, context=RATE):
    return Geometry(RATE, block, context, delay, 0, longest_fade=fade)


def steps(voice, options, g, x, controls=CONTROLS):
    return taken(LiveStep(voice.renderer, g, voice.noise(0), options), g, x, controls)


def taken(step, g, x, controls):
    starts = range(0, len(x) - g.window_16k + 1, g.block_16k)
    return [step.run(x[start : start + g.window_16k], Yin(), controls) for start in starts]


def apart(a, b):
    """Difference over sound."""
    a, b = np.concatenate(a), np.concatenate(b)
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def test_contexts_as_long_as_the_window_change_nothing(voice):
    g, x = geometry(), speech(1.6, 16000)
    whole = steps(voice, LIVE_OPTIONS, g, x)
    asked = steps(voice, replace(LIVE_OPTIONS, content_frames=g.skip, text_frames=g.skip), g, x)
    assert all(np.array_equal(a, b) for a, b in zip(whole, asked, strict=True))


def test_short_contexts_change_little(voice):
    g, x = geometry(), speech(1.6, 16000)
    whole = steps(voice, LIVE_OPTIONS, g, x)
    short = steps(voice, replace(LIVE_OPTIONS, content_frames=50, text_frames=48), g, x)
    assert 0 < apart(short, whole) < 0.1


@pytest.mark.parametrize("hops", [10, 5])
def test_kept_rows_are_the_rows_while_the_sound_s_statistics_hold(voice, monkeypatch, hops):
    """On a steady sound; each block's convolutions then hear little more than the block."""
    g, x = geometry(block=hops * 480), np.tile(speech(0.1, 16000), 20)
    options, heard = replace(LIVE_OPTIONS, content_frames=60), []
    hear = voice.renderer.content.hear
    monkeypatch.setattr(voice.renderer.content, "hear", lambda x, known: (heard.append(x.shape[1]), hear(x, known))[1])
    kept = steps(voice, options, g, x)
    new, heard[:] = list(heard), []
    whole = steps(voice, replace(options, cache_features=False), g, x)
    assert apart(kept[1:], whole[1:]) < 5e-3
    assert new[0] == heard[0]
    assert max(new[1:]) <= g.block_16k + 4 * 320 < min(heard) / 3


def test_rows_are_heard_anew_when_speech_begins(voice):
    """Their loudness is measured against the sound before them, which was none."""
    g, x = geometry(), np.concatenate([np.zeros(16000, np.float32), speech(1.5, 16000)])
    kept, whole = (steps(voice, replace(LIVE_OPTIONS, cache_features=keep), g, x) for keep in (True, False))
    assert apart(kept, whole) < 0.1


def test_retrieval_looks_only_at_what_is_new(voice):
    """4 rows of the block, one heard behind it and the repeated last one, not those before the block again."""
    g, x = geometry(block=8 * 480), speech(1.6, 16000)
    vectors = np.random.default_rng(0).standard_normal((64, voice.renderer.config.content)).astype(np.float32)
    flat = faiss.IndexFlatL2(vectors.shape[1])
    flat.add(vectors)
    searched = []

    class Counting(FaissSearch):
        def nearest(self, rows):
            searched.append(len(rows))
            return super().nearest(rows)

    indexed = replace(voice, renderer=replace(voice.renderer, index=Index(Counting(faiss, flat), flat.d, 64)))
    options = replace(LIVE_OPTIONS, content_frames=60, text_frames=48)
    kept = steps(indexed, options, g, x, replace(CONTROLS, index_rate=0.5))
    assert searched[0] > 25
    assert set(searched[1:]) == {6}
    searched = steps(indexed, replace(options, cache_retrieval=False), g, x, replace(CONTROLS, index_rate=0.5))
    assert 0 < apart(kept, searched) < 0.1


def test_the_decoder_s_surroundings_are_all_it_hears(voice):
    """What is rendered with them is, in the middle of a long rendering, the same to rounding."""
    synth, c = voice.renderer.synth, voice.renderer.config
    T, reach = 70, Reaches.of(c).frames
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1, c.inter, T, generator=generator)
    source, g = torch.randn(1, 1, T * c.hop, generator=generator), synth.speaker(torch.tensor([0]))
    with torch.inference_mode():
        whole = synth.dec(z, g, source)
        span = (30 * c.hop + 7, 34 * c.hop + 3)
        near = synth.dec(z, g, source, wanted=span)
        part = synth.dec(
            z[..., 30 - reach : 35 + reach], g, source[..., (30 - reach) * c.hop : (35 + reach) * c.hop],
            wanted=tuple(n - (30 - reach) * c.hop for n in span),
        )  # fmt: skip
    assert torch.allclose(near, whole[..., span[0] : span[1]], atol=1e-6)
    assert torch.allclose(part, whole[..., span[0] : span[1]], atol=1e-6)


@pytest.mark.parametrize("formant", [0.0, 4.0, -3.0])
def test_overlaps_agree_better_than_the_reference_s(voice, formant):
    """Neighbouring renderings of one moment, before any splice."""
    x, controls = speech(2.5, 16000), replace(CONTROLS, formant=formant)
    found = []
    for g, kind in ((geometry(), LiveStep), (geometry(delay=2400, fade=4), ReferenceStep)):
        outs, n = taken(kind(voice.renderer, g, voice.noise(0)), g, x, controls), g.block_frames * 400
        fade = g.fade // g.hop * 400
        pairs = pairwise(outs[3:])
        found.append(np.median([apart([a[n : n + fade]], [b[:fade]]) for a, b in pairs]))
    ours, theirs = found
    assert ours < 0.5 * theirs


def test_rows_stay_where_they_are_whatever_the_block(voice):
    """Blocks of an odd number of frames: every other window begins between two rows."""
    g = geometry(block=5 * 480)
    step = LiveStep(voice.renderer, g, voice.noise(0), replace(LIVE_OPTIONS, content_frames=40))
    firsts = []
    for _ in range(4):
        firsts.append(step._frame + step._first_heard())
        step.rest()
    assert all(first % 2 == 0 for first in firsts)


def test_a_primed_session_goes_on_exactly_as_one_that_rendered(voice):
    """But for the sine's phase, which nobody rendered: the first block's content and pitch are the same."""
    plan, x = Plan.offline(RATE, Block(100, on_hop=True)), speech(3.2)
    rendering, primed = voice.open(plan, CONTROLS), voice.open(plan, CONTROLS)
    blocks = np.split(x, 32)
    for block in blocks[:-1]:
        rendering.convert(block, CONTROLS)
        primed.prime(block)
    assert np.array_equal(rendering._heard_16k, primed._heard_16k)
    rendering.convert(blocks[-1], CONTROLS)
    primed.convert(blocks[-1], CONTROLS)
    hz = [session._step.memory.pitch.hz[-14:] for session in (rendering, primed)]
    assert np.allclose(*hz, rtol=0.02)


def test_speech_after_silence_loses_no_onset(voice):
    plan = Plan.offline(RATE, Block(100, on_hop=True))
    session = voice.open(plan, CONTROLS)
    nothing, x = np.zeros(4800, np.float32), speech(0.5)
    for _ in range(6):
        quiet = session.convert(nothing, CONTROLS, silent=True)
    assert not quiet.any()
    y = np.concatenate([session.convert(block, CONTROLS) for block in np.split(x, 5)])
    level = [part.std() for part in np.split(y[session.delay : session.delay + 19200], 10)]
    assert level[0] > 0.1 * max(level)


# ---- precision ----


@NOT_HERE
def test_bfloat16_is_close_to_float32(voice, tmp_path):
    half = RvcVoice.load(made_card(tmp_path / "voice"), made_assets(tmp_path / "assets"), "cpu", "bfloat16")
    g, x = geometry(), speech(1.6, 16000)
    assert apart(steps(half, LIVE_OPTIONS, g, x), steps(voice, LIVE_OPTIONS, g, x)) < 0.1


def test_statistics_of_the_first_norm_are_those_of_its_outputs(voice):
    first = voice.renderer.content.feature_extractor.conv_layers[0]
    x = torch.from_numpy(speech(0.2, 16000))[None, None]
    with torch.inference_mode():
        ours = first(x, first.known(x), torch.float32)
        theirs = torch.nn.functional.gelu(first.layer_norm(first.conv(x)))
    assert torch.allclose(ours, theirs, atol=1e-4)


# ---- fixed shapes ----


@pytest.mark.parametrize("formant", [0.0, 4.0])
def test_fixed_places_give_what_the_ordinary_way_gives(voice, formant):
    g, x, controls = geometry(), speech(1.6, 16000), replace(CONTROLS, formant=formant)
    fixed = replace(voice, renderer=replace(voice.renderer, graphs=CudaGraphCache("cpu")))
    pairs = zip(
        steps(voice, replace(LIVE_OPTIONS, cache_features=False), g, x, controls),
        steps(fixed, LIVE_OPTIONS, g, x, controls),
        strict=True,
    )
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_a_tracker_that_is_a_net_has_fixed_places_too(voice):
    fixed, x = replace(voice.renderer, graphs=CudaGraphCache("cpu")), speech(0.5, 16000)
    net = Fcpe(hidden=32, layers=2).eval().requires_grad_(False)
    for tracker in (net, Yin()):
        assert np.array_equal(fixed.tracked(tracker, x), tracker.track(x))
    assert [name for name, *_ in fixed.graphs._known] == [("pitch", "fcpe")]


def test_places_hold_inputs_of_any_kind_in_one_buffer():
    given = [torch.arange(3), torch.rand(2, 5), torch.rand(1, 1, dtype=torch.float64)]
    places = Places(given, torch.device("cpu"))
    places.fill(given)
    assert all(torch.equal(a, b) for a, b in zip(places.inputs, given, strict=True))
    assert len({one.untyped_storage().data_ptr() for one in places.inputs}) == 1


def test_answers_outlive_the_next_call():
    static = CudaGraphCache("cpu")
    first = static("double", lambda x: x * 2, [torch.ones(3)])
    static("double", lambda x: x * 2, [torch.zeros(3)])
    assert torch.equal(first, torch.full((3,), 2.0))
    assert torch.equal(static("half", lambda x: x / 2, [torch.ones(3)]), torch.full((3,), 0.5))


# ---- steps ----


def test_every_quality_has_its_step_and_better_ones_cost_no_less(voice):
    for table in QUALITY_PRESETS.values():
        contexts = [table[quality].content_ms for quality in QUALITIES]
        assert contexts == sorted(contexts)
    for quality in QUALITIES:
        spent = voice.steps(quality)
        assert voice.block_for(replace(CONTROLS, quality=quality)).ms == spent.block_ms
    with pytest.raises(OutOfRange, match="balanced"):
        voice.steps("best")


def test_sessions_of_any_effort_share_the_weights_and_keep_their_delay(voice):
    plan = Plan.offline(RATE, Block(100, on_hop=True))
    x = speech(0.6)
    for delay_ms in (10, 20, 50):
        session = voice.open(plan, CONTROLS, 0, QualityPreset(100, 300, 400, "yin", delay_ms, 10))
        y = np.concatenate([session.convert(block, CONTROLS) for block in np.split(x, 6)])
        assert session.delay == delay_ms * 48
        assert session._step._r is voice.renderer
        assert np.isfinite(y).all()
    assert live_geometry(plan, QualityPreset(100, 300, 400, "yin")).fade == 480


def test_a_window_counts_its_frames():
    window = Window(skip=60, length=10, lead=11, trail=2)
    assert (window.first, window.heard, window.flow_head) == (49, 23, 25)
    assert Draws(torch.zeros(1, 2, 3)).phase is None
