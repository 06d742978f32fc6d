"""What the figures do not show: loading, weight norm, noise, windows, the decoders of other programs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.layout import MRF, SynthConfig
from rwc_daemon.voices.backends import onednn
from rwc_daemon.voices.layers import Dense
from rwc_daemon.voices.rvc.content import ContentEncoder
from rwc_daemon.voices.rvc.flow import REACH
from rwc_daemon.voices.rvc.noise import PAGE, FrameNoise
from rwc_daemon.voices.rvc.synth import Synthesizer, Window
from rwc_daemon.voices.rvc.text import band
from rwc_daemon.voices.rvc.weights import folded
from tests.voices.rvc.tiny import config, drawn, drawn_content


def parsed(rate="40k", version="v2", f0=True, vocoder="HiFi-GAN"):
    return SynthConfig.parse(config(rate), version, f0, vocoder=vocoder)


def loaded(**wanted):
    c = parsed(**wanted)
    rate, version, f0, vocoder = ({"rate": "40k", "version": "v2", "f0": True, "vocoder": "HiFi-GAN"} | wanted).values()
    return Synthesizer.load(drawn(rate, version, f0, vocoder), c)


def rendered(net, T=40, window=None, start=0, f0_hz=200.0, lengths=None):
    c = net.config
    generator = torch.Generator().manual_seed(1)
    phone = torch.randn(1, T, c.content, generator=generator)
    f0 = torch.full((1, T), f0_hz)
    pitch = torch.full((1, T), 60)
    draws = FrameNoise(c, 7).draws(start, T, window or Window(0, T))
    return net(phone, pitch, f0, torch.tensor([1]), draws, window, lengths)


@pytest.mark.parametrize("rate", ["32k", "40k", "48k", "44.1k"])
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("f0", [True, False])
def test_every_kind_gives_ten_milliseconds_per_frame(rate, version, f0):
    net = loaded(rate=rate, version=version, f0=f0)
    audio = rendered(net, T=12).audio
    assert audio.shape == (1, 1, 12 * net.config.rate // 100)
    assert audio.abs().max() <= 1
    assert audio.std() > 1e-4


def test_the_mrf_decoder_is_the_ordinary_one_under_other_names():
    net = loaded(vocoder=MRF)
    assert net.config.harmonics == 9
    assert net.dec.conv_post.bias is not None
    weights = drawn("40k", "v2", True, MRF)
    plain = folded({"x.weight_g": weights["dec.mrfs.1.0.layers.1.conv2.weight_g"],
                    "x.weight_v": weights["dec.mrfs.1.0.layers.1.conv2.weight_v"]})  # fmt: skip
    assert torch.equal(net.dec.resblocks[2].convs2[1].weight[:, :, 0], plain["x.weight"])
    assert rendered(net).audio.std() > 1e-4


@pytest.mark.parametrize("vocoder", ["RefineGAN", "BigVGAN"])
def test_unknown_decoders_are_refused_by_name(vocoder):
    with pytest.raises(Unsupported, match=vocoder):
        parsed(vocoder=vocoder)


def test_a_lacking_a_misshapen_and_a_strange_tensor_are_named():
    weights = drawn("40k", "v2", True, "HiFi-GAN")
    lacking = {name: t for name, t in weights.items() if name != "dec.conv_pre.bias"}
    with pytest.raises(BadModel, match=r"lacks dec\.conv_pre\.bias"):
        Synthesizer.load(lacking, parsed())
    with pytest.raises(BadModel, match=r"enc_p\.proj\.weight has shape \(3, 3\)"):
        Synthesizer.load(weights | {"enc_p.proj.weight": torch.zeros(3, 3)}, parsed())
    with pytest.raises(BadModel, match=r"do not belong there: dec\.extra"):
        Synthesizer.load(weights | {"dec.extra": torch.zeros(1)}, parsed())
    with pytest.raises(BadModel, match="int64"):
        Synthesizer.load(weights | {"emb_g.weight": torch.zeros(3, 8, dtype=torch.int64)}, parsed())


def test_the_posterior_encoder_may_be_there_and_newer_names_are_known():
    weights = dict(drawn("40k", "v2", True, "HiFi-GAN")) | {"enc_q.pre.weight": torch.zeros(2)}
    for part, number in (("weight_g", 0), ("weight_v", 1)):
        weights[f"dec.ups.0.parametrizations.weight.original{number}"] = weights.pop(f"dec.ups.0.{part}")
    net = Synthesizer.load(weights, parsed())
    assert torch.equal(rendered(net).audio, rendered(loaded()).audio)


def test_weight_norm_is_over_whatever_g_does_not_index():
    v = torch.randn(4, 3, 5)
    for g, over in ((torch.rand(4, 1, 1), (1, 2)), (torch.rand(1, 1, 5), (0, 1))):
        weight = folded({"a.weight_g": g, "a.weight_v": v})["a.weight"]
        assert torch.allclose(torch.linalg.vector_norm(weight, dim=over), g.flatten(), atol=1e-6)


def test_the_band_of_a_matrix():
    x = torch.arange(2 * 4 * 8).view(2, 4, 8)
    want = torch.stack([torch.stack([one[i, i : i + 5] for i in range(4)]) for one in x])
    assert torch.equal(band(x), want)


def test_a_window_renders_what_the_whole_would_in_the_middle():
    """The flow hears 24 frames and the decoder 11, so beyond those a window must agree with the whole."""
    net = loaded()
    whole = rendered(net, T=90).audio
    part = rendered(net, T=90, window=Window(REACH, 60)).audio
    hop = net.config.hop
    middle = slice(15 * hop, 45 * hop)
    at = REACH * hop
    # the sine of the window starts again: compare the latent, which knows no phase
    assert part[0, 0, middle].std() > 0
    assert whole[0, 0, at:][middle].std() > 0
    z_whole = rendered(net, T=90).latent[..., REACH : REACH + 60]
    z_part = rendered(net, T=90, window=Window(REACH, 60)).latent
    assert torch.allclose(z_whole, z_part, atol=1e-5)


def test_frames_beyond_the_length_change_nothing():
    net = loaded()
    whole = rendered(net, T=40, lengths=torch.tensor([30])).mean[..., :30]
    generator = torch.Generator().manual_seed(1)
    phone = torch.randn(1, 40, 768, generator=generator)
    phone[:, 30:] = 9.0
    draws = FrameNoise(net.config, 7).draws(0, 40, Window(0, 40))
    args = torch.full((1, 40), 60), torch.full((1, 40), 200.0), torch.tensor([1]), draws
    other = net(phone, *args, None, torch.tensor([30])).mean[..., :30]
    assert torch.allclose(whole, other, atol=1e-6)


@pytest.mark.parametrize("first", [-130, -1, 0, PAGE - 1, 1000])
def test_noise_belongs_to_the_frame(first):
    noise, again = FrameNoise(parsed(), 5), FrameNoise(parsed(), 5)
    wide, narrow = noise.draws(first - 40, 200, Window(30, 60)), again.draws(first, 20, Window(0, 20))
    assert torch.equal(wide.latent[..., 40 - 6 : 60 - 6], narrow.latent)
    assert torch.equal(wide.source[:, 10 * 400 : 30 * 400], narrow.source)
    assert not torch.equal(FrameNoise(parsed(), 6).draws(first, 20, Window(0, 20)).latent, narrow.latent)


def test_noise_is_normal():
    drawn_noise = FrameNoise(parsed(), 1).latent(0, 4000).numpy()
    assert abs(drawn_noise.mean()) < 0.01
    assert abs(drawn_noise.std() - 1) < 0.01
    assert np.abs(np.corrcoef(drawn_noise[0, :, :-1].ravel(), drawn_noise[0, :, 1:].ravel())[0, 1]) < 0.01


def test_the_sine_has_the_pitch_it_is_told():
    net = loaded()
    source = net.dec.m_source
    T, c = 50, net.config
    silent = torch.zeros(1, T * c.hop, 1)
    with torch.inference_mode():
        e = source.excite(torch.full((1, T), 250.0), silent, torch.zeros(1, 1))[0, :, 0]
        late = source.excite(torch.full((1, T - 3), 250.0), silent[:, 3 * c.hop :], torch.full((1, 1), 7.5))[0, :, 0]
    n = torch.arange(1, len(e) + 1)
    assert torch.allclose(e, (0.1 * torch.sin(2 * torch.pi * 250 * n / c.rate)).float(), atol=1e-5)
    assert torch.allclose(e[3 * c.hop :], late, atol=1e-5)  # 7.5 turns in 3 frames: a phase carried on


def test_half_precision_stays_near_full():
    weights, c = drawn("40k", "v2", True, "HiFi-GAN"), parsed()
    full, half = Synthesizer.load(weights, c), Synthesizer.load(weights, c, dtype=torch.bfloat16)
    a, b = (rendered(net).audio for net in (full, half))
    assert b.dtype == torch.float32
    assert (a - b).std() < 0.1 * a.std()


def test_another_net_is_no_content_encoder():
    with pytest.raises(BadModel, match="another kind of net"):
        ContentEncoder.load(drawn("40k", "v2", True, "HiFi-GAN"))


def test_content_has_a_row_per_20_ms_and_hears_no_difference_of_layout():
    net = ContentEncoder.load(drawn_content())
    x = torch.randn(1, 16000) * 0.1
    assert net.features(x, "v2").shape == (1, 49, 768)
    assert net.features(x, "v1").shape == (1, 49, 256)
    newer = {name.replace("conv.weight_g", "conv.parametrizations.weight.original0")
             .replace("conv.weight_v", "conv.parametrizations.weight.original1"): t
             for name, t in drawn_content().items()}  # fmt: skip
    assert torch.equal(ContentEncoder.load(newer).features(x, "v2"), net.features(x, "v2"))


def test_a_torch_without_a_private_operation_runs_plain_layers(monkeypatch):
    """Each one alone: torch may rename any of them, and no import or first block may then fail."""
    whole = SimpleNamespace(**{name: SimpleNamespace(binary=1) for name in onednn.NEEDED})
    assert onednn.has_private_operations(whole)
    for name in onednn.NEEDED:
        lacking = SimpleNamespace(**{key: value for key, value in vars(whole).items() if key != name})
        assert not onednn.has_private_operations(lacking), name
    assert not onednn.has_private_operations(SimpleNamespace(**{**vars(whole), "_convolution_pointwise": object()}))
    monkeypatch.setattr(onednn, "NEEDED", ("no_such_operation",))
    for dtype in (torch.float32, torch.bfloat16):
        assert onednn.OneDnn().pack(Dense(32, 32).to(dtype)) is None
