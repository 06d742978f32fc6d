"""How far behind the microphone RWC Mic plays: block and slack, given to the callback and reported to the graph."""

from __future__ import annotations

import logging

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.control.figures import Figures
from rwc_daemon.control.slack import Slack
from rwc_daemon.host.journal import XRUNS, event
from rwc_daemon.link.ring import Counters, Link
from rwc_daemon.messages import Planned

log = logging.getLogger(__name__)


class Hold:
    """Follows the engine's plan; what a voice was found to need is kept for its next time."""

    def __init__(self, link: Link, client: AudioClient, figures: Figures, least_ms: float) -> None:
        self._link, self._client, self._figures = link, client, figures
        self.least_ms = least_ms
        self.planned: Planned | None = None
        self._voice = ""
        self._slack: Slack | None = None
        self._learned_ms: dict[str, float] = {}

    def plan(self, planned: Planned, voice: str) -> None:
        """The engine converts by `planned` from now on."""
        self.planned, self._voice = planned, voice
        learned = round(self._learned_ms.get(voice, 0.0) * planned.rate / 1000)
        start = max(planned.slack, learned - planned.quantum)  # a little less each time, or a bad hour would stay
        most = self._link.capacity // 2 - planned.block
        self._slack = Slack(planned.rate, planned.quantum, start, round(self.least_ms * planned.rate / 1000), most)
        self.apply()

    def speaks(self, voice: str) -> None:
        """What is learned from now on is about this voice."""
        self._voice = voice

    def drop(self) -> None:
        """No stream runs."""
        self.planned = self._slack = None

    def look(self, elapsed_s: float, before: Counters, gate_db: float) -> None:
        """Once a second while a stream runs: more slack after gaps, less after calm."""
        if self._slack is None:
            return
        underruns = self._figures.counters.underruns - before.underruns
        quiet = self._figures.levels.in_db <= gate_db
        if self._slack.look(elapsed_s, underruns, self._figures.beat.compute_max_ms, quiet):
            self._learn()
            self.apply()

    def apply(self) -> None:
        """Tells callback, graph and figures."""
        planned, slack = self.planned, self._slack
        if planned is None or slack is None:
            return
        self._link.set_hold(planned.block + slack.samples, slack.samples)
        self._link.set_wake(planned.block)
        self.report()

    def report(self) -> None:
        """The latency, again: the graph around us may have changed."""
        planned, slack = self.planned, self._slack
        if planned is None or slack is None:
            return
        if self._client.is_open:
            self._client.set_latency(planned.block + slack.samples + planned.delay)
        self._figures.plans(planned, slack.samples)

    def _learn(self) -> None:
        assert self.planned is not None
        assert self._slack is not None
        slack_ms = 1000 * self._slack.samples / self.planned.rate
        self._learned_ms[self._voice] = slack_ms
        underruns = self._figures.counters.underruns
        event(log, XRUNS, f"'{self._voice}' now has {slack_ms:.1f} ms of slack", RWC_UNDERRUNS=underruns)
