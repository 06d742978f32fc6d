"""Files for tests, made in a moment and brought in through the same doors as real ones.

make_voice(dir, kind="v2-40k-f0", tiny=True) -> Path    a .pth        make_index(dir, width, n=200) -> Path
make_assets(root, tiny=True) -> Assets                   a filled assets folder
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rwc_daemon.store.assets import Assets
from testkit.voice_maker import make_asset, make_index, make_onnx, make_training, make_voice

__all__ = ["make_asset", "make_assets", "make_index", "make_onnx", "make_training", "make_voice"]


def make_assets(root: Path, tiny: bool = True, names: Sequence[str] = ("contentvec", "rmvpe", "fcpe")) -> Assets:
    """An assets folder with the support files of `names`, imported as `rwcctl assets add` does."""
    assets = Assets(root)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            assets.add(make_asset(Path(folder), name, tiny), name)
    return assets
