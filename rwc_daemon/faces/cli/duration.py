"""Seconds as a user types them."""

from __future__ import annotations

import argparse

LONGEST_S = 86400.0


def seconds(text: str) -> float:
    """Returns the number; raises argparse.ArgumentTypeError, which makes it wrong usage."""
    try:
        wanted = float(text)
    except ValueError:
        wanted = 0.0
    if not 0 < wanted <= LONGEST_S:  # also not a number
        raise argparse.ArgumentTypeError(f"a number of seconds above 0 and up to {LONGEST_S:g}; not '{text[:60]}'")
    return wanted
