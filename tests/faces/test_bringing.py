"""`rwcctl import` and `rwcctl assets` without a daemon: what a user sees, and what is in the store afterwards."""

from __future__ import annotations

import json

import pytest

from rwc_daemon.errors import BadModel
from rwc_daemon.faces.cli import importing
from rwc_daemon.faces.cli.main import main
from rwc_daemon.faces.dbus_client import Event
from rwc_daemon.host import paths
from rwc_daemon.store.voices import VoiceStore


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without session bus."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("RWC_OFFLINE", "1")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    return tmp_path


def test_a_voice_with_its_index(home, capsys):
    pytest.importorskip("torch")
    from tests.makers import make_index, make_voice

    made = [make_voice(home, "v2-40k-f0"), make_index(home, 768)]
    assert main(["import", *map(str, made), "--name", "Tina T"]) == 0
    said = capsys.readouterr().out
    (card,) = VoiceStore(paths.voices_dir()).list()
    assert card.name == "Tina T"
    assert card.index is not None
    assert f"{card.id}: Tina T, RVC v2, 40 kHz, follows pitch, 3 speakers" in said
    assert "`rwcctl assets fetch contentvec`" in said
    assert said.endswith(f"next: `rwcctl use {card.id}`\n")


def test_what_is_no_voice_leaves_nothing(home, capsys):
    page = home / "voice.pth"
    page.write_text("<!doctype html><title>404</title>")
    assert main(["import", str(page)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["import", str(home / "none.pth")]) == 1
    assert "no file or folder" in capsys.readouterr().err
    assert VoiceStore(paths.voices_dir()).list() == []


def test_assets_listed_added_removed(home, capsys):
    pytest.importorskip("torch")
    from tests.makers import make_asset

    made = make_asset(home, "crepe-tiny", True)
    assert main(["assets", "add", str(made), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "crepe-tiny"
    assert main(["assets", "--json"]) == 0
    listed = {asset["name"]: asset["installed"] for asset in json.loads(capsys.readouterr().out)}
    assert listed == {"contentvec": False, "rmvpe": False, "fcpe": False, "crepe": False, "crepe-tiny": True}
    assert main(["assets", "fetch", "crepe-tiny"]) == 0
    assert "here already" in capsys.readouterr().out
    assert main(["assets", "remove", "crepe-tiny"]) == 0
    assert main(["assets"]) == 0
    assert "rwcctl assets fetch contentvec" in capsys.readouterr().out


def test_assets_refusals(home, capsys):
    for words, says in (
        (["fetch", "rmvpe"], "offline"),
        (["fetch", "rmvp"], "known are"),
        (["remove", "fcpe"], "fetch fcpe"),
    ):
        assert main(["assets", *words]) == 1
        assert says in capsys.readouterr().err


class Job:
    """A daemon that does one import as told."""

    def __init__(self, *events):
        self.events, self.calls = list(events), []

    def listen(self):
        self.calls.append(("listen",))

    def call(self, method, *args):
        self.calls.append((method, *args))
        if method == "ListVoices":
            return [{"id": "deep"}, {"id": "tina"}]
        return 7

    def wait_for(self, wanted, timeout_s):
        event = self.events.pop(0)
        if isinstance(event, BaseException):
            raise event
        return event if event is None or wanted(event) else self.wait_for(wanted, timeout_s)


def test_through_the_daemon(tmp_path):
    daemon = Job(
        Event("JobDone", (6, True, "other")), Event("JobProgress", (7, 0.5)), Event("JobDone", (7, True, "tina"))
    )
    found = importing.through(daemon, [tmp_path / "a.pth", tmp_path / "a.index"], "Tina")
    assert found == [{"id": "tina"}]
    options = {"also": [str(tmp_path / "a.index")], "name": "Tina"}
    assert daemon.calls[:2] == [("listen",), ("ImportVoice", str(tmp_path / "a.pth"), options)]


def test_the_daemons_refusal_is_ours(tmp_path):
    daemon = Job(Event("JobDone", (7, False, "BadModel: an HTML page: download it again")))
    with pytest.raises(BadModel, match=r"^an HTML page: download it again$"):
        importing.through(daemon, [tmp_path / "a.pth"], None)


def test_ctrl_c_cancels_the_job(tmp_path):
    daemon = Job(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        importing.through(daemon, [tmp_path / "a.pth"], None)
    assert daemon.calls[-1] == ("CancelJob", 7)
