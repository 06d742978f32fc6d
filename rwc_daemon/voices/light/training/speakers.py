"""Who the shipped voices are, who speaks to them in training, and who only in tests.

Every shipped speaker is a blend of two of the teacher's styles, so nobody's voice. Chosen by a predicted MOS of one
sentence (in brackets) and by difference: the cosine of speaker embeddings is .80 between the women, .67 between the
men.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Speaker:
    """One of the voices that come with the package."""

    name: str
    title: str
    blend: dict[str, float] = field(hash=False)


SHIPPED = (
    Speaker("linen", "Linen: a woman", {"bf_emma": 0.5, "af_sarah": 0.5}),  # 171 Hz (4.64)
    Speaker("silk", "Silk: a woman, lower", {"af_bella": 0.4, "af_kore": 0.6}),  # 156 Hz (4.55)
    Speaker("oak", "Oak: a man", {"am_fenrir": 0.5, "bm_fable": 0.5}),  # 115 Hz (4.60)
    Speaker("slate", "Slate: a man, lower", {"bm_george": 0.5, "am_onyx": 0.5}),  # 105 Hz (4.55)
)
HELD_OUT = ("af_nova", "af_sky", "bf_lily", "am_adam", "am_echo", "bm_lewis", "im_nicola", "jf_nezumi")
"""Styles that are never trained on: the judges' sources."""

WOMEN = (
    *("af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_river", "af_sarah"),
    *("bf_alice", "bf_emma", "bf_isabella", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "jf_alpha", "zf_xiaoxiao"),
)
MEN = (
    *("am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx", "am_puck", "am_santa", "bm_daniel", "bm_fable"),
    *("bm_george", "em_alex", "em_santa", "hm_omega", "hm_psi", "jm_kumo", "pm_alex", "zm_yunjian", "zm_yunyang"),
)
