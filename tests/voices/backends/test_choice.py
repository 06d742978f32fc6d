"""Which backend runs a layer, how far each may lie from plain torch, and that any of them can be deleted."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rwc_daemon.voices.backends import choice
from rwc_daemon.voices.backends.base import Backend, Deviation
from rwc_daemon.voices.backends.choice import pack
from rwc_daemon.voices.backends.matrix_unit import MatrixUnit
from rwc_daemon.voices.backends.onednn import OneDnn
from rwc_daemon.voices.backends.table import BACKENDS
from rwc_daemon.voices.layers import Conv, Dense, PackedLayer, Up, last
from rwc_daemon.voices.native.isa import PORTABLE
from rwc_daemon.voices.rvc.decoder import PairBlock

ROOT = Path(__file__).parents[3]
# of the answer's norm, by class and type; the portable twins of a backend stand in for it where a CPU lacks its unit
LIMITS = {
    (Deviation.ROUNDING, torch.float32): 1e-4,
    (Deviation.ROUNDING, torch.bfloat16): 2**-8,
    (Deviation.LOSSY, torch.float32): 0.03,
    (Deviation.LOSSY, torch.bfloat16): 0.03,
}
TWINS = [MatrixUnit(8, PORTABLE), MatrixUnit(16, PORTABLE)]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What other tests measured is not known here."""
    monkeypatch.setattr(choice, "_chosen", {})
    torch.manual_seed(0)


def layers(dtype):
    """One of each kind, and how it is called."""
    x, wide = (last(torch.randn(2, C, 1, 50).to(dtype)) for C in (64, 64))
    rows = x.squeeze(2).mT
    conv, dilated, one, up, dense = (
        Conv(64, 64, 5, padding=2), Conv(64, 64, 3, padding=3, dilation=3), Conv(1, 32, 8, 4, padding=2),
        Up(64, 32, 16, 10), Dense(64, 96),
    )  # fmt: skip
    sound, longer, more = last(torch.randn(2, 1, 1, 200).to(dtype)), torch.randn(2, 32, 1, 500).to(dtype), rows[..., :1]
    return {
        "leaky": (conv, lambda: conv(x, 0.1)),
        "relu": (conv, lambda: conv(x.squeeze(2), act="relu")),
        "plus": (conv, lambda: torch.cat(conv.plus(x, wide, 0.1))),
        "dilated": (dilated, lambda: dilated(x)),
        "one channel": (one, lambda: one(sound)),
        "up": (up, lambda: up(x)),
        "up and added": (up, lambda: up.plus(x, last(longer))),
        "gelu": (dense, lambda: dense(rows, act="gelu")),
        "added": (dense, lambda: dense(rows, add=more.expand(2, 50, 96))),
    }


@pytest.mark.parametrize("call", layers(torch.float32))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("backend", [*BACKENDS, *TWINS], ids=lambda one: one.name)
def test_a_backend_keeps_within_its_class(backend, dtype, call):
    layer, run = layers(dtype)[call]
    layer.to(dtype).requires_grad_(False)
    with torch.inference_mode():
        wanted = run()
        layer.packed = backend.pack(layer)  # None, where it does not take the layer: then the bits are the same
        found = run()
    if layer.packed is None or backend.deviation == Deviation.EXACT:
        assert torch.equal(found, wanted)
        return
    assert found.shape == wanted.shape
    assert (found.float() - wanted.float()).norm() <= LIMITS[backend.deviation, dtype] * wanted.float().norm()


class Clock:
    """Stands still unless a layer runs."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(choice, "time", made)
    return made


class Slow(Dense):
    """A linear layer that takes 1 ms as it reads."""

    def __init__(self, clock):
        super().__init__(32, 64)
        self.clock = clock
        self.requires_grad_(False)

    def forward(self, x, act="none", add=None):
        self.clock.now += 1e-3 if self.packed is None else self.packed.seconds
        return super().forward(x, act, add)


class Slept(PackedLayer):
    keeps_weight = True

    def __init__(self, seconds, out):
        self.seconds, self.out = seconds, out

    def __call__(self, x, act="none", slope=0.0, add=None):
        return x.new_zeros(*x.shape[:-1], self.out)


class Sleeper(Backend):
    """Takes linear layers, and so many seconds."""

    def __init__(self, name, seconds, deviation=Deviation.ROUNDING):
        self.name, self.seconds, self.deviation = name, seconds, deviation
        self.packings = 0

    def pack(self, layer):
        self.packings += 1
        return Slept(self.seconds, layer.out_features) if isinstance(layer, Dense) else None


def seconds_of(layer):
    return None if layer.packed is None else layer.packed.seconds


def test_the_quickest_within_the_allowed_deviation_runs_a_layer(clock):
    quick, slow = Sleeper("quick", 1e-4, Deviation.LOSSY), Sleeper("slow", 5e-4)
    ways = {}
    for limit in Deviation:
        layer = Slow(clock)
        pack(layer, limit, [slow, quick])
        ways[limit] = seconds_of(layer)
    assert ways == {Deviation.EXACT: None, Deviation.ROUNDING: 5e-4, Deviation.LOSSY: 1e-4}


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [((5e-4, 4.8e-4), 5e-4), ((5e-4, 4e-4), 4e-4), ((3e-3, 2e-3), 2e-3)],
    ids=["about as quick", "quicker by a fifth", "both slower than torch alone"],
)
def test_a_later_one_has_to_be_clearly_quicker(clock, seconds, wanted):
    layer = Slow(clock)
    pack(layer, backends=[Sleeper(f"sleeper {n}", one) for n, one in enumerate(seconds)])
    assert seconds_of(layer) == wanted


def test_a_shape_is_measured_once_and_briefly(clock):
    backends = quick, slow = Sleeper("quick", 1e-4), Sleeper("slow", 8e-4)
    for _ in range(4):
        pack(Slow(clock), backends=backends)
    assert (quick.packings, slow.packings) == (4, 1)
    assert clock.now < 0.008


def test_what_no_backend_takes_runs_as_it_reads():
    layer = Conv(8, 8, 3).requires_grad_(False)
    pack(layer, backends=[Sleeper("dense only", 1e-4)])
    assert layer.packed is None
    assert layer(torch.ones(1, 8, 9)).shape == (1, 8, 7)


@pytest.mark.parametrize("backends", [[], [OneDnn()], [MatrixUnit(isa=PORTABLE)], [MatrixUnit(isa=PORTABLE), OneDnn()]])
def test_a_net_sounds_the_same_with_any_backends(backends):
    made = [PairBlock(64, 3, (1, 3)).eval().requires_grad_(False) for _ in range(2)]
    made[1].load_state_dict(made[0].state_dict())
    half = made[1].bfloat16()
    pack(half, backends=backends)
    x = last(torch.randn(1, 64, 1, 90))
    with torch.inference_mode():
        wanted, found = made[0](x, x), half(x.bfloat16(), x.bfloat16())
    assert (found.float() - wanted).norm() < 0.02 * wanted.norm()


DELETED = {
    "matrix_unit": ["voices/native", "voices/backends/matrix_unit.py"],
    "onednn": ["voices/backends/onednn.py"],
}
RUN = """
import sys
import torch
from rwc_daemon.voices.backends.table import BACKENDS
from rwc_daemon.voices.rvc import content, decoder, flow, synth, text, voice  # all that uses layers
from rwc_daemon.voices.f0 import fcpe, rmvpe, crepe
from rwc_daemon.voices.backends.choice import pack
net = fcpe.Fcpe(32, 2).eval().requires_grad_(False).bfloat16()
x = torch.randn(1, 40, 32).bfloat16()
with torch.inference_mode():
    plain = net.net(x)
    pack(net)
    assert (net.net(x).float() - plain.float()).norm() < 0.02 * plain.float().norm()
print(len(BACKENDS))
"""


@pytest.mark.parametrize("name", DELETED)
def test_a_backend_can_be_deleted(tmp_path, name):
    """Its files and its rows, and nothing else."""
    package = tmp_path / "rwc_daemon"
    shutil.copytree(ROOT / "rwc_daemon", package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in DELETED[name]:
        (shutil.rmtree if (package / path).is_dir() else Path.unlink)(package / path)
    table = package / "voices/backends/table.py"
    text = table.read_text()
    kind = re.search(rf"backends\.{name} import (\w+)\n", text)[1]
    table.write_text("".join(line for line in text.splitlines(keepends=True) if kind not in line))
    done = subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) < len(BACKENDS)
