"""The import child's first breath: out of the network while there is one thread, then on with the work."""

from __future__ import annotations

import sys

from rwc_daemon.store import confine


def main() -> int:
    confine.isolate_network()
    # only now: numpy may start threads, after which no namespace can be left
    from rwc_daemon.store import child

    return child.main()


if __name__ == "__main__":
    sys.exit(main())
