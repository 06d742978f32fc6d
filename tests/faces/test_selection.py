"""Which files are converted and where they go."""

from __future__ import annotations

import os

import pytest

from rwc_daemon.errors import BadAudio
from rwc_daemon.faces.cli.selection import select


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.wav", "in/b.MP3", "in/deep/c.flac", "in/.hidden.wav", "in/text.txt", "in/.git/d.wav", "one.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def pairs(*args):
    return [(str(job.source), str(job.target)) for job in select(*args)[0]]


def test_one_file_to_one_file(tree):
    assert pairs(["one.wav"], "out.flac") == [("one.wav", "out.flac")]


def test_one_file_into_a_folder(tree):
    assert pairs(["one.wav"], "out/") == [("one.wav", "out/one.wav")]
    os.mkdir("there.wav")
    assert pairs(["one.wav"], "there.wav") == [("one.wav", "there.wav/one.wav")]


def test_a_folder_is_mirrored(tree):
    assert pairs(["in"], "out") == [
        ("in/a.wav", "out/a.wav"),
        ("in/deep/c.flac", "out/deep/c.flac"),
        ("in/b.MP3", "out/b.wav"),
    ]


def test_the_format_is_kept_or_chosen(tree):
    assert [target for _, target in pairs(["in"], "out", "ogg")] == [f"out/{name}.ogg" for name in ("a", "b", "deep/c")]
    with pytest.raises(BadAudio, match="disagree"):
        select(["one.wav"], "out.flac", "ogg")


def test_patterns(tree):
    assert pairs(["in/**/*.flac"], "out") == [("in/deep/c.flac", "out/c.flac")]
    with pytest.raises(BadAudio, match="no file, folder or match"):
        select(["*.aac"], "out")


def test_two_names_that_would_become_one(tree):
    (tree / "in/a.mp3").write_bytes(b"")
    assert {("in/a.wav", "out/a.wav"), ("in/a.mp3", "out/a.mp3.wav")} < set(pairs(["in"], "out"))
    (tree / "other").mkdir()
    (tree / "other/one.wav").write_bytes(b"")
    assert len(select(["one.wav", "./one.wav"], "out")[0]) == 1
    assert len({job.target for job in select(["one.wav", "other/one.wav"], "out")[0]}) == 2


def test_a_target_below_its_source_is_not_converted_again(tree):
    os.makedirs("in/out")
    (tree / "in/out/a.wav").write_bytes(b"")
    assert "in/out/a.wav" not in [source for source, _ in pairs(["in"], "in/out")]


@pytest.mark.parametrize("out", ["in/a.wav", "in"])
def test_no_target_is_a_source(tree, out):
    with pytest.raises(BadAudio, match="one of the files to convert"):
        select(["in/a.wav"], out)


def test_what_cannot_be_meant(tree):
    with pytest.raises(BadAudio, match="give a folder"):
        select(["in"], "out.wav")
    with pytest.raises(BadAudio, match="is a file, but a folder is needed"):
        select(["in"], "in/text.txt")
    os.mkdir("empty")
    with pytest.raises(BadAudio, match="no sound files"):
        select(["empty"], "out")


def test_what_a_folder_holds_beside_sounds_is_listed(tree):
    (tree / "in/talk.m4a").write_bytes(b"")
    _, skipped = select(["in"], "out")
    assert [(str(one.source), one.reason) for one in skipped] == [
        ("in/.hidden.wav", "hidden"),
        ("in/text.txt", "not a sound file by its name"),
    ]


def test_without_the_extra_its_kinds_are_skipped_by_name_of_the_extra(tree, monkeypatch):
    (tree / "in/talk.m4a").write_bytes(b"")
    monkeypatch.setattr("rwc_daemon.faces.cli.selection.find_spec", lambda name: None)
    jobs, skipped = select(["in"], "out")
    assert len(jobs) == 3
    assert any(str(one.source) == "in/talk.m4a" and "rwc-daemon[media]" in one.reason for one in skipped)
