"""config.toml and the environment: strict, and the messages say where and what instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rwc_daemon.errors import BadSettings
from rwc_daemon.settings import Settings, example, keys, read


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def refused(folder: Path, text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(BadSettings) as caught:
        read(write(folder, text), environment or {})
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_nothing_is_the_defaults(tmp_path: Path) -> None:
    assert read(tmp_path / "none.toml", {}) == Settings()


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"none\.toml: no such file"):
        read(tmp_path / "none.toml", {}, must_exist=True)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[audio]\nlisten = "always"\nslack_ms = 5\n[privacy]\npin_bypass = true\n')
    settings = read(path, {"RWC_AUDIO_SLACK_MS": "7.5", "RWC_PRIVACY_PIN_BYPASS": "false"})
    assert settings.audio.listen == "always"
    assert settings.audio.slack_ms == 7.5
    assert settings.privacy.pin_bypass is False


def test_an_unknown_key_names_line_and_nearest(tmp_path: Path) -> None:
    message = refused(tmp_path, '# mine\n[audio]\nlistn = "auto"\n')
    assert "line 3" in message
    assert "'audio.listn'" in message
    assert "did you mean 'audio.listen'?" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("audio = 3", "unknown key 'audio'"),
        ("[adio]\nlisten='auto'", "did you mean 'audio.listen'"),
        ("[audio]\nslack_ms = nan", "line 2: audio.slack_ms must be a number from 0 to 500 ms"),
        ("[audio]\nslack_ms = -1", "from 0 to 500"),
        ("[audio]\nslack_ms = true", "not true"),
        ("[audio]\nslack_ms = '5'", "must be a number"),
        ("[audio]\nlisten = 'sometimes'", "one of auto, always"),
        ("[privacy]\npin_bypass = 1", "true or false"),
        ("[voice]\nfirst = ''", "1 to 60"),
        ('[voice]\nfirst = "\\u0007"', "printable"),
        ("[audio", "not valid TOML"),
        ("[audio]\n[audio]\n", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSettings, match="not valid TOML"):
        read(path, {})


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="cannot be read"):
        read(tmp_path, {})


def test_misspelt_variables_are_refused_and_strange_ones_left(tmp_path: Path) -> None:
    assert "did you mean RWC_AUDIO_LISTEN?" in refused(tmp_path, "", {"RWC_AUDIO_LISTN": "auto"})
    assert "environment RWC_AUDIO_LISTEN" in refused(tmp_path, "", {"RWC_AUDIO_LISTEN": "never"})
    assert read(tmp_path / "none", {"RWC_SESSION_DIR": "/x", "RWC_ASSETS_URL": "http://m"}) == Settings()


def test_every_key_can_be_set_by_its_variable(tmp_path: Path) -> None:
    for key in keys():
        text = str(key.default).lower() if isinstance(key.default, bool) else str(key.default)
        assert read(tmp_path / "none", {key.variable: text}) == Settings()


def test_the_example_is_valid_and_names_every_key(tmp_path: Path) -> None:
    uncommented = "\n".join(line[2:] if " = " in line else line for line in example().splitlines())
    assert read(write(tmp_path, uncommented), {}) == Settings()
    assert all(f"# {key.name.split('.')[1]} = " in example() for key in keys())


@pytest.mark.parametrize("key", [key.name for key in keys()])
def test_every_key_is_read_by_somebody(key: str) -> None:
    """A key that nobody reads is a promise that nobody keeps."""
    section, name = key.split(".")
    package = Path(__file__).parents[1] / "rwc_daemon"
    texts = [path.read_text() for path in package.rglob("*.py") if path.name != "settings.py"]
    direct, by_section = f"{section}.{name}", f"settings.{section}"
    read_directly = any(re.search(rf"\b{re.escape(direct)}\b", text) for text in texts)
    # a part that was given its whole section reads it by another name
    read_by_part = any(by_section in text for text in texts) and any(
        re.search(rf"\b_?(?:wanted|{section}|settings)\.{name}\b", text) for text in texts
    )
    assert read_directly or read_by_part
