"""A fused flow against the plain one in float32: no further from it than coupling by coupling in bfloat16."""

from types import SimpleNamespace

import pytest
import torch

from rwc_daemon.voices.backends.choice import fuse
from rwc_daemon.voices.backends.matrix_unit import MatrixUnit
from rwc_daemon.voices.native.couplings import MOST_ROWS, couple
from rwc_daemon.voices.rvc.flow import Flow
from tests.voices.native.packing import packed_by

pytestmark = [
    pytest.mark.usefixtures("threads"),
    pytest.mark.parametrize("threads", [1, 2, 3], ids=["one thread", "two threads", "three threads"], indirect=True),
]
INTER, SPEAKER = 64, 32


def flows(isa, inter=INTER, hidden=96):
    config = SimpleNamespace(inter=inter, hidden=hidden, gin=SPEAKER)
    plain, half = Flow(config), Flow(config)
    for p in plain.eval().requires_grad_(False).parameters():
        p.copy_(torch.randn_like(p) / p[0].numel() ** 0.5 if p.dim() > 1 else 0.3 * torch.randn_like(p))
    half.load_state_dict(plain.state_dict())
    packed_by(MatrixUnit(isa=isa), half.eval().requires_grad_(False).bfloat16())
    return plain, half


@pytest.mark.parametrize("rows", [1, 17, 60, 333])
def test_it_is_the_flow(isa, rows):
    plain, half = flows(isa)
    x, g = torch.randn(1, INTER, rows).bfloat16(), torch.randn(1, SPEAKER, 1).bfloat16()
    before = x.clone()
    with torch.inference_mode():
        wanted, fused = plain(x.float(), None, g.float()), half(x, None, g)
        half.fused = None
        ours, theirs = (float((y.float() - wanted).norm()) for y in (fused, half(x, None, g)))
    assert ours <= 1.2 * theirs
    assert theirs < 0.02 * wanted.norm()
    assert (wanted - x.float()).norm() > 0.3 * x.float().norm()
    assert torch.equal(x, before)


def test_an_odd_number_of_couplings(isa):
    plain, half = flows(isa)
    for net in (plain, half):
        net.flows = net.flows[:2]
    fuse(half, [MatrixUnit(isa=isa)])
    x, g = torch.randn(1, INTER, 20).bfloat16(), torch.randn(1, SPEAKER, 1).bfloat16()
    with torch.inference_mode():
        wanted = plain(x.float(), None, g.float())
        assert (half(x, None, g).float() - wanted).norm() < 0.01 * wanted.norm()


def test_the_speaker_counts(isa):
    _, half = flows(isa)
    x = torch.randn(1, INTER, 20).bfloat16()
    with torch.inference_mode():
        one, two = (half(x, None, torch.full((1, SPEAKER, 1), g).bfloat16()) for g in (0.0, 1.0))
    assert (one - two).abs().max() > 0.1


@pytest.mark.parametrize("shape", [(2, INTER, 5), (1, INTER, MOST_ROWS + 1)], ids=["two", "long"])
def test_what_it_does_not_take_runs_as_ever(isa, shape):
    _, half = flows(isa)
    assert not half.fused.takes(torch.zeros(shape))
    with torch.inference_mode():
        assert half(torch.zeros(shape).bfloat16(), None, torch.zeros(shape[0], SPEAKER, 1).bfloat16()).shape == shape


def test_a_mask_counts(isa):
    _, half = flows(isa)
    x, g, mask = torch.randn(1, INTER, 20), torch.zeros(1, SPEAKER, 1), torch.ones(1, 1, 20)
    mask[..., 12:] = 0
    with torch.inference_mode():
        y = half((x * mask).bfloat16(), mask.bfloat16(), g.bfloat16())
    assert (y[..., 12:] == 0).all()


def test_a_width_that_does_not_suit_is_not_fused(isa):
    assert flows(isa, inter=80)[1].fused is None
    assert flows(isa, hidden=40)[1].fused is None


def test_who_watches_torch_sees_it(isa, watching):
    _, half = flows(isa)
    with torch.inference_mode(), watching:
        half(torch.zeros(1, INTER, 8).bfloat16(), None, torch.zeros(1, SPEAKER, 1).bfloat16())
    assert watching.seen.count(couple) == 1
