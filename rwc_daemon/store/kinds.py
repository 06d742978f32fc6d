"""The kinds of file that people bring, and what to say about those that are no use."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.layout import Shape
from rwc_daemon.store.layout_support import CREPE_WIDTHS
from rwc_daemon.store.tensors import Tensor


class Container(StrEnum):
    """How a file is packed: seen from its first bytes."""

    TORCH = "torch zip"
    LEGACY = "old torch"
    SAFETENSORS = "safetensors"
    INDEX = "faiss index"
    NPY = "numpy array"
    ONNX = "onnx"
    ZIP = "zip"


class Kind(StrEnum):
    """What a file of tensors is: seen from its names."""

    VOICE = "voice"
    CONTENT = "contentvec"
    RMVPE = "rmvpe"
    FCPE = "fcpe"
    CREPE = "crepe"
    CREPE_TINY = "crepe-tiny"


ASSETS = (Kind.CONTENT, Kind.RMVPE, Kind.FCPE, Kind.CREPE, Kind.CREPE_TINY)
CONTENT_MARK = "feature_extractor.conv_layers.0."  # both key layouts start so


def kind_of(root: Any) -> tuple[Kind, dict[str, Tensor]]:
    """The kind of what a checkpoint holds, and its tensors. Raises BadModel or Unsupported with what it is instead."""
    if not isinstance(root, dict):
        raise BadModel("the file holds no table of tensors: it is no voice, index or support file")
    if isinstance(root.get("weight"), dict) and "config" in root:
        return Kind.VOICE, _weights(root["weight"])
    nested = isinstance(root.get("model"), dict)
    state = _tensors(root["model"] if nested else root)
    kind = _support_kind(state, nested)
    if kind is None:
        raise _useless(root, state)
    return kind, state


def _tensors(table: dict[Any, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in table.items() if type(name) is str and isinstance(value, Tensor)}


def _weights(table: dict[Any, Any]) -> dict[str, Tensor]:
    """The weights of a voice, among which nothing else may be."""
    found = _tensors(table)
    strange = [name for name in table if name not in found]
    if strange:
        raise BadModel(f"'{str(strange[0])[:60]}' among the weights is no tensor: the file is damaged; get it again")
    return found


def shapes_of(tensors: dict[str, Tensor]) -> dict[str, Shape]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _support_kind(state: dict[str, Tensor], nested: bool) -> Kind | None:
    names = {name.removeprefix("hubert.") for name in state}
    if any(name.startswith(CONTENT_MARK) for name in names):
        return Kind.CONTENT
    if "unet.encoder.bn.weight" in names:
        if nested:
            raise Unsupported("this is the RMVPE of DDSP-SVC, another net: `rwcctl assets fetch rmvpe` brings RVC's")
        return Kind.RMVPE
    if "input_stack.0.weight" in names and "output_proj.weight_g" in {_old(name) for name in names}:
        return Kind.FCPE
    if {"conv1.weight", "classifier.weight"} <= names:
        tiny = state["conv1.weight"].shape[:1] == CREPE_WIDTHS["tiny"][:1]
        return Kind.CREPE_TINY if tiny else Kind.CREPE
    return None


def _old(name: str) -> str:
    return name.replace("parametrizations.weight.original0", "weight_g")


def _useless(root: dict[Any, Any], state: dict[str, Tensor]) -> BadModel | Unsupported:
    names = set(state)
    if "stack.0.weight" in names and any(name.startswith("decoder.") for name in names):
        return Unsupported(
            "this is an FCPE of the older layout: `rwcctl assets fetch fcpe` brings one that can be used"
        )
    training = {"optimizer", "iteration", "learning_rate"} & {key for key in root if type(key) is str}
    if training or any(name.startswith(("enc_q.", "discriminators.")) for name in names):
        return BadModel(
            "this is a training checkpoint (G_…/D_…), not a voice: extract a voice from it in the program that "
            "trained it (RVC: ckpt processing) and import that"
        )
    if not names:
        return BadModel("the file holds no weights: it is no voice, index or support file")
    return BadModel(f"the file holds a net that is not known here ({sorted(names)[0][:60]} …): import an RVC voice")
