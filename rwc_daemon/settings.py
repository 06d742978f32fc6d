"""Choices that restart a part: config.toml and `RWC_…` in the environment, typed and strict.

The dataclasses below are the table: every key with its default, what it may be, and one line of doc. `read` takes
config.toml, then the environment (`audio.listen` is `RWC_AUDIO_LISTEN`), which wins. Anything unknown or out of range
raises BadSettings, which names the file and line (or the variable) and what to write instead.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rwc_daemon.errors import BadSettings

LONGEST_SHOWN = 80  # characters of a wrong value
NO_SETTINGS = ("RWC_ASSETS_URL",)  # our variables that look like a key's and are none: store/catalog.py reads this one


def _key(
    default: Any, doc: str, *, one_of: tuple[str, ...] = (), low: float = 0, high: float = 0, unit: str = ""
) -> Any:
    return field(default=default, metadata={"doc": doc, "one_of": one_of, "low": low, "high": high, "unit": unit})


@dataclass(frozen=True)
class AudioSection:
    listen: str = _key(
        "auto",
        "auto: capture only while somebody records RWC Mic; always: keep the input open",
        one_of=("auto", "always"),
    )
    channel: str = _key(
        "auto",
        "which channel of a stereo microphone is used; auto: the left one, unless only the right one carries sound",
        one_of=("auto", "left", "right", "mix"),
    )
    slack_ms: float = _key(
        0.0, "converted voice kept ready at least; 0: only what jitter asks for", low=0, high=500, unit="ms"
    )
    constant_latency_ms: float = _key(
        0.0,
        "microphone to application always takes this long, for those who align video; 0: as short as can be",
        low=0,
        high=2000,
        unit="ms",
    )
    client_name: str = _key("rwc", "name of the JACK client and so of its ports")


@dataclass(frozen=True)
class EngineSection:
    device: str = _key("auto", "where nets run", one_of=("auto", "cpu", "cuda"))
    keep_warm_s: float = _key(
        600.0, "how long weights stay loaded after the last recorder left; 0: for ever", low=0, high=86400, unit="s"
    )
    memory_mb: float = _key(2000.0, "the voices used last stay in memory within this", low=0, high=1000000, unit="MiB")
    without_gpu: str = _key(
        "cpu",
        "when the GPU fails: cpu: the same voice goes on more slowly; voice: voice.first takes over",
        one_of=("cpu", "voice"),
    )


@dataclass(frozen=True)
class VoiceSection:
    first: str = _key("deep", "the voice of the first start, and when the chosen one cannot be loaded")


@dataclass(frozen=True)
class StateSection:
    remember_per_voice: bool = _key(
        True, "pitch, formant, index rate and tracker are remembered for each imported voice"
    )


@dataclass(frozen=True)
class PrivacySection:
    pin_bypass: bool = _key(False, "true: mode bypass (your unprocessed voice) survives a restart")
    mute_lost_recorders: bool = _key(
        True, "mute recorders that cannot be kept on RWC Mic, so that they do not hear the unprocessed microphone"
    )


@dataclass(frozen=True)
class AssetsSection:
    offline: bool = _key(False, "true: never fetch support files from the network")


@dataclass(frozen=True)
class LoggingSection:
    level: str = _key("info", "least serious message in the journal", one_of=("debug", "info", "warning", "error"))


@dataclass(frozen=True)
class Settings:
    audio: AudioSection = AudioSection()
    engine: EngineSection = EngineSection()
    voice: VoiceSection = VoiceSection()
    state: StateSection = StateSection()
    privacy: PrivacySection = PrivacySection()
    assets: AssetsSection = AssetsSection()
    logging: LoggingSection = LoggingSection()


@dataclass(frozen=True)
class Key:
    """One line of the table."""

    name: str
    """ "audio.listen"."""
    default: Any
    doc: str
    one_of: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    unit: str = ""

    @property
    def variable(self) -> str:
        return "RWC_" + self.name.upper().replace(".", "_")

    @property
    def takes(self) -> str:
        """What it may be set to, in words."""
        if self.one_of:
            return "one of " + ", ".join(self.one_of)
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, float):
            return f"a number from {self.low:g} to {self.high:g} {self.unit}".rstrip()
        return "a text of 1 to 60 printable characters"


def keys() -> Iterator[Key]:
    """Every key in the order of the file."""
    default = Settings()
    for section in fields(Settings):
        for entry in fields(getattr(default, section.name)):
            yield Key(name=f"{section.name}.{entry.name}", default=entry.default, **entry.metadata)


def example() -> str:
    """A config.toml with every key at its default, commented."""
    lines: list[str] = []
    for key in keys():
        section, name = key.name.split(".")
        if f"[{section}]" not in lines:
            lines += ["", f"[{section}]"]
        lines += [f"# {key.doc} ({key.takes}; {key.variable})", f"# {name} = {_toml(key.default)}"]
    return "\n".join(lines).lstrip() + "\n"


def read(path: Path, environment: Mapping[str, str], must_exist: bool = False) -> Settings:
    """The settings of `path` (none is fine unless `must_exist`) under those of `environment`. Raises BadSettings."""
    known = {key.name: key for key in keys()}
    values = _from_file(path, known, must_exist)
    values.update(_from_environment(environment, known))
    default = Settings()
    sections = {
        section.name: type(getattr(default, section.name))(
            **{name.partition(".")[2]: value for name, value in values.items() if name.startswith(section.name + ".")}
        )
        for section in fields(Settings)
    }
    return Settings(**sections)


def _from_file(path: Path, known: Mapping[str, Key], must_exist: bool) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode()
        tree = tomllib.loads(text)
    except FileNotFoundError:
        if must_exist:
            raise BadSettings(f"{path}: no such file; leave out --config to use the defaults") from None
        return {}
    except OSError as failed:
        raise BadSettings(f"{path} cannot be read ({failed.strerror}): fix its permissions or remove it") from failed
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as bad:
        raise BadSettings(f"{path} is not valid TOML: {bad}; fix that line or remove the file") from bad
    values: dict[str, Any] = {}
    for section, content in tree.items():
        entries = content if isinstance(content, dict) else {"": content}
        for name, value in entries.items():
            full = f"{section}.{name}" if name else section
            values[full] = _checked(full, value, known, f"{path}{_line_of(text, section, name)}")
    return values


def _from_environment(environment: Mapping[str, str], known: Mapping[str, Key]) -> dict[str, Any]:
    """A variable that no key has is another program's, unless it looks like one of ours misspelt."""
    by_variable = {key.variable: key for key in known.values()}
    sections = tuple(f"RWC_{section.name.upper()}_" for section in fields(Settings))
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith("RWC_") or variable in NO_SETTINGS:
            continue
        key = by_variable.get(variable)
        if key is not None:
            values[key.name] = _checked(key.name, _from_text(text, key), known, f"environment {variable}")
            continue
        near = difflib.get_close_matches(variable, by_variable, n=1, cutoff=0.85)
        if near or variable.startswith(sections):
            hint = f"did you mean {near[0]}?" if near else "known: " + ", ".join(by_variable)
            raise BadSettings(f"environment: unknown variable {variable}: {hint}")
    return values


def _from_text(text: str, key: Key) -> Any:
    if isinstance(key.default, bool):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower(), text)
    if isinstance(key.default, float):
        try:
            return float(text)
        except ValueError:
            return text
    return text


def _checked(name: str, value: Any, known: Mapping[str, Key], where: str) -> Any:
    key = known.get(name)
    if key is None:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "known: " + ", ".join(known)
        raise BadSettings(f"{where}: unknown key '{_toml(name)[1:-1]}': {hint}")
    if isinstance(key.default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not _fits(value, key):
        raise BadSettings(f"{where}: {name} must be {key.takes}, not {_toml(value)}")
    return value


def _fits(value: Any, key: Key) -> bool:
    if type(value) is not type(key.default):
        return False
    if key.one_of:
        return value in key.one_of
    if isinstance(value, float):
        return math.isfinite(value) and key.low <= value <= key.high
    return not isinstance(value, str) or (0 < len(value) <= 60 and value.isprintable())


def _line_of(text: str, section: str, name: str) -> str:
    """`, line 7`: where a key stands, for the message; tomllib does not say."""
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([^\]]+?)\s*\]", line)
        inside = header.group(1) if header else inside
        written = line.split("=")[0].strip().replace('"', "")
        if (inside == section and written == name) or written == f"{section}.{name}" or written == section:
            return f", line {number}"
    return ""


def _toml(value: Any) -> str:
    """On one line, and no longer than a sentence can hold."""
    if isinstance(value, bool):
        return str(value).lower()
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
