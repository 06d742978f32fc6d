"""A GPU that fails: under the voice that plays, and while one is loaded."""

import numpy as np
import pytest

from rwc_daemon.engine.gpu_errors import gpu_trouble
from rwc_daemon.messages import EngineFault, VoiceOn
from testkit.plain_voices import CostlyVoice, DelayVoice
from testkit.whole_engine import RATE


def out_of_memory():
    torch = pytest.importorskip("torch")
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


@pytest.mark.parametrize("without_gpu", ["", "built-in"])
def test_a_gpu_out_of_memory_is_said_and_the_voice_goes_on(engine_of, without_gpu):
    net, other = CostlyVoice("net"), DelayVoice(name="built-in")
    engine = engine_of(net, other, without_gpu=without_gpu)
    engine.use("net")
    engine.expect(VoiceOn)
    engine.settle()
    net.breaks = out_of_memory()
    fault = engine.expect(EngineFault)
    assert "ran out of memory" in fault.message
    assert engine.expect(VoiceOn).voice == (without_gpu or "net")
    assert engine.repository.loads[-1][1] == "cpu"
    x = np.random.default_rng(1).normal(0, 0.05, RATE).astype(np.float32)
    assert np.std(engine.play(x)[-9600:]) > 0.01


def test_a_lost_gpu_is_silence_never_the_microphone(engine_of):
    torch = pytest.importorskip("torch")
    net = CostlyVoice("net", gain=0.25)
    engine = engine_of(net)
    engine.use("net")
    engine.expect(VoiceOn)
    engine.settle()
    net.breaks = torch.AcceleratorError("CUDA error: unspecified launch failure")
    heard = engine.play(np.full(RATE, 0.4, np.float32))
    assert np.abs(heard).max() <= 0.25 * 0.4 * 1.3
    assert "was lost" in engine.expect(EngineFault).message


def test_a_torch_that_has_no_name_for_it_yet_says_it_in_words(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.delattr(torch, "AcceleratorError")  # before 2.8
    assert gpu_trouble(RuntimeError("CUDA error: unspecified launch failure")) == "was lost"
    assert gpu_trouble(out_of_memory()) == "ran out of memory"
    assert not gpu_trouble(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_a_gpu_too_small_for_a_voice_is_left_while_loading(engine_of):
    net = CostlyVoice("net", breaks=out_of_memory())
    engine = engine_of(net)
    engine.use("net")
    assert engine.expect(VoiceOn).voice == "net"
    assert [device for _, device in engine.repository.loads] == ["auto", "cpu"]
