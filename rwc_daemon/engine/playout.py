"""Carries out the playout delay: tells the callback, then the daemon.

The daemon's `PlayoutDelay` owns the decision (control/playout.py), because it sees underruns and remembers. Its orders
are `Configure.total` and `SetSlack`, and they stand until the next one. A stream begins between two blocks, before the
daemon can answer: until then it plays by the orders that stand, and never with less slack than its own plan has.
"""

from __future__ import annotations

from collections.abc import Callable

from rwc_daemon.conversion.stream import Stream
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import Configure, Message, Planned, SetSlack


class Playout:
    """The only writer of the rings' playout delay, for one inference thread."""

    def __init__(self, link: SharedRings, send: Callable[[Message], None]) -> None:
        self._link, self._send = link, send
        self._number = 0  # of the stream that plays
        self._ordered = 0  # samples of slack, by the daemon or by the stream's plan
        self._total = 0  # see Configure
        self.slack = 0
        """Samples, as the callback was told."""

    def configure(self, wanted: Configure) -> None:
        self._total = wanted.total

    def begin(self, stream: Stream, before: Stream | None = None) -> None:
        """Another stream plays. With blocks of the same size the slack ordered for the one before stands, so that
        nothing stops for a little less."""
        self._number += 1
        if before is None or before.plan.block != stream.plan.block or stream.plan.slack > self._ordered:
            self._ordered = stream.plan.slack
        self._publish(stream)

    def set_slack(self, wanted: SetSlack, stream: Stream) -> None:
        """Carries out an order of the daemon."""
        self._total = wanted.total
        if wanted.number == self._number:
            self._ordered = wanted.slack
        self._publish(stream)

    def _publish(self, stream: Stream) -> None:
        plan, delay = stream.plan, stream.delay
        most = self._link.capacity // 2 - plan.block
        self.slack = min(max(self._ordered, self._total - plan.block - delay), most)
        self._link.set_playout(plan.block + self.slack, self.slack)
        needed, own = min(self._ordered, most), min(plan.slack, most)
        self._send(Planned(plan.rate, plan.quantum, plan.block, self.slack, delay, self._number, needed, own))
