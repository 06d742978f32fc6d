"""Support files on this machine: content encoders and pitch nets, kept as safetensors.

assets/encoder-NAME.safetensors    a content encoder that only some voices want (see `encoders`)
assets/NAME.safetensors            what the nets read; metadata: kind, sizes, sha256 of the file it came from
assets/.staging/  assets/.partial/ imports at work; downloads to be resumed
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rwc_daemon.errors import BadModel, BadState, Busy, MissingAsset, NotReady, Unsupported
from rwc_daemon.store import importer
from rwc_daemon.store.card import slug
from rwc_daemon.store.catalog import Entry, packaged
from rwc_daemon.store.encoders import CONTENTVEC, encoder_id, guessed
from rwc_daemon.store.fetch import OFFLINE_VARIABLE, download, offline
from rwc_daemon.store.files import PRIVATE_FILE, disk_error, plain_file, private_folder, staging, sync_folder
from rwc_daemon.store.tensors import Progress, read_safetensors

PARTIAL = ".partial"
ROOM = 4  # times the download: the file, its float32 form, some air
CONVERTING = 0.1  # share of the progress that the conversion takes
SUFFIXES, MOST_FILES = (".pt", ".pth", ".bin", ".safetensors"), 100
ENCODER = "encoder-"  # how the files of other content encoders begin
MODEL_NAMES = ("model.safetensors", "pytorch_model.bin")  # in a Hugging Face folder


@dataclass(frozen=True)
class Asset:
    """One support file, as lists show it."""

    name: str
    purpose: str
    bytes: int
    """To download."""
    licence: str
    url: str
    path: Path
    """Where it lies, or would."""
    installed: bool
    known: bool
    """Installed from a file that the catalogue knows by its sha256."""


Listing = list[Asset]


class Assets:
    """`root` holds the files; `offline` forbids the network (so does RWC_OFFLINE=1)."""

    def __init__(self, root: Path, catalog: Mapping[str, Entry] | None = None, offline: bool = False) -> None:
        self.root = root
        self._catalog = packaged() if catalog is None else catalog
        self._offline = offline

    def list(self) -> Listing:
        """Every support file of the catalogue, in its order, and behind them the other encoders that are here."""
        return [*(self._asset(entry) for entry in self._catalog.values()), *self._encoders()]

    def has(self, name: str) -> bool:
        return self._place(name).is_file()

    def path(self, name: str) -> Path:
        """The safetensors file. Raises MissingAsset with what to do."""
        if not self.has(name):
            self._entry(name)
            raise MissingAsset(f"'{name}' is not on this machine: `rwcctl assets fetch {name}` brings it")
        return self._place(name)

    def fetch(self, name: str, progress: Progress | None = None, cancelled: importer.Cancel | None = None) -> Path:
        """Downloads, checks and converts; does nothing where it is installed. `progress` is told the share done.

        Raises MissingAsset (unknown name), NotReady (offline, no network), BadModel, Busy, Cancelled, BadState.
        """
        entry = self._entry(name)
        if self.has(name):
            return self._place(name)
        if self._offline or offline():
            raise NotReady(
                f"'{name}' cannot be fetched offline: unset {OFFLINE_VARIABLE} and the setting assets.offline, or "
                "bring the file and use `rwcctl assets add PATH`"
            )
        tell = progress or (lambda share: None)
        private_folder(self.root)
        self._check_room(entry)
        partial = self.root / PARTIAL / f"{name}-{entry.sha256[:12]}.part"
        stop = cancelled or (lambda: False)
        download(entry.urls, partial, entry.bytes, entry.sha256, lambda share: tell(share * (1 - CONVERTING)), stop)
        found = self._convert(partial, name, lambda share: tell(1 - CONVERTING * (1 - share)), stop)
        partial.unlink(missing_ok=True)
        return found

    def add(self, path: Path, name: str | None = None, progress: Progress | None = None) -> Path:
        """Takes a file (or Hugging Face folder) that is already here; what it is, its content says.

        A content encoder can have any `name`, by which voices ask for it; without one, the name of its file or folder
        decides, and is contentvec where that says nothing. Raises BadModel where it is no support file, or another
        than `name`; MissingAsset for a name that no such file can have; Unsupported, BadState.
        """
        private_folder(self.root)
        return self._convert(_model_file(Path(path)), name, progress or (lambda share: None), lambda: False)

    def add_all(self, folder: Path, progress: Progress | None = None) -> tuple[Sequence[Path], Sequence[str]]:
        """Takes every support file below a folder; what was added, and what was left out with the reason.

        Raises BadModel where the folder holds no file that could be one, BadState.
        """
        private_folder(self.root)
        files = _candidates(folder)
        tell = progress or (lambda share: None)
        added: list[Path] = []
        left_out: list[str] = []
        for number, file in enumerate(files):
            try:
                part = partial(_share_of, tell, number, len(files))
                added.append(self._convert(file, None, part, lambda: False, taken=added))
            except (BadModel, Unsupported, Busy) as error:
                left_out.append(str(error))
        return added, left_out

    def remove(self, name: str) -> None:
        """Deletes a support file. Raises MissingAsset, BadState."""
        try:
            self.path(name).unlink()
        except OSError as error:
            raise disk_error(self._place(name), error) from None

    def _entry(self, name: str) -> Entry:
        if name not in self._catalog:
            raise MissingAsset(f"no support file is named '{name}': known are {', '.join(self._catalog)}")
        return self._catalog[name]

    def _place(self, name: str) -> Path:
        return self.root / (f"{name}.safetensors" if name in self._catalog else f"{ENCODER}{slug(name)}.safetensors")

    def _encoders(self) -> Iterator[Asset]:
        for path in sorted(self.root.glob(f"{ENCODER}*.safetensors")):
            name = name_of(path)
            yield Asset(name, f"content encoder of voices that ask for '{name}'", 0, "", "", path, True, False)

    def _asset(self, entry: Entry) -> Asset:
        path = self._place(entry.name)
        return Asset(
            name=entry.name,
            purpose=entry.purpose,
            bytes=entry.bytes,
            licence=entry.licence,
            url=entry.urls[0],
            path=path,
            installed=path.is_file(),
            known=path.is_file() and _source_hash(path) in entry.known,
        )

    def _check_room(self, entry: Entry) -> None:
        free, wanted = shutil.disk_usage(self.root).free, ROOM * entry.bytes
        if free < wanted:
            raise BadState(
                f"'{entry.name}' needs {wanted >> 20} MiB of disk while it is brought in, {free >> 20} are free "
                f"at {self.root}: free some space"
            )

    def _convert(
        self,
        path: Path,
        name: str | None,
        progress: Progress,
        cancelled: importer.Cancel,
        taken: Container[Path] = (),
    ) -> Path:
        """Through the confined child into safetensors, moved into place in one step; not into a place of `taken`."""
        with ExitStack() as held:
            stage = held.enter_context(staging(self.root))
            files = held.enter_context(importer.opened([path]))
            found = importer.run("asset", files, stage, None, progress, cancelled).done
            kind = str(found["asset"])
            place = self._place(self._named(path, kind, name, bool(found["projection"])))
            if place in taken:
                raise BadModel(f"{path}: a second '{kind}'; one is enough")
            made = stage / f"{kind}.safetensors"
            try:
                plain_file(made)
                os.chmod(made, PRIVATE_FILE)
                os.replace(made, place)
                sync_folder(self.root)
            except OSError as error:
                raise disk_error(place, error) from None
            return place

    def _named(self, path: Path, kind: str, wanted: str | None, projection: bool) -> str:
        """What a support file of this kind is called here. Raises BadModel, MissingAsset."""
        if kind not in self._catalog:
            raise BadModel(f"{path.name}: the catalogue has no support file '{kind}'")
        if kind != CONTENTVEC:
            if wanted not in (None, kind):
                self._entry(str(wanted))
                raise BadModel(f"{path.name} is '{kind}', not '{wanted}': nothing was changed")
            return kind
        name = guessed(path) if wanted is None else encoder_id(wanted)
        if name != CONTENTVEC and name in self._catalog:
            raise BadModel(f"{path.name} is a content encoder, not '{name}': nothing was changed")
        if name == CONTENTVEC and not projection:
            raise BadModel(
                f"{path.name} is a content encoder without the projection that contentvec has: say which one it is "
                "with --name, as the voice that wants it does"
            )
        return name


def _candidates(folder: Path) -> Sequence[Path]:
    """The files below a folder that could be support files, in the order of their names."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise BadModel(f"{folder} holds no file that could be a support file ({', '.join(SUFFIXES)}): name another")
    if len(found) > MOST_FILES:
        raise BadModel(f"{folder} holds {len(found)} files that could be support files: name the folder of a few")
    return found


def _share_of(tell: Progress, number: int, count: int, share: float) -> None:
    tell((number + share) / count)


def is_model(folder: Path) -> bool:
    """Whether a folder is one model of Hugging Face's."""
    return any((folder / name).is_file() for name in MODEL_NAMES)


def name_of(path: Path) -> str:
    """What the support file at `path` is called."""
    return path.stem.removeprefix(ENCODER)


def _model_file(path: Path) -> Path:
    """The model of a Hugging Face folder; any other path as it is."""
    if not path.is_dir():
        return path
    for name in MODEL_NAMES:
        if (path / name).is_file():
            return path / name
    raise BadModel(f"{path} holds neither {' nor '.join(MODEL_NAMES)}: name the file itself")


def _source_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return read_safetensors(file)[1].get("sha256", "")
    except (OSError, BadModel):
        return ""
