"""The tree is the architecture: what import-linter's contracts do not reach.

import-linter holds the contracts between modules (pyproject.toml). Here are those about the
top-level folders and about what may be imported from outside at all, as lists of what is allowed,
so that something new is refused until somebody has thought about it.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PACKAGES = frozenset({"bridge", "dialplan", "cdr", "privacy", "config"})
OTHER_FOLDERS = frozenset({"scripts", "tests", "requirements", "packaging"})
# What running, testing and building leave behind; .gitignore names the same.
LEFT_BEHIND = frozenset({"data", "build", "dist", "__pycache__"})

# Which of the five each may import, apart from itself. `privacy` comes twice in the house: the
# vault and the inventory below cdr and dialplan, the rest above; import-linter tells them apart.
MAY_KNOW = {
    "config": frozenset[str](),
    "privacy": frozenset({"config", "cdr", "dialplan"}),
    "cdr": frozenset({"config", "privacy"}),
    "dialplan": frozenset({"config", "privacy"}),
    "bridge": frozenset({"config", "privacy", "cdr", "dialplan"}),
}

MEDIA_MAY_IMPORT = frozenset({"numpy", "numba", "llvmlite", "msgspec", "cffi", "G722"})
# Standard library that a 20 ms tick has no business with: event loops, databases, name servers.
MEDIA_MAY_NOT_IMPORT = frozenset(
    {"asyncio", "concurrent", "dbm", "http", "logging", "multiprocessing", "sqlite3", "urllib"}
)

# What of the dial plan may read and write; all else there is rules, and does no I/O.
DIALPLAN_WITH_IO = frozenset(
    {"tables", "store", "seed", "administration", "commands", "prompts", "providers"}
) | frozenset({"_conferences", "_numbers", "_pins", "_trunks", "_trunk_commands", "_values"})
# Values and containers only; phonenumbers is tables and rules of numbers. `random` is for the type
# of a generator that is passed in.
PURE_MAY_IMPORT = frozenset(
    {
        "__future__",
        "abc",
        "bisect",
        "collections",
        "contextlib",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "heapq",
        "itertools",
        "math",
        "msgspec",
        "operator",
        "phonenumbers",
        "random",
        "re",
        "string",
        "types",
        "typing",
    }
)

# House style: most modules are 100-400 lines; near 650, look for the second subject.
LONGEST_MODULE = 650


def modules_of(folder: Path) -> list[Path]:
    """Return the Python files below a folder, in a stable order."""
    return sorted(folder.rglob("*.py"))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and absolute dotted name of every import in a file, nested ones included."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield node.lineno, ".".join([*base, *filter(None, [node.module])])


def faults(paths: list[Path], allowed: frozenset[str]) -> list[str]:
    """List the imports whose top-level name is not allowed, as `file:line imports name`."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in paths
        for line, name in imports_of(path)
        if name.partition(".")[0] not in allowed
    ]


def rules_of_dialplan() -> list[Path]:
    """Return the modules of the dial plan that are rules."""
    folder = ROOT / "dialplan"
    return [
        path
        for path in modules_of(folder)
        if path.relative_to(folder).parts[0].removesuffix(".py") not in DIALPLAN_WITH_IO
    ]


def test_every_top_level_folder_is_known() -> None:
    """A new folder at the top is a decision, taken here and in the README."""
    found = {entry.name for entry in ROOT.iterdir() if entry.is_dir() and entry.name[0] != "."}
    assert found - LEFT_BEHIND == PACKAGES | OTHER_FOLDERS


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_packages_know_each_other_one_way(package: str) -> None:
    """No package imports another of the five unless the design lets it."""
    refused = (PACKAGES | OTHER_FOLDERS) - MAY_KNOW[package] - {package}
    assert [
        fault
        for fault in faults(modules_of(ROOT / package), allowed=frozenset())
        if fault.rpartition(" ")[2].partition(".")[0] in refused
    ] == []


def test_media_imports_only_what_a_tick_needs() -> None:
    """The media process imports numpy, numba (with its llvmlite), msgspec, cffi, G722, itself."""
    modules = modules_of(ROOT / "bridge" / "media")
    allowed = (MEDIA_MAY_IMPORT | sys.stdlib_module_names | {"bridge"}) - MEDIA_MAY_NOT_IMPORT
    own = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules
        for line, name in imports_of(path)
        if name.startswith("bridge") and not name.startswith("bridge.media")
    ]
    assert faults(modules, allowed) + own == []


def test_rules_of_calls_do_no_io() -> None:
    """The rules of calls and conferences import values and containers only."""
    modules = rules_of_dialplan()
    assert {"call_flow.py", "conference.py", "events.py", "actions.py"} <= {
        path.name for path in modules
    }
    assert faults(modules, PURE_MAY_IMPORT | {"dialplan"}) == []


def test_rules_of_calls_have_no_clock_and_no_dice() -> None:
    """Time comes in with events, and a random generator is passed in."""
    calls = [
        f"{module.relative_to(ROOT)}:{node.lineno} calls {ast.unparse(node.func)}"
        for module in rules_of_dialplan()
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (
            node.func.attr in {"now", "utcnow", "today"}
            or (isinstance(node.func.value, ast.Name) and node.func.value.id == "random")
        )
    ]
    assert calls == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_modules_have_one_subject(package: str) -> None:
    """A module past the length limit has a second subject that wants a module of its own."""
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in modules_of(ROOT / package)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_MODULE
    }
    assert too_long == {}


@pytest.mark.parametrize("package", ["config", "privacy", "cdr", "dialplan", "bridge"])
def test_no_star_imports(package: str) -> None:
    """Nothing is imported by star."""
    stars = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules_of(ROOT / package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]
    assert stars == []


def test_only_media_processes_carry_the_compiler() -> None:
    """It takes a second and 100 MB: neither a command nor the control process is to pay for it."""
    code = "import sys, bridge.cli, bridge.house; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
