"""`rwcctl import` and `rwcctl assets` without a daemon: what a user sees, and what is in the store afterwards."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

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
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("RWC_OFFLINE", "1")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    return tmp_path


def test_a_voice_with_its_index(home, capsys):
    pytest.importorskip("torch")
    from testkit.makers import make_index, make_voice

    made = [make_voice(home, "v2-40k-f0"), make_index(home, 768)]
    assert main(["import", *map(str, made), "--name", "Tina T"]) == 0
    said = capsys.readouterr().out
    (card,) = VoiceStore(paths.voices_dir()).list()
    assert card.name == "Tina T"
    assert card.index is not None
    assert f"{card.id}: Tina T, RVC v2, 40 kHz, follows pitch, 3 speakers, index of 200 vectors\n" in said
    assert "`rwcctl assets fetch contentvec`" in said
    assert said.endswith(f"next: `rwcctl use {card.id}`\n")


def test_every_door_says_what_a_voice_needs(home, capsys):
    """`import`, also as JSON, the doctor and `convert --model`; `voice` and D-Bus are asked in test_dbus and
    test_cli_live."""
    pytest.importorskip("torch")
    from rwc_daemon.doctor import voices as doctor_voices
    from testkit.makers import make_assets, make_voice

    make_assets(paths.assets_dir(), names=("contentvec",))
    voice = str(make_voice(home, applio=True, name="spinner", embedder_model="spin"))
    (home / "bad.index").write_bytes(b"IxPT" + bytes(100))
    needs, without = "`rwcctl assets add PATH --name spin`", "plays without its index: bad.index: "
    assert main(["import", voice, str(home / "bad.index")]) == 0
    said = capsys.readouterr().out
    assert "follows pitch, 3 speakers, no index\n" in said
    assert f"note: {without}" in said
    assert needs in said
    assert "missing: spin (voices were made with it): `rwcctl assets add PATH --name spin`" in said
    assert main(["import", voice, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [without in note or needs in note for note in told["voices"][0]["notes"]] == [True, True]
    assert (told["voices"][0]["embedder"], told["voices"][0]["index_vectors"]) == ("spin", 0)
    assert "spin" in told["missing"]
    assert "is here already as 'spinner'" in told["left_out"][0]
    noted = [finding for finding in doctor_voices.voices() if finding.text.startswith("spinner: ")]
    assert [(finding.state, without in finding.text or needs in finding.text) for finding in noted] == [
        ("note", True),
        ("note", True),
    ]
    soundfile.write(home / "in.wav", np.zeros(4000), 16000)
    convert = ["convert", str(home / "in.wav"), "--model", voice, "--index", str(home / "bad.index"), "--device", "cpu"]
    assert main([*convert, "-o", str(home / "out.wav"), "--f0-method", "yin"]) == 0
    said = capsys.readouterr().out
    assert f"note: {without}" in said
    assert needs in said


def test_a_folder_of_support_files(home, capsys):
    pytest.importorskip("torch")
    from testkit.makers import make_asset, make_voice

    (home / "all").mkdir()
    make_asset(home / "all", "crepe-tiny")
    make_voice(home / "all")
    assert main(["assets", "add", str(home / "all")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("crepe-tiny is here: ")
    assert "left out: v2-40k-f0.pth: this is a voice" in said
    assert main(["assets", "add", str(home / "all"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["added"]] == ["crepe-tiny"]
    assert len(told["left_out"]) == 1
    (home / "all" / "tiny.pth").unlink()
    assert main(["assets", "add", str(home / "all")]) == 1
    assert "holds no support file that can be used" in capsys.readouterr().err


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
    from testkit.makers import make_asset

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


def test_another_address_for_support_files_is_no_setting(home, capsys, monkeypatch):
    monkeypatch.delenv("RWC_OFFLINE")
    monkeypatch.setenv("RWC_ASSETS_URL", "http://127.0.0.1:9")
    assert main(["assets", "fetch", "rmvpe"]) == 1
    assert "127.0.0.1" in capsys.readouterr().err


def test_the_setting_forbids_the_network(home, capsys, monkeypatch):
    monkeypatch.delenv("RWC_OFFLINE")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # whoever tries the network all the same gets nowhere
    settings = paths.config_file()
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("[assets]\noffline = true\n")
    assert main(["assets", "fetch", "rmvpe"]) == 1
    assert "the setting assets.offline" in capsys.readouterr().err


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
    assert found == importing.Came([{"id": "tina"}])
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
