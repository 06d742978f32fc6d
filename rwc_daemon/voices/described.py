"""What lists of voices show of a stored voice, on this machine and now."""

from __future__ import annotations

from rwc_daemon.families import FAMILIES
from rwc_daemon.store import encoders
from rwc_daemon.store.card import VoiceCard
from rwc_daemon.voices.base import VoiceInfo


def info_of(card: VoiceCard, assets: encoders.AssetFolder) -> VoiceInfo:
    """`assets`: the support files that are here; whether a voice has its own content encoder depends on them."""
    encoded = bool(FAMILIES[card.kind].assets)  # the other families ask for no content encoder
    return VoiceInfo(
        id=card.id,
        name=card.name,
        kind=card.kind,
        rate=card.rate,
        f0=card.f0,
        version=card.version,
        speakers=card.speakers,
        size=card.size,
        origin=card.origin,
        embedder=encoders.encoder_id(card.embedder) if encoded else "",
        index_vectors=card.vectors,
        notes=encoders.notes_now(card.notes, card.embedder, assets) if encoded else card.notes,
    )
