"""The doctor looks for system packages, which pip cannot bring: PipeWire's programs and libjack, the pulse tools."""

from __future__ import annotations

import shutil

from rwc_daemon.audio import libjack
from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Finding

# the packages of Debian and Ubuntu, Fedora, Arch
PIPEWIRE = ("pipewire-bin", "pipewire-utils", "pipewire")
PULSE_TOOLS = ("pulseaudio-utils", "pulseaudio-utils", "libpulse")
LIBJACK = ("pipewire-jack", "pipewire-jack-audio-connection-kit", "pipewire-jack")
PROGRAMS = {
    **dict.fromkeys(("pw-dump", "pw-link", "pw-cli", "pw-metadata", "pw-loopback"), PIPEWIRE),
    "parec": PULSE_TOOLS,
}
SPARED = "parec"  # only `rwcctl demo` and `latency` record


def programs() -> list[Finding]:
    """Nothing on plain JACK2, which needs none of them."""
    if libjack.plain_jack():
        return []
    lacking = {name: packages for name, packages in PROGRAMS.items() if not shutil.which(name)}
    if not libjack.installed():
        lacking["PipeWire's libjack"] = LIBJACK
    if not lacking:
        return [Finding("programs", GOOD, "PipeWire's programs and libjack, parec")]
    debian, fedora, arch = (" ".join(dict.fromkeys(names)) for names in zip(*lacking.values(), strict=True))
    fix = f"Debian, Ubuntu: apt install {debian}; Fedora: dnf install {fedora}; Arch: pacman -S {arch}"
    state = NOTE if set(lacking) == {SPARED} else BAD
    return [Finding("programs", state, f"not installed: {', '.join(lacking)}", fix)]
