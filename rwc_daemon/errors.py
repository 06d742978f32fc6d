"""Every way in which RWC says no.

    RwcError                     the message says what to do next
    ├── NoSuchVoice              no voice of that name (the message lists near ones)
    ├── NoSuchInput              no microphone of that name
    ├── NoSuchControl            no control or setting key of that name       (exit status 2)
    ├── NoSuchJob                no slow work of that number
    ├── OutOfRange               not a number, or outside its range           (exit status 2)
    ├── BadModel                 a file that is not a voice, an index or a support file we can use
    ├── BadAudio                 a sound file that cannot be read or written
    ├── BadSettings              config.toml or RWC_… cannot be read
    ├── BadState                 saved state cannot be read or written (disk full, no permission)
    ├── MissingAsset             a support file (content encoder, pitch net) is not on this machine
    ├── MissingPackage           an optional Python package is not installed
    ├── Unsupported              valid, but not something this version can do
    ├── NotReady                 the part needed is not there yet (engine starting, no server)
    ├── Busy                     one such job at a time
    ├── Cancelled                the user stopped it
    ├── Superseded               a newer request took the place of this one
    ├── EngineFailed             the engine died or gave nonsense
    ├── Overloaded               this machine is too slow for what is asked, and does less
    ├── Interrupted              a part ended or stood still unasked: silence meanwhile, and it goes on by itself
    ├── Silent                   programs hear nothing of RWC Mic, and the message says why
    ├── TurnedDown               another program changed the volume of RWC Mic, and it was put back
    ├── NoAudioServer            neither PipeWire nor JACK answers
    ├── NoSessionBus             no D-Bus session bus                         (exit status 3)
    ├── NoDaemon                 rwc-daemon does not run                      (exit status 3)
    └── AlreadyRunning           another rwc-daemon owns the name             (exit status 3)

`code` is the last part of the D-Bus error name `org.rwc.Error.<code>` and the `code` of the signal `Fault`.
"""

from __future__ import annotations

DBUS_PREFIX = "org.rwc.Error."


class RwcError(Exception):
    """The base of all; `exit_status` is what `rwcctl` ends with."""

    exit_status = 1

    @property
    def code(self) -> str:
        return type(self).__name__

    @property
    def dbus_name(self) -> str:
        return DBUS_PREFIX + self.code


class NoSuchVoice(RwcError):
    pass


class NoSuchInput(RwcError):
    pass


class NoSuchControl(RwcError):
    exit_status = 2


class NoSuchJob(RwcError):
    pass


class OutOfRange(RwcError):
    exit_status = 2


class BadModel(RwcError):
    pass


class BadAudio(RwcError):
    pass


class BadSettings(RwcError):
    pass


class BadState(RwcError):
    pass


class MissingAsset(RwcError):
    pass


class MissingPackage(RwcError):
    pass


class Unsupported(RwcError):
    pass


class NotReady(RwcError):
    pass


class Busy(RwcError):
    pass


class Cancelled(RwcError):
    pass


class Superseded(RwcError):
    pass


class EngineFailed(RwcError):
    pass


class Overloaded(RwcError):
    pass


class Interrupted(RwcError):
    pass


class Silent(RwcError):
    pass


class TurnedDown(RwcError):
    pass


class NoAudioServer(RwcError):
    pass


class NoSessionBus(RwcError):
    exit_status = 3


class NoDaemon(RwcError):
    exit_status = 3


class AlreadyRunning(RwcError):
    exit_status = 3


def by_code(code: str) -> type[RwcError]:
    """The class of a code that came over a border; the base class for a code we do not know."""
    return next((kind for kind in RwcError.__subclasses__() if kind.__name__ == code), RwcError)
