"""The way through a GPU, without one: torch's "meta" device stands in for it. It works out the shape of every step and
computes nothing, so whatever asks for a number that only the device knows fails, as it would in a CUDA graph. That no
two devices mix is looked at here, call by call."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import faiss
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rwc_daemon.store.layout import SynthConfig
from rwc_daemon.voices.f0.fcpe import Fcpe
from rwc_daemon.voices.f0.rmvpe import Rmvpe
from rwc_daemon.voices.rvc import cuda_graphs
from rwc_daemon.voices.rvc.content import ContentEncoder
from rwc_daemon.voices.rvc.cuda_graphs import CudaGraphCache
from rwc_daemon.voices.rvc.noise import FrameNoise
from rwc_daemon.voices.rvc.retrieval import Index, RetrievalCache, TorchSearch, protect
from rwc_daemon.voices.rvc.synth import Synthesizer, Window
from tests.voices.rvc.tiny import config, drawn, drawn_content

HALF = torch.float16
WINDOW = Window(skip=30, length=10, lead=8, trail=3)


class Crossed(AssertionError):
    """Something met or went from one device to the other."""


class OneDevice(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        answer = func(*args, **(kwargs or {}))
        met = [one for one in tree_leaves((args, kwargs, answer)) if isinstance(one, torch.Tensor) and one.dim()]
        if len({one.device for one in met}) > 1:
            raise Crossed(func)
        return answer


def there(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


def on_one_device(run, *given):
    with OneDevice():
        answer = run(*given)
    assert answer.device.type == "meta"
    return answer


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_content_never_leaves_the_gpu(version):
    net = ContentEncoder.load(drawn_content(), dtype=HALF).to("meta")
    rows = on_one_device(lambda x: net.features(x[:, -8000:], version, x), there(1, 40000))
    assert rows.shape == (1, 24, net.width(version))


@pytest.mark.parametrize("f0", [True, False])
@pytest.mark.parametrize("rate", ["40k", "44.1k"])
def test_rendering_never_leaves_the_gpu(rate, f0):
    c = SynthConfig.parse(config(rate), "v2", f0)
    net = Synthesizer.load(drawn(rate, "v2", f0, "HiFi-GAN"), c, dtype=HALF).to("meta")
    T = WINDOW.skip + WINDOW.length + WINDOW.trail
    draws = FrameNoise(c, 0).draws(0, T, WINDOW).to("meta")
    phase = there(1, c.harmonics, dtype=torch.float64) if f0 else None
    pitch = (there(1, T, dtype=torch.int64), there(1, T)) if f0 else (None, None)
    given = there(1, T, c.content), *pitch, there(1, dtype=torch.int64), draws._replace(phase=phase), WINDOW
    audio = on_one_device(net.render, *given)
    assert audio.shape == (1, 1, WINDOW.length * c.hop)


@pytest.mark.parametrize(
    "tracker",
    [Fcpe(hidden=32, layers=2), Rmvpe(n_blocks=1, en_de_layers=2, inter_layers=1, en_out_channels=4)],
    ids=["fcpe", "rmvpe"],
)
def test_pitch_never_leaves_the_gpu(tracker):
    net = tracker.eval().requires_grad_(False).to_precision(HALF).to("meta")
    with torch.inference_mode():
        hz = on_one_device(net.hz, there(5120 - 160))
    assert hz.shape == (32,)


@pytest.mark.parametrize("kind", ["ivf", "flat"])
def test_retrieval_never_leaves_the_gpu(kind):
    index = faiss.IndexFlatL2(24)
    if kind == "ivf":
        index = faiss.IndexIVFFlat(index, 24, 8)
        index.train(vectors := np.random.default_rng(0).standard_normal((400, 24), np.float32))
        index.add(vectors)
    else:
        index.add(np.zeros((300, 24), np.float32))
    index = Index(TorchSearch.of(faiss, index, "meta"), 24, 400)
    kept, rows = RetrievalCache(index), there(20, 24, dtype=HALF)
    for first in (0, 8, 16):
        mixed = on_one_device(lambda at=first: index.mix(rows, 0.5, look=lambda x: kept.look(x, at, 16)))
    phone = on_one_device(protect, mixed, rows, there(20), 0.3)
    assert phone.shape == (20, 24)


def test_what_would_stop_a_graph_is_noticed():
    with pytest.raises(Crossed):
        on_one_device(lambda x: x + torch.zeros(3).to("meta"), there(3))
    with pytest.raises(Crossed):
        on_one_device(lambda x: torch.nn.functional.linear(x, torch.zeros(3, 3)), there(3))
    with pytest.raises(RuntimeError, match="meta"):
        on_one_device(lambda x: x[: int(x.sum())], there(3))


# ---- the order of things on a device ----


class Noted:
    """Stands in for a stream, and notes what is asked of it."""

    def __init__(self, name, story):
        self.name, self.story = name, story

    def wait_stream(self, other):
        self.story.append(f"{self.name} waits for {other.name}")


def test_graphs_run_behind_what_their_caller_asked_for_and_the_caller_goes_on_behind_them(monkeypatch):
    story = []
    ours, callers = Noted("ours", story), Noted("the caller's", story)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device, priority: ours)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: callers)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext(story.append(f"on {stream.name}")))
    fixed = CudaGraphCache("cuda", capture=False)
    with fixed._in_turn(fixed._stream):
        story.append("run")
    assert story == ["ours waits for the caller's", "on ours", "run", "the caller's waits for ours"]


def test_a_gpu_that_records_no_graph_runs_without(monkeypatch, caplog):
    def refused(*_):
        raise RuntimeError("operation not permitted when stream is capturing")

    fixed = CudaGraphCache("cpu")
    fixed._capture = True
    monkeypatch.setattr(CudaGraphCache, "_captured", refused)
    for n in range(3):
        assert torch.equal(fixed("double", lambda x: x * 2, [torch.full((n,), 2.0)]), torch.full((n,), 4.0))
    assert caplog.text.count("no CUDA graph") == 1
    monkeypatch.setattr(
        CudaGraphCache, "_captured", lambda *_: (_ for _ in ()).throw(torch.cuda.OutOfMemoryError("none left"))
    )
    fixed._capture = True
    with pytest.raises(torch.cuda.OutOfMemoryError):  # which the engine answers with the CPU
        fixed("double", lambda x: x * 2, [torch.ones(9)])


def test_the_shapes_used_last_are_remembered(monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MOST_SHAPES", 2)
    made = []
    fixed = CudaGraphCache("cpu")
    monkeypatch.setattr(fixed, "_made", lambda run, given: made.append(len(given[0])) or (lambda given: given[0]))
    for length in (1, 2, 1, 3, 1, 2):
        fixed("same", torch.neg, [torch.ones(length)])
    assert made == [1, 2, 3, 2]


def test_what_is_recorded_holds_up_nobody_who_plays(monkeypatch):
    fixed, begun, go_on = CudaGraphCache("cpu"), threading.Event(), threading.Event()
    fixed("playing", torch.neg, [torch.ones(1)])

    def slow(self, run, given):
        begun.set()
        assert go_on.wait(10)
        return lambda given: run(*given)

    monkeypatch.setattr(CudaGraphCache, "_made", slow)
    with ThreadPoolExecutor(1) as pool:
        warmed = pool.submit(fixed, "warmed", torch.neg, [torch.ones(2)])
        assert begun.wait(10)
        assert fixed("playing", torch.neg, [torch.ones(1)]) == -1
        go_on.set()
        assert torch.equal(warmed.result(10), -torch.ones(2))
