"""The table of voice families, and that nothing outside a family asks which one a voice is of."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from rwc_daemon.errors import MissingPackage
from rwc_daemon.extras import OPTIONAL
from rwc_daemon.families import FAMILIES, shipped
from rwc_daemon.store.assets import Assets
from rwc_daemon.store.card import WEIGHTS
from rwc_daemon.store.catalog import packaged
from rwc_daemon.voices.base import VoiceInfo, VoiceSource
from rwc_daemon.voices.repository import VoiceRepository

PACKAGE = Path(__file__).parents[1] / "rwc_daemon"
TABLE = "families.py"
# the import of RVC's files, which makes voices of these kinds
IMPORT = ("store/adopt.py", "store/child.py", "store/voices.py")


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_row_names_what_is_there(kind: str) -> None:
    row = FAMILIES[kind]
    assert callable(importlib.import_module(f"rwc_daemon.voices.{row.module}").load)
    assert set(row.packages) <= set(OPTIONAL)
    assert set(row.assets) <= set(packaged())
    assert row.ships or row.weights, "a family has voices in the package or in the library"
    assert row.cores >= 1


def test_ids_and_file_names_are_of_one_family() -> None:
    ids = [id for row in FAMILIES.values() for id in row.ships]
    assert len(ids) == len(set(ids)) == len(shipped())
    assert len(WEIGHTS) == len(set(WEIGHTS.values()))


def test_voices_of_the_package_load_from_their_rows(tmp_path: Path) -> None:
    repository = VoiceRepository(tmp_path)
    assert [voice.id for voice in repository.list()] == list(shipped())
    for id, kind in shipped().items():
        voice = repository.load(id)
        assert (voice.info.id, voice.info.kind, voice.info.name) == (id, kind, FAMILIES[kind].ships[id])


def test_a_family_says_which_package_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    info = VoiceInfo("anna", "Anna", "rvc-onnx")
    with pytest.raises(MissingPackage, match="an ONNX voice needs torch"):
        VoiceRepository(tmp_path)._loaded(info, None, "cpu")


def test_a_source_holds_what_a_family_needs(tmp_path: Path) -> None:
    source = VoiceSource(VoiceInfo("deep", "Deep", "builtin"), None, Assets(tmp_path))
    from rwc_daemon.voices.builtin.voice import load

    assert load(source).info is source.info


def outside_the_families() -> list[Path]:
    rooms = {row.module.split(".")[0] for row in FAMILIES.values()}
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in (TABLE, *IMPORT)
        and not (path.relative_to(PACKAGE).parts[0] == "voices" and path.relative_to(PACKAGE).parts[1] in rooms)
    ]


@pytest.mark.parametrize("path", outside_the_families(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nobody_outside_asks_for_a_family_by_name(path: Path) -> None:
    """No import of a family's modules, and no comparison of a kind with a family's name."""
    rooms = tuple(f"rwc_daemon.voices.{row.module.split('.')[0]}" for row in FAMILIES.values())
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith(rooms), f"{path}:{node.lineno} imports {node.module}"
        if isinstance(node, ast.Compare | ast.Subscript | ast.Call):
            named = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            asked = [one for one in named if one in FAMILIES and "kind" in ast.unparse(node)]
            assert not asked, f"{path}:{node.lineno} asks for the family '{asked}'"
