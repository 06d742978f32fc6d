"""Weights and noise out of names: how the reference figures' parameters are drawn, for any salt.

Every parameter is `offset + scale * unit(salt, name, shape)`; offset and scale come from the first rule of its kind of
net whose pattern is found in the name. Nothing is stored but the salt. Source: README of the golden folder.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping

import numpy as np

SALT = "rwc-golden-1:"
Shape = tuple[int, ...]
Rule = tuple[str, float, float, bool]
# pattern, offset, scale, scale also divided by sqrt(fan-in)

SYNTHESIZER: tuple[Rule, ...] = (
    (r"dec\.ups\.\d+\.weight_g$", 2.0, 0.1, False),
    (r"dec\.resblocks\.\d+\.convs1\.\d+\.weight_g$", 1.0, 0.05, False),
    (r"dec\.resblocks\.\d+\.convs2\.\d+\.weight_g$", 0.4, 0.02, False),
    (r"flow\..*\.in_layers\.\d+\.weight_g$", 1.0, 0.05, False),
    (r"flow\..*\.res_skip_layers\.\d+\.weight_g$", 0.7, 0.05, False),
    (r"flow\..*\.cond_layer\.weight_g$", 0.5, 0.05, False),
    (r"\.weight_g$", 0.7, 0.05, False),
    (r"\.weight_v$", 0, 1, False),
    (r"\.gamma$", 1, 0.1, False),
    (r"\.beta$", 0, 0.1, False),
    (r"\.emb_rel_[kv]$", 0, 0.3, False),
    (r"^emb_g\.weight$", 0, 1, False),
    (r"^enc_p\.emb_pitch\.weight$", 0, 0.1, False),
    (r"^enc_p\.emb_phone\.weight$", 0, 0.15, True),
    (r"^dec\.m_source\.l_linear\.weight$", 4.0, 0.5, False),
    (r"^dec\.noise_convs\.\d+\.weight$", 0, 3, True),
    (r"^dec\.conv_post\.weight$", 0, 0.3, True),
    (r"^enc_p\.proj\.weight$", 0, 0.7, True),
    (r"\.bias$", 0, 0.05, False),
    (r"\.weight$", 0, 1, True),
)
CONTENT: tuple[Rule, ...] = (
    (r"pos_conv_embed\.conv\.weight_g$", 1.5, 0.05, False),
    (r"pos_conv_embed\.conv\.weight_v$", 0, 1, False),
    (r"layer_norm\.weight$", 1, 0.1, False),
    (r"layer_norm\.bias$", 0, 0.1, False),
    (r"^masked_spec_embed$", 0, 1, False),
    (r"^feature_extractor\.conv_layers\.\d+\.conv\.weight$", 0, 1.5, True),
    (r"attention\.[qk]_proj\.weight$", 0, 2, True),
    (r"attention\.(v|out)_proj\.weight$", 0, 0.6, True),
    (r"\.bias$", 0, 0.05, False),
    (r"\.weight$", 0, 1, True),
)
RMVPE: tuple[Rule, ...] = (
    (r"running_mean$", 0, 0.1, False),
    (r"running_var$", 1, 0.25, False),
    (r"conv\.4\.weight$", 0.3, 0.05, False),
    (r"(\.bn|conv\.1|conv1\.1)\.weight$", 1, 0.1, False),
    (r"(\.bn|conv\.1|conv\.4|conv1\.1)\.bias$", 0, 0.1, False),
    (r"^fc\.0\.gru\.weight_", 0, 1, True),
    (r"^fc\.0\.gru\.bias_", 0, 0.05, False),
    (r"^cnn\.weight$", 0, 0.15, True),
    (r"^fc\.1\.weight$", 0, 3, True),
    (r"^fc\.1\.bias$", -6.0, 0.3, False),
    (r"\.bias$", 0, 0.05, False),
    (r"\.weight$", 0, 1, True),
)
FCPE: tuple[Rule, ...] = (
    (r"weight_g$", 1.5, 0.1, False),
    (r"weight_v$", 0, 1, False),
    (r"^output_proj\.bias$", -9.3, 0.3, False),
    (r"(^norm|\.norm|net\.0|input_stack\.1)\.weight$", 1, 0.1, False),
    (r"(^norm|\.norm|net\.0|input_stack\.1)\.bias$", 0, 0.1, False),
    (r"\.bias$", 0, 0.05, False),
    (r"^input_stack\.0\.weight$", 0, 0.5, True),
    (r"\.weight$", 0, 1, True),
)


def unit(key: str, shape: Shape, salt: str = SALT) -> np.ndarray:
    """Uniform numbers of mean 0 and variance 1, float64, fixed by `salt + key` alone."""
    seed = int.from_bytes(hashlib.sha256((salt + key).encode()).digest()[:8], "little")
    raw = np.random.PCG64(seed).random_raw(math.prod(shape))
    return ((np.asarray(raw, np.uint64) >> np.uint64(11)) * 2.0**-53 - 0.5).reshape(shape) * math.sqrt(12)


def parameter(name: str, shape: Shape, rules: tuple[Rule, ...], salt: str = SALT) -> np.ndarray:
    """One tensor, float32."""
    for pattern, offset, scale, by_fan_in in rules:
        if re.search(pattern, name):
            factor = scale * math.prod(shape[1:]) ** -0.5 if by_fan_in else scale
            return np.asarray(offset + factor * unit(name, shape, salt), np.float32)
    raise KeyError(f"no rule draws {name}")


def weights(
    shapes: Mapping[str, Shape], rules: tuple[Rule, ...], salt: str = SALT, through_half: bool = False
) -> dict[str, np.ndarray]:
    """All tensors of a net, float32; `through_half` rounds them to float16 and back, as a voice file does."""
    drawn = {name: parameter(name, shape, rules, salt) for name, shape in shapes.items()}
    return {name: w.astype(np.float16).astype(np.float32) for name, w in drawn.items()} if through_half else drawn


def digest(drawn: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names and float32 bytes, in the order of the names."""
    sha = hashlib.sha256()
    for name in sorted(drawn):
        sha.update(name.encode())
        sha.update(np.ascontiguousarray(drawn[name], "<f4").tobytes())
    return sha.hexdigest()


def noise(tag: str, draw: int, kind: str, shape: Shape, salt: str = SALT) -> np.ndarray:
    """What the reference was given in place of its random draw number `draw` (from 0), float32.

    `kind` is "randn_like" (unit variance) or "rand" (0 … 1).
    """
    drawn = unit(f"noise/{tag}/{draw}/{kind}", shape, salt)
    return np.asarray(drawn / math.sqrt(12) + 0.5 if kind == "rand" else drawn, np.float32)
