"""RWC: a microphone for Linux whose voice is converted live.

For other people's programs: `from rwc_daemon import ConversionConfig, StreamingConverter, BatchConverter,
convert_file`. They are found lazily, so that importing a part of the daemon never loads numpy or torch on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rwc_daemon.faces.python import BatchConverter, ConversionConfig, StreamingConverter, convert_file

    __version__: str

__all__ = ["BatchConverter", "ConversionConfig", "StreamingConverter", "__version__", "convert_file"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rwc_daemon' has no attribute '{name}'")
    if name == "__version__":
        from importlib.metadata import version

        return version("rwc-daemon")
    from rwc_daemon.faces import python

    return getattr(python, name)
