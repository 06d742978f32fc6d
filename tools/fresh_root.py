"""A minimal root as a machine of its own for tools/fresh_machine: what is carried in, and how commands run in it.

Nothing leaks: mount, process and IPC namespaces end with the command, and with them its processes and mounts; only
harmless devices are there; the host's files are seen read-only, and only those that pip's settings name.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PLACE = "rwc"  # of the checkout, in the user's home
NAME, UID = "ann", 1000  # the ordinary user
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CERTIFICATES_INSIDE = Path("/etc/outside-certificates.crt")  # where no package of the system overwrites them
CARRIED = re.compile(r"(PIP_|(https?|no|all)_proxy$|SSL_CERT|REQUESTS_CA|CURL_CA|RWC_TORCH$)", re.IGNORECASE)
ENTER = r"""
set -euo pipefail
folder=$1; shift
mount --make-rprivate /
mount --bind "$folder" "$folder"
while [ "$1" != -- ]; do
  mkdir -p "$folder/$2"; mount --bind "$1" "$folder/$2"
  [ "$3" = rw ] || mount -o remount,bind,ro "$folder/$2"
  shift 3
done
shift
mount -t proc proc "$folder/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$folder/sys"
mount -t tmpfs -o mode=755 tmpfs "$folder/dev"
for device in null zero full random urandom tty; do
  : >"$folder/dev/$device"; mount --bind "/dev/$device" "$folder/dev/$device"
done
mkdir "$folder/dev/shm" "$folder/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$folder/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$folder/dev/pts"
ln -s pts/ptmx "$folder/dev/ptmx"; ln -s /proc/self/fd "$folder/dev/fd"
ln -s fd/0 "$folder/dev/stdin"; ln -s fd/1 "$folder/dev/stdout"; ln -s fd/2 "$folder/dev/stderr"
mount -t tmpfs tmpfs "$folder/run"
cd "$folder"
mkdir -p .outside
pivot_root . .outside
umount -l /.outside
exec "$@"
"""


@dataclass(frozen=True)
class Step:
    """One command's end."""

    status: int
    text: str
    #: all it printed
    took_s: float

    @property
    def last(self) -> str:
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}"

    def found(self, pattern: str) -> list[str]:
        return re.findall(pattern, self.text)


class Machine:
    """One copy of a minimal root. All commands of `run` go through one shell, so what one starts, the next sees."""

    def __init__(self, folder: Path, user: str, cache: Path, name: str) -> None:
        """`user`: "root", or "sudo" for an ordinary one."""
        self.folder, self.user, self._cache = folder, user, cache
        self.log = cache / f"{name}.{user}.log"
        self.home = Path("/root") if user == "root" else Path(f"/home/{NAME}")
        self._debs, self._wheels = cache / f"{name}.debs", cache / f"{name}.{user}.pip"
        self._inside: subprocess.Popen[str] | None = None

    def furnish(self, checkout: Path) -> None:
        """The user, the ways to packages, and the checkout as it is now."""
        etc = self.folder / "etc"
        for path, inside in {Path("/etc/resolv.conf"): "resolv.conf", Path("/etc/hosts"): "hosts",
                             CERTIFICATES: CERTIFICATES_INSIDE.name}.items():  # fmt: skip
            if path.exists():
                (etc / inside).unlink(missing_ok=True)
                shutil.copyfile(path, etc / inside)
        (etc / "apt/apt.conf.d/90host").write_text(apt_ways() + 'APT::Keep-Downloaded-Packages "true";\n')
        (etc / "pip.conf").write_text(pip_settings())
        for folder in (self._debs, self._wheels):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._wheels / "wheels", ignore_errors=True)  # what was built here must be built again
        if self.user != "root":
            self._once("useradd", "--create-home", "--shell", "/bin/bash", "--uid", str(UID), NAME)
            (etc / "sudoers.d/rwc").write_text(f"{NAME} ALL=(ALL) NOPASSWD: ALL\n")
        home = self.folder / self.home.relative_to("/")
        place = home / PLACE
        place.mkdir()
        (home / ".cache/pip").mkdir(parents=True)
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=checkout, check=True, capture_output=True, text=True,
        ).stdout.split("\0")  # fmt: skip
        for file in filter(None, files):
            if (checkout / file).exists():
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(checkout / file, place / file)
        owner = 0 if self.user == "root" else UID
        subprocess.run(
            ["chown", "-R", f"{owner}:{owner}", str(place), str(home / ".cache"), str(self._wheels)], check=True
        )
        self.log.write_text("")

    def run(self, command: str, timeout_s: float) -> Step:
        """One command line of the user, in the checkout. What earlier ones left running still runs."""
        if self._inside is None:
            self._inside = subprocess.Popen(
                [*self._entered(self._carried()), *self._as_user(), "bash"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
        return self._said(self._inside, command, timeout_s)

    def shell(self) -> None:
        subprocess.run([*self._entered(self._carried()), *self._as_user(), "bash"], check=False)

    def close(self) -> None:
        """Everything that runs in it ends."""
        if self._inside is not None:
            self._inside.kill()
            self._inside.wait()

    def _said(self, inside: subprocess.Popen[str], command: str, timeout_s: float) -> Step:
        assert inside.stdin
        assert inside.stdout
        end, begin = "rwc-fresh-machine-done", time.monotonic()
        inside.stdin.write(f"cd {self.home / PLACE}; timeout {timeout_s:.0f} {command} </dev/null; echo {end} $?\n")
        inside.stdin.flush()
        lines = []
        with self.log.open("a") as log:
            log.write(f"\n$ {command}\n")
            for line in inside.stdout:
                if line.startswith(end):
                    took_s = time.monotonic() - begin
                    log.write(f"(exit status {line.split()[1]}, {took_s:.1f} s)\n")
                    return Step(int(line.split()[1]), "".join(lines), took_s)
                lines.append(line)
                log.write(line)
                log.flush()
        return Step(1, "".join([*lines, "the machine's shell ended"]), time.monotonic() - begin)

    def _once(self, *command: str) -> None:
        subprocess.run([*self._entered([]), *command], check=True)

    def _carried(self) -> list[tuple[str, str, str]]:
        """Folders seen inside: where, and how."""
        return [
            (str(self._debs), "var/cache/apt/archives", "rw"),
            (str(self._wheels), str(self.home.relative_to("/") / ".cache/pip"), "rw"),
            *((path, path.lstrip("/"), "ro") for path in pip_folders()),
        ]

    def _entered(self, binds: list[tuple[str, str, str]]) -> list[str]:
        words = [word for bind in binds for word in bind]
        spaces = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        return [*spaces, "bash", "-c", ENTER, "enter", str(self.folder), *words, "--"]

    def _as_user(self) -> list[str]:
        carried = [f"{key}={_inside(value)}" for key, value in os.environ.items() if CARRIED.match(key)]
        plain = [f"HOME={self.home}", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8", "TERM=dumb"]
        become = [] if self.user == "root" else ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--init-groups"]
        return [*become, "env", "-i", *plain, f"USER={'root' if self.user == 'root' else NAME}", *carried]


def _inside(value: str) -> str:
    return value.replace(str(CERTIFICATES), str(CERTIFICATES_INSIDE))


def apt_ways() -> str:
    """How this machine's apt reaches its servers: proxies, and what it makes of their dates."""
    told = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout.splitlines()
    ways = ("Acquire::http", "Acquire::https", "Acquire::Check-")
    return "".join(f"{line}\n" for line in told if line.startswith(ways) and not line.endswith(' "";'))


def pip_settings() -> str:
    """This machine's, from its files; what is in the environment goes in as such."""
    sections: dict[str, list[str]] = {}
    for key, value in _pip_told():
        section, _, name = key.partition(".")
        if not section.startswith(":"):
            sections.setdefault(section, []).append(f"{name} = {_inside(' '.join(value.split()))}")
    return "".join(f"[{section}]\n" + "".join(f"{line}\n" for line in lines) for section, lines in sections.items())


def pip_folders() -> list[str]:
    """Folders of this machine that pip's settings name: packages on its disk, constraints."""
    words = [word.removeprefix("file://") for _, value in _pip_told() for word in value.split()]
    paths = [Path(word) for word in words if word.startswith("/")]
    folders = [path if path.is_dir() else path.parent for path in paths if path.exists() and path != CERTIFICATES]
    # an index links to files beside itself
    folders = [folder.parent if folder.name == "simple" else folder for folder in folders]
    return _outermost(str(folder) for folder in folders if folder not in (Path("/"), Path("/etc")))


def _outermost(folders: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for folder in sorted(set(folders)):
        if not any(folder.startswith(f"{above}/") for above in kept):
            kept.append(folder)
    return kept


def _pip_told() -> list[tuple[str, str]]:
    """Keys ("global.index-url", ":env:.cert") and values."""
    told = subprocess.run(["python3", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    pairs = (line.partition("=") for line in told.stdout.splitlines() if "=" in line)
    return [(key, str(ast.literal_eval(value))) for key, _, value in pairs]
