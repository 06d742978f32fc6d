"""The routines of two instruction sets give the same, within what the order of sums and bfloat16 leave open.

Both round each result once to bfloat16, from sums in float32 that differ only by the order of their K terms. That moves
a sum by at most some K half steps of float32 (2^-24), relative to the sum of magnitudes, which is far below a step of
bfloat16 (2^-7 of the value) but may turn a rounding. So one layer differs by at most one step; a chain of n layers by
what n such flips make of each other, which grows as their root, because they are few and independent.
"""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rwc_daemon.voices.backends.choice import fuse
from rwc_daemon.voices.backends.matrix_unit import MatrixUnit, product
from rwc_daemon.voices.f0.fcpe import Layer
from rwc_daemon.voices.layers import Dense
from rwc_daemon.voices.native.blocks import Blocks
from rwc_daemon.voices.native.isa import AMX, PORTABLE, isas, ready
from rwc_daemon.voices.native.products import Product
from rwc_daemon.voices.rvc import content, text
from rwc_daemon.voices.rvc.decoder import SLOPE, PairBlock
from rwc_daemon.voices.rvc.flow import Flow
from tests.voices.native.packing import packed_by

STEP, FLOAT = 2.0**-7, 2.0**-24  # of bfloat16 from one number to the next, at most; half a step of float32
both = pytest.mark.skipif(not ready(AMX), reason="this CPU has no matrix unit")


def half(*shape):
    return torch.randn(shape).bfloat16()


@both
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("act", ["none", "relu", "leaky_relu", "gelu"])
@pytest.mark.parametrize(
    ("rows", "I", "O", "taps", "dilation"), [(1, 32, 32, 1, 1), (27, 768, 256, 1, 1), (333, 64, 96, 7, 3)], ids=str
)
def test_one_layer_differs_by_one_step_at_most(rows, I, O, taps, dilation, act, bits):
    torch.manual_seed(0)
    weight, bias, x = half(O, I, taps) / 8, torch.randn(O), half(1, rows, I)
    y, magnitudes = [], x.float().abs().amax() * weight.float().abs().sum((1, 2)).amax()
    for isa in (AMX, PORTABLE):
        product = Product.of(weight, bias, 1, dilation, (taps - 1) * dilation // 2, bits, isa=isa)
        to = torch.empty(1, rows, O).bfloat16()
        product(x, to, act=act, slope=0.1)
        y.append(to.float())
    assert ((y[0] - y[1]).abs() <= STEP * y[1].abs() + I * taps * FLOAT * magnitudes).all()
    assert (y[0] != y[1]).float().mean() < 0.02


@pytest.mark.parametrize("isa", isas())
def test_rounding_to_bfloat16_is_exact(isa):
    """Ties to even, infinity, and no number lost: through an identity, whose sums are exact."""
    x = torch.cat([torch.arange(0, 2**15, 7, dtype=torch.int32), torch.tensor([0x7F80, 0xFF80 - 2**16])])
    x = x.to(torch.int16).view(torch.bfloat16)
    x = x[~x.float().abs().isnan() & ((x == 0) | (x.float().abs() >= 2.0**-126))]
    x = x[: len(x) // 32 * 32].view(1, -1, 32)
    x, y = x[:, ~x.isinf().any(-1)[0]], None
    y = torch.empty_like(x)
    Product.of(torch.eye(32).bfloat16()[..., None], None, isa=isa)(x, y)
    assert torch.equal(x.view(torch.int16), y.view(torch.int16))
    ties = torch.tensor([1 + STEP / 2, 1 + 3 * STEP / 2, 1 - STEP / 4, -1 - STEP / 2, 3e38, 1e-39, -1e-39, 7.0])
    bias, nothing, y = ties.repeat(4), torch.zeros(1, 1, 32).bfloat16(), torch.empty(1, 1, 32).bfloat16()
    Product.of(torch.eye(32).bfloat16()[..., None], bias, isa=isa)(nothing, y)
    wanted = torch.where(bias.abs() < 2.0**-126, 0, bias).bfloat16()
    assert torch.equal(y[0, 0].float(), wanted.float())


def stage(width=64, kernels=(3, 7, 11)):
    return nn.ModuleList(PairBlock(width, kernel, (1, 3, 5)) for kernel in kernels)


def blocks_of(net):
    return Blocks.of([[[product(conv) for conv in step] for step in block.steps] for block in net], SLOPE)


CONTENT = {"hidden": 128, "layers": 1, "ffn": 256, "conv": 32, "position_kernel": 4, "position_groups": 4}
# how to make it, how to run it, how many roundings to bfloat16 lie behind each other in it
FUSED = {
    "flow": (
        lambda: Flow(SimpleNamespace(inter=64, hidden=96, gin=32)),
        lambda net: net(half(1, 64, 60), None, half(1, 32, 1)),
        4 * 12,
    ),
    "content": (
        lambda: content.Layer(content.ContentConfig(**CONTENT, projection=32, heads=2)),
        lambda net: net(half(1, 37, 128)),
        8,
    ),
    "text": (
        lambda: text.Transformer(SimpleNamespace(hidden=64, heads=2, filter=128, kernel=3, layers=2)),
        lambda net: net(half(1, 64, 59), None),
        16,
    ),
    "conformer": (lambda: Layer(96), lambda net: net(half(1, 100, 96)), 4),
    "blocks": (stage, lambda net: blocks_of(net)(half(1, 64, 1, 300), 0.01), 8),
}


@both
@pytest.mark.parametrize("name", FUSED)
def test_a_chain_of_layers_differs_by_the_root_of_its_length(name):
    make, run, length = FUSED[name]
    torch.manual_seed(1)
    plain = make()
    for p in plain.eval().requires_grad_(False).parameters():
        p.copy_(torch.randn_like(p) / p[0].numel() ** 0.5 if p.dim() > 1 else 0.3 * torch.randn_like(p))
    y = []
    for isa in (AMX, PORTABLE):
        net = make()
        net.load_state_dict(plain.state_dict())
        packed_by(MatrixUnit(isa=isa), net.eval().requires_grad_(False).bfloat16())
        torch.manual_seed(2)
        with torch.inference_mode():
            y.append(run(net).float())
    assert not torch.equal(y[0], torch.zeros_like(y[0]))
    assert (y[0] - y[1]).square().mean().sqrt() <= length**0.5 * STEP / 2 * y[1].square().mean().sqrt()


def test_layers_of_two_instruction_sets_are_not_fused():
    net = content.Layer(content.ContentConfig(**CONTENT, projection=32, heads=2)).requires_grad_(False).bfloat16()
    packed_by(MatrixUnit(isa=PORTABLE), net)
    assert net.fused is not None
    net.feed_forward.output_dense = Dense(256, 128).requires_grad_(False).bfloat16()
    fuse(net, [MatrixUnit(isa=AMX)])
    assert net.fused is None


HELD = """
import torch
from rwc_daemon.voices.native import isa
assert isa.isas() == ["portable"], isa.isas()
assert torch.backends.cpu.get_cpu_capability() in ("AVX2", "DEFAULT"), torch.backends.cpu.get_cpu_capability()
assert not torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""


def test_the_user_can_hold_dispatch_to_avx2():
    """By one variable: torch's own kernels, oneDNN's and ours."""
    environment = os.environ | {"RWC_CPU_ISA": "avx2"}
    done = subprocess.run([sys.executable, "-c", HELD], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
