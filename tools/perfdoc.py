"""One section of a document in docs/measurements/, replaced by the benchmark that owns it; the other sections stay.

A section lies between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

MEASUREMENTS = Path(__file__).resolve().parents[1] / "docs" / "measurements"


def machine() -> str:
    """One line about where the figures come from."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    system = f"{os.cpu_count()} cores, Linux {platform.release()}"
    return f"{model}, {system}, load average {os.getloadavg()[0]:.1f} at the end, everything included"


def write_section(name: str, body: str, document: Path) -> None:
    """Replaces the section, or adds it at the end."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = document.read_text()
    section = f"{begin}\n{body.strip()}\n{end}"
    if begin in text:
        before, _, rest = text.partition(begin)
        text = before + section + rest.partition(end)[2]
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    document.write_text(text)
