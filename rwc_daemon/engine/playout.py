"""How far the voice plays behind the microphone: the callback is told first, then the daemon. Nobody else sets it."""

from __future__ import annotations

from collections.abc import Callable

from rwc_daemon.conversion.stream import Stream
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.messages import Configure, Message, Planned, SetSlack


class Playout:
    """Of one inference thread."""

    def __init__(self, link: SharedRings, send: Callable[[Message], None]) -> None:
        self._link, self._send = link, send
        self._number = 0  # of the stream that plays
        self._needed = 0  # samples of slack that it wants
        self._total = 0  # see Configure
        self.slack = 0  # as the callback was told

    def configure(self, wanted: Configure) -> None:
        self._total = wanted.total

    def begin(self, stream: Stream, before: Stream | None = None) -> None:
        """Another stream plays. With blocks of the same size it has at least the slack that the one before was found
        to need, so that nothing stops for a little less."""
        self._number += 1
        if before is None or before.plan.block != stream.plan.block or stream.plan.slack > self._needed:
            self._needed = stream.plan.slack
        self._publish(stream)

    def set_slack(self, wanted: SetSlack, stream: Stream) -> None:
        """The daemon has found how much slack there must be."""
        self._total = wanted.total
        if wanted.number == self._number:
            self._needed = wanted.slack
        self._publish(stream)

    def _publish(self, stream: Stream) -> None:
        plan, delay = stream.plan, stream.delay
        most = self._link.capacity // 2 - plan.block
        slack = min(max(self._needed, self._total - plan.block - delay), most)
        self.slack = slack
        self._link.set_hold(plan.block + slack, slack)
        needed, own = min(self._needed, most), min(plan.slack, most)
        self._send(Planned(plan.rate, plan.quantum, plan.block, slack, delay, self._number, needed, own))
