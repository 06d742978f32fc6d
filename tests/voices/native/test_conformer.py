"""Fused modules against the plain ones in float32: no further from them than the same ones by one in bfloat16."""

import pytest
import torch

from rwc_daemon.voices.backends.matrix_unit import MatrixUnit
from rwc_daemon.voices.f0.fcpe import Layer
from rwc_daemon.voices.native.conformer import MOST_ROWS, conform
from tests.voices.native.packing import packed_by

pytestmark = [
    pytest.mark.usefixtures("threads"),
    pytest.mark.parametrize("threads", [1, 2, 3], ids=["one thread", "two threads", "three threads"], indirect=True),
]
WIDTH = 96


def layers(isa, width=WIDTH):
    plain, half = Layer(width), Layer(width)
    for p in plain.eval().requires_grad_(False).parameters():
        p.copy_(0.2 * torch.randn_like(p) + (p.dim() == 1))
    half.load_state_dict(plain.state_dict())
    packed_by(MatrixUnit(isa=isa), half.eval().requires_grad_(False).bfloat16())
    return plain, half


@pytest.mark.parametrize("rows", [1, 14, 15, 31, 100, MOST_ROWS])
def test_it_is_the_module(isa, rows):
    plain, half = layers(isa)
    x = torch.randn(1, rows, WIDTH).bfloat16()
    before = x.clone()
    with torch.inference_mode():
        wanted, fused = plain(x.float()), half(x)
        half.fused = None
        ours, theirs = (float((y.float() - wanted).norm()) for y in (fused, half(x)))
    assert ours <= 1.1 * theirs
    assert theirs < 0.03 * wanted.norm()
    assert torch.equal(x, before)


def test_loud_sound_stays_finite(isa):
    _, half = layers(isa)
    with torch.inference_mode():
        assert half(1e4 * torch.randn(1, 20, WIDTH).bfloat16()).isfinite().all()


@pytest.mark.parametrize("shape", [(2, 5, WIDTH), (1, MOST_ROWS + 1, WIDTH)], ids=["two", "long"])
def test_what_it_does_not_take_runs_as_ever(isa, shape):
    _, half = layers(isa)
    assert not half.fused.takes(torch.zeros(shape))
    with torch.inference_mode():
        assert half(torch.zeros(shape).bfloat16()).shape == shape


def test_a_width_that_does_not_suit_is_not_fused(isa):
    assert layers(isa, 40)[1].fused is None


def test_who_watches_torch_sees_it(isa, watching):
    _, half = layers(isa)
    with torch.inference_mode(), watching:
        half(torch.zeros(1, 8, WIDTH).bfloat16())
    assert watching.seen.count(conform) == 1
