"""Names of strangers' files as text that can be shown, written and spoken of."""

from __future__ import annotations


def decoded(raw: bytes, otherwise: str = "latin-1") -> str:
    """Bytes as UTF-8, or in the encoding that their system has had before it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(otherwise)


def legible(name: str) -> str:
    """A file's name without what cannot be printed: bytes that are no UTF-8, control characters, line ends."""
    if not name.isprintable():
        name = decoded(name.encode("utf-8", "surrogateescape" if _escaped(name) else "replace"))
    return "".join(letter if letter.isprintable() else " " for letter in name)


def _escaped(name: str) -> bool:
    """Whether all of its half characters are bytes that Python could not decode."""
    return all(0xDC80 <= ord(letter) <= 0xDCFF for letter in name if 0xD800 <= ord(letter) <= 0xDFFF)
