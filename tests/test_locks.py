"""The locks: versions and hashes, complete, and nothing that names a place."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = ("runtime", "dev", "prompts", "quality")

# `name==1.0 ; marker \` and the lines of hashes below it.
ENTRY = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))?(?: \\)?$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def text_of(lock: str) -> str:
    """Read a lock."""
    return (ROOT / "requirements" / f"{lock}.lock").read_text(encoding="utf-8")


def pins_of(lock: str) -> dict[tuple[str, str], str]:
    """Return version by name and marker."""
    return {
        (match["name"], match["marker"] or ""): match["version"]
        for line in text_of(lock).splitlines()
        if (match := ENTRY.match(line))
    }


def asked_for() -> dict[str, list[Requirement]]:
    """Return what pyproject.toml and *.in ask for, by the lock that has to answer."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    runtime = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    texts = {"runtime": runtime, "dev": [*runtime, *project["dependency-groups"]["dev"]]}
    for lock in ("prompts", "quality"):
        lines = (ROOT / f"requirements/{lock}.in").read_text(encoding="utf-8").splitlines()
        texts[lock] = [line for line in lines if line and not line.startswith("#")]
    return {lock: [Requirement(text) for text in texts[lock]] for lock in LOCKS}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_place(lock: str) -> None:
    """No registry's address and no machine's path stands in a lock."""
    places = re.findall(r"\S*(?:://|--index|--find-links|@ file|(?<!\S)/)\S*", text_of(lock))
    assert places == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_a_hash_for_every_entry(lock: str) -> None:
    """Every line is an exact version, one of its hashes or a comment, and no entry lacks hashes."""
    bare = None
    for number, line in enumerate(text_of(lock).splitlines(), start=1):
        if HASH.match(line):
            bare = None
        elif ENTRY.match(line):
            assert bare is None, f"{lock}.lock: {bare} has no hash"
            bare = line
        else:
            assert line.lstrip().startswith("#"), f"{lock}.lock:{number}: {line!r}"
    assert bare is None


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_lock_satisfies_what_is_asked_for(lock: str, python: str) -> None:
    """What pyproject.toml asks for is locked in a version that it accepts, for both Pythons."""
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    locked = {
        name: version
        for (name, marker), version in pins_of(lock).items()
        if not marker or Marker(marker).evaluate({**machine})
    }
    unmet = [
        str(requirement)
        for requirement in asked_for()[lock]
        if not requirement.specifier.contains(locked.get(canonicalize_name(requirement.name), "0"))
    ]
    assert unmet == []


@pytest.mark.parametrize("lock", ["dev", "prompts"])
def test_locks_agree_on_what_they_share(lock: str) -> None:
    """What is tested, and what builds prompts, is what runs."""
    runtime = pins_of("runtime")
    shared = {key: version for key, version in pins_of(lock).items() if key in runtime}
    assert shared
    assert shared == {key: runtime[key] for key in shared}


def test_dev_lock_contains_the_runtime_lock() -> None:
    """Installing for tests installs all that the bridge runs on."""
    assert pins_of("runtime").keys() <= pins_of("dev").keys()
