"""From a support file (content encoder, pitch net) to what we keep: checked tensor by tensor, one form of names.

Sizes are read from the tensors, so a small net passes as a large one does; a content encoder must give the features
that voices hear. Runs in the import child.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.kinds import Kind, shapes_of
from rwc_daemon.store.layout import CONTENT_WIDTHS, check_shapes, plain_name
from rwc_daemon.store.layout_support import (
    CONTENT_OPTIONAL,
    FCPE_OPTIONAL,
    Shapes,
    content_name,
    content_shapes,
    content_sizes,
    crepe_shapes,
    fcpe_shapes,
    rmvpe_shapes,
    rmvpe_sizes,
)
from rwc_daemon.store.recognise import Model
from rwc_daemon.store.tensors import Progress, Tensor, Writer

CONTENT_HEADS = ("lm_head.", "project_q.", "project_hid.", "quantizer.")  # of other tasks
MOST_LAYERS, MOST_WIDTH = 48, 1 << 16


def adopt_asset(model: Model, folder: Path, sha256: str, progress: Progress) -> dict[str, Any]:
    """Writes a support file as `folder/KIND.safetensors`; its kind as `asset`, and whether a content encoder has a
    `projection`, which contentvec must have. Raises BadModel or Unsupported."""
    if model.kind is Kind.VOICE:
        raise BadModel("this is a voice, not a support file: `rwcctl import` takes it")
    tensors = {_asset_name(model.kind, name): tensor for name, tensor in model.tensors.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    if model.kind is Kind.CONTENT:
        tensors = _content_only(tensors)
    wanted, sizes = _asset_shapes(model.kind, tensors)
    check_shapes(shapes_of(tensors), wanted, f"the {model.kind} file")
    notes = {"kind": str(model.kind), "sha256": sha256, "config": json.dumps(sizes)}
    Writer(folder / f"{model.kind}.safetensors", notes, progress).write({name: tensors[name] for name in wanted})
    return {"asset": str(model.kind), "projection": sizes.get("projection", 0) > 0}


def _content_only(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the heads of other tasks. Raises Unsupported for the other kind of HuBERT."""
    if "feature_extractor.conv_layers.1.layer_norm.weight" in tensors:
        raise Unsupported(
            "this HuBERT normalises after every convolution, as large ones do; RWC has the base form, which RVC uses"
        )
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(CONTENT_HEADS)}


def _asset_name(kind: Kind, name: str) -> str:
    name = plain_name(name)
    return content_name(name.removeprefix("hubert.")) if kind is Kind.CONTENT else name


def _asset_shapes(kind: Kind, tensors: dict[str, Tensor]) -> tuple[Shapes, dict[str, int]]:
    """The table of a support file, of the sizes that its own tensors show; drops what takes no part."""
    spare = {Kind.CONTENT: (*CONTENT_OPTIONAL, "label_embs_concat"), Kind.FCPE: FCPE_OPTIONAL}.get(kind, ())
    for name in spare:
        tensors.pop(name, None)
    shapes = shapes_of(tensors)
    try:
        if kind is Kind.CONTENT:
            return _content(content_sizes(shapes))
        if kind is Kind.RMVPE:
            sizes = _small(rmvpe_sizes(shapes))
            return rmvpe_shapes(**sizes), sizes
        if kind is Kind.FCPE:
            return _fcpe(shapes)
    except (KeyError, IndexError, ZeroDivisionError, TypeError):
        raise BadModel(f"the {kind} file lacks tensors: it is damaged or a part of training; fetch it again") from None
    return crepe_shapes("tiny" if kind is Kind.CREPE_TINY else "full"), {}


def _content(sizes: dict[str, int]) -> tuple[Shapes, dict[str, int]]:
    if sizes["hidden"] != CONTENT_WIDTHS["v2"] or sizes["projection"] not in (0, CONTENT_WIDTHS["v1"]):
        raise BadModel(
            f"this content encoder gives {sizes['hidden']} and {sizes['projection']} features, RVC voices need "
            f"{CONTENT_WIDTHS['v2']} and {CONTENT_WIDTHS['v1']}: `rwcctl assets fetch contentvec` brings the right one"
        )
    return content_shapes(**_small(sizes)), sizes


def _fcpe(shapes: Shapes) -> tuple[Shapes, dict[str, int]]:
    if any(".attn." in name or "harmonic_emb" in name for name in shapes):
        raise Unsupported("this FCPE has attention, ours has none: `rwcctl assets fetch fcpe` brings the right one")
    sizes = {
        "hidden": shapes["norm.weight"][0],
        "layers": len({name.split(".")[2] for name in shapes if name.startswith("net.encoder_layers.")}),
        "kernel": shapes["net.encoder_layers.0.conformer.net.4.conv.weight"][2],
    }
    return fcpe_shapes(**_small(sizes)), sizes


def _small(sizes: dict[str, int]) -> dict[str, int]:
    """Sizes that a table may be made of; a hostile file must not make it endless."""
    deep = max((sizes.get(key, 0) for key in ("layers", "levels", "blocks", "intermediate")), default=0)
    if deep > MOST_LAYERS or max(sizes.values()) > MOST_WIDTH:
        raise BadModel("the file claims absurd sizes: it is damaged; get it again")
    return sizes
