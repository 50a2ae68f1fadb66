"""The README and the programs say the same.

Two conventions hold the README to its word. What stands in code and begins with ``dialin`` is a
command, with its options; all of them exist, and all that exist stand there. A ``sh`` block below
a line ``<!-- runs -->`` is run here, block after block in one fresh data folder.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bridge import cli
from dialplan.keypad import KEY_MAP

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

BLOCK = re.compile(
    r"^(?P<marked><!-- runs -->\n)?```sh\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def lines_naming_dialin() -> Iterator[list[str]]:
    """Yield the words of every command line in the README that calls `dialin`, without the name."""
    spans = SPAN.findall(re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL))
    lines = [line for block in BLOCK.finditer(README) for line in block["code"].splitlines()]
    for line in [*spans, *lines]:
        words = shlex.split(line, comments=True)
        if words and Path(words[0]).name == "dialin":
            yield words[1:]


def leaves(command: click.Command, *above: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that is not hidden and not a group."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from leaves(below, *above, name)
    else:
        yield above


def resolve(words: list[str]) -> tuple[tuple[str, ...], click.Command]:
    """Walk down the groups as far as the words name commands."""
    command: click.Command = cli.dialin
    path: list[str] = []
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        below = command.get_command(click.Context(command), word)
        assert below is not None, f"README: no such command: dialin {' '.join([*path, word])}"
        command = below
        path.append(word)
    return tuple(path), command


def test_readme_names_every_command() -> None:
    """What `dialin --help` leads to stands in the README."""
    named = {resolve(words)[0] for words in lines_naming_dialin()}
    missing = [" ".join(leaf) for leaf in leaves(cli.dialin) if leaf not in named]
    assert missing == []


def test_readme_names_no_option_that_is_not_there() -> None:
    """Every option that the README gives a command is an option of that command."""
    unknown = []
    for words in lines_naming_dialin():
        path, command = resolve(words)
        known = {"--help", "--data", "--config"}
        for parameter in command.params:
            known.update(parameter.opts, parameter.secondary_opts)
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        unknown += [f"dialin {' '.join(path)} {option}" for option in sorted(given - known)]
    assert unknown == []


@pytest.mark.parametrize("leaf", sorted(leaves(cli.dialin)), ids=" ".join)
def test_every_command_has_help(leaf: tuple[str, ...]) -> None:
    """Every command says what it does and what each of its options means."""
    _, command = resolve(list(leaf))
    assert command.help
    silent = [
        parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help and not parameter.hidden
    ]
    assert silent == []


def test_scripts_named_in_the_readme_are_there() -> None:
    """Each script that the README sends its reader to exists."""
    named = set(re.findall(r"scripts/[a-z-]+", README))
    assert {"scripts/run", "scripts/test"} <= named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_key_map_is_the_keypad() -> None:
    """The keys in a conference that the README explains are those that the keypad knows."""
    assert set(re.findall(r"^\| conference \| `([^`]+)` \|", README, re.MULTILINE)) == set(KEY_MAP)


def test_links_lead_somewhere() -> None:
    """Each relative link has its file."""
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_marked_blocks_run(tmp_path: Path) -> None:
    """A reader who types the marked blocks into a fresh data folder gets no error."""
    blocks = [block["code"] for block in BLOCK.finditer(README) if block["marked"]]
    assert blocks
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DIALIN_DATA_DIR": str(tmp_path / "data"),
    }
    for code in blocks:
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, f"{code}\n{result.stdout}\n{result.stderr}"
