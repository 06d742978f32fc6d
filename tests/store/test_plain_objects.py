"""What tools write beside the weights: harmless data is read and nothing run, the rest is named for what it is."""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import enum
import fractions
import pathlib
import types
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rwc_daemon.errors import BadModel, Unsupported
from rwc_daemon.store.checkpoint import read_legacy, read_torch_zip
from rwc_daemon.store.voices import VoiceStore
from testkit.makers import make_voice

WHEN = datetime.datetime(2024, 5, 17, 13, 45, 10, 250)
# what a tool wrote → how it is read
PLAIN: list[tuple[Any, Any]] = [
    (np.float32(1.5), 1.5),
    (np.float64(-2.25), -2.25),
    (np.float16(0.5), 0.5),
    (np.int64(-7), -7),
    (np.uint8(200), 200),
    (np.bool_(True), True),
    (np.complex64(1 + 2j), 1 + 2j),
    (np.str_("Ännchen"), "Ännchen"),
    (np.array([10, 10, 2, 2]), [10, 10, 2, 2]),
    (np.array([[1.0, 2.0], [3.0, 4.0]], ">f4"), [[1.0, 2.0], [3.0, 4.0]]),
    (np.zeros((2, 0)), []),
    (np.arange(100_000), []),  # no fact is so long
    (WHEN, "2024-05-17T13:45:10"),
    (WHEN.replace(tzinfo=datetime.UTC), "2024-05-17T13:45:10"),
    (WHEN.date(), "2024-05-17"),
    (WHEN.time(), "13:45:10"),
    (datetime.timedelta(days=1, seconds=2, microseconds=500_000), 86402.5),
    (pathlib.PurePosixPath("/home/anna/model"), "/home/anna/model"),
    (pathlib.PureWindowsPath("C:\\voices\\anna"), "C:\\/voices/anna"),
    (pathlib.Path("logs/anna"), "logs/anna"),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.defaultdict(list, a=[1]), {"a": [1]}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (collections.deque([1, 2], maxlen=3), [1, 2]),
    ({1}, [1]),
    (frozenset((1,)), [1]),
    (set(), []),
    (1 + 2j, 1 + 2j),
    (slice(1, 5, None), (1, 5, None)),
    (range(3), (0, 3, 1)),
    (b"\xff\x00", b"\xff\x00"),
    (bytearray(b"\xff"), b"\xff"),
    (decimal.Decimal("1.5"), "1.5"),
    (fractions.Fraction(1, 3), "1/3"),
    (argparse.Namespace(rate=40000), {"rate": 40000}),
    (types.SimpleNamespace(rate=40000), {"rate": 40000}),
    (torch.nn.Parameter(torch.zeros(2)).dtype, ("torch", "float32")),
    (torch.Size([3]), (3,)),
    (torch.device("cuda:0"), "cpu"),
]


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("legacy", [False, True])
def test_harmless_types_are_data(legacy: bool, protocol: int, tmp_path: Path) -> None:
    held = {str(number): value for number, (value, _) in enumerate(PLAIN)}
    held["id"] = uuid.uuid4()
    new = not legacy
    torch.save(held, tmp_path / "x.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    with (tmp_path / "x.pth").open("rb") as file:
        found = read_legacy(file) if legacy else read_torch_zip(file)
    assert found.foreign == set()
    for number, (_, wanted) in enumerate(PLAIN):
        assert found.root[str(number)] == wanted, wanted


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_voice_with_such_company_comes_in(protocol: int, tmp_path: Path, store: VoiceStore) -> None:
    held = torch.load(make_voice(tmp_path), weights_only=True)
    held |= {
        "creation_date": WHEN,
        "path": pathlib.Path("/x"),
        "epoch": np.int64(7),
        "losses": np.zeros(9),
        "tags": {"a"},
    }
    config = list(held["config"])
    config[12], config[16] = np.array(config[12]), np.int64(config[16])
    torch.save(held | {"config": config}, tmp_path / "x.pth", pickle_protocol=protocol)
    (card,) = store.bring_in([tmp_path / "x.pth"])
    assert (card.rate, card.config[12], card.config[16]) == (40000, (10, 10, 2, 2), 8)


class Colour(enum.Enum):
    RED = 1


class Settings:
    pass


def test_what_is_not_known_is_not_supported_and_no_attack(tmp_path: Path, store: VoiceStore) -> None:
    held = torch.load(make_voice(tmp_path), weights_only=True)
    for thing in (Settings(), Colour.RED, ValueError("x")):
        torch.save(held | {"extra": thing}, tmp_path / "x.pth")
        with pytest.raises(
            Unsupported, match=r"objects that are not supported \(.*nothing of it was run; ask its author"
        ):
            store.bring_in([tmp_path / "x.pth"])


class Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("hide", [set, list, argparse.Namespace])
def test_code_within_harmless_types_is_found(hide: Any, tmp_path: Path, store: VoiceStore) -> None:
    held = torch.load(make_voice(tmp_path), weights_only=True)
    evil = Evil(eval, f"open({str(tmp_path / 'mark')!r}, 'w')")
    hidden = argparse.Namespace(x=evil) if hide is argparse.Namespace else hide([evil])
    torch.save(held | {"extra": hidden, "more": Settings()}, tmp_path / "x.pth")
    with pytest.raises(BadModel, match=r"tries to run code \((builtins|__builtin__).eval\)"):
        store.bring_in([tmp_path / "x.pth"])
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "function", [np.dtype, datetime.datetime, datetime.date, pathlib.PurePosixPath, complex, collections.deque]
)
def test_malformed_parts_are_a_damaged_file(function: Any, tmp_path: Path, store: VoiceStore) -> None:
    held = torch.load(make_voice(tmp_path), weights_only=True)
    torch.save(held | {"extra": Evil(function, {"a": 1}, [2])}, tmp_path / "x.pth")
    with pytest.raises(BadModel, match=r"is malformed: the file is damaged"):
        store.bring_in([tmp_path / "x.pth"])
