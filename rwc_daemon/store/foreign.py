"""What to think of a name that a pickle wants to have called: code, or only an object that is not known here.

Neither is ever run. The difference is what the user is told: a file that names `os.system` is an attack, one that names
a class of its training program is a file with more in it than a voice needs.
"""

from __future__ import annotations

from rwc_daemon.errors import BadModel, Unsupported

# modules that act when something of theirs is called: programs, files, network, other code
ACTING = frozenset(
    ("os", "posix", "nt", "subprocess", "commands", "popen2", "sys", "importlib", "imp", "zipimport", "pkgutil",
     "runpy", "code", "codeop", "pty", "pdb", "bdb", "timeit", "cProfile", "profile", "trace", "doctest",
     "unittest", "pydoc", "shutil", "tempfile", "zipfile", "tarfile", "io", "_io", "fileinput", "glob", "mmap",
     "sqlite3", "socket", "ssl", "urllib", "urllib2", "http", "ftplib", "smtplib", "telnetlib", "poplib",
     "imaplib", "nntplib", "xmlrpc", "webbrowser", "requests", "httpx", "aiohttp", "paramiko", "ctypes",
     "_ctypes", "cffi", "marshal", "pickle", "_pickle", "cPickle", "pickletools", "shelve", "dill", "joblib",
     "cloudpickle", "types", "operator", "_operator", "functools", "_functools", "itertools", "asyncio",
     "multiprocessing", "threading", "_thread", "concurrent", "signal", "atexit", "gc", "inspect", "logging",
     "site", "venv", "ensurepip", "pip", "setuptools", "distutils", "pkg_resources", "platform", "IPython",
     "ipykernel", "idlelib", "tkinter", "antigravity", "copyreg", "copy_reg")
)  # fmt: skip
BUILTINS = ("builtins", "__builtin__")
# the same below a library that also holds harmless things
ACTING_PARTS = (
    "torch.load", "torch.hub", "torch.jit", "torch.serialization.load", "torch.utils.",
    "torch.storage._load_from_bytes", "torch.package", "torch.ops", "torch.library", "torch.classes",
    "torch.compile", "torch.multiprocessing", "torch.distributed", "torch.fx", "torch._dynamo",
    "torch._utils._rebuild_qtensor", "numpy.load", "numpy.fromfile", "numpy.memmap", "numpy.testing",
    "numpy.distutils", "numpy.f2py", "numpy.lib", "numpy.ctypeslib", "collections.namedtuple",
)  # fmt: skip


def runs_code(name: str) -> bool:
    """Whether calling `module.name` would act, as far as is known."""
    module, _, what = name.partition(".")
    if module in BUILTINS:
        return what != "object" and not what[:1].isupper()  # a function; exceptions are only objects
    return module in ACTING or name.startswith(ACTING_PARTS)


def refuse(names: set[str]) -> None:
    """Raises BadModel for code, Unsupported for objects that are not known; nothing where there is none."""
    code = sorted(name for name in names if runs_code(name))
    if code:
        raise BadModel(
            f"the file tries to run code ({', '.join(code[:3])}): it was not run and not imported; "
            "delete the file and take the voice from a source you trust"
        )
    if names:
        shown = ", ".join(sorted(names)[:3])
        raise Unsupported(
            f"the file holds objects that are not supported ({shown}): it was not imported, and nothing of it was "
            "run; ask its author for a file with the weights and their configuration alone"
        )
