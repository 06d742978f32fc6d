"""The reference's figures (tests/golden, weights by testkit/golden_recipe), within the limits of the specification."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rwc_daemon.voices.f0 import fcpe, rmvpe, shape
from rwc_daemon.voices.f0.praat import Praat
from rwc_daemon.voices.f0.world import Dio, Harvest
from testkit import golden_recipe
from testkit.golden.report import MEL, compare_mel, mel_unit

GOLDEN = Path(__file__).parents[2] / "golden"


def golden(name):
    return np.load(GOLDEN / f"{name}.npz")


def drawn(net, rules):
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    norms = {key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")}
    state = {key: torch.from_numpy(value) for key, value in golden_recipe.weights(norms, rules).items()}
    return state | {key: torch.tensor(0) for key in shapes.keys() - norms.keys()}


def test_coarse_bins():
    want = golden("f0_coarse")
    assert np.array_equal(shape.coarse(want["f0"]), want["coarse"])


def test_pm_live():
    want = golden("pitch_classic")
    f0 = Praat().track(want["audio"])
    assert np.allclose(f0, want["pm_raw"], atol=1e-2)
    moved = shape.transpose(shape.interpolate_gaps(f0), 3)
    assert np.allclose(moved, want["pm_key3_interp"], atol=1e-2)
    assert np.array_equal(shape.coarse(moved), want["pm_key3_coarse"])


def test_harvest_and_dio():
    want = golden("pitch_classic")
    assert np.allclose(Harvest().track(want["audio"]), want["harvest_medfilt3"], atol=1e-2)
    assert np.allclose(Dio().track(want["audio"]), want["dio_stonemask"], atol=1e-2)


@pytest.mark.parametrize(("threshold", "key"), [(0.03, "f0_thr003"), (0.05, "f0_thr005")])
def test_rmvpe_decoding(threshold, key):
    want = golden("rmvpe_decode")
    f0 = rmvpe.decode(torch.from_numpy(want["salience"]), threshold).numpy()
    assert np.allclose(f0, want[key], atol=1e-2)
    assert np.array_equal(f0 > 0, want[key] > 0)


def test_rmvpe_miniature():
    want = golden("tiny_rmvpe")
    net = rmvpe.Rmvpe(**json.loads(str(want["args"])))
    net.fill(drawn(net, golden_recipe.RMVPE))
    mel = net.mel(torch.from_numpy(want["audio"]))
    assert compare_mel(mel, want["mel"], axis=-2).ok
    assert np.allclose(net.salience(mel), want["salience"], atol=1e-5)
    assert np.allclose(net.track(want["audio"]), want["f0"], atol=1e-2)


def test_fcpe():
    want = golden("fcpe")
    net = fcpe.Fcpe()
    net.fill(drawn(net, golden_recipe.FCPE))
    mel = net.mel(torch.from_numpy(want["audio"]))
    latent = net.salience(mel)[0]
    clear = want["top2_gap"] > 1e-5
    assert compare_mel(mel.mT, want["mel"], axis=-1).ok
    assert np.allclose(latent, want["latent"], atol=1e-6)
    assert np.allclose(net.track(want["audio"])[clear], want["f0_local_argmax"][clear], atol=1e-2)
    assert np.allclose(fcpe.decode(latent, local=False)[clear], want["f0_argmax"][clear], atol=1e-2)


def test_a_wrong_mel_figure_is_found():
    """The limit follows the loudest band, so it must still see an error in any band."""
    theirs = golden("fcpe")["mel"]
    for n in (0, 64, 127):
        wrong = theirs.copy()
        wrong[0, 75, n] += 3 * MEL * mel_unit(theirs, -1)[0, 75, n]
        assert not compare_mel(wrong, theirs, axis=-1).ok
    assert mel_unit(theirs, -1).max() < 1e-3
