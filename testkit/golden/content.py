"""Section 4: the content encoder (`hubert`, `tiny_hubert`)."""

from __future__ import annotations

import torch

from rwc_daemon.voices.rvc.content import ContentEncoder
from testkit import golden_recipe as recipe
from testkit.golden import nets
from testkit.golden.report import CONTENT, Golden, Lines, compare, same
from testkit.golden.synth import tapped

TAPS = {
    "conv0_sub": lambda net: net.feature_extractor.conv_layers[0],
    "conv_out": lambda net: net.feature_extractor,
    "proj": lambda net: net.feature_projection,
    "hidden0": lambda net: net.encoder.layer_norm,
    "hidden1": lambda net: net.encoder.layers[0],
    "layer9": lambda net: net.encoder.layers[8],
}


def check(g: Golden) -> Lines:
    net, digest = _net(g)
    yield same("weights_sha256", digest, g.text("weights_sha256"))
    x = torch.from_numpy(g["audio"])[None]
    with tapped(net, TAPS, g.names) as seen:
        last = net.features(x, "v2")
    for name, ours in seen.items():
        yield compare(name, _thinned(ours, g[name].shape, channels_last=not name.startswith("conv")), g[name], CONTENT)
    yield compare("layer9_final_proj", net.features(x, "v1"), g["layer9_final_proj"], CONTENT)
    yield compare("layer12", last, g["layer12"], CONTENT)


def _net(g: Golden) -> tuple[ContentEncoder, str]:
    config = g.text("hf_config") if "hf_config" in g else ""
    file = g.path.with_name(g.path.stem + "_hf.pth")
    if not file.exists():
        return nets.content(g.salt, config)
    held = torch.load(file, weights_only=True)
    net = ContentEncoder.load(held, heads=nets.content(g.salt, config)[0].config.heads)
    return net, recipe.digest({name: tensor.numpy() for name, tensor in held.items()})


def _thinned(x: torch.Tensor, shape: tuple[int, ...], channels_last: bool) -> torch.Tensor:
    """As the file keeps it: the first channels of convolutions, every so many of other rows."""
    if channels_last:
        return x[..., :: x.shape[-1] // shape[-1]]
    return x[:, : shape[1], :: max(1, x.shape[2] // shape[2] + (x.shape[2] % shape[2] > 0))]
