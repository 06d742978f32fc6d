"""Our reader of torch's files against torch itself, and the machine that runs nothing."""

from __future__ import annotations

import contextlib
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rwc_daemon.errors import BadModel
from rwc_daemon.store.checkpoint import Checkpoint, read_legacy, read_torch_zip
from rwc_daemon.store.tensors import Tensor
from rwc_daemon.store.unpickle import Inert, Machine, Name


def saved(path: Path, held: Any, legacy: bool) -> Checkpoint:
    torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    file = path.open("rb")
    return read_legacy(file) if legacy else read_torch_zip(file)


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_as_torch_has_them(legacy: bool, tmp_path: Path) -> None:
    base = torch.arange(24.0)
    held = OrderedDict(
        plain=base,
        square=base.reshape(2, 3, 4),
        turned=base.reshape(4, 6).t(),
        part=base[5:17:3],
        parameter=torch.nn.Parameter(base[:3]),
        half=base.half(),
        double=base.double(),
        brain=torch.tensor([1.5, -2.25, 3e38]).bfloat16(),
        long=torch.arange(3),
        truth=torch.tensor([True, False]),
        number=torch.tensor(7.0),
        empty=torch.zeros(0, 3),
        words={"info": "epoch", "list": [1, 2.5, None, True], "size": torch.Size([1, 2])},
    )
    found = saved(tmp_path / "x.pth", held, legacy)
    assert found.foreign == set()
    assert found.root["words"] == {"info": "epoch", "list": [1, 2.5, None, True], "size": (1, 2)}
    for name, tensor in held.items():
        if isinstance(tensor, torch.Tensor):
            wanted = tensor.detach()
            wanted = wanted.float() if tensor.dtype in (torch.bfloat16, torch.float64) else wanted
            assert isinstance(found.root[name], Tensor)
            assert np.array_equal(found.root[name].read(), wanted.numpy()), name
            assert found.root[name].read().dtype == wanted.numpy().dtype


class _Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("function", [eval, print, getattr, exec, __import__, open, pickle.loads])
def test_what_would_run_is_noted_and_inert(function: Any, legacy: bool, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    evil = _Evil(function, f"open({str(mark)!r}, 'w')")
    found = saved(tmp_path / "x.pth", {"weight": evil, "nested": [_Evil(function, evil)]}, legacy)
    (named,) = found.foreign
    assert named.endswith(f".{function.__name__}")
    assert isinstance(found.root["weight"], Inert)
    assert not mark.exists()


def run(data: bytes) -> Any:
    return Machine(lambda name, _: Inert(name), lambda identity: ("stored", identity)).run(io.BytesIO(data))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(value=PLAIN, protocol=st.sampled_from([3, 4, 5]))
def test_plain_values_come_back(value: Any, protocol: int) -> None:
    assert run(pickle.dumps(value, protocol)) == value


@given(data=st.binary(max_size=200), protocol=st.sampled_from([b"\x80\x02", b"\x80\x04", b""]))
def test_any_bytes_give_a_value_or_bad_model(data: bytes, protocol: bytes) -> None:
    with contextlib.suppress(BadModel):
        run(protocol + data + b".")


def test_names_stay_names() -> None:
    assert run(b"\x80\x02cos\nsystem\n.") == Name("os", "system")
    assert str(Name("os", "system" * 100)) == ("os." + "system" * 100)[:120]
