"""Decides how far behind the microphone RWC Mic plays: the one owner of the playout delay.

Its inputs are what the engine's stream needs (block, delay and the slack for its compute time: `Planned`), what the
callback counted (underruns, silence), the load, what a voice needed earlier, and the latency that the settings fix. Its
orders are `Configure.total` and `SetSlack`; the engine carries them out (engine/playout.py). The latency is reported to
the graph."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from rwc_daemon.audio.client import AudioClient
from rwc_daemon.control.faults import Faults
from rwc_daemon.control.slack import SlackControl
from rwc_daemon.control.starvation import StarvationWatch
from rwc_daemon.control.stats import Stats
from rwc_daemon.host.journal import XRUNS, event
from rwc_daemon.link.ring import Counters, SharedRings
from rwc_daemon.messages import Configure, Planned, SetSlack
from rwc_daemon.settings import AudioSection
from rwc_daemon.thresholds import THRESHOLDS

log = logging.getLogger(__name__)

PLACE = "latency"


class PlayoutDelay:
    """Follows the engine's plan, and keeps what a voice was found to need for its next time."""

    def __init__(
        self,
        link: SharedRings,
        client: AudioClient,
        stats: Stats,
        faults: Faults,
        wanted: AudioSection,
        tell: Callable[[SetSlack], None],
    ) -> None:
        self._link, self._client, self._stats, self._faults = link, client, stats, faults
        self._wanted, self._tell = wanted, tell
        self._starvation = StarvationWatch(link, faults, self._starve)
        self.planned: Planned | None = None
        self._voice = ""
        self._slack: SlackControl | None = None
        self._total = 0  # as told to the engine
        self._learned_ms: dict[str, float] = {}
        self._levels_db: deque[float] = deque(maxlen=THRESHOLDS.pause_memory_s)
        # of the input, each second's peak, the newest last

    def configuration(self, rate: int, quantum: int) -> Configure:
        """What the engine is told of a graph."""
        self._total = self._padded(rate)
        return Configure(rate, quantum, self._wanted.slack_ms, self._total)

    def plan(self, planned: Planned, voice: str) -> None:
        """The engine converts by `planned` from now on."""
        before, self.planned, self._voice = self.planned, planned, voice
        if self._slack is None or before is None or planned.number != before.number:
            last, self._slack = self._slack, self._new_slack(planned, voice)
            if last is not None and before is not None and before.block == planned.block:
                self._slack.inherit(last)
            if self._slack.samples > planned.needed:
                self._set_slack()
        self.report()

    def speaks(self, voice: str) -> None:
        """What is learned from now on is about this voice."""
        self._voice = voice

    def forget(self) -> None:
        """Latency back to what a calm machine needs: what gaps taught, of this voice and others, is dropped."""
        self._learned_ms.clear()
        if self._slack is not None and self.planned is not None and self._slack.forget(self.planned.own):
            self._set_slack()

    @property
    def note(self) -> str:
        """Why the latency is longer than this voice needs on a calm machine, and how it ends; or nothing."""
        if self._slack is None or self.planned is None:
            return ""
        extra_ms = 1000 * self._slack.above(self.planned.own) / self.planned.rate
        if extra_ms <= 0:
            return ""
        since_s = self._slack.since_growth_s
        why = "an earlier time of this voice" if since_s is None else f"sound that came too late {_ago(since_s)}"
        return (
            f"{extra_ms:.1f} ms of it are kept because of {why}; they go within minutes on a calm machine, "
            "or now with `rwcctl latency --reset`"
        )

    def drop(self) -> None:
        """No stream runs."""
        self.planned = self._slack = None
        self._starvation.look(converting=False)
        self._faults.end(PLACE)

    def glance(self, converting: bool) -> None:
        """Some times a second while a stream runs: is there any voice? `converting`: it should be heard."""
        if self.planned is not None:
            planned = self.planned
            self._starvation.look(converting, (planned.block + planned.slack + planned.delay) / planned.rate)

    def look(self, elapsed_s: float, before: Counters, gate_db: float) -> None:
        """Once a second while a stream runs: more slack after gaps, less after calm. `before`: of the look before."""
        if self._slack is None or self.planned is None:
            return
        underruns = self._stats.counters.underruns - before.underruns
        self._levels_db.append(self._stats.levels.in_db)
        quiet = self._levels_db[-1] <= max(gate_db, min(self._levels_db) + THRESHOLDS.pause_db)
        heartbeat = self._stats.heartbeat
        useless = heartbeat.overloaded or self._stood_still(elapsed_s, underruns, before)
        if self._slack.look(elapsed_s, underruns, heartbeat.compute_max_ms, quiet, useless):
            self._learn(underruns)
            self._set_slack()
        elif self._slack.lasting < self._slack.samples and self._voice in self._learned_ms:
            # an overload that is seen only now explains an earlier growth
            self._learned_ms[self._voice] = 1000 * self._slack.lasting / self.planned.rate
        self.report()

    def report(self) -> None:
        """The latency, again: the graph around us may have changed."""
        planned = self.planned
        if planned is None:
            return
        if self._client.is_open:
            self._client.set_latency(planned.block + planned.slack + planned.delay)
        self._stats.plans(planned)
        self._stay_constant(planned)

    def _new_slack(self, planned: Planned, voice: str) -> SlackControl:
        learned = round(self._learned_ms.get(voice, 0.0) * planned.rate / 1000)
        start = max(planned.needed, learned - planned.quantum)  # a little less each time, or a bad hour would stay
        # where blocks end in the middle of a cycle, a whole cycle more may pass until the next one is heard
        saw = planned.quantum if planned.block % planned.quantum else 0
        least = max(round(self._wanted.slack_ms * planned.rate / 1000), saw + planned.quantum)
        # what does not fit into this does not for want of slack, but because computing takes longer than speaking
        useful = max(round(THRESHOLDS.useful_slack_ms * planned.rate / 1000), planned.block * 3 // 2)
        most = min(self._link.capacity // 2 - planned.block, max(useful, least))
        return SlackControl(planned.rate, planned.quantum, start, least, most)

    def _stood_still(self, elapsed_s: float, underruns: int, before: Counters) -> bool:
        """Returns True where voice was missing for longer than all useful slack: the engine got no CPU time for so
        long. Nothing but silence is another matter (see StarvationWatch)."""
        assert self.planned is not None
        planned, now = self.planned, self._stats.counters
        silent_s = (now.silence_samples - before.silence_samples) / planned.rate
        # playing begins again only when block and slack are filled
        refill_s = (planned.block + planned.slack + planned.delay) / planned.rate
        longest_s = THRESHOLDS.useful_slack_ms / 1000 + refill_s
        return underruns > 0 and underruns * longest_s < silent_s < THRESHOLDS.silent_share * elapsed_s

    def _starve(self) -> None:
        if self._stats.heartbeat.overloaded:
            return
        if self._slack is not None and self._slack.starve():
            self._learn(self._stats.counters.underruns)
            self._set_slack()

    def _set_slack(self) -> None:
        assert self.planned is not None
        assert self._slack is not None
        self._tell(SetSlack(self.planned.number, self._slack.samples, self._total))

    def _padded(self, rate: int) -> int:
        """What block, slack and delay must sum to for the constant latency; 0: there is none."""
        if not self._wanted.constant_latency_ms:
            return 0
        around_ms = self._stats.latency.input_ms + self._stats.latency.output_ms
        return max(1, round((self._wanted.constant_latency_ms - around_ms) * rate / 1000))

    def _stay_constant(self, planned: Planned) -> None:
        if not self._wanted.constant_latency_ms:
            return
        total = self._padded(planned.rate)
        if abs(total - self._total) > planned.quantum // 2:
            self._total = total
            self._set_slack()
        least, wanted_ms = planned.block + planned.needed + planned.delay, self._wanted.constant_latency_ms
        if least <= total:
            self._faults.end(PLACE)
            return
        least_ms = wanted_ms + 1000 * (least - total) / planned.rate
        text = f"'{self._voice}' needs {least_ms:.0f} ms, more than audio.constant_latency_ms = {wanted_ms:g}: "
        self._faults.begin(PLACE, "OutOfRange", text + "set that higher, or choose a faster voice or quality")

    def _learn(self, underruns: int) -> None:
        assert self.planned is not None
        assert self._slack is not None
        slack_ms = 1000 * self._slack.samples / self.planned.rate
        self._learned_ms[self._voice] = 1000 * self._slack.lasting / self.planned.rate
        event(log, XRUNS, f"'{self._voice}' now has {slack_ms:.1f} ms of slack", RWC_UNDERRUNS=underruns)


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 90 else f"{seconds / 60:.0f} min ago"
