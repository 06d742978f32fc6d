"""The doctor looks at the machine: processor, Python packages, GPU, realtime permission, settings."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

from rwc_daemon import extras
from rwc_daemon import settings as words
from rwc_daemon.doctor.finding import BAD, GOOD, NOTE, Finding, answer
from rwc_daemon.errors import BadSettings

MATRIX_UNITS = ("amx_bf16", "avx512_bf16", "bf16")  # what makes nets fast on a CPU, best first
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
IMPORT_TORCH_S = 60.0
REALTIME = (
    "install rtkit and log in again; or as root give a group of yours 'rtprio 88' in /etc/security/limits.d "
    "(the groups pipewire, audio or realtime often have it), join it and log in again"
)


def machine() -> list[Finding]:
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux") if _has_os_release() else "Linux"
    cores = len(os.sched_getaffinity(0))
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    flags = _cpu_flags()
    fast = next((flag for flag in MATRIX_UNITS if flag in flags), "")
    return [
        Finding("host", GOOD, f"{system}, Linux {platform.release()}, {platform.machine()}"),
        Finding("processor", GOOD, f"{_cpu_name()}, {cores} cores" + (f", {fast}" if fast else "")),
        Finding("memory", GOOD if gigabytes > 3 else NOTE, f"{gigabytes:.0f} GB"),
    ]


def packages() -> list[Finding]:
    missing = [name for name in extras.needed() if not extras.installed(name)]
    python = f"Python {platform.python_version()} in {sys.prefix}"
    found = [Finding("python", GOOD if sys.version_info >= (3, 11) else BAD, python)]
    if missing:
        found.append(Finding("packages", BAD, f"not installed: {', '.join(missing)}", "./tools/start installs them"))
    left_out = extras.left_out()
    for name, optional in extras.OPTIONAL.items():
        have = extras.installed(name)
        if have:
            found.append(Finding(name, GOOD, f"{have} ({optional.gives})"))
        elif name in left_out:
            text = f"left out, so no {optional.gives}: {left_out[name]}"
            found.append(Finding(name, NOTE, text, "fix that, then ./tools/setup again"))
        else:
            fix = extras.install_command(optional.extra)
            found.append(Finding(name, NOTE, f"not installed, so no {optional.gives}", fix))
    return found


def wanted_device(path: Path, environment: Mapping[str, str]) -> str:
    """The setting engine.device; its default where the settings cannot be read, which `settings` says."""
    try:
        return words.read(path, environment).engine.device
    except BadSettings:
        return words.Settings().engine.device


def gpu(wanted: str, used: str) -> list[Finding]:
    """Whether nets can run on a GPU, and if not, why. `wanted`: the setting engine.device; `used`: where the daemon's
    imported voice runs, or empty."""
    build = extras.installed("torch")
    if not NVIDIA_DRIVER.exists():
        other = any(Path("/sys/class/drm").glob("renderD*"))
        seen = "a GPU, but no NVIDIA driver: nets run on the CPU" if other else "none: nets run on the CPU"
        fix = "for an NVIDIA card install its driver; others are not used" if other else ""
        return [Finding("gpu", NOTE if other else GOOD, seen, fix)]
    card = answer("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader") or "NVIDIA"
    if wanted == "cpu":
        return [Finding("gpu", NOTE, f"{card}, not used: engine.device is 'cpu'", "set it to 'auto' in config.toml")]
    if not build:
        return [Finding("gpu", NOTE, f"{card}, not used: torch is not installed", extras.install_command("rvc"))]
    if "+cpu" in build:
        fix = "install the CUDA build: pip install --force-reinstall torch"
        return [Finding("gpu", NOTE, f"{card}, not used: torch {build} is the build without CUDA", fix)]
    look = "import torch; torch.zeros(1, device='cuda'); print(torch.version.cuda)"
    cuda = answer(sys.executable, "-c", look, timeout_s=IMPORT_TORCH_S)
    if cuda is None:
        fix = "update the driver, then `nvidia-smi` must list the card"
        return [Finding("gpu", BAD, f"{card}, not used: torch {build} cannot reach it", fix)]
    if used == "cpu":
        text = f"{card}, CUDA {cuda}, but the voice runs on the CPU: the engine lost the GPU or found no room on it"
        return [Finding("gpu", NOTE, text, "systemctl --user restart rwc-daemon; `rwcctl logs` says why it left")]
    return [Finding("gpu", GOOD, f"{card}, CUDA {cuda}")]


def realtime(scheduling: str, daemon: int) -> list[Finding]:
    """Whether the audio thread may run before everything else. `scheduling`: as the daemon measured it, or empty;
    `daemon`: its process, or 0."""
    if scheduling.startswith(("fifo", "rr")):
        return [Finding("realtime", GOOD, f"the audio callback runs as {scheduling}")]
    way = _way_to_realtime(daemon)
    if not way:
        return [Finding("realtime", NOTE, "not permitted: audio may crackle while the machine is busy", REALTIME)]
    if scheduling:
        fix = "systemctl --user restart pipewire wireplumber pipewire-pulse rwc-daemon; `journalctl -u rtkit-daemon`"
        return [Finding("realtime", NOTE, f"allowed by {way}, but the callback runs as '{scheduling}'", fix)]
    return [Finding("realtime", GOOD, f"allowed by {way}")]


def rttime() -> list[Finding]:
    limit = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
    if limit == resource.RLIM_INFINITY:
        return []
    text = f"RLIMIT_RTTIME {limit / 1000:.0f} ms: a realtime thread that computes longer is killed; ours only copies"
    return [Finding("rttime", GOOD, text)]


def _way_to_realtime(daemon: int) -> str:
    """The limits are those of the daemon where it runs: systemd's may differ from a terminal's."""
    limit = resource.prlimit(daemon if _is_ours(daemon) else 0, resource.RLIMIT_RTPRIO)[1]
    if limit:
        return f"RLIMIT_RTPRIO {99 if limit == resource.RLIM_INFINITY else limit}"
    if "org.freedesktop.RealtimeKit1" in (answer("busctl", "--system", "--no-legend", "list") or ""):
        return "rtkit"
    return "being root" if os.geteuid() == 0 else ""


def _is_ours(pid: int) -> bool:
    try:
        return pid > 0 and Path(f"/proc/{pid}").stat().st_uid == os.getuid()
    except OSError:
        return False


def settings(path: Path, environment: Mapping[str, str]) -> list[Finding]:
    try:
        words.read(path, environment)
    except BadSettings as bad:
        return [Finding("settings", BAD, str(bad), f"fix {path} (or the variable), then restart the daemon")]
    return [Finding("settings", GOOD, str(path) if path.exists() else f"all at their defaults (no {path})")]


def _has_os_release() -> bool:
    return Path("/etc/os-release").exists() or Path("/usr/lib/os-release").exists()


def _cpu_name() -> str:
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cpu_flags() -> set[str]:
    flags = [line.partition(":")[2] for line in _cpuinfo() if line.startswith(("flags", "Features"))]
    return set(flags[0].split()) if flags else set()


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
