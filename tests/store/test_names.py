"""Names that strange systems give: taken as they were meant; only what leads outside is called that."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
from pathlib import Path

import pytest

from rwc_daemon.errors import BadModel
from rwc_daemon.store.archive import unpack
from rwc_daemon.store.names import legible
from rwc_daemon.store.voices import VoiceStore

DOS, UNIX = 0, 3


def zipped(path: Path, name: bytes, content: bytes, system: int = UNIX, utf8: bool = False) -> Path:
    """A zip whose one member is called `name`, byte for byte."""
    with zipfile.ZipFile(path, "w") as archive:
        held = "x" * len(name)
        entry = zipfile.ZipInfo(held)
        entry.create_system = system
        archive.writestr(entry, content)
    data = bytearray(path.read_bytes().replace(held.encode(), name))
    if utf8:
        for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = data.rindex(mark) + flags
            data[at : at + 2] = struct.pack("<H", 0x800)
    path.write_bytes(data)
    return path


def names_in(path: Path, tmp_path: Path) -> list[str]:
    folder = tmp_path / f"out-{path.stem}"
    folder.mkdir()
    with path.open("rb") as file:
        found = unpack(file, folder, lambda name: name.endswith(".pth"))
    assert [one.path.read_bytes() for one in found] == [b"content"] * len(found)
    return [one.name for one in found]


@pytest.mark.parametrize(
    ("name", "system", "utf8", "meant"),
    [
        (b"Vocaloid: Miku/model.pth", UNIX, False, "Vocaloid: Miku/model.pth"),
        (b"a:b.pth", UNIX, False, "a:b.pth"),
        (b"Anna\\weights\\model.pth", DOS, False, "Anna/weights/model.pth"),
        (b"caf\xe9/model.pth", UNIX, False, "café/model.pth"),
        (b"caf\xe9/model.pth", UNIX, True, "café/model.pth"),  # says UTF-8 and is not
        (b"caf\x82/model.pth", DOS, False, "café/model.pth"),
        ("café/モデル.pth".encode(), UNIX, False, "café/モデル.pth"),
        ("café/モデル.pth".encode(), DOS, True, "café/モデル.pth"),
        (b"..hidden..model.pth", UNIX, False, "..hidden..model.pth"),
        (b"./model.pth", UNIX, False, "./model.pth"),
        (b"trail. /mo?del*.pth", UNIX, False, "trail. /mo?del*.pth"),
    ],
)
def test_names_as_they_were_meant(name: bytes, system: int, utf8: bool, meant: str, tmp_path: Path) -> None:
    assert names_in(zipped(tmp_path / "x.zip", name, b"content", system, utf8), tmp_path) == [meant]


@pytest.mark.parametrize(
    "name",
    [b"../model.pth", b"a/../../model.pth", b"..\\model.pth", b"/etc/model.pth", b"\\\\server\\share\\model.pth",
     b"C:\\model.pth", b"c:/model.pth"],
)  # fmt: skip
def test_what_leads_outside_is_called_that(name: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="leads outside"):
        names_in(zipped(tmp_path / "x.zip", name, b"content", DOS), tmp_path)


def test_two_members_that_say_utf8_and_are_not(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ä/eins.pth", b"content")
        archive.writestr("ä/zwei.pth", b"content")
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xe4\xdf"))
    assert names_in(path, tmp_path) == ["äß/eins.pth", "äß/zwei.pth"]


def test_such_zips_are_imported(anna: Path, tmp_path: Path, store: VoiceStore) -> None:
    voice = anna.read_bytes()
    (card,) = store.bring_in([zipped(tmp_path / "a.zip", b"Vocaloid: Miku\\caf\xe9/model.pth", voice)])
    assert (card.name, card.id) == ("café", "café")


def test_a_colon_is_no_way_outside(tmp_path: Path, store: VoiceStore) -> None:
    path = zipped(tmp_path / "colon.zip", b"Vocaloid: Miku/model.pth", b"x")
    with pytest.raises(BadModel, match=r"^model\.pth: this is no voice.*check what was downloaded"):
        store.bring_in([path])


@pytest.mark.parametrize(("raw", "shown"), [(b"caf\xe9.pth", "café"), (b"two\nlines\x1b[31m.pth", "two lines [31m")])
def test_files_with_such_names(raw: bytes, shown: str, anna: Path, tmp_path: Path, store: VoiceStore) -> None:
    path = tmp_path / os.fsdecode(raw)
    shutil.copy(anna, path)
    (card,) = store.bring_in([path])
    assert card.name == shown
    assert card.origin.isprintable()
    path.write_bytes(b"no voice")
    with pytest.raises(BadModel) as caught:
        store.bring_in([path])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["plain", "\ud800x", "a\udce9", "a\udce9\ud800", "\0\x07", "ö\u2028b"])
def test_legible_always(name: str) -> None:
    assert legible(name).isprintable()
    legible(name).encode()
