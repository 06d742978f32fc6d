"""The floors and walls of docs/design.md, read from the sources: who may import whom, and what may stand nowhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rwc_daemon"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))

# from the ground up; parts of one floor never import each other, but for those that share a name
FLOORS = (
    ("errors", "thresholds", "controls", "plan", "settings", "messages", "extras", "trackers", "families"),
    ("dsp", "link"),
    ("store",),
    ("voices",),
    ("conversion",),
    ("engine", "batch", "audio", "host"),
    ("control",),
    ("doctor",),
    ("faces",),
    ("__main__", "__init__"),
)
LEVEL = {part: level for level, floor in enumerate(FLOORS) for part in floor}
WORDS = FLOORS[0]
WALLS = {
    "torch": ("voices", "engine", "batch", "store"),
    "faiss": ("voices", "engine", "store"),
    "onnxruntime": ("voices", "engine", "store"),
    "jack": ("audio",),
    "pulsectl": ("audio", "doctor"),
    "dbus_next": ("faces",),
    "rich": ("faces",),
    "matplotlib": ("faces",),
    "systemd": ("host",),
}
# style: most files under 260 lines and none over 500; most functions under 25 lines and none over 60
USUAL_FILE, LONGEST_FILE = 260, 500
USUAL_FUNCTION, LONGEST_FUNCTION = 25, 60
MOST = 0.9


RUNS_TEXT = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pty.spawn", "runpy.run_path"),
    *("torch.load", "torch.jit.load", "yaml.load", "asyncio.create_subprocess_shell"),
    *("subprocess.getoutput", "subprocess.getstatusoutput"),
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_when_loaded(tree: ast.Module) -> Iterator[str]:
    """Only what `import` of the module itself runs: not inside functions, not under TYPE_CHECKING."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_go_down_the_floors(path: Path) -> None:
    own = part_of(path)
    for name in imports(tree_of(path)):
        parts = name.split(".")
        if parts[0] != "rwc_daemon" or len(parts) < 2 or parts[1] not in LEVEL:
            continue
        used = parts[1]
        allowed = used == own or LEVEL[used] < LEVEL[own] or (used in WORDS and own in WORDS)
        assert allowed, f"{name_of(path)} imports {name}: {used} is not below {own}"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("faces/**/*.py")), ids=name_of)
def test_faces_know_the_daemon_by_its_api_alone(path: Path) -> None:
    """The D-Bus face by the API in its own process, all others over D-Bus."""
    known = ("rwc_daemon.control.api",) if name_of(path) in ("faces/dbus.py", "faces/dbus_calls.py") else ()
    asked = [name for name in imports(tree_of(path)) if f"{name}.".startswith("rwc_daemon.control.")]
    assert all(name.startswith(known) for name in asked), f"{name_of(path)} imports {asked}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_libraries_stay_behind_their_walls(path: Path) -> None:
    for name in imports(tree_of(path)):
        rooms = WALLS.get(name.split(".")[0])
        if rooms is not None:
            assert part_of(path) in rooms or name_of(path) in rooms, f"{name_of(path)} imports {name}"


def test_nothing_starts_with_torch() -> None:
    """Nothing that the daemon, the engine or `rwcctl status` loads at its start imports what is heavy."""
    heavy = ("torch", "faiss", "onnxruntime", "matplotlib", "scipy.signal")
    for start in ("__main__", "engine.worker", "faces.cli.main", "faces.cli.status"):
        for module in reached(start):
            found = [name for name in imports_when_loaded(tree_of(file_of(module))) if name.startswith(heavy)]
            assert not found, f"{start} reaches {module}, which imports {found}"


def file_of(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def reached(start: str) -> set[str]:
    """Modules of ours that come in with `start`, by imports at module level."""
    todo, seen = [start], set()
    while todo:
        module = todo.pop()
        if module in seen or not file_of(module).exists():
            continue
        seen.add(module)
        names = imports_when_loaded(tree_of(file_of(module)))
        todo += [name.removeprefix("rwc_daemon.") for name in names if name.startswith("rwc_daemon.")]
    return seen


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_runs_what_a_file_says(path: Path) -> None:
    """No pickle, eval, exec or shell string. Pickles of others are read by store/unpickle.py, which runs nothing."""
    tree = tree_of(path)
    banned = ("pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle")
    found = [name for name in imports(tree) if name.split(".")[0] in banned]
    assert not found, f"{name_of(path)} imports {found}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            check_call(node, name_of(path))


def check_call(node: ast.Call, where: str) -> None:
    called = ast.unparse(node.func)
    spot = f"{where}:{node.lineno}"
    assert called not in RUNS_TEXT, f"{spot}: {called}"
    if called.startswith("subprocess.") and node.args:
        assert not isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp), f"{spot}: one string"
    for keyword in node.keywords:
        is_true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        assert not (keyword.arg == "shell" and is_true), f"{spot}: a shell string"
        assert not (keyword.arg == "allow_pickle" and is_true), f"{spot}: numpy would unpickle"


def test_sizes_of_files() -> None:
    sizes = {name_of(path): path.read_text(encoding="utf-8").count("\n") for path in SOURCES}
    assert not {name: size for name, size in sizes.items() if size > LONGEST_FILE}, "one idea a file"
    assert share(sizes, USUAL_FILE) >= MOST


def test_sizes_of_functions() -> None:
    sizes = {
        f"{name_of(path)}:{node.lineno}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: size for name, size in sizes.items() if size > LONGEST_FUNCTION}
    assert share(sizes, USUAL_FUNCTION) >= MOST


def share(sizes: dict[str, int], limit: int) -> float:
    return sum(size <= limit for size in sizes.values()) / len(sizes)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_file_says_what_it_is(path: Path) -> None:
    tree = tree_of(path)
    assert not tree.body or ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{name_of(path)}:{node.lineno}: an except without a type"
        assert not isinstance(node, ast.Global), f"{name_of(path)}: a global"


def test_one_class_name_one_meaning() -> None:
    """But for the layers of nets, which are called as their papers call them."""
    places: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name_of(path))
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not {name: where for name, where in twice.items() if not all(one.startswith("voices/") for one in where)}


@pytest.mark.parametrize(("folder", "others"), [("tests", "tools"), ("tools", "tests"), ("testkit", "tests tools")])
def test_tests_and_tools_share_only_the_testkit(folder: str, others: str) -> None:
    for path in sorted((ROOT / folder).rglob("*")):
        text = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".py" or (not path.suffix and text.startswith(b"#!/") and b"python" in text.split(b"\n")[0]):
            used = {name.split(".")[0] for name in imports(ast.parse(text))}
            assert not used & set(others.split()), f"{path.relative_to(ROOT)} imports from {others}"


def test_the_package_uses_neither_tests_nor_tools() -> None:
    for path in SOURCES:
        assert not {name.split(".")[0] for name in imports(tree_of(path))} & {"tests", "testkit", "tools"}, name_of(
            path
        )


def test_no_drawer_for_everything() -> None:
    assert not [name_of(path) for path in SOURCES if path.stem in ("utils", "util", "helpers", "common", "misc")]
