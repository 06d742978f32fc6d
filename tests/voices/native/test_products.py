import pytest
import torch
import torch.nn.functional as F

from rwc_daemon.voices import layers
from rwc_daemon.voices.backends.choice import pack
from rwc_daemon.voices.backends.matrix_unit import ConvProduct, MatrixUnit, UpProduct
from rwc_daemon.voices.backends.onednn import OneDnn, PackedConv
from rwc_daemon.voices.layers import Conv, Dense, Up
from rwc_daemon.voices.native import products
from rwc_daemon.voices.native.products import Product
from tests.voices.native.packing import packed_by

pytestmark = [
    pytest.mark.usefixtures("threads"),
    pytest.mark.parametrize("threads", [1, 2], ids=["one thread", "two threads"], indirect=True),
]
HALF_STEP = 2**-8  # of bfloat16, relative


def half(*shape):
    return torch.randn(shape).bfloat16()


def made(isa, weight, bias, *sizes, **how):
    return Product.of(weight, bias, *sizes, isa=isa, **how)


def slid(product, x, **how):
    y = torch.full((len(x), product.rows(x[0].numel()), product.out), torch.nan, dtype=torch.bfloat16)
    product(x, y, **how)
    return y


# rows, channels in and out, taps, stride, dilation, padding: one row; fewer than a tile; unequal tiles; blocks that
# overlap; edges wider than the sound; more input than weights; the strided convolutions of the content encoder
SHAPES = [
    (1, 32, 32, 1, 1, 1, 0),
    (7, 96, 192, 1, 1, 1, 0),
    (27, 768, 3072, 1, 1, 1, 0),
    (33, 192, 96, 5, 1, 1, 2),
    (9, 64, 64, 11, 1, 5, 25),
    (700, 32, 32, 7, 1, 3, 9),
    (333, 512, 512, 3, 2, 1, 0),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_convolution(isa, shape):
    rows, I, O, taps, stride, dilation, padding = shape
    weight, bias, x = half(O, I, taps) / 8, torch.randn(O), half(2, rows, I)
    y = slid(made(isa, weight, bias, stride, dilation, padding), x)
    wanted = F.conv1d(x.float().mT, weight.float(), bias, stride, padding, dilation).mT
    assert y.shape == wanted.shape
    assert (y.float() - wanted).abs().max() <= HALF_STEP * wanted.abs().max()


ACTS = {"none": lambda y: y, "relu": F.relu, "gelu": F.gelu, "leaky_relu": lambda y: F.leaky_relu(y, 0.1)}


@pytest.mark.parametrize("act", ACTS)
def test_what_is_done_with_the_sums(isa, act):
    weight, x, other = half(64, 64, 1) / 4, half(1, 50, 64), half(1, 50, 64)
    product = made(isa, weight, None)
    leaky = torch.empty_like(other)
    y = slid(product, x, act=act, slope=0.1, add=other, leaky=leaky)
    wanted = ACTS[act](x.float() @ weight[..., 0].float().T) + other.float()
    assert torch.allclose(y.float(), wanted, atol=2e-3, rtol=HALF_STEP)
    assert torch.allclose(leaky.float(), F.leaky_relu(wanted, 0.1), atol=2e-3, rtol=HALF_STEP)


def test_gelu_from_end_to_end(isa):
    x = torch.linspace(-12, 12, 1000)[None, :, None].bfloat16().expand(1, 1000, 32).contiguous()
    y = slid(made(isa, torch.eye(32).bfloat16()[..., None], None), x, act="gelu")
    assert torch.allclose(y.float(), F.gelu(x.float()), atol=1e-5, rtol=HALF_STEP)


def test_sums_keep_their_digits(isa):
    weight = torch.ones(32, 4096, 1).bfloat16()  # a sum in bfloat16 would stop at 256
    assert (slid(made(isa, weight, None), torch.ones(1, 5, 4096).bfloat16()) == 4096).all()


@pytest.mark.parametrize("kernel_rate", [(16, 10), (16, 8), (4, 2), (10, 5), (24, 12)], ids=str)
def test_upsampling(isa, kernel_rate):
    up = Up(64, 32, *kernel_rate).bfloat16().requires_grad_(False)
    x = layers.last(half(2, 64, 1, 21))
    wanted = F.conv_transpose2d(x.float(), up.weight.float(), up.bias.float(), up.stride, up.padding, up.output_padding)
    packed_by(MatrixUnit(isa=isa), up)
    assert isinstance(up.packed, UpProduct)
    y = up(x)
    assert y.shape == wanted.shape
    assert torch.allclose(y.float(), wanted, atol=1e-2, rtol=HALF_STEP)


@pytest.mark.parametrize(
    ("kernel", "stride", "columns"), [(80, 40, 700), (8, 4, 401), (4, 2, 33), (1, 1, 5), (32, 16, 32), (3, 5, 64)]
)
def test_one_channel_is_rows_that_overlap(isa, kernel, stride, columns):
    conv = Conv(1, 64, kernel, stride, padding=(kernel - stride) // 2 if kernel > stride else 0)
    conv.bfloat16().requires_grad_(False)
    x = half(2, 1, 1, columns)
    wanted = F.conv2d(x.float(), conv.weight.float(), conv.bias.float(), conv.stride, conv.padding)
    packed_by(MatrixUnit(isa=isa), conv)
    assert isinstance(conv.packed, ConvProduct)
    y = conv(x)
    assert y.shape == wanted.shape
    assert torch.allclose(y.float(), wanted, atol=1e-2, rtol=HALF_STEP)


def test_taps_that_are_all_zero_are_not_read(isa):
    weight = half(64, 32, 5)
    weight[:32, :, :2], weight[32:, :, 3:] = 0, 0
    product = made(isa, weight, None, padding=2)
    assert product.kept[-1].tolist() == [[2, 5], [0, 3]]
    product.kept[0][0, :2] = torch.nan  # in the order of products.c: columns, taps
    assert slid(product, half(1, 40, 32)).isfinite().all()


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[2], (40, 768, 256, 1, 1, 1, 0), SHAPES[3], SHAPES[5]], ids=str)
def test_weights_of_8_bits_are_exact_in_their_unit(isa, shape):
    rows, I, O, taps, stride, dilation, padding = shape
    whole = torch.randint(-127, 128, (O, I, taps))
    whole[:, 0, 0] = 127  # the greatest, so that the unit is 1
    unit, bias, x = 2.0 ** torch.randint(-9, -6, (O,)), torch.randn(O), half(1, rows, I)
    weight = (whole * unit[:, None, None]).bfloat16()
    y = slid(made(isa, weight, bias, stride, dilation, padding, weight_bits=8), x)
    wanted = slid(made(isa, weight, bias, stride, dilation, padding), x)
    assert torch.allclose(y.float(), wanted.float(), rtol=HALF_STEP, atol=1e-3)


def test_weights_of_8_bits_are_half_as_much_and_near(isa):
    weight, x = torch.randn(256, 768, 1).bfloat16() / 16, half(1, 30, 768)
    small, plain = (made(isa, weight, None, weight_bits=bits) for bits in (8, 16))
    assert small.kept[0].nbytes == plain.kept[0].nbytes / 2
    error = (slid(small, x) - slid(plain, x)).float()
    assert error.norm() < 0.01 * slid(plain, x).float().norm()


def test_columns_without_weights_stay_empty_in_8_bits(isa):
    weight = half(64, 32, 1)
    weight[:32] = 0
    y = slid(made(isa, weight, None, weight_bits=8), half(1, 5, 32))
    assert (y[..., :32] == 0).all()
    assert y[..., 32:].isfinite().all()


def test_layers_let_go_of_their_plain_weights(isa):
    for layer in (Conv(32, 64, 3), Up(64, 32, 4, 2), Dense(64, 32)):
        packed_by(MatrixUnit(isa=isa), layer.bfloat16().requires_grad_(False))
        assert layer.packed is not None
        assert "weight" not in layer._parameters


@pytest.mark.parametrize(
    ("kind", "sizes"), [(Conv, (24, 32, 3)), (Conv, (1, 24, 8, 4)), (Conv, (32, 1, 7)), (Dense, (40, 32))]
)
def test_what_does_not_suit_it_runs_as_ever(isa, kind, sizes):
    layer = kind(*sizes).bfloat16().requires_grad_(False)
    x = half(1, 50, 40) if isinstance(layer, Dense) else layers.last(half(1, layer.in_channels, 1, 50))
    plain = layer(x)
    pack(layer, backends=[MatrixUnit(isa=isa), OneDnn()])
    assert not hasattr(layer.packed, "product")
    with torch.inference_mode():
        assert torch.allclose(layer(x).float(), plain.float(), atol=0.02, rtol=0.02)


def test_onednn_packs_float32_everywhere_and_bfloat16_where_it_has_it():
    """No CPU with AVX2 alone has it."""
    single, half_precision = Conv(32, 32, 3), Conv(32, 32, 3).bfloat16()
    assert isinstance(OneDnn().pack(single), PackedConv)
    supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert isinstance(OneDnn().pack(half_precision), PackedConv) == supported


def test_who_watches_torch_sees_it(isa, watching):
    product, x = made(isa, half(32, 32, 1), None), half(1, 8, 32)
    with watching:
        y = slid(product, x)
    assert watching.seen.count(products.run) == 1
    assert torch.equal(y, slid(product, x))


def test_what_lies_otherwise_in_memory_is_refused(isa):
    product, x = made(isa, half(32, 32, 1), None), half(1, 8, 32)
    for wrong in (x.float(), half(1, 7, 32)):
        with pytest.raises(TypeError, match="rows of"):
            product(wrong, torch.empty_like(x))
    for beside in ({"add": half(1, 7, 32)}, {"leaky": half(1, 9, 32)}):
        with pytest.raises(TypeError, match="rows of"):
            product(x, torch.empty_like(x), **beside)
