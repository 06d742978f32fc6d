"""Fused residual blocks against the plain ones in float32: no further from them than one by one in bfloat16."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rwc_daemon.voices.backends.matrix_unit import MatrixUnit, product
from rwc_daemon.voices.native.blocks import Blocks, run
from rwc_daemon.voices.rvc.decoder import PairBlock, SingleBlock
from tests.voices.native.packing import packed_by

pytestmark = [
    pytest.mark.usefixtures("threads"),
    pytest.mark.parametrize("threads", [1, 2, 3], ids=["one thread", "two threads", "three threads"], indirect=True),
]
SLOPE, LAST = 0.1, 0.01
KERNELS = (3, 7, 11)


def made(kind, width=64, kernels=KERNELS, dilations=(1, 3, 5)):
    blocks = nn.ModuleList(kind(width, kernel, dilations) for kernel in kernels)
    for p in blocks.eval().requires_grad_(False).parameters():
        p.copy_(torch.randn_like(p) / (width * 8) ** 0.5)
    return blocks


def fused(isa, blocks):
    packed_by(MatrixUnit(isa=isa), blocks.bfloat16())
    return Blocks.of([[[product(conv) for conv in step] for step in block.steps] for block in blocks], SLOPE)


def one_by_one(blocks, x):
    total = sum(block(x, F.leaky_relu(x, SLOPE)) for block in blocks)
    return F.leaky_relu(total / len(blocks), LAST)


def sound(width, columns):
    return torch.randn(1, width, 1, columns).bfloat16().contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", [PairBlock, SingleBlock])
@pytest.mark.parametrize(
    ("width", "columns"), [(32, 1), (64, 7), (32, 700), (128, 140)], ids=["one", "few", "many", "wide"]
)
def test_it_is_the_mean_of_the_blocks(isa, kind, width, columns):
    blocks, x = made(kind, width), sound(width, columns)
    wanted, before = one_by_one(blocks, x.float()), x.clone()
    together = fused(isa, blocks)
    with torch.inference_mode():
        ours, theirs = (float((y.float() - wanted).norm()) for y in (together(x, LAST), one_by_one(blocks, x)))
    assert ours <= 1.1 * theirs
    assert theirs < 0.02 * wanted.norm()
    assert torch.equal(x, before)


def test_whoever_helps_whom_the_bits_are_the_same(isa):
    """Three threads on two cores: one of them is always late, and never the same."""
    together, x, threads = fused(isa, made(PairBlock)), sound(64, 300), torch.get_num_threads()
    with torch.inference_mode():
        torch.set_num_threads(1)
        alone = together(x, LAST)
        torch.set_num_threads(threads)
        assert all(torch.equal(together(x, LAST), alone) for _ in range(50))


@pytest.mark.parametrize(("kernels", "dilations"), [((5,), (1, 2)), ((3, 5), (2,)), ((3, 3, 3, 3), (1, 2, 3, 4))])
def test_any_number_of_blocks_and_steps(isa, kernels, dilations):
    blocks, x = made(PairBlock, 32, kernels, dilations), sound(32, 50)
    wanted = one_by_one(blocks, x.float())
    assert (fused(isa, blocks)(x, LAST).float() - wanted).norm() < 0.02 * wanted.norm()


def test_what_is_not_alike_is_not_fused(isa):
    assert fused(isa, nn.ModuleList([*made(PairBlock, kernels=(3,)), *made(SingleBlock, kernels=(3,))])) is None
    assert fused(isa, made(PairBlock, 24)) is None


def test_what_it_does_not_take_is_refused(isa):
    together, x = fused(isa, made(PairBlock)), sound(64, 9)
    for wrong in (x.float(), x[:, :32], torch.cat([x, x])):
        with pytest.raises(TypeError, match="x is"):
            together(wrong, LAST)


def test_who_watches_torch_sees_it(isa, watching):
    together = fused(isa, made(SingleBlock))
    with torch.inference_mode(), watching:
        together(sound(64, 9), LAST)
    assert watching.seen.count(run) == 1
