"""What each kind of net file must hold: the name and shape of every tensor, derived from its configuration.

Torch-free, so that the import child can judge a file before any net exists, and the nets check themselves against the
same table. Support files (content encoder, pitch nets) have theirs in `layout_support`. Names are the old weight-norm
names (`weight_g`, `weight_v`); `plain_name` maps the newer ones onto them.
Source: RVC engineering specification, section 2 and appendix A.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rwc_daemon.errors import BadModel, Unsupported

Shape = tuple[int, ...]
Shapes = dict[str, Shape]
V = TypeVar("V")

CONTENT_WIDTHS = {"v1": 256, "v2": 768}
PITCH_BINS = 256  # rows of the coarse-pitch embedding
ATTENTION_REACH = 10  # relative positions known to the text encoder, each way
FLOWS, WAVENET_LAYERS, WAVENET_KERNEL = 4, 3, 5
CONFIG_LENGTH = 18
NSF, MRF = "HiFi-GAN", "MRF HiFi-GAN"  # decoders as Applio names them; a file without a name has the first
MRF_HARMONICS = 9
MOST_CHANNELS, MOST_LAYERS, MOST_KERNEL, MOST_SPEAKERS = 4096, 48, 128, 65536
VOICE_RATES = range(8000, 96001)
NAMED_RATES = {"24k": 24000, "32k": 32000, "40k": 40000, "48k": 48000}


@dataclass(frozen=True)
class SynthConfig:
    """The 18 numbers of a voice file, checked. Sizes are channels unless the name says otherwise."""

    inter: int
    hidden: int
    filter: int
    heads: int
    layers: int
    kernel: int
    resblock: str
    """ "1": pairs of convolutions, "2": single ones."""
    resblock_kernels: tuple[int, ...]
    resblock_dilations: tuple[tuple[int, ...], ...]
    rates: tuple[int, ...]
    """Upsampling factor of each stage; their product is the samples per 10 ms."""
    upsample_kernels: tuple[int, ...]
    initial: int
    """Channels before the first stage; each stage halves them."""
    speakers: int
    gin: int
    """Width of the speaker vector."""
    rate: int
    """samples/s."""
    version: str
    f0: bool
    vocoder: str = NSF

    @property
    def harmonics(self) -> int:
        """Sines that the source mixes."""
        return MRF_HARMONICS if self.vocoder == MRF else 1

    @property
    def post_bias(self) -> bool:
        return self.vocoder == MRF

    @property
    def content(self) -> int:
        """Width of the content features that this version hears."""
        return CONTENT_WIDTHS[self.version]

    @property
    def hop(self) -> int:
        """Samples per 10 ms at the voice's rate."""
        return math.prod(self.rates)

    @property
    def stages(self) -> int:
        return len(self.rates)

    def width(self, stage: int) -> int:
        """Channels after `stage` upsamplings."""
        return self.initial >> stage

    def stride(self, stage: int) -> int:
        """Source samples per output sample of `stage`: the product of the rates still to come."""
        return math.prod(self.rates[stage + 1 :])

    def source_kernel(self, stage: int) -> int:
        """Length of the convolution that brings the source down to `stage`."""
        stride = self.stride(stage)
        return 2 * stride - stride % 2

    @classmethod
    def parse(
        cls, config: Sequence[object], version: str, f0: bool, speakers: int | None = None, vocoder: str = NSF
    ) -> SynthConfig:
        """Reads the list of a voice file; `speakers`: rows of `emb_g.weight` (the list's own count is only nominal).

        Raises BadModel with the entry that is wrong, Unsupported for a version or vocoder that we do not have.
        """
        if version not in CONTENT_WIDTHS:
            raise Unsupported(f"version '{version}' of RVC is not known here: v1 and v2 voices can be used")
        if vocoder not in (NSF, MRF) or (vocoder == MRF and not f0):
            # RefineGAN has had several layouts under one name, so a file does not say which net it is
            kind = vocoder if f0 else f"{vocoder} without pitch"
            raise Unsupported(f"voices with the vocoder {kind} cannot be used: train or choose one with {NSF} or {MRF}")
        if len(config) != CONFIG_LENGTH:
            raise BadModel(f"the configuration of a voice has {CONFIG_LENGTH} entries; this one has {len(config)}")
        rates = _wholes(config[12], 12, 512)
        found = cls(
            inter=_whole(config[2], 2, MOST_CHANNELS),
            hidden=_whole(config[3], 3, MOST_CHANNELS),
            filter=_whole(config[4], 4, MOST_CHANNELS),
            heads=_whole(config[5], 5, 64),
            layers=_whole(config[6], 6, MOST_LAYERS),
            kernel=_whole(config[7], 7, MOST_KERNEL),
            resblock=str(config[9]),
            resblock_kernels=_wholes(config[10], 10, MOST_KERNEL),
            resblock_dilations=tuple(_wholes(one, 11, 64) for one in _list(config[11], 11)),
            rates=rates,
            # the reference pairs kernels with rates and forgets a surplus one
            upsample_kernels=_wholes(config[14], 14, MOST_KERNEL)[: len(rates)],
            initial=_whole(config[13], 13, MOST_CHANNELS),
            speakers=_whole(config[15] if speakers is None else speakers, 15, MOST_SPEAKERS),
            gin=_whole(config[16], 16, MOST_CHANNELS),
            rate=parse_rate(config[17]),
            version=version,
            f0=bool(f0),
            vocoder=vocoder,
        )
        found._check()
        return found

    def _check(self) -> None:
        trouble = (
            (self.inter % 2, "the latent width (entry 2) must be even"),
            (self.hidden % self.heads, "the encoder width (entry 3) is not a multiple of its heads (entry 5)"),
            (self.resblock not in ("1", "2"), f"resblock '{self.resblock}' (entry 9) is neither 1 nor 2"),
            (len(self.resblock_kernels) != len(self.resblock_dilations), "entries 10 and 11 differ in length"),
            (any(k % 2 == 0 for k in self.resblock_kernels), "resblock kernels (entry 10) must be odd"),
            (len(set(map(len, self.resblock_dilations))) > 1, "dilations (entry 11) differ in length"),
            (len(self.rates) != len(self.upsample_kernels), "entries 12 and 14 differ in length"),
            (not all(map(_fits, self.upsample_kernels, self.rates)),
             "an upsampling kernel (entry 14) does not fit its rate (entry 12)"),
            (self.hop * 100 != self.rate, f"rates {self.rates} make {self.hop * 100} Hz, the file says {self.rate} Hz"),
            (self.initial % (1 << self.stages), "the decoder's width (entry 13) cannot be halved at every stage"),
        )  # fmt: skip
        for wrong, what in trouble:
            if wrong:
                raise BadModel(f"the configuration of this voice is damaged: {what}")


def _fits(kernel: int, rate: int) -> bool:
    """Whether a transposed convolution can make exactly `rate` samples of each one."""
    return kernel == 2 * rate if rate % 2 else kernel >= rate and kernel % 2 == 0


def parse_rate(value: object) -> int:
    """`40000`, `"40000"` or `"40k"` → 40000; raises BadModel."""
    number = NAMED_RATES.get(str(value).strip().lower(), value)
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 8:
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or number not in VOICE_RATES:
        raise BadModel(f"a voice rate of '{str(value)[:40]}' is not known: 24, 32, 40 or 48 kHz are usual")
    return number


def _whole(value: object, entry: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        shown = str(value)[:40]
        raise BadModel(f"entry {entry} of the voice's configuration must be a whole number 1 … {most}, not {shown}")
    return value


def _list(value: object, entry: int) -> Sequence[object]:
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 16:
        raise BadModel(f"entry {entry} of the voice's configuration must be a list of 1 … 16 entries")
    return value


def _wholes(value: object, entry: int, most: int) -> tuple[int, ...]:
    return tuple(_whole(one, entry, most) for one in _list(value, entry))


def expected_shapes(
    config: Sequence[object], version: str, f0: bool, speakers: int | None = None, vocoder: str = NSF
) -> Shapes:
    """Name → shape of every tensor of a voice; `config` is the list of 18. Raises BadModel or Unsupported."""
    return synth_shapes(SynthConfig.parse(config, version, f0, speakers, vocoder))


def synth_shapes(c: SynthConfig) -> Shapes:
    return {"emb_g.weight": (c.speakers, c.gin), **_text_shapes(c), **_flow_shapes(c), **_decoder_shapes(c)}


def _conv(name: str, out: int, *rest: int) -> Shapes:
    return {f"{name}.weight": (out, *rest), f"{name}.bias": (out,)}


def _normed(name: str, out: int, into: int, kernel: int) -> Shapes:
    return {f"{name}.weight_g": (out, 1, 1), f"{name}.weight_v": (out, into, kernel), f"{name}.bias": (out,)}


def _text_shapes(c: SynthConfig) -> Shapes:
    H, F, K = c.hidden, c.filter, c.kernel
    shapes = _conv("enc_p.emb_phone", H, c.content)
    if c.f0:
        shapes["enc_p.emb_pitch.weight"] = (PITCH_BINS, H)
    for i in range(c.layers):
        attention, ffn = f"enc_p.encoder.attn_layers.{i}", f"enc_p.encoder.ffn_layers.{i}"
        for part in ("conv_q", "conv_k", "conv_v", "conv_o"):
            shapes |= _conv(f"{attention}.{part}", H, H, 1)
        for part in ("emb_rel_k", "emb_rel_v"):
            shapes[f"{attention}.{part}"] = (1, 2 * ATTENTION_REACH + 1, H // c.heads)
        shapes |= _conv(f"{ffn}.conv_1", F, H, K) | _conv(f"{ffn}.conv_2", H, F, K)
        for norm in ("norm_layers_1", "norm_layers_2"):
            shapes |= {f"enc_p.encoder.{norm}.{i}.{part}": (H,) for part in ("gamma", "beta")}
    return shapes | _conv("enc_p.proj", 2 * c.inter, H, 1)


def _flow_shapes(c: SynthConfig) -> Shapes:
    H, half, last = c.hidden, c.inter // 2, WAVENET_LAYERS - 1
    shapes: Shapes = {}
    for i in range(0, 2 * FLOWS, 2):
        flow = f"flow.flows.{i}"
        shapes |= _conv(f"{flow}.pre", H, half, 1) | _conv(f"{flow}.post", half, H, 1)
        shapes |= _normed(f"{flow}.enc.cond_layer", 2 * H * WAVENET_LAYERS, c.gin, 1)
        for l in range(WAVENET_LAYERS):
            shapes |= _normed(f"{flow}.enc.in_layers.{l}", 2 * H, H, WAVENET_KERNEL)
            shapes |= _normed(f"{flow}.enc.res_skip_layers.{l}", H if l == last else 2 * H, H, 1)
    return shapes


def _decoder_shapes(c: SynthConfig) -> Shapes:
    edge = _normed if c.vocoder == MRF else _conv
    shapes = edge("dec.conv_pre", c.initial, c.inter, 7) | _conv("dec.cond", c.initial, c.gin, 1)
    if c.f0:
        shapes |= _conv("dec.m_source.l_linear", 1, c.harmonics)
    for i in range(c.stages):
        into, out = c.width(i), c.width(i + 1)
        up = f"dec.upsamples.{i}" if c.vocoder == MRF else f"dec.ups.{i}"
        # a transposed convolution keeps its input channels first, so its norm is per input channel
        shapes |= {f"{up}.weight_g": (into, 1, 1), f"{up}.weight_v": (into, out, c.upsample_kernels[i])}
        shapes[f"{up}.bias"] = (out,)
        if c.f0:
            shapes |= _conv(f"dec.noise_convs.{i}", out, 1, c.source_kernel(i))
        for j, kernel in enumerate(c.resblock_kernels):
            for name in _resblock_names(c, i, j):
                shapes |= _normed(name, out, out, kernel)
    post = edge("dec.conv_post", 1, c.width(c.stages), 7)
    return shapes | (post if c.post_bias else {"dec.conv_post.weight": post["dec.conv_post.weight"]})


def _resblock_names(c: SynthConfig, stage: int, j: int) -> list[str]:
    """The convolutions of one residual block, as its kind of file names them."""
    steps = range(len(c.resblock_dilations[0]))
    if c.vocoder == MRF:
        return [f"dec.mrfs.{stage}.{j}.layers.{n}.conv{part}" for part in (1, 2) for n in steps]
    parts = ("convs1", "convs2") if c.resblock == "1" else ("convs",)
    return [f"dec.resblocks.{stage * len(c.resblock_kernels) + j}.{part}.{n}" for part in parts for n in steps]


def plain_decoder_names(tensors: Mapping[str, V], c: SynthConfig) -> dict[str, V]:
    """The MRF decoder is the ordinary one under other names: a voice's tensors under the ordinary ones."""
    if c.vocoder != MRF:
        return dict(tensors)
    plain = replace(c, vocoder=NSF, resblock="1")
    names = {f"dec.upsamples.{i}": f"dec.ups.{i}" for i in range(c.stages)}
    for i in range(c.stages):
        for j in range(len(c.resblock_kernels)):
            names |= dict(zip(_resblock_names(c, i, j), _resblock_names(plain, i, j), strict=True))
    stems = {name: name.rpartition(".")[0] for name in tensors}
    return {names.get(stem, stem) + name.removeprefix(stem): tensors[name] for name, stem in stems.items()}


_PARAMETRIZED = re.compile(r"\.parametrizations\.weight\.original([01])$")


def plain_name(name: str) -> str:
    """Newer torch's name of a weight-normed tensor → the old one; other names as they are."""
    return _PARAMETRIZED.sub(lambda found: ".weight_g" if found[1] == "0" else ".weight_v", name)


def is_surplus(name: str) -> bool:
    """Tensors that only training needs and that a voice may carry: the posterior encoder."""
    return name.startswith("enc_q.")


def check_shapes(found: Mapping[str, Shape], wanted: Mapping[str, Shape], what: str) -> None:
    """Raises BadModel unless `found` has the wanted names and shapes and no other but `is_surplus`.

    `what` names the file in the message.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        raise BadModel(f"{what} lacks {_some(missing)}: take a complete inference file, not a part of training")
    for name, shape in wanted.items():
        if tuple(found[name]) != shape:
            raise BadModel(f"{what}: tensor {name} has shape {tuple(found[name])}, its configuration says {shape}")
    strange = [name for name in found if name not in wanted and not is_surplus(name)]
    if strange:
        raise BadModel(f"{what} has tensors that do not belong there: {_some(strange)}")


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
