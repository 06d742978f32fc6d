"""rwc-daemon: starts in order, stops in reverse, on one page.

Exit status: 0 asked to stop · 1 no session bus, it was lost, or an error of our own · 2 wrong usage or settings ·
3 another daemon runs. Without an audio server it runs on, says so, and waits for one.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rwc_daemon.control.api import DaemonApi
from rwc_daemon.control.audio_backend import open_audio_backend
from rwc_daemon.control.core import Core
from rwc_daemon.control.events import own_version
from rwc_daemon.errors import AlreadyRunning, BadSettings, RwcError
from rwc_daemon.faces.dbus import DbusFace
from rwc_daemon.host import journal, paths
from rwc_daemon.host.lifetime import Lifetime
from rwc_daemon.host.notify import Notifier
from rwc_daemon.link.ring import SharedRings
from rwc_daemon.settings import Settings, read

log = logging.getLogger("rwc_daemon")

STOPPED, FAILED, WRONG_SETTINGS, ANOTHER_RUNS = 0, 1, 2, 3
PRIVATE = 0o077  # whatever this process and its children write is the user's alone
READY_S = 5.0  # systemd is told READY without RWC Mic after this: the status says what is missing
CLOSE_S = 8.0  # then this process ends whatever still holds it (libjack's close can hang)
LONGEST_WORDS = 300
# systemd 252 that hears of our end before it has noticed that of the bus calls the dead bus, whose socket is its own,
# and stands still for 90 s
BUS_GRACE_S = 0.5
BUS_LOST = "the session bus is gone: rwc-daemon ends, and runs again when there is a new one"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    os.umask(PRIVATE)
    journal.set_up("info", plain=options.foreground)
    lifetime = Lifetime(paths.runtime_dir())
    try:
        settings = read(options.config or paths.config_file(), os.environ, must_exist=options.config is not None)
        journal.set_up(settings.logging.level, plain=options.foreground)
        status = asyncio.run(serve(settings, lifetime))
    except BadSettings as error:
        return _refuse(error, WRONG_SETTINGS)
    except AlreadyRunning as error:
        return _refuse(error, ANOTHER_RUNS)
    except RwcError as error:
        return _refuse(error, FAILED)
    except Exception as bug:  # noqa: BLE001 - the top of this process: whatever it was, its user gets a sentence
        status = _fail(bug, lifetime)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)  # threads that an audio server holds must not hold the end of the process


async def serve(settings: Settings, lifetime: Lifetime) -> int:
    """The daemon's life; answers with the exit status. Raises NoSessionBus, AlreadyRunning, and what broke the core."""
    notifier = Notifier()
    link = SharedRings.create()
    core = Core(settings, link, open_audio_backend, paths.data_dir(), paths.state_dir(), notifier)
    face = await DbusFace.open(DaemonApi(core))
    await core.start(lifetime.begin())
    log.info("rwc-daemon %s runs, process %d", core.first.status.version, os.getpid())
    status = await _until_told(core, face, notifier)
    if status == STOPPED:
        notifier.stopping()
        lifetime.end()
    else:
        core.first.faults.happened("NoSessionBus", BUS_LOST)
        lifetime.last_words("ended with the session bus")
        await asyncio.sleep(BUS_GRACE_S)
    log.info("rwc-daemon stops")
    asyncio.get_running_loop().call_later(CLOSE_S, os._exit, FAILED)
    await core.stop()
    face.close()
    link.close()
    return status


async def _until_told(core: Core, face: DbusFace, notifier: Notifier) -> int:
    """Waits for a signal, `Quit`, or the loss of the bus; says READY meanwhile. Raises what broke the core."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, core.quit)
    told, lost = loop.create_task(core.ended.wait()), loop.create_task(face.lost())
    ready = loop.create_task(_say_ready(core, notifier))
    await asyncio.wait((told, lost, core.ticking), return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if core.ticking.done():
        core.ticking.result()
    return STOPPED if told.done() else FAILED


async def _say_ready(core: Core, notifier: Notifier) -> None:
    try:
        async with asyncio.timeout(READY_S):
            await core.first.microphone_there.wait()
    except TimeoutError:
        log.warning("RWC Mic is not there yet: %s", core.first.faults.shown.message or "waiting for the audio server")
    notifier.ready(core.line())


def _refuse(error: RwcError, status: int) -> int:
    """To the terminal it is typed in; to the journal as what it is."""
    if journal.stderr_is_journal():
        journal.event(log, journal.FAULT, f"rwc-daemon does not run: {error}", logging.ERROR, RWC_CODE=error.code)
    else:
        print(f"rwc-daemon: {error}", file=sys.stderr)
    return status


def _fail(bug: Exception, lifetime: Lifetime) -> int:
    """An error of our own: one line, and its traceback for whoever fixes it."""
    what = " ".join(f"{type(bug).__name__}: {bug}".split())[:LONGEST_WORDS]
    lifetime.last_words(f"ended by an error of its own ({what})")
    text = f"rwc-daemon ends by an error of its own ({what}): {journal.where_details_are()}"
    log.critical("%s", text, exc_info=bug, extra={"message_id": journal.FAULT, "details": {"RWC_CODE": "Failed"}})
    return FAILED


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rwc-daemon", description="The microphone whose voice is converted live.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file instead of the user's config.toml")
    parser.add_argument("--version", action="version", version=f"rwc-daemon {own_version()}")
    parser.add_argument("--foreground", action="store_true", help="log plain lines to the terminal")
    return parser


if __name__ == "__main__":
    sys.exit(main())
