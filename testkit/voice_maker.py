"""Makes the files that people have, with random weights: voices, support files and indexes of every kind.

Small by default, so that a test imports one through the same doors as a real file within a fraction of a second; the
layout is the real one (`store.layout`), the weights are drawn from names (`golden_recipe`), so a file is the same each
time. Nothing here sounds like speech.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rwc_daemon.store import layout, layout_support
from testkit import golden_recipe as recipe

# version and rate → upsampling rates and kernels
UPSAMPLING: dict[str, tuple[list[int], list[int]]] = {
    "v1-32k": ([10, 4, 2, 2, 2], [16, 16, 4, 4, 4]),
    "v1-40k": ([10, 10, 2, 2], [16, 16, 4, 4]),
    "v1-48k": ([10, 6, 2, 2, 2], [16, 16, 4, 4, 4]),
    "v2-32k": ([10, 8, 2, 2], [20, 16, 4, 4]),
    "v2-40k": ([10, 10, 2, 2], [16, 16, 4, 4]),
    "v2-48k": ([12, 10, 2, 2], [24, 20, 4, 4]),
}
KINDS = tuple(f"{net}-{pitch}" for net in UPSAMPLING for pitch in ("f0", "nof0"))
INDEXES = ("ivf", "flat", "sparse", "trained")
ENCODERS = ("hf", "fairseq", "safetensors")  # forms in which a content encoder is found
ASSETS = ("contentvec", "rmvpe", "fcpe", "crepe", "crepe-tiny")
ROWS = 109  # speakers that every configuration names, whatever the table holds
# a content encoder's width is what voices hear, so a small one is small in all else
TINY_CONTENT = {"layers": 1, "ffn": 32, "conv": 16, "position_kernel": 16}
TINY_RMVPE = {"blocks": 1, "levels": 2, "intermediate": 1, "channels": 4}
TINY_FCPE = {"hidden": 32, "layers": 1}


def config_of(kind: str, tiny: bool = True, resblock: str = "1") -> list[Any]:
    """The list of 18 that a voice of `kind` carries, for instance "v2-40k-f0"."""
    net = kind.rpartition("-")[0]
    rates, kernels = UPSAMPLING[net]
    rate = 1000 * int(net[3:5])
    spec = 513 if rate == 32000 else 1025
    blocks = [3, 7] if tiny else [3, 7, 11]
    dilations = [[1, 3, 5] if resblock == "1" else [1, 3] for _ in blocks]
    sizes = [16, 16, 32, 2, 2] if tiny else [192, 192, 768, 2, 6]
    initial, gin = (64, 8) if tiny else (512, 256)
    return [spec, 32, *sizes, 3, 0, resblock, blocks, dilations, rates, initial, kernels, ROWS, gin, rate]


def voice_weights(config: list[Any], version: str, f0: bool, speakers: int) -> dict[str, torch.Tensor]:
    """Every tensor of a voice, float16 as RVC stores them."""
    shapes = layout.expected_shapes(config, version, f0, speakers)
    drawn = recipe.weights(shapes, recipe.SYNTHESIZER)
    return {name: torch.from_numpy(weight).half() for name, weight in drawn.items()}


def make_voice(
    folder: Path,
    kind: str = "v2-40k-f0",
    tiny: bool = True,
    name: str = "",
    speakers: int = 3,
    resblock: str = "1",
    applio: bool = False,
    legacy: bool = False,
    **extra: Any,
) -> Path:
    """A voice as `.pth`; its path. `applio` adds that program's keys and names, `legacy` is torch's old container,
    `extra` sets or (with None) removes keys of the file."""
    net, _, pitch = kind.rpartition("-")
    version, rate, f0 = net[:2], net[3:], pitch == "f0"
    config = config_of(kind, tiny, resblock)
    weight = voice_weights(config, version, f0, speakers)
    held: dict[str, Any] = {"weight": weight, "config": config, "info": "7epoch", "sr": rate, "f0": int(f0)}
    held["version"] = version
    if applio:
        held["weight"] = {_applio_name(key): tensor for key, tensor in weight.items()}
        held |= {"f0": f0, "sr": config[17], "epoch": 7, "step": 700, "author": "nobody", "vocoder": "HiFi-GAN"}
        held |= {"embedder_model": "contentvec", "speakers_id": speakers, "model_hash": "0" * 64, "dataset_length": "1"}
    held = {key: value for key, value in (held | extra).items() if value is not None}
    path = folder / f"{name or kind}.pth"
    torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    return path


def _applio_name(name: str) -> str:
    newer = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    stem, _, last = name.rpartition(".")
    return f"{stem}.{newer.get(last, last)}"


def make_training(folder: Path, kind: str = "v2-40k-f0") -> Path:
    """A training checkpoint `G_….pth`: not a voice."""
    net, _, pitch = kind.rpartition("-")
    weight = voice_weights(config_of(kind), net[:2], pitch == "f0", 3)
    held = {"model": weight, "iteration": 7, "optimizer": {"state": {}, "param_groups": []}, "learning_rate": 1e-4}
    path = folder / "G_2333333.pth"
    torch.save(held, path)
    return path


def make_index(folder: Path, width: int = 768, n: int = 200, kind: str = "ivf", name: str = "", seed: int = 0) -> Path:
    """A FAISS index of `n` random vectors; "sparse" has empty lists, "trained" no vectors at all."""
    import faiss

    vectors = np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)
    lists = {"sparse": n // 2}.get(kind, max(1, n // 39))
    if kind == "flat":
        index = faiss.IndexFlatL2(width)
    else:
        index = faiss.index_factory(width, f"IVF{lists},Flat")
        index.cp.min_points_per_centroid = 1
        index.train(vectors)
    if kind != "trained":
        # a few cells take everything where the index shall be sparse
        index.add(vectors[: n // 8].repeat(8, axis=0)[:n] if kind == "sparse" else vectors)
    stem = f"{'trained' if kind == 'trained' else 'added'}_IVF{lists}_Flat_nprobe_1_{name or 'made'}"
    path = folder / f"{stem}_{'v1' if width == 256 else 'v2'}.index"
    faiss.write_index(index, str(path))
    return path


def make_onnx(folder: Path, kind: str = "v2-40k-f0", client: bool = False, name: str = "", **proto: Any) -> Path:
    """An ONNX voice: RVC WebUI's inputs, or VCClient's with its metadata; it runs, and its output is noise.

    `proto` sets fields of the model, for instance `functions`.
    """
    from onnx import TensorProto, helper, numpy_helper, save_model

    version, rate, pitch = kind.split("-")
    rates, kernels = UPSAMPLING[f"{version}-{rate}"]
    width = layout.CONTENT_WIDTHS[version]
    names = (
        ["feats", "p_len", "pitch", "pitchf", "sid"] if client else ["phone", "phone_lengths", "pitch", "nsff0", "ds"]
    )
    if pitch == "nof0":
        names = [*names[:2], names[-1]]
    shapes = {names[0]: [1, "T", width], "pitch": [1, "T"], "pitchf": [1, "T"], "nsff0": [1, "T"]}
    floats = (names[0], "pitchf", "nsff0")
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT if n in floats else TensorProto.INT64, shapes.get(n, [1]))
        for n in names
    ]
    weights = [numpy_helper.from_array(np.float32(recipe.unit("onnx", (width, 4)) * width**-0.5), "w")]
    nodes = [
        helper.make_node("MatMul", [names[0], "w"], ["x"]),
        helper.make_node("Transpose", ["x"], ["y0"], perm=[0, 2, 1]),
    ]
    for i, (step, kernel) in enumerate(zip(rates, kernels, strict=True)):
        out = 1 if i + 1 == len(rates) else 4
        weights.append(numpy_helper.from_array(np.float32(recipe.unit(f"up{i}", (4, out, kernel)) * 0.3), f"u{i}"))
        pads = [(kernel - step) // 2] * 2
        nodes.append(helper.make_node("ConvTranspose", [f"y{i}", f"u{i}"], [f"y{i + 1}"], strides=[step], pads=pads))
    nodes.append(helper.make_node("Tanh", [f"y{len(rates)}"], ["audio"]))
    outputs = [helper.make_tensor_value_info("audio", TensorProto.FLOAT, [1, 1, "N"])]
    graph = helper.make_graph(nodes, "voice", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **proto)
    if client:
        said = {
            "application": "VC_CLIENT",
            "version": "2.1",
            "samplingRate": 1000 * int(rate[:2]),
            "embedder": "hubert_base",
        }
        helper.set_model_props(model, {"metadata": json.dumps(said | {"f0": pitch == "f0", "embChannels": width})})
    path = folder / f"{name or kind}.onnx"
    save_model(model, str(path))
    return path


def make_asset(folder: Path, name: str, tiny: bool = True, form: str = "hf") -> Path:
    """A support file in the form in which it is found: its path. `form` (contentvec only) is one of ENCODERS."""
    makers = {"contentvec": lambda: _content(folder, tiny, form), "rmvpe": lambda: _rmvpe(folder, tiny)}
    if name in makers:
        return makers[name]()
    if name == "fcpe":
        state = recipe.weights(layout_support.fcpe_shapes(**(TINY_FCPE if tiny else {})), recipe.FCPE)
        state["cent_table"] = np.linspace(2051.0, 9151.0, 360, dtype=np.float32)
        model = {"type": "CFNaiveMelPE", "conv_only": True}
        return _save(folder / "fcpe_c_v001.pt", {"config_dict": {"model": model}, "model": _torch(state)})
    size = "tiny" if name == "crepe-tiny" else "full"
    return _save(folder / f"{size}.pth", _torch(_plain_weights(layout_support.crepe_shapes(size))))


def _content(folder: Path, tiny: bool, form: str) -> Path:
    sizes = TINY_CONTENT if tiny else {}
    state = recipe.weights(layout_support.content_shapes(**sizes), recipe.CONTENT, through_half=True)
    state["masked_spec_embed"] = np.zeros(768, np.float32)
    if form == "safetensors":
        from safetensors.numpy import save_file

        save_file(state, folder / "model.safetensors")
        return folder / "model.safetensors"
    halves = {name: tensor.half() for name, tensor in _torch(state).items()}
    if form == "hf":
        (folder / "config.json").write_text(json.dumps({"model_type": "hubert", "classifier_proj_size": 256}))
        return _save(folder / "pytorch_model.bin", halves)
    with _fairseq() as dictionary:
        held = {"args": None, "model": {_fairseq_name(name): tensor for name, tensor in halves.items()}}
        held["task_state"] = {"dictionaries": [dictionary()]}
        return _save(folder / "hubert_base.pt", held)


_FAIRSEQ = (
    ("conv_layers.0.layer_norm", "conv_layers.0.2"),
    (".conv.weight", ".0.weight"),
    ("feature_projection.layer_norm", "layer_norm"),
    ("feature_projection.projection", "post_extract_proj"),
    ("encoder.pos_conv_embed.conv.", "encoder.pos_conv.0."),
    (".attention.", ".self_attn."),
    ("feed_forward.intermediate_dense", "fc1"),
    ("feed_forward.output_dense", "fc2"),
    ("masked_spec_embed", "mask_emb"),
)


def _fairseq_name(name: str) -> str:
    if name.startswith("encoder.layers.") and ".layer_norm." in name:
        name = name.replace(".layer_norm.", ".self_attn_layer_norm.")
    for ours, theirs in _FAIRSEQ:
        if ours != ".conv.weight" or name.startswith("feature_extractor."):
            name = name.replace(ours, theirs)
    return name


@contextmanager
def _fairseq() -> Any:
    """For a moment a class of fairseq's, so that a pickle can name it as the real file does."""
    module = types.ModuleType("fairseq.data.dictionary")
    dictionary = type("Dictionary", (), {"__module__": module.__name__, "symbols": ["<s>"]})
    module.Dictionary = dictionary  # type: ignore[attr-defined]
    names = ("fairseq", "fairseq.data", module.__name__)
    sys.modules.update(dict.fromkeys(names, module))
    try:
        yield dictionary
    finally:
        for name in names:
            del sys.modules[name]


def _rmvpe(folder: Path, tiny: bool) -> Path:
    shapes = layout_support.rmvpe_shapes(**(TINY_RMVPE if tiny else {}))
    return _save(folder / "rmvpe.pt", _torch(recipe.weights(shapes, recipe.RMVPE)) | _counters(shapes))


def _counters(shapes: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """What batch norms of the real files carry and nobody needs."""
    norms = [name.removesuffix("running_mean") for name in shapes if name.endswith("running_mean")]
    return {f"{name}num_batches_tracked": torch.tensor(0) for name in norms}


def _plain_weights(shapes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """CREPE has no recipe: unit batch norms, the rest scaled by its fan-in."""
    drawn = {}
    for name, shape in shapes.items():
        one = name.endswith("running_var") or "_BN.weight" in name
        fan = float(np.prod(shape[1:])) if len(shape) > 1 else 400.0
        drawn[name] = np.ones(shape, np.float32) if one else np.float32(recipe.unit(name, shape) * fan**-0.5)
    return drawn


def _torch(state: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(weight)) for name, weight in state.items()}


def _save(path: Path, held: Any) -> Path:
    torch.save(held, path)
    return path
