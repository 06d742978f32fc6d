"""ONNX voices through the same doors as the others."""

from dataclasses import replace

import numpy as np
import pytest

from rwc_daemon.controls import Controls
from rwc_daemon.conversion.offline import OfflineConverter
from rwc_daemon.conversion.stream import Stream
from rwc_daemon.errors import BadModel
from rwc_daemon.plan import Block, Plan
from rwc_daemon.voices.rvc.voice import RvcVoice
from testkit.voice_maker import make_onnx
from tests.voices.rvc.tiny import made_assets, made_card, speech

CONTROLS = Controls(f0_method="yin", gate_db=-90, quality="low")


def loaded(folder, kind, client=False):
    pytest.importorskip("onnxruntime")
    version, rate, pitch = kind.split("-")
    card = made_card(folder / "card", version=version)
    weights = make_onnx(folder, kind, client)
    card = replace(card, kind="rvc-onnx", rate=1000 * int(rate[:2]), f0=pitch == "f0", config=(), weights=weights)
    return RvcVoice.load(card, made_assets(folder / "assets"), "cpu")


@pytest.mark.parametrize(("kind", "client"), [("v2-40k-f0", False), ("v1-48k-nof0", False), ("v2-48k-f0", True)])
def test_live_and_for_files(tmp_path, kind, client):
    voice = loaded(tmp_path, kind, client)
    x = speech(0.4)
    for controls in (CONTROLS, replace(CONTROLS, formant=3.0)):
        stream = Stream(voice, Plan.offline(48000, Block(100, on_hop=True)), controls)
        y = np.concatenate([stream.feed(x), stream.flush()])
        assert len(y) == len(x) + stream.delay
        assert y.std() > 1e-4
        batch = OfflineConverter(voice, 48000, controls)
        batch.convert_chunk(x)
        assert len(batch.flush()) == len(x)


def test_a_graph_that_is_none_is_refused(tmp_path):
    card = replace(made_card(tmp_path), kind="rvc-onnx")
    with pytest.raises(BadModel, match="onnxruntime cannot open"):
        RvcVoice.load(card, made_assets(tmp_path / "assets"), "cpu")
