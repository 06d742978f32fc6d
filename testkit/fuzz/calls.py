"""Strange D-Bus calls to the whole daemon core, with its real engine, over a real bus."""

from __future__ import annotations

import asyncio
from pathlib import Path

from dbus_next import Message, MessageType

from rwc_daemon.controls import changed, to_dict
from rwc_daemon.faces.dbus import DbusFace
from rwc_daemon.faces.dbus_client import Daemon
from rwc_daemon.families import shipped
from testkit.daemon_parts import Bus, Whole, whole_core
from testkit.fuzz.account import Account, is_sentence
from testkit.fuzz.messages import Random

AT_ONCE = 50
ANSWER_S = 60.0
ERRORS = ("org.rwc.Error.", "org.freedesktop.DBus.Error.")
UNEXPECTED = "org.rwc.Error.Failed"  # what an exception that nobody foresaw becomes


async def call(daemon: Daemon, message: Message, whole: Whole) -> tuple[str, str]:
    """The error's name, or nothing; and what was wrong about the answer, or nothing."""
    try:
        async with asyncio.timeout(ANSWER_S):
            reply = await daemon._bus.call(message)
    except TimeoutError:
        return "", "hang"
    assert reply is not None
    controls = whole.core.first.controls
    if changed(controls, to_dict(controls)) != controls:
        return "", f"controls out of range: {controls}"
    if reply.message_type is not MessageType.ERROR:
        return "", ""
    name, text = reply.error_name, reply.body[0]
    foreseen = name.startswith(ERRORS) and name != UNEXPECTED
    return name, "" if foreseen and is_sentence(text) and len(text) <= 600 else f"{name}: {text}"


def fuzz(count: int, seed: int, folder: Path, bus: Bus) -> Account:
    """`count` calls, many at once; at the end the daemon must still do what it is for."""
    account, source = Account(), Random(seed)

    async def run() -> None:
        async with whole_core(folder) as whole:
            face = await DbusFace.open(whole.api, bus.address)
            await whole.until_state("idle")
            async with await Daemon.connect(address=bus.address) as daemon:
                while account.tried < count:
                    messages = [source.message() for _ in range(min(AT_ONCE, count - account.tried))]
                    answers = await asyncio.gather(*(call(daemon, message, whole) for message in messages))
                    for message, (error, trouble) in zip(messages, answers, strict=True):
                        account.note((message.member, message.signature, message.body), trouble, bool(error))
                await daemon.call("LoadVoice", "robot")
                await whole.until(lambda: whole.core.first.status.voice == "robot")
                assert len(await daemon.call("ListVoices")) == len(shipped())
            face.close()

    asyncio.run(run())
    return account
