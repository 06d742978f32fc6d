"""Every size and every delay of one conversion, derived once.

Sizes are samples; a size that is not at the host's rate says so in its name (`_16k`). The host's rate is whatever the
graph has; it must be a whole number of 10 ms hops (44.1, 48, 88.2, 96, 192 kHz … all are).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rwc_daemon.errors import OutOfRange, Unsupported
from rwc_daemon.thresholds import THRESHOLDS, Thresholds

HOPS_PER_SECOND = 100  # a hop is 10 ms, the grid that features, pitch and the nets share
RATE_16K = 16000  # the rate that content encoders and pitch trackers hear
HOP_16K = RATE_16K // HOPS_PER_SECOND  # 160 samples
LOWEST_RATE, HIGHEST_RATE = 8000, 384000


@dataclass(frozen=True)
class Block:
    """What a voice asks of the size of a block."""

    ms: float
    """Wanted length."""
    on_hop: bool = False
    """True: a whole number of hops (nets that think in 10 ms frames)."""


def hop_at(rate: int) -> int:
    """Samples per 10 ms hop at `rate`, exactly; raises Unsupported where there is no such number."""
    if rate % HOPS_PER_SECOND or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise Unsupported(
            f"a rate of {rate} Hz is not a whole number of 10 ms hops from 8 to 384 kHz: use 44100 or 48000 Hz"
        )
    return rate // HOPS_PER_SECOND


def work_rate(rate: int) -> int:
    """The rate itself where it has whole hops; 11025 and 22050 Hz: their multiple that has. Raises Unsupported."""
    if rate in (11025, 22050):
        return 44100
    hop_at(rate)
    return rate


def compute_slack_ms(
    compute_ms: float, block_ms: float, cycle_ms: float, parallel: bool, limits: Thresholds = THRESHOLDS
) -> float:
    """Slack that a stream needs for its compute time alone, beyond the one cycle that is always there.

    `compute_ms`: of a typical warm block on one thread; `cycle_ms`: one cycle of the graph; `parallel`: the voice runs
    on several threads. What takes longer than a block lasts cannot be helped by slack.
    """
    if compute_ms <= min(limits.slow_block_ms, cycle_ms):
        return 0.0
    share = limits.parallel_slack_share if parallel else limits.slack_share
    return min(share * compute_ms, block_ms)


@dataclass(frozen=True)
class Plan:
    """The sizes of one stream. Make it with `Plan.fit` (live) or `Plan.offline` (files)."""

    rate: int
    """Samples per second, in and out."""
    quantum: int
    """Samples per graph cycle (1 for files: there is no graph)."""
    block: int
    """Samples converted at once."""
    slack: int = 0
    """Samples of converted voice kept ready beyond the block, against jitter."""

    def __post_init__(self) -> None:
        hop_at(self.rate)
        if not 1 <= self.quantum <= 65536 or self.block < 1 or self.slack < 0:
            raise OutOfRange(f"no stream has quantum {self.quantum}, block {self.block}, slack {self.slack}")

    @property
    def hop(self) -> int:
        """Samples per 10 ms."""
        return hop_at(self.rate)

    @property
    def hops(self) -> int:
        """Whole hops per block; asserts that the block is on the hop grid."""
        assert self.block % self.hop == 0, (self.block, self.hop)
        return self.block // self.hop

    @property
    def block_16k(self) -> int:
        """The block at 16 kHz; asserts that the block is on the hop grid."""
        return self.hops * HOP_16K

    @property
    def playout(self) -> int:
        """Samples from a sample's entry in the mic ring to its turn in the voice ring, without the voice's delay."""
        return self.block + self.slack

    def ms(self, samples: float) -> float:
        return 1000 * samples / self.rate

    @classmethod
    def fit(cls, rate: int, quantum: int, wanted: Block, slack_ms: float = 0.0) -> Plan:
        """The live plan nearest to what a voice wants.

        A block that is a whole number of quanta completes at the same moment of every cycle. Where hops and quanta
        have no common multiple within twice the wanted block, the block follows the hops and one more quantum of slack
        absorbs the saw.
        """
        grid = math.lcm(hop_at(rate), quantum) if wanted.on_hop else quantum
        size = wanted.ms * rate / 1000
        saw = 0
        if wanted.on_hop and grid > 2 * size:
            grid, saw = hop_at(rate), quantum
        block = grid * max(1, round(size / grid))
        if saw and block % quantum == 0:
            saw = 0
        return cls(rate, quantum, block, slack=saw + quantum * max(1, math.ceil(slack_ms * rate / 1000 / quantum)))

    @classmethod
    def offline(cls, rate: int, wanted: Block) -> Plan:
        """The plan of a file: the same stream, no graph, no slack."""
        grid = hop_at(rate) if wanted.on_hop else 1
        return cls(rate, 1, grid * max(1, round(wanted.ms * rate / 1000 / grid)))


@dataclass(frozen=True)
class Latency:
    """Microphone to application, by named parts; every part in milliseconds."""

    input_ms: float = 0.0
    """The graph before us: from the microphone's capture to our input port."""
    block_ms: float = 0.0
    """Filling one block."""
    voice_ms: float = 0.0
    """What the voice and the stages around it hold back."""
    slack_ms: float = 0.0
    """Converted voice kept ready against jitter."""
    output_ms: float = 0.0
    """The graph behind us: from our output port to a recorder of RWC Mic."""

    @property
    def total_ms(self) -> float:
        return self.input_ms + self.block_ms + self.voice_ms + self.slack_ms + self.output_ms

    @classmethod
    def of(cls, plan: Plan, delay: int, input_ms: float = 0.0, output_ms: float = 0.0) -> Latency:
        """`delay`: samples the stream holds back (`Stream.delay`)."""
        return cls(input_ms, plan.ms(plan.block), plan.ms(delay), plan.ms(plan.slack), output_ms)
