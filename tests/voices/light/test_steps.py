"""A step of each net: C against NumPy, and both against torch over a whole clip."""

from __future__ import annotations

import numpy as np
import torch

from rwc_daemon.voices.light import content, decoder, native, shape
from rwc_daemon.voices.light.training import nets

RNG = np.random.default_rng(5)
STEPS = 90  # more than attention reaches back


def close(a: np.ndarray, b: np.ndarray) -> None:
    assert np.abs(a - b).max() < 2e-4 * max(1.0, float(np.abs(b).max()))


def test_content_in_c_and_numpy_and_torch(encoder_arrays):
    mel = (RNG.standard_normal((2 * STEPS, shape.MELS)) - 4).astype(np.float32)
    answers = []
    for kind in (content.Encoder, native.Encoder):
        net = kind(encoder_arrays)
        memory = net.memory()
        steps = [net.step(mel[2 * n : 2 * n + 2], memory) for n in range(STEPS)]
        assert steps[0] is None, "the first block looks a frame ahead"
        answers.append(np.stack(steps[1:]))
    close(answers[1], answers[0])
    whole = nets.Content()
    whole.load_state_dict({k: torch.from_numpy(v) for k, v in encoder_arrays.items()}, strict=False)
    with torch.inference_mode():
        results, _ = whole(torch.from_numpy(mel.T.copy())[None])
    goal = torch.cat([results[n] for n in shape.TAKEN], -1)[0].numpy()
    close(answers[0], goal[: STEPS - 1])


def test_spectra_are_those_of_training(encoder_arrays):
    x = RNG.standard_normal(3200).astype(np.float32)
    net = nets.Content()
    net.mel = torch.from_numpy(encoder_arrays["mel"])
    goal = net.log_mel(torch.from_numpy(x)[None])[0].T.numpy()
    own = content.Encoder(encoder_arrays).spectra(np.pad(x, shape.MEL_WINDOW // 2))
    close(own, goal)


def test_two_streams_of_one_net_do_not_meet(encoder_arrays):
    mel = RNG.standard_normal((20, 2, shape.MELS)).astype(np.float32)
    net = native.Encoder(encoder_arrays)
    alone, first, second = net.memory(), net.memory(), net.memory()
    for one in mel:
        goal, own = net.step(one, alone), net.step(one, first)
        net.step(one + 1, second)
        assert goal is None or np.array_equal(own, goal)


def test_parameters_of_sound_in_c_and_numpy_and_torch(decoder_arrays, embedding):
    said = RNG.standard_normal((STEPS, shape.CONTENT)).astype(np.float32)
    conditions = RNG.standard_normal((STEPS, 2, shape.CONDITIONS)).astype(np.float32)
    answers = []
    for kind in (decoder.Decoder, native.Decoder):
        net, memory = kind(decoder_arrays, embedding), decoder.Memory()
        answers.append(np.concatenate([net.step(a, b, memory) for a, b in zip(said, conditions, strict=True)]))
    close(answers[1], answers[0])
    whole = nets.Decoder(1)
    state = {k: torch.from_numpy(v) for k, v in decoder_arrays.items()}
    whole.load_state_dict({**state, "speaker.weight": torch.from_numpy(embedding)[None]})
    flat = torch.from_numpy(conditions.reshape(-1, shape.CONDITIONS).T.copy())[None]
    with torch.inference_mode():
        goal = whole.parameters_of_sound(torch.from_numpy(said)[None], flat, torch.tensor([0]))
    close(answers[0], goal[0].T.numpy())
