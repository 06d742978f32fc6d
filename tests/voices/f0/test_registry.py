import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rwc_daemon.controls import F0_METHODS
from rwc_daemon.errors import MissingAsset, MissingPackage, OutOfRange
from rwc_daemon.voices.f0 import fcpe, registry


class Folder:
    """Assets as far as trackers know them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def has(self, name):
        return self.path(name).exists()

    def path(self, name):
        return self.root / f"{name}.safetensors"


def test_what_is_missing_is_said_with_what_brings_it(tmp_path):
    found = registry.available(Folder(tmp_path))
    assert set(found) == set(F0_METHODS) - {"auto"}
    assert found["yin"] == found["autocorrelation"] == ""
    assert "rwcctl assets fetch crepe-tiny" in found["crepe-tiny"]
    with pytest.raises(MissingAsset, match="rwcctl assets fetch rmvpe"):
        registry.open_tracker("rmvpe", Folder(tmp_path))


def test_a_missing_package_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, extra in {"harvest": "world", "dio": "world", "pm": "praat", "fcpe": "rvc"}.items():
        with pytest.raises(MissingPackage, match=rf"rwc-daemon\[{extra}\]"):
            registry.open_tracker(name, Folder(tmp_path))


def test_every_tracker_opens_under_its_name(tmp_path):
    net = fcpe.Fcpe(hidden=32, layers=1)
    save_file(net.state_dict(), tmp_path / "fcpe.safetensors")
    for name in ("fcpe", "harvest", "dio", "pm", "yin", "autocorrelation"):
        assert registry.open_tracker(name, Folder(tmp_path)).name == name
    half = registry.open_tracker("fcpe", Folder(tmp_path), precision="bfloat16")
    assert half.net.encoder_layers[0].conformer.net[0].weight.dtype == torch.bfloat16
    with pytest.raises(OutOfRange, match="rmvpe"):
        registry.open_tracker("swipe", Folder(tmp_path))


def test_the_trackers_that_are_always_there_need_no_torch():
    code = """if True:
        import sys, numpy
        from rwc_daemon.voices.f0.registry import available, open_tracker
        class Nothing:
            has = staticmethod(lambda name: False)
        available(Nothing)
        for name in ("yin", "autocorrelation"):
            open_tracker(name, Nothing).track(numpy.zeros(1600, numpy.float32))
        print(sorted({"torch", "faiss", "pyworld", "parselmouth"} & set(sys.modules)))
    """
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
