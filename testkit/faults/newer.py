"""The catalogue without voices that need weights: for a session where torch is not installed (tools/newer_pipewire).

    python -m testkit.faults.newer [--only WORD]

Prints a JSON object per line: the servers' versions, the judge on trial, then a row per fault.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from testkit.faults import catalogue, suite
from testkit.faults.world import World, run

NEED_WEIGHTS = (
    catalogue.starve_engine,
    catalogue.raise_in_block,
    catalogue.nan_voice,
    catalogue.unknown_speaker,
    catalogue.fill_disk,
)


def versions() -> dict[str, str]:
    """Each server's own word about itself."""
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return {
        "system": system["PRETTY_NAME"].strip('"'),
        "PipeWire": run("pipewire", "--version").split()[-1],
        "WirePlumber": run("wireplumber", "--version").split()[-1],
        "systemd": run("systemctl", "--version").split()[1],
        "Python": sys.version.split()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="faults whose names contain this")
    options = parser.parse_args()
    chosen = [f for f in catalogue.FAULTS if options.only in f.name and f.inject not in NEED_WEIGHTS]
    world = World(Path.home())
    try:
        world.start()
        suite.tell({"versions": versions()})
        suite.judge(world, chosen)
    finally:
        world.stop()


if __name__ == "__main__":
    main()
