"""Who writes files, and that what RWC keeps for itself is the user's alone, whatever the umask."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rwc_daemon.batch.sound_file import Sound, write_sound
from rwc_daemon.faces.dbus_client import SyncDaemon
from rwc_daemon.store.files import write_atomic
from testkit.fuzz.words import daemon, typed
from testkit.voice_maker import make_asset, make_index, make_voice

PACKAGE = Path(__file__).parents[1] / "rwc_daemon"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# module → what it writes. A new one needs a reason, private modes or the user's own request, and a place in this table
WRITERS = {
    "store/files.py": "atomic writes and staging for the others",
    "store/fetch.py": "a download that goes on where it stopped, 0600",
    "store/importer.py": "the import child's log, in staging",
    "store/child.py": "the confined import child, in staging",
    "store/source.py": "the import child unpacks, in staging",
    "store/archive.py": "the import child unpacks, in staging",
    "store/adopt.py": "the import child writes weights, in staging",
    "store/index_writer.py": "the import child writes an index, in staging",
    "store/tensors.py": "the import child writes weights, in staging",
    "store/layers.py": "a private temporary folder",
    "host/state.py": "state.json, 0600, atomic",
    "host/lifetime.py": "a note in the runtime folder, under the daemon's umask",
    "audio/holder.py": "the holder's configuration in the runtime folder",
    "audio/microphone.py": "the holder's process id in the runtime folder",
    "voices/repository.py": "a private temporary folder",
    "batch/sound_file.py": "the user's own sound files, by his umask",
    "faces/report.py": "the user's own report",
    "faces/picture.py": "the user's own picture",
    "faces/cli/demo.py": "the user's own demo folder",
    **{
        f"voices/light/training/{name}.py": "the folder that the user names for the training"
        for name in ("corpus", "distil", "export", "features", "learn", "packages")
    },
    "faces/cli/through.py": "a private temporary folder",
}
WRITING = {
    *("write_text", "write_bytes", "mkstemp", "mkdtemp", "TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile"),
    *("mkdir", "makedirs", "savefig", "touch", "symlink_to", "mkfifo", "copy", "copyfile", "copytree", "move"),
}
SHUTIL = {"copy", "copyfile", "copytree", "move"}
NEVER = {"mktemp", "extractall", "extract", "unpack_archive", "chdir"}  # a race, paths of strangers, a hidden global
EXCUSED = {("voices/light/training/packages.py", "extractall")}  # packages of named versions; members stay inside


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    """Every call of a module, with its last name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func).rpartition(".")[2]


def writes(node: ast.Call, name: str) -> bool:
    if name in SHUTIL:
        return ast.unparse(node.func).startswith("shutil.")
    if name == "open":
        words = [ast.unparse(part) for part in (*node.args, *(keyword.value for keyword in node.keywords))]
        modes = [word.strip("'\"") for word in words if word[:1] in "'\""]
        return "O_CREAT" in "".join(words) or any(set(mode) & set("wax+") and len(mode) <= 3 for mode in modes)
    return name in WRITING


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_known_modules_write_files(path: Path) -> None:
    module = path.relative_to(PACKAGE).as_posix()
    for node, name in calls(path):
        spot = f"{module}:{node.lineno}: {ast.unparse(node)[:80]}"
        assert name not in NEVER or (module, name) in EXCUSED, spot
        assert module in WRITERS or not writes(node, name), f"{spot} writes a file"


def test_the_table_of_writers_holds_no_others() -> None:
    writing = {p.relative_to(PACKAGE).as_posix() for p in SOURCES if any(writes(n, name) for n, name in calls(p))}
    assert writing == set(WRITERS)


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    found = [folder, *folder.rglob("*")]
    return [f"{path} {stat.filemode(path.lstat().st_mode)}" for path in found if path.lstat().st_mode & 0o077]


def test_what_the_daemon_keeps_is_the_users_alone(tmp_path: Path, no_umask: None) -> None:
    made = tmp_path / "made"
    made.mkdir()
    voice, asset = make_voice(made, "v2-40k-f0", name="good"), make_asset(made, "fcpe")
    make_index(made, 768, 60, name="good")
    home = tmp_path / "home"
    home.mkdir()
    with daemon(home):
        for words in (["import", str(made)], ["assets", "add", str(asset)], ["pitch", "3"], ["use", "robot"]):
            assert typed(words)[0] == 0, typed(words)
        with SyncDaemon.connect() as remote:
            remote.call("Quit")
    kept = {path.name for path in home.rglob("*") if path.is_file()}
    assert {"state.json", "card.json", "voice.index", "weights.safetensors"} <= kept, kept
    assert voice.exists()
    # the folders that XDG variables name are the desktop's; ours begin with "rwc" in them
    ours = list(home.glob("*/rwc"))
    assert len(ours) >= 3
    assert not [path for folder in ours for path in open_to_others(folder)]


def test_an_atomic_write_is_private_and_leaves_nothing_else(tmp_path: Path, no_umask: None) -> None:
    write_atomic(tmp_path / "new" / "unit.service", b"text")
    assert not open_to_others(tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["unit.service"]


def test_a_converted_file_follows_the_users_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    write_sound(tmp_path / "out.wav", Sound(np.zeros(480, np.float32), 48000, 1))
    os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.wav").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]
