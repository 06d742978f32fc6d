"""Which index goes to which voice."""

from __future__ import annotations

from rwc_daemon.store.pairing import Thing, pair, words


def voices(*names: str, width: int = 768, folder: str = "") -> list[Thing]:
    return [Thing(name, folder, width) for name in names]


def test_what_a_name_says() -> None:
    assert words("added_IVF256_Flat_nprobe_1_Anna_Karenina_v2") == {"anna", "karenina"}
    assert words("anna-karenina_e200_s3000") == {"anna", "karenina", "200", "3000"}
    assert words("model") == words("added_IVF1_Flat_nprobe_1_v2") == frozenset()


def test_width_comes_first() -> None:
    anna = voices("anna", width=256)
    assert pair(anna, voices("anna", width=768)) == {}
    assert pair([*anna, *voices("anna")], voices("added_anna")) == {1: 0}


def test_names_decide_among_several() -> None:
    indexes = voices("added_IVF9_Flat_nprobe_1_Bob_v2", "added_IVF7_Flat_nprobe_1_Anna_v2")
    assert pair(voices("Anna_e200", "Bob"), indexes) == {0: 1, 1: 0}
    assert pair(voices("Carl", "Dora"), indexes) == {}


def test_folders_decide_where_names_are_mute() -> None:
    mute = [*voices("model", folder="a"), *voices("model", folder="b")]
    assert pair(mute, [*voices("model", folder="b"), *voices("model", folder="a")]) == {0: 1, 1: 0}
    assert pair(mute, voices("model", folder="c")) == {}


def test_one_voice_and_one_index_named_together_belong_together() -> None:
    assert pair(voices("kiki"), voices("added_IVF9_Flat_nprobe_1_other_v2")) == {0: 0}
    assert pair(voices("kiki"), voices("added_IVF9_Flat_nprobe_1_other_v2"), together=False) == {}
    assert pair(voices("kiki"), voices("added_IVF9_Flat_nprobe_1_kiki_v2"), together=False) == {0: 0}


def test_the_nearer_of_two_indexes() -> None:
    assert pair(voices("anna maria"), voices("anna", "anna maria")) == {0: 1}
