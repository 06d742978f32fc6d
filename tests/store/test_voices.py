"""The store: found, remembered, removed, listed past damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from rwc_daemon.errors import BadState, NoSuchControl, NoSuchVoice, OutOfRange
from rwc_daemon.families import shipped
from rwc_daemon.store.card import free_id, slug
from rwc_daemon.store.voices import VoiceStore
from testkit.makers import make_voice


def test_nothing_is_made_by_looking(store: VoiceStore) -> None:
    assert store.list() == []
    assert not store.root.exists()
    with pytest.raises(NoSuchVoice, match="none is imported yet; `rwcctl import FILE`"):
        store.get("anna")


def test_found_by_id_and_name(made: Path, tmp_path: Path, store: VoiceStore) -> None:
    store.bring_in([made / "anna.pth"], name="Anna Ångström")
    store.bring_in([made / "bob.pth"])
    assert store.get("anna-ångström") == store.get("ANNA ångström")
    with pytest.raises(NoSuchVoice, match="did you mean bob"):
        store.get("bobb")
    with pytest.raises(NoSuchVoice, match="known: anna-ångström, bob"):
        store.get("../etc")
    store.bring_in([make_voice(tmp_path, "v1-48k-nof0", name="bob", epoch=8)])
    with pytest.raises(NoSuchVoice, match=r"several voices.*bob or bob-2"):
        store.get("BOB")


def test_removed_whole(made: Path, store: VoiceStore) -> None:
    store.bring_in([made])
    store.remove("anna")
    assert [card.id for card in store.list()] == ["bob"]
    (store.get("bob").folder / "card.json").write_text("{")
    assert store.list() == []
    with pytest.raises(BadState, match="damaged: `rwcctl remove bob`, then import it again"):
        store.get("bob")
    store.remove("bob")
    assert [path.name for path in store.root.iterdir()] == [".staging"]
    with pytest.raises(NoSuchVoice):
        store.remove("bob")


def test_settings_are_remembered_per_voice(anna: Path, store: VoiceStore) -> None:
    store.bring_in([anna])
    assert store.remembered("anna") == {}
    store.remember("anna", {"Pitch": -5, "f0-method": "yin", "index_rate": 0.5})
    store.remember("anna", {"index_rate": None, "speaker": 2, "formant": 0})
    kept = {"pitch": -5.0, "f0_method": "yin", "speaker": 2, "formant": 0.0}
    assert store.remembered("anna") == kept
    for wrong, error in (
        ({"pitch": 99}, OutOfRange),
        ({"pich": 1}, NoSuchControl),
        ({"pitch": 1, "speaker": -1}, OutOfRange),
    ):
        with pytest.raises(error):
            store.remember("anna", wrong)
    assert VoiceStore(store.root).remembered("anna") == kept
    path = store.get("anna").folder / "settings.json"
    assert path.stat().st_mode & 0o777 == 0o600
    for damaged in ("{", "[1]", '{"pitch": 99, "speaker": 1, "later": 3}'):
        path.write_text(damaged)
        assert store.remembered("anna") == ({"speaker": 1} if "speaker" in damaged else {})


def test_ids_are_safe_and_never_taken() -> None:
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("--rm -rf") == "rm-rf"
    assert slug("") == slug("…") == slug("\0") == "voice"
    assert len(slug("x" * 500)) == 40
    for name in shipped():
        assert free_id(name.title(), []) == f"{name}-2"
    assert free_id("anna", ["anna", "anna-2"]) == "anna-3"
