"""The native parts; everything else is in pyproject.toml."""

from setuptools import setup

NATIVE = (
    *("dsp/filter_build.py", "link/ring_build.py", "audio/callback_build.py"),
    *("voices/builtin/builtin_build.py", "voices/native/native_build.py", "voices/light/native_build.py"),
)
setup(cffi_modules=[f"rwc_daemon/{path}:ffi" for path in NATIVE])
