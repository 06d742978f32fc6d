"""Who holds the same net of the same file."""

import gc
import os

import pytest

from rwc_daemon.voices.shared import shared


class Net:
    pass


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"one")
    return path


def test_the_same_file_loaded_the_same_way_is_one_net(file):
    first = shared(file, ("cpu",), Net)
    assert shared(file, ("cpu",), Net) is first
    assert shared(file, ("cuda",), Net) is not first


def test_another_file_in_its_place_is_another_net(file):
    first = shared(file, (), Net)
    new = file.with_suffix(".new")
    new.write_bytes(b"two")
    os.replace(new, file)
    assert shared(file, (), Net) is not first


def test_nothing_is_held_that_nobody_uses(file):
    loads = []

    def load():
        loads.append(1)
        return Net()

    shared(file, (), load)
    gc.collect()
    shared(file, (), load)
    assert len(loads) == 2


def test_what_cannot_be_loaded_is_tried_again(file):
    def broken():
        raise ValueError("no net")

    for _ in range(2):
        with pytest.raises(ValueError, match="no net"):
            shared(file, (), broken)
    assert isinstance(shared(file, (), Net), Net)
