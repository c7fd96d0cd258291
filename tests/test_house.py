"""The rules of the house that decay without a test: imports, size, silence at import, names of errors."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.errors import HubError
from routes.errors import STATUS

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT: dict[str, set[str]] = {
    "config": set(),
    "helpers": set(),
    "services": {"helpers"},
    "routes": {"services", "helpers"},
}
OURS = {*MAY_IMPORT, "app", "tests", "benchmarks"}
PRODUCT = sorted([ROOT / "app.py", *(path for room in MAY_IMPORT for path in (ROOT / room).rglob("*.py"))])
ROOMS = [path for path in PRODUCT if path.name != "app.py"]
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60
GUNICORN = "config.gunicorn"  # gunicorn's own configuration: it is run, by gunicorn, and never imported


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [name for path in PRODUCT if (name := module_name(path)) != GUNICORN]


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """The absolute names of all imports, also of those within functions and of relative ones."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            yield importlib.util.resolve_name(name, package) if node.level else name
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant))


def rooms_of(source: str, package: str) -> set[str]:
    return {name.split(".")[0] for name in imported(ast.parse(source), package)} & OURS


@pytest.mark.parametrize("path", ROOMS, ids=shown)
def test_imports_point_downwards(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    rooms = rooms_of(path.read_text("utf-8"), package)
    assert rooms - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize(
    "source",
    [
        "import services.search",
        "from services import search",
        "from services.search import SearchService",
        "def late():\n    from services import search",
        "if True:\n    import os, services",
        "import importlib\nimportlib.import_module('services.search')",
    ],
)
def test_no_way_of_importing_is_overlooked(source: str) -> None:
    assert rooms_of(source, "helpers.storage") == {"services"}


def test_relative_imports_count_as_what_they_lead_to() -> None:
    assert list(imported(ast.parse("from ..net import x"), "helpers.storage")) == ["helpers.net"]


@pytest.mark.parametrize("path", PRODUCT, ids=shown)
def test_files_are_small(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines < MAX_FILE_LINES


@pytest.mark.parametrize("path", PRODUCT, ids=shown)
def test_functions_are_small_and_documented(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    sizes = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: size for name, size in sizes.items() if size >= MAX_FUNCTION_LINES} == {}
    assert ast.get_docstring(tree), "the module does not say what it is for"


def test_at_most_one_place_catches_everything() -> None:
    """STYLE: one broad handler, at the boundary between two sources."""
    broad = []
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = "bare" if node.type is None else ast.unparse(node.type)
                reraises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
                if caught in ("bare", "Exception", "BaseException") and not reraises:
                    broad.append(shown(path))
    assert broad == ["services/refresh.py"]


IMPORTER = """
import json, os, sys, threading
import urllib3.util.connection  # it tries whether this machine has IPv6, which is no act of ours

root, seen = sys.argv[1], []
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
ACTS = ("socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.mkdir", "sqlite3.connect")


def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if (flags or 0) & WRITES and not str(path).startswith("/dev/"):
            seen.append(f"wrote {path}")
    elif event in ACTS:
        seen.append(f"{event} {arguments}")


class Watched(type(os.environ)):
    def __getitem__(self, key):
        frame = sys._getframe(1)
        while frame and frame.f_globals.get("__name__") in ("os", "_collections_abc", "collections.abc"):
            frame = frame.f_back
        file = frame.f_code.co_filename if frame else ""
        if file.startswith(root) and "site-packages" not in file:
            seen.append(f"environment {key} read by {file}")
        return super().__getitem__(key)


os.environ.__class__ = Watched
sys.path.insert(0, root)
sys.addaudithook(watch)
for name in sys.argv[2:]:
    __import__(name)
print(json.dumps({"seen": seen, "threads": threading.active_count(), "files": os.listdir(".")}))
"""


def import_all(folder: Path, root: Path, *names: str) -> dict[str, object]:
    """What importing the modules did, in a fresh process and an empty folder."""
    work, home = folder / "work", folder / "home"
    work.mkdir()
    home.mkdir(mode=0o500)
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORTER, str(root), *names],
        cwd=work,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "AMMON_PORT": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    said: dict[str, object] = json.loads(line)
    return said


def test_importing_every_module_does_nothing(tmp_path: Path) -> None:
    assert import_all(tmp_path, ROOT, *MODULES) == {"seen": [], "threads": 1, "files": []}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import os\nHERE = os.environ.get('HOME')", "environment HOME"),
        ("import os\nHERE = os.getenv('HOME')", "environment HOME"),
        ("open('file', 'w').close()", "wrote file"),
        ("import socket\nsocket.socket().bind(('127.0.0.1', 0))", "socket.bind"),
        ("import sqlite3\nsqlite3.connect(':memory:')", "sqlite3.connect"),
    ],
    ids=["os.environ", "os.getenv", "open", "socket", "sqlite3"],
)
def test_the_test_of_imports_sees_what_it_forbids(tmp_path: Path, source: str, told: str) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "guilty.py").write_text(source)
    seen = import_all(tmp_path, package, "guilty")["seen"]
    assert isinstance(seen, list) and any(told in line for line in seen)


def kinds(error: type[HubError]) -> Iterator[type[HubError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_error_has_a_status() -> None:
    for name in MODULES:
        __import__(name)
    without = {kind.__name__ for kind in kinds(HubError) if not any(base in STATUS for base in kind.__mro__)}
    assert without == set()
    public = {kind for kind in kinds(HubError) if not kind.__name__.startswith("_")}
    assert {kind.__name__ for kind in public - STATUS.keys()} == set(), "say it in the table, not by descent"


def test_the_errors_are_those_of_one_module() -> None:
    named = {kind.__module__ for kind in kinds(HubError) if not kind.__name__.startswith("_")}
    assert {module.split(".")[0] for module in named} == {"helpers"}


def test_nothing_depends_on_the_folder_beside_the_repository() -> None:
    """Data of the workshop is not part of the product; READMEs and the CI script may name it."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    if tracked.returncode != 0:
        pytest.skip("no git checkout, so there is no list of our files")
    forbidden = [b"/".join((b"/work", b"shared")), b"/".join((b"..", b"shared"))]
    guilty = []
    for name in filter(None, tracked.stdout.decode().split("\0")):
        path = ROOT / name
        if path.name == "README.md" or name.startswith(".ci/") or not path.is_file():
            continue
        content = path.read_bytes()
        guilty += [name for text in forbidden if text in content]
    assert guilty == []
