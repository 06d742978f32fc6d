"""The table of tensors: counts of the specification, what a configuration may not say, fairseq's names."""

import math

import pytest

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.layout import SynthConfig, expected_shapes, parse_rate
from rwc_daemon.store.layout_support import (
    content_name,
    content_shapes,
    content_sizes,
    crepe_shapes,
    fcpe_shapes,
    rmvpe_shapes,
    rmvpe_sizes,
)

BASE = [1025, 32, 192, 192, 768, 2, 6, 3, 0, "1", [3, 7, 11], [[1, 3, 5]] * 3]
KINDS = {
    ("v1", 32000): ([10, 4, 2, 2, 2], [16, 16, 4, 4, 4]),
    ("v1", 48000): ([10, 6, 2, 2, 2], [16, 16, 4, 4, 4]),
    ("v1", 40000): ([10, 10, 2, 2], [16, 16, 4, 4]),
    ("v2", 32000): ([10, 8, 2, 2], [20, 16, 4, 4]),
    ("v2", 40000): ([10, 10, 2, 2], [16, 16, 4, 4]),
    ("v2", 48000): ([12, 10, 2, 2], [24, 20, 4, 4]),
    ("v2", 24000): ([10, 6, 2, 2], [20, 12, 4, 4]),
}


def config(version="v2", rate=40000):
    rates, kernels = KINDS[version, rate]
    return [*BASE, rates, 512, kernels, 109, 256, rate]


@pytest.mark.parametrize(("version", "rate"), KINDS)
def test_counts_of_the_specification(version, rate):
    stages = len(KINDS[version, rate][0])
    assert len(expected_shapes(config(version, rate), version, True)) == {4: 457, 5: 516}[stages]
    assert len(expected_shapes(config(version, rate), version, False)) == {4: 446, 5: 503}[stages]


def test_parameters_of_v2_40k():
    assert sum(math.prod(shape) for shape in expected_shapes(config(), "v2", True).values()) == 27_537_346


def test_support_files():
    assert sum(math.prod(s) for s in rmvpe_shapes().values()) > 90_000_000
    assert sum(math.prod(s) for s in fcpe_shapes().values()) > 10_000_000
    assert crepe_shapes("tiny")["classifier.weight"] == (360, 256)
    sizes = {
        "hidden": 32,
        "layers": 3,
        "ffn": 8,
        "conv": 16,
        "position_kernel": 16,
        "position_groups": 4,
        "projection": 8,
    }
    assert content_sizes(content_shapes(**sizes)) == sizes
    assert rmvpe_sizes(rmvpe_shapes(2, 3, 1, 4)) == {"blocks": 2, "levels": 3, "intermediate": 1, "channels": 4}


@pytest.mark.parametrize(
    ("fairseq", "name"),
    [
        ("feature_extractor.conv_layers.3.0.weight", "feature_extractor.conv_layers.3.conv.weight"),
        ("feature_extractor.conv_layers.0.2.bias", "feature_extractor.conv_layers.0.layer_norm.bias"),
        ("layer_norm.weight", "feature_projection.layer_norm.weight"),
        ("post_extract_proj.bias", "feature_projection.projection.bias"),
        ("encoder.pos_conv.0.weight_g", "encoder.pos_conv_embed.conv.weight_g"),
        ("encoder.layer_norm.bias", "encoder.layer_norm.bias"),
        ("encoder.layers.11.self_attn.k_proj.weight", "encoder.layers.11.attention.k_proj.weight"),
        ("encoder.layers.2.self_attn_layer_norm.bias", "encoder.layers.2.layer_norm.bias"),
        ("encoder.layers.2.fc1.bias", "encoder.layers.2.feed_forward.intermediate_dense.bias"),
        ("encoder.layers.2.fc2.weight", "encoder.layers.2.feed_forward.output_dense.weight"),
        ("encoder.layers.2.final_layer_norm.weight", "encoder.layers.2.final_layer_norm.weight"),
        ("final_proj.weight", "final_proj.weight"),
    ],
)
def test_names_of_fairseq(fairseq, name):
    assert content_name(fairseq) == name
    assert name in content_shapes()


@pytest.mark.parametrize(
    ("entry", "value", "says"),
    [
        (2, 191, "latent width"),
        (5, 5, "heads"),
        (6, 10**9, "entry 6"),
        (9, "3", "resblock"),
        (10, [3, 7], "entries 10 and 11"),
        (10, [2, 7, 11], "odd"),
        (12, [10, 10, 2], "differ in length|make 20000 Hz"),
        (12, [10, 10, 2, 2.5], "entry 12"),
        (12, "abcd", "entry 12"),
        (13, 510, "halved"),
        (14, [16, 15, 4, 4], "kernel"),
        (16, True, "entry 16"),
        (17, "fast", "rate"),
        (17, 48000, "make 40000 Hz"),
    ],
)
def test_damaged_configurations(entry, value, says):
    damaged = config()
    damaged[entry] = value
    with pytest.raises(BadModel, match=says):
        SynthConfig.parse(damaged, "v2", True)


def test_what_is_read_generously():
    odd = config()
    odd[14] = [16, 16, 4, 4, 4]  # a surplus kernel, which the reference forgets
    odd[17] = "40k"
    assert SynthConfig.parse(odd, "v2", True, speakers=3).speakers == 3
    assert parse_rate("48000") == 48000


def test_unknown_versions():
    with pytest.raises(Unsupported, match="voras_beta"):
        SynthConfig.parse(config(), "voras_beta", True)
    with pytest.raises(BadModel, match="18 entries"):
        SynthConfig.parse(config()[:-1], "v2", True)
