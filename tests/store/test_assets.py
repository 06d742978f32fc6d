"""Support files: added, fetched from a server of our own, refused, resumed."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

from rwc_daemon.errors import BadModel, BadSettings, Busy, Cancelled, MissingAsset, NotReady, Unsupported
from rwc_daemon.store import layout_support
from rwc_daemon.store.assets import Assets
from rwc_daemon.store.catalog import Entry, packaged
from rwc_daemon.store.fetch import _locked
from testkit.makers import make_asset, make_assets, make_voice
from testkit.voice_maker import TINY_CONTENT


@dataclass
class Server:
    """A web server that does as it is told, and remembers what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path, Range."""
    cut: int = 0
    """Bytes after which the connection is dropped, once."""
    ranges: bool = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append((self.path, wanted))
            data = state.files.get(re.sub(r"^http://[^/]+", "", self.path))
            if data is None:
                return self.send_error(404)
            start = int(wanted[6:-1]) if state.ranges and wanted else 0
            self.send_response(206 if state.ranges and wanted else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            end, state.cut = (start + state.cut, 0) if state.cut else (len(data), 0)
            self.wfile.write(data[start:end])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{web.server_address[1]}"
    monkeypatch.setenv("RWC_ASSETS_URL", state.url)
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "RWC_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    yield state
    web.shutdown()
    web.server_close()
    thread.join()


def entry(data: bytes, name: str = "fcpe", places: tuple[str, ...] = ("a/resolve/main/fcpe.pt",)) -> dict[str, Entry]:
    digest = hashlib.sha256(data).hexdigest()
    return {name: Entry(name, "pitch", len(data), digest, "none", places, frozenset({digest}))}


@pytest.fixture
def fcpe(tmp_path: Path) -> bytes:
    return make_asset(tmp_path, "fcpe").read_bytes()


def test_fetched_checked_converted(server: Server, fcpe: bytes, tmp_path: Path) -> None:
    assets = Assets(tmp_path / "assets", entry(fcpe))
    server.files["/a/resolve/main/fcpe.pt"] = fcpe
    with pytest.raises(MissingAsset, match=r"`rwcctl assets fetch fcpe`"):
        assets.path("fcpe")
    told: list[float] = []
    path = assets.fetch("fcpe", told.append)
    assert path == assets.path("fcpe")
    assert told == sorted(told)
    assert told[-1] == 1.0
    (listed,) = assets.list()
    assert (listed.installed, listed.known, listed.url) == (True, True, f"{server.url}/a/resolve/main/fcpe.pt")
    stored = load_file(path)
    assert {name: array.shape for name, array in stored.items()} == layout_support.fcpe_shapes(hidden=32, layers=1)
    assert not list((assets.root / ".partial").iterdir())
    assert path.stat().st_mode & 0o777 == 0o600
    assets.fetch("fcpe")
    assert len(server.asked) == 1  # it is here already
    assets.remove("fcpe")
    assert not assets.has("fcpe")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_goes_on(ranges: bool, server: Server, fcpe: bytes, tmp_path: Path) -> None:
    assets = Assets(tmp_path / "assets", entry(fcpe))
    server.files["/a/resolve/main/fcpe.pt"] = fcpe
    server.cut, server.ranges = 50_000, ranges
    with pytest.raises(NotReady, match=r"was cut.*run the same command again"):
        assets.fetch("fcpe")
    assert not assets.has("fcpe")
    assets.fetch("fcpe")
    assert [asked for _, asked in server.asked] == ["bytes=0-", "bytes=50000-"]


def test_the_wrong_file_is_refused(server: Server, fcpe: bytes, tmp_path: Path) -> None:
    assets = Assets(tmp_path / "assets", entry(fcpe))
    for wrong in (fcpe[:-1] + b"x", fcpe + b"more", b"<html>sign in</html>"):
        server.files["/a/resolve/main/fcpe.pt"] = wrong
        with pytest.raises(BadModel, match=r"(another file than|bytes,) the catalogue knows.*assets add PATH"):
            assets.fetch("fcpe")
        assert not assets.has("fcpe")
    # also where what is kept of an earlier try is the beginning of another file
    server.files["/a/resolve/main/fcpe.pt"] = fcpe
    partial = assets.root / ".partial" / f"fcpe-{hashlib.sha256(fcpe).hexdigest()[:12]}.part"
    for size in (1000, len(fcpe), len(fcpe) + 1000):
        partial.write_bytes(b"x" * size)
        assets.fetch("fcpe")
        assets.remove("fcpe")


def test_a_mirror_steps_in(server: Server, fcpe: bytes, tmp_path: Path) -> None:
    places = ("gone/resolve/main/fcpe.pt", "mirror/resolve/main/fcpe.pt")
    assets = Assets(tmp_path / "assets", entry(fcpe, places=places))
    server.files["/mirror/resolve/main/fcpe.pt"] = fcpe
    assets.fetch("fcpe")
    assert [path for path, _ in server.asked] == [f"/{place}" for place in places]
    assets.remove("fcpe")
    server.files.clear()
    with pytest.raises(NotReady, match=r"answered 404.*RWC_ASSETS_URL.*assets add PATH"):
        assets.fetch("fcpe")


def test_no_network(server: Server, fcpe: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = Assets(tmp_path / "assets", entry(fcpe))
    monkeypatch.setenv("RWC_ASSETS_URL", "http://127.0.0.1:9")
    with pytest.raises(NotReady, match=r"cannot be reached.*https_proxy.*assets add PATH"):
        assets.fetch("fcpe")
    monkeypatch.setenv("RWC_ASSETS_URL", "file:///etc")
    with pytest.raises(BadSettings, match=r"is no web address"):
        assets.fetch("fcpe")
    monkeypatch.setenv("RWC_ASSETS_URL", server.url)
    monkeypatch.setenv("RWC_OFFLINE", "1")
    with pytest.raises(NotReady, match=r"offline: unset RWC_OFFLINE.*assets add PATH"):
        assets.fetch("fcpe")
    assert server.asked == []


def test_a_proxy_is_asked(server: Server, fcpe: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("RWC_ASSETS_URL", "http://weights.invalid")
    server.files["/a/resolve/main/fcpe.pt"] = fcpe
    Assets(tmp_path / "assets", entry(fcpe)).fetch("fcpe")
    assert server.asked[0][0] == "http://weights.invalid/a/resolve/main/fcpe.pt"


def test_stopped_and_taken_up_again(server: Server, fcpe: bytes, tmp_path: Path) -> None:
    assets = Assets(tmp_path / "assets", entry(fcpe))
    server.files["/a/resolve/main/fcpe.pt"] = fcpe
    with pytest.raises(Cancelled, match=r"the next fetch goes on"):
        assets.fetch("fcpe", cancelled=lambda: True)
    partial = assets.root / ".partial" / f"fcpe-{hashlib.sha256(fcpe).hexdigest()[:12]}.part"
    with _locked(partial), pytest.raises(Busy, match=r"being fetched already"):
        assets.fetch("fcpe")
    assets.fetch("fcpe")


@pytest.mark.parametrize("form", ["hf", "fairseq", "safetensors"])
def test_a_content_encoder_in_all_its_forms(form: str, tmp_path: Path) -> None:
    assets = Assets(tmp_path / "assets")
    source = make_asset(tmp_path, "contentvec", form=form)
    path = assets.add(tmp_path if form == "hf" else source)
    stored = load_file(path)
    assert {name: array.shape for name, array in stored.items()} == layout_support.content_shapes(**TINY_CONTENT)
    reference = load_file(make_asset(tmp_path, "contentvec", form="safetensors"))
    assert all(np.array_equal(stored[name].astype("f4"), reference[name]) for name in stored)
    with safe_open(path, "np") as file:
        notes = file.metadata()
    assert notes["kind"] == "contentvec"
    assert json.loads(notes["config"])["layers"] == 1
    assert not next(one for one in assets.list() if one.name == "contentvec").known


def test_every_other_support_file(tmp_path: Path) -> None:
    assets = make_assets(tmp_path / "assets", names=("rmvpe", "fcpe", "crepe-tiny"))
    assert [one.name for one in assets.list() if one.installed] == ["rmvpe", "fcpe", "crepe-tiny"]
    source = torch.load(make_asset(tmp_path, "rmvpe"), weights_only=True)
    stored = load_file(assets.path("rmvpe"))
    assert stored.keys() == {name for name in source if "num_batches" not in name}
    assert all(np.array_equal(stored[name], source[name].numpy()) for name in stored)


def test_files_that_are_no_support_file(tmp_path: Path) -> None:
    assets = Assets(tmp_path / "assets")
    with pytest.raises(BadModel, match=r"a voice, not a support file: `rwcctl import`"):
        assets.add(make_voice(tmp_path))
    with pytest.raises(BadModel, match=r"is 'fcpe', not 'rmvpe': nothing was changed"):
        assets.add(make_asset(tmp_path, "fcpe"), "rmvpe")
    with pytest.raises(MissingAsset, match=r"known are contentvec, rmvpe, fcpe, crepe, crepe-tiny"):
        assets.add(make_asset(tmp_path, "fcpe"), "fcpee")
    torch.save({"model": torch.load(make_asset(tmp_path, "rmvpe"), weights_only=True)}, tmp_path / "ddsp.pt")
    with pytest.raises(Unsupported, match=r"RMVPE of DDSP-SVC.*`rwcctl assets fetch rmvpe`"):
        assets.add(tmp_path / "ddsp.pt")
    held = torch.load(make_asset(tmp_path, "fcpe"), weights_only=True)
    del held["model"]["norm.weight"]
    torch.save(held, tmp_path / "part.pt")
    with pytest.raises(BadModel, match=r"lacks tensors.*fetch it again"):
        assets.add(tmp_path / "part.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadModel, match=r"holds neither model.safetensors nor pytorch_model.bin"):
        assets.add(tmp_path / "empty")
    assert not [one for one in assets.list() if one.installed]


def test_a_narrow_content_encoder_is_refused(tmp_path: Path) -> None:
    shapes = layout_support.content_shapes(**TINY_CONTENT | {"hidden": 32, "projection": 8})
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "narrow.bin")
    with pytest.raises(BadModel, match=r"gives 32 and 8 features.*`rwcctl assets fetch contentvec`"):
        Assets(tmp_path / "assets").add(tmp_path / "narrow.bin")


def test_the_packaged_catalogue() -> None:
    catalogue = packaged()
    assert tuple(catalogue) == ("contentvec", "rmvpe", "fcpe", "crepe", "crepe-tiny")
    for one in catalogue.values():
        assert re.fullmatch("[0-9a-f]{64}", one.sha256)
        assert all(url.startswith("https://huggingface.co/") for url in one.urls)
        assert one.purpose
        assert one.licence
        assert one.bytes > 1_000_000
