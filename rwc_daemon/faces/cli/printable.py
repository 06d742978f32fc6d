"""What may be printed: file names of any bytes, in any locale, to a terminal that obeys control characters."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

PLAIN = {"…": "...", "−": "-", "–": "-", "’": "'", "→": "->", "×": "x", "·": "-"}  # where the locale has no such letter
HANDLER = "rwc-printable"


def name(path: Path | str) -> str:
    """A file's name as one line of text: bytes that are no text, and control characters, as escapes."""
    return "".join(_letter(letter) for letter in str(path))


def sentence(text: str) -> str:
    """One line, whatever the text holds."""
    return name(" ".join(text.split()))


def _letter(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no text in this locale
        return f"\\x{code - 0xDC00:02x}"
    return letter if letter.isprintable() or letter in "\u200d\ufe0f" else letter.encode("unicode_escape").decode()


def any_text() -> None:
    """From here on stdout and stderr take every text; what the locale cannot say is written plainly or as an escape."""
    codecs.register_error(HANDLER, _instead)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def _instead(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    plain = (PLAIN.get(letter) or _letter(letter) for letter in letters)
    return "".join(
        one if one.isascii() else one.encode("ascii", "backslashreplace").decode() for one in plain
    ), error.end
