"""Our nets filled with the recipe's weights of a salt; each is built once per run."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rwc_daemon.store import layout_support
from rwc_daemon.store.layout import SynthConfig, synth_shapes
from rwc_daemon.voices.f0.fcpe import Fcpe
from rwc_daemon.voices.f0.rmvpe import Rmvpe
from rwc_daemon.voices.rvc.content import ContentEncoder
from rwc_daemon.voices.rvc.synth import Synthesizer
from testkit import golden_recipe as recipe

RATES_AND_KERNELS = {
    ("v2", 40000): ([10, 10, 2, 2], [16, 16, 4, 4]),
    ("v1", 40000): ([10, 10, 2, 2], [16, 16, 4, 4]),
    ("v2", 48000): ([12, 10, 2, 2], [24, 20, 4, 4]),
    ("v1", 48000): ([10, 6, 2, 2, 2], [16, 16, 4, 4, 4]),
    ("v2", 32000): ([10, 8, 2, 2], [20, 16, 4, 4]),
    ("v1", 32000): ([10, 4, 2, 2, 2], [16, 16, 4, 4, 4]),
}


def published(rate: int) -> list[tuple[list, str]]:
    """The published configurations of this rate, and their versions."""
    return [
        ([1025 if rate > 32000 else 513, 32, 192, 192, 768, 2, 6, 3, 0, "1", [3, 7, 11], [[1, 3, 5]] * 3,
          rates, 512, kernels, 109, 256, rate], version)
        for (version, kind), (rates, kernels) in RATES_AND_KERNELS.items() if kind == rate
    ]  # fmt: skip


def tensors(drawn: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(w) for name, w in drawn.items()}


@lru_cache(maxsize=1)
def synthesizer(config: SynthConfig, salt: str, digest: str) -> tuple[Synthesizer, bool]:
    """The net, and whether its weights have the digest; they may have gone through a float16 file."""
    shapes = synth_shapes(config)
    drawn = recipe.weights(shapes, recipe.SYNTHESIZER, salt)
    if recipe.digest(drawn) != digest:
        drawn = recipe.weights(shapes, recipe.SYNTHESIZER, salt, through_half=True)
    return Synthesizer.load(tensors(drawn), config), recipe.digest(drawn) == digest


@lru_cache(maxsize=2)
def content(salt: str, hf_config: str = "") -> tuple[ContentEncoder, str]:
    """The net and the digest of its weights; `hf_config`: JSON with the sizes of a small one."""
    sizes: dict[str, Any] = {}
    heads = None
    if hf_config:
        given = json.loads(hf_config)
        heads = given["num_attention_heads"]
        sizes = {
            "hidden": given["hidden_size"],
            "layers": given["num_hidden_layers"],
            "ffn": given["intermediate_size"],
            "conv": given["conv_dim"][0],
            "position_kernel": given["num_conv_pos_embeddings"],
            "position_groups": given["num_conv_pos_embedding_groups"],
            "projection": given["classifier_proj_size"],
        }
    shapes = layout_support.content_shapes(**sizes)
    hidden = shapes["encoder.layer_norm.bias"]
    drawn = recipe.weights({**shapes, "masked_spec_embed": hidden}, recipe.CONTENT, salt)
    return ContentEncoder.load(tensors(drawn), heads=heads), recipe.digest(drawn)


@lru_cache(maxsize=2)
def rmvpe(salt: str, args: str = "") -> tuple[Rmvpe, str]:
    """`args`: JSON with the constructor's arguments of a small one."""
    given = json.loads(args) if args else {}
    if "kernel_size" in given:
        given["kernel_size"] = tuple(given["kernel_size"])
    net = Rmvpe(**given)
    shapes = layout_support.rmvpe_shapes(
        given.get("n_blocks", 4),
        given.get("en_de_layers", 5),
        given.get("inter_layers", 4),
        given.get("en_out_channels", 16),
    )
    drawn = recipe.weights(shapes, recipe.RMVPE, salt)
    counters = {name: t for name, t in net.state_dict().items() if name.endswith("num_batches_tracked")}
    return net.fill({**tensors(drawn), **counters}), recipe.digest(drawn)


@lru_cache(maxsize=1)
def fcpe(salt: str) -> tuple[Fcpe, str]:
    drawn = recipe.weights(layout_support.fcpe_shapes(), recipe.FCPE, salt)
    return Fcpe().fill(tensors(drawn)), recipe.digest(drawn)
