"""Whether a low or a high voice is speaking: the mean of its pitch, on a logarithmic axis.

People with high voices have short throats, and their formants lie higher by about 15 % (women against men; Peterson and
Barney 1952). A voice that moves everybody's formants by the same step moves some out of what any throat can say; so a
built-in voice says by how much it moves those of a low and of a high voice, and what lies between moves between.
"""

from __future__ import annotations

import math

LOW_HZ, HIGH_HZ = 110.0, 200.0  # a man, a woman
UNKNOWN_HOPS = 20  # weight of not knowing, in voiced hops of 2.5 ms
MEMORY_HOPS = 3200  # 8 s of voiced sound: a question asked in a high voice does not move it


class Speaker:
    """Call `step` after each step of the tracker; `height` is 0 (low) … 1 (high)."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._weight = float(UNKNOWN_HOPS)
        self._mean = 0.5

    @property
    def height(self) -> float:
        return min(max(self._mean, 0.0), 1.0)

    def step(self, period: float) -> None:
        """`period`: samples; 0 where nothing has a pitch."""
        if not period:
            return
        self._weight = min(self._weight + 1, MEMORY_HOPS)
        own = math.log(self._rate / period / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ)
        # an octave taken wrongly weighs no more than the end of the scale beyond the next
        self._mean += (min(max(own, -0.5), 1.5) - self._mean) / self._weight
