"""From text to the phonemes that the teacher speaks, by eSpeak NG."""

from __future__ import annotations

import re
import subprocess

_MARKS = ",.!?;:"
# eSpeak's spelling of a sound → the teacher's, in this order
_ENGLISH = (
    ("ʲ", ""),
    ("ˈɔːɹ", "ˈɔɹ"),
    ("aɪɚ", "Iəɹ"),
    ("aɪə", "Iə"),
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("dʒ", "ʤ"),
    ("tʃ", "ʧ"),
    ("eɪ", "A"),
    ("oʊ", "O"),
    ("əʊ", "Q"),
    ("ɔɪ", "Y"),
    ("əl", "ᵊl"),
    ("ʔn", "tᵊn"),
    ("ɚ", "əɹ"),
    ("ɜː", "ɜɹ"),
    ("ɝ", "ɜɹ"),
    ("ɐ", "ə"),
    ("r", "ɹ"),
    ("ɾ", "T"),
    ("ː", ""),
    ("e", "ɛ"),
    ("n̩", "ᵊn"),
    ("̩", ""),
)


def phonemes(text: str, language: str = "en-us") -> str:
    """Returns what is said in the teacher's phonemes; raises FileNotFoundError without espeak-ng."""
    said = []
    for part in re.findall(rf"[^{_MARKS}]+|[{_MARKS}]", text):
        if part in _MARKS:
            said.append(part)
        elif part.strip():
            said.append((" " if said else "") + _spoken(part.strip(), language))
    return "".join(said)


def _spoken(clause: str, language: str) -> str:
    command = ["espeak-ng", "-q", "--ipa", "-v", language, "--", clause]
    ipa = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ipa = " ".join(ipa.split()).replace("\u200d", "").replace("_", "")
    ipa = re.sub(r"\([a-z-]+\)", "", ipa)  # eSpeak names a language that it switches to
    if language.startswith("en"):
        for theirs, ours in _ENGLISH:
            ipa = ipa.replace(theirs, ours)
    return ipa
