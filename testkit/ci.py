"""What keeps a run of the tests honest: which tests may run again, and how many of each kind may be skipped.

Tests that need real servers, real processes or real time carry the mark `realtime`. Only they may run again:
`pytest --again` runs those that failed last time, once, and refuses where more failed than a busy machine explains.
Those of them that are `patient` run beside what computes (tools/test).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

AGAIN_AT_MOST = 3
REAL_FIXTURES = {"audio_session", "bus", "daemon", "desktop", "engine_of", "process"}
REAL_MODULES = (
    "testkit.browser",
    "testkit.daemon_session",
    "testkit.faults.enter",
    "testkit.harness",
    "testkit.running",
    "testkit.whole_engine",
)

# they ask what is never heard, and when all is well again, with deadlines of a minute
PATIENT = {"faults/test_faults.py", "faults/test_stops.py"}

# reason of a skip, as a pattern -> how many tests of a run may give it
SKIPS = {
    "mp3 has two channels at most": 1,
    # another processor
    "this CPU has no matrix unit": 30,
    "this CPU has no fast bfloat16": 5,
    "before Linux 6.1 no process could ask for them": 10,
    "this machine has no huge pages": 5,
    # a machine that lacks a program, a right or an optional package
    "no systemd-analyze": 30,
    "jackd or jack_lsp is not installed": 10,
    ".* is not installed .a package of that name only on Debian.": 10,
    "this machine lets nobody mount": 5,
    "mounting needs root": 5,
    "only root can make a desktop session.*": 60,
    "the package is not installed: tools/test does that": 60,
    "could not import '(av|onnxruntime|torch)'.*": 120,
    "needs (torch|faiss)": 120,  # RWC_TORCH=none
}


def is_realtime(fixtures: Iterable[str], module: ModuleType) -> bool:
    """Whether a test stands on real servers or processes: by its fixtures, or by what its module imports."""
    if REAL_FIXTURES & set(fixtures):
        return True
    origins = (getattr(value, "__module__", None) or "" for value in vars(module).values())
    return any(origin == real or origin.startswith(f"{real}.") for origin in origins for real in REAL_MODULES)


def is_patient(path: Path) -> bool:
    """Whether the realtime tests of a module hold on a machine that is busy elsewhere."""
    return "/".join(path.parts[-2:]) in PATIENT


def why_not_again(failed: set[str], realtime: set[str]) -> str:
    """Why the tests that failed may not run again; empty: they may."""
    if once := sorted(failed - realtime):
        return "these tests failed and run only once: " + ", ".join(once)
    if len(failed) > AGAIN_AT_MOST:
        return f"{len(failed)} realtime tests failed, and at most {AGAIN_AT_MOST} may run again"
    return ""


def beyond_budget(skipped: Counter[str]) -> list[str]:
    """A sentence for each reason that is unknown or was given too often."""
    allowed, used = Counter[str](), Counter[str]()
    wrong = []
    for reason, count in skipped.items():
        row = next((row for row in SKIPS if re.fullmatch(row, reason)), None)
        if row is None:
            wrong.append(f"{count} skipped for a reason that testkit/ci.py does not know: {reason}")
        else:
            allowed[row], used[row] = SKIPS[row], used[row] + count
    wrong += [f"{n} skipped, at most {allowed[row]} may be: {row}" for row, n in used.items() if n > allowed[row]]
    return wrong
