"""Fused layers against the plain ones in float32: no further from them than the same layers one by one in bfloat16."""

from types import SimpleNamespace

import pytest
import torch

from rwc_daemon.voices.backends.matrix_unit import MatrixUnit
from rwc_daemon.voices.native.encoder import MOST_ROWS, encode
from rwc_daemon.voices.rvc import content, text
from tests.voices.native.packing import packed_by

pytestmark = [
    pytest.mark.usefixtures("threads"),
    pytest.mark.parametrize(
        "threads", [1, 2, 3], ids=["one thread", "two threads", "more threads than heads"], indirect=True
    ),
]
ROWS = (1, 5, 16, 59, MOST_ROWS)


def content_layer():
    sizes = {"hidden": 128, "layers": 1, "ffn": 256, "conv": 32, "position_kernel": 4, "position_groups": 4}
    return content.Layer(content.ContentConfig(**sizes, projection=32, heads=2))


def text_layers(kernel=3):
    return text.Transformer(SimpleNamespace(hidden=64, heads=2, filter=128, kernel=kernel, layers=2))


def filled(net):
    for p in net.eval().requires_grad_(False).parameters():
        p.copy_(0.3 * torch.randn_like(p) + (p.dim() == 1))
    return net


def packed(isa, made, like):
    half = made()
    half.load_state_dict(like.state_dict())
    packed_by(MatrixUnit(isa=isa), half.eval().requires_grad_(False).bfloat16())
    return half


@pytest.mark.parametrize("rows", ROWS)
def test_a_layer_of_the_content_encoder(isa, rows):
    plain = filled(content_layer())
    half = packed(isa, content_layer, plain)
    x = torch.randn(1, rows, 128).bfloat16()
    assert half.fused.takes(x)
    with torch.inference_mode():
        check(plain(x.float()), half(x), lambda: half(x), half)


@pytest.mark.parametrize("rows", ROWS)
def test_the_text_encoder_that_knows_its_neighbours(isa, rows):
    plain = filled(text_layers())
    half = packed(isa, text_layers, plain)
    x = torch.randn(1, rows, 64).bfloat16().mT
    with torch.inference_mode():
        check(plain(x.float(), None), half(x, None), lambda: half(x, None), half)


def check(plain, fused, again, net):
    net.fused = None
    ours, theirs = (float((one.float() - plain).square().mean().sqrt()) for one in (fused, again()))
    assert ours <= 1.2 * theirs + 1e-3


def test_x_is_left_as_it_was(isa):
    half = packed(isa, content_layer, filled(content_layer()))
    x = torch.randn(1, 7, 128).bfloat16()
    before = x.clone()
    with torch.inference_mode():
        half(x)
    assert torch.equal(x, before)


def test_loud_scores_stay_finite(isa):
    half = packed(isa, content_layer, filled(content_layer()))
    with torch.inference_mode():
        assert half(1e4 * torch.randn(1, 20, 128).bfloat16()).isfinite().all()


@pytest.mark.parametrize("x", [torch.zeros(2, 5, 128), torch.zeros(1, MOST_ROWS + 1, 128)], ids=["two", "long"])
def test_what_it_does_not_take_runs_as_ever(isa, x):
    half = packed(isa, content_layer, filled(content_layer()))
    assert not half.fused.takes(x)
    with torch.inference_mode():
        assert half(x.bfloat16()).shape == x.shape


def test_an_even_kernel_is_not_fused(isa):
    assert packed(isa, lambda: text_layers(4), filled(text_layers(4))).fused is None


def test_who_watches_torch_sees_it(isa, watching):
    half = packed(isa, content_layer, filled(content_layer()))
    with torch.inference_mode(), watching:
        half(torch.zeros(1, 8, 128).bfloat16())
    assert watching.seen.count(encode) == 1
