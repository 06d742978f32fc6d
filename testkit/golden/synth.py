"""Section 3: synthesizer files (`synth_*`, `tiny_*`), every output and tap; section 2 where a .pth lies beside."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from rwc_daemon.store.layout import SynthConfig
from rwc_daemon.voices.rvc.synth import Draws, Synthesizer, Window
from testkit import golden_recipe as recipe
from testkit.golden import nets
from testkit.golden.report import AUDIO, LATENT, MEAN, SOURCE, TAP, Golden, Lines, compare, same

OUTPUTS = {"m_p": MEAN, "logs_p": MEAN, "z_p": LATENT, "z": LATENT, "x_mask": 0.0, "audio": AUDIO}
TAPS: dict[str, Callable[[Synthesizer], nn.Module]] = {
    "enc_attn0": lambda net: net.enc_p.encoder.attn_layers[0],
    "enc_ffn0": lambda net: net.enc_p.encoder.ffn_layers[0],
    "enc_layer0": lambda net: net.enc_p.encoder.norm_layers_2[0],
    "enc_layer5": lambda net: net.enc_p.encoder.norm_layers_2[-1],
    **{f"flow{i}_out": lambda net, i=i: net.flow.flows[i] for i in (0, 2, 4, 6)},
    "dec_conv_pre": lambda net: net.dec.conv_pre,
    **{f"dec_up{i}_sub": lambda net, i=i: net.dec.ups[i] for i in range(8)},
    **{f"dec_rb{i}_sub": lambda net, i=i: net.dec.resblocks[i] for i in range(24)},
}


def check(g: Golden) -> Lines:
    net, known = _net(g)
    yield same("weights_sha256", known, True)
    suffixes = [""] if "audio" in g else [name.removeprefix("audio") for name in g.names if name.startswith("audio_")]
    for suffix in suffixes:
        yield from _case(g, net, suffix)


def _net(g: Golden) -> tuple[Synthesizer, bool]:
    config = json.loads(g.text("config"))
    version, f0, digest = g.text("version"), bool(g.whole("f0")), g.text("weights_sha256")
    file = g.path.with_suffix(".pth")
    if not file.exists():
        return nets.synthesizer(SynthConfig.parse(config, version, f0), g.salt, digest)
    held = torch.load(file, weights_only=True)
    weights = {name: tensor.float() for name, tensor in held["weight"].items()}
    speakers = weights["emb_g.weight"].shape[0]
    c = SynthConfig.parse(held["config"], held.get("version", "v1"), bool(held.get("f0", 1)), speakers)
    found = recipe.digest({name: tensor.numpy() for name, tensor in weights.items()})
    return Synthesizer.load(weights, c), found == digest


def _case(g: Golden, net: Synthesizer, suffix: str) -> Lines:
    def given(name: str) -> Tensor | None:
        return torch.from_numpy(g[name]) if name in g else None

    phone, pitch, f0, sid = (given(name) for name in ("phone", "pitch", "nsff0", "sid"))
    assert phone is not None
    assert sid is not None
    latent, source = given(f"noise_z{suffix}"), given(f"noise_src{suffix}")
    assert latent is not None
    window = None
    if f"rt_params{suffix}" in g:
        window = Window(*(int(n) for n in g[f"rt_params{suffix}"]))
    with tapped(net, TAPS, g.names) as seen:
        done = net(phone, pitch, f0, sid, Draws(latent, source), window, given("phone_lengths"))
    mask = torch.ones_like(done.latent[:, :1]) if done.mask is None else done.mask
    outputs = (done.mean, done.log_std, done.prior, done.latent, mask, done.audio)
    for (name, limit), ours in zip(OUTPUTS.items(), outputs, strict=True):
        yield compare(name + suffix, ours, g[name + suffix], limit)
    if "g" in g:
        yield compare("g", net.speaker(sid), g["g"], 0.0)
    if suffix == "" and "enc_in" in g:
        with torch.inference_mode():
            yield compare("enc_in", net.enc_p.embed(phone, pitch), g["enc_in"], TAP, "relative")
    if f"sine{suffix}" in g:
        assert f0 is not None
        assert source is not None
        yield from _source(g, net, suffix, f0, source, window)
    for name, ours in seen.items():
        yield compare(name, _thinned(g, name, ours), g[name], TAP, "relative")
        if name.endswith("_sub"):
            stats = [float(f) for f in (ours.mean(), ours.std(), ours.min(), ours.max())]
            yield compare(name.replace("_sub", "_stats"), stats, g[name.replace("_sub", "_stats")], TAP, "relative")


def _source(g: Golden, net: Synthesizer, suffix: str, f0: Tensor, noise: Tensor, window: Window | None) -> Lines:
    window = window or Window(0, f0.shape[1])
    part = f0[:, window.skip : window.skip + window.length]
    zero = f0.new_zeros(1, net.config.harmonics)
    with torch.inference_mode():
        yield compare(f"sine{suffix}", net.dec.m_source.excite(part, noise, zero), g[f"sine{suffix}"], SOURCE)
        source = net.source(f0, Draws(noise, noise), window)
        assert source is not None
        theirs = g[f"har_source{suffix}"]
        if theirs.shape[-1] != source.shape[-1]:
            source = nn.functional.interpolate(source, size=theirs.shape[-1], mode="linear")
        yield compare(f"har_source{suffix}", source, theirs, SOURCE)


def _thinned(g: Golden, name: str, x: Tensor) -> Tensor:
    """As the file keeps it: channels 0 … 3 and every so many samples. Our decoder's signals have a row axis."""
    x = x.squeeze(2) if x.dim() == 4 else x
    return x[:, :4, :: g.whole(f"{name}_step")] if name.endswith("_sub") else x


@contextmanager
def tapped(net: nn.Module, taps: dict, names: list[str]):
    """What the modules that `names` ask for give, by tap, filled while the net runs."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable:
        return lambda _, __, out: seen.__setitem__(name, out[-1] if isinstance(out, tuple) else out)

    hooks = [taps[name](net).register_forward_hook(keep(name)) for name in names if name in taps]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def to_numpy(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()
