"""The two native parts; everything else is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["rwc_daemon/link/ring_build.py:ffi", "rwc_daemon/audio/callback_build.py:ffi"])
