"""The process that holds RWC Mic: `pipewire` itself, with a small configuration of ours.

    python -m rwc_daemon.audio.holder [FILE]      writes the configuration to FILE, or prints it

The node lives in its own process so that it outlasts daemon and engine: when a source vanishes during a call, the
session manager moves the recorder to the hardware microphone, unprocessed. Where no systemd ties that process to its
server, it is `pw-loopback` instead: the same node, but it ends when the server does, so that none stays behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rwc_daemon.audio.names import MicrophoneNames

FIRST = MicrophoneNames()
NODE, DESCRIPTION = FIRST.node, FIRST.description
# A silent node of the same name that lives in the server itself. When the holder dies, the session manager looks for
# another node of that name before it takes the default source, the unprocessed microphone. No program lists it.
STANDBY_CLASS = "Audio/Source/Virtual/Standby"


def standby(names: MicrophoneNames, number: str = "") -> str:
    """Also for recorders that were sent to the node of that number."""
    path = f"object.path={number} " if number else ""
    return (
        f"{{ {path}factory.name=support.null-audio-sink node.name={names.node} "
        f'node.description="{names.description} standby" '
        f"media.class={STANDBY_CLASS} audio.position=[ MONO ] audio.channels=1 priority.session=0 priority.driver=0 "
        "node.passive=true state.restore-props=false object.linger=true }"
    )


# For the server's own start, since programs come back faster than the holder does; below the user's configurations.
STANDBY_FILE = "pipewire/pipewire.conf.d/60-rwc-standby.conf"
STANDBY_CONFIGURATION = f"""\
# RWC: a silent node that programs on {DESCRIPTION} wait in while it is away: else they hear the microphone itself
context.objects = [ {{ factory = adapter  args = {standby(FIRST)} }} ]
"""


# Each property is there for a reason:
#   feed      node.autoconnect=false: else the session manager links the hardware microphone to it: unprocessed voice;
#             class …/Internal: else a recording stream is listed for ever and the desktop's microphone sign stays on
#   source    class Audio/Source: some programs list nothing else (…/Virtual would have no ports at all here);
#             MONO, never FL: an FL source is heard in one ear; priority 0: never the default uninvited;
#             restore-props off and volumes locked: browsers pull a source's volume down, and it would stay there
#             (0.3.65 knows no such lock, so audio/volume.py puts it back)
def feed_properties(names: MicrophoneNames) -> str:
    return f"""{{
        node.name           = {names.feed}
        node.description    = "{names.description} feed"
        media.class         = Stream/Input/Audio/Internal
        node.autoconnect    = false
        node.dont-reconnect = true
        state.restore-props = false
      }}"""


def source_properties(names: MicrophoneNames) -> str:
    return f"""{{
        node.name           = {names.node}
        node.description    = "{names.description}"
        media.class         = Audio/Source
        node.virtual        = false
        priority.session    = 0
        device.icon-name    = audio-input-microphone
        state.restore-props = false
        channelmix.lock-volumes = true
      }}"""


def loopback(names: MicrophoneNames) -> str:
    """The module that is the node."""
    return f"""\
  {{ name = libpipewire-module-loopback
    args = {{
      audio.channels = 1
      audio.position = [ MONO ]
      capture.props = {feed_properties(names)}
      playback.props = {source_properties(names)}
    }}
  }}
"""


def configuration(modules: str = "") -> str:
    """Of a client of the server whose audio thread runs in realtime, with more `modules`."""
    return f"""\
context.properties = {{ log.level = 2 }}
context.spa-libs = {{
  audio.convert.* = audioconvert/libspa-audioconvert
  support.*       = support/libspa-support
}}
context.modules = [
  {{ name = libpipewire-module-rt  args = {{ nice.level = -11 }}  flags = [ ifexists nofail ] }}
  {{ name = libpipewire-module-protocol-native }}
  {{ name = libpipewire-module-client-node }}
  {{ name = libpipewire-module-adapter }}
{modules}]
"""


CONFIGURATION = configuration(loopback(FIRST))


def pw_loopback(names: MicrophoneNames) -> tuple[str, ...]:
    """The command; it reads `configuration()` from the file that PIPEWIRE_CONFIG_NAME names."""
    form = ("pw-loopback", "-c", "1", "-m", "[ MONO ]")
    return (*form, "--capture-props", feed_properties(names), "--playback-props", source_properties(names))


def write(path: Path, text: str = CONFIGURATION) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(text)


def main(arguments: list[str]) -> int:
    if not arguments:
        print(CONFIGURATION, end="")
        return 0
    write(Path(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
