"""``dialin conference say``: a phrase or a sound file, to a conference that runs."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any, Final

import click

from config.administration import Administration
from config.console import (
    Command,
    json_option,
    pass_administration,
    printable,
    show_json,
    show_table,
)
from dialplan.errors import DialplanError
from dialplan.phrases import CATALOGUE, PhraseKey

__all__ = ["say"]

_NUMBERS: Final = frozenset({"count", "number", "minutes"})


def _show_phrases(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's own signature
    """List what can be said, and end."""
    if not wanted or context.resilient_parsing:
        return
    rows = [
        {
            "phrase": key.value,
            "with": " ".join(f"{name}={kind.upper()}" for name, kind in spec.arguments),
            "says": spec.english.replace("|", " / ") or "(a tone)",
        }
        for key, spec in sorted(CATALOGUE.items())
        if not any(kind == "name" for _, kind in spec.arguments)
    ]
    show_table([("Phrase", "phrase"), ("With", "with"), ("Says", "says")], rows, empty="")
    context.exit()


def _argument(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> Any:  # noqa: ANN401 - click's own signature
    """Read NAME=VALUE as often as it stands there."""
    arguments: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name or not value:
            raise click.BadParameter(f"{each!r} is not of the form NAME=VALUE")
        arguments[name] = value
    return arguments


@click.command("say", cls=Command)
@click.argument("conference")
@click.argument("what")
@click.option("--person", type=int, metavar="NUMBER", help="To one person alone, not to the room.")
@click.option(
    "--with",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_argument,
    help="What a phrase says a count or a time of.",
)
@click.option(
    "--phrases",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_phrases,
    help="List the phrases that can be said.",
)
@json_option
@pass_administration
def say(
    administration: Administration[Any],
    /,
    conference: str,
    what: str,
    *,
    person: int | None,
    arguments: dict[str, str],
    as_json: bool,
) -> None:
    """Say a phrase in a conference that runs, or play a sound file.

    WHAT is a phrase by its name, which everybody in the room hears in their own language, or a
    sound file (WAV, FLAC, Ogg or MP3, one channel or two, 45 s at most), which is mixed into the
    room's talk at the loudness of the prompts.

    Examples:
      dialin conference say "Board" ending_soon --with minutes=5
      dialin conference say "Board" not_heard --person 17
    """
    given: dict[str, Any] = {"person": person}
    if what in CATALOGUE:
        given["phrase"] = what
        given["arguments"] = _typed(what, arguments)
    elif arguments:
        raise click.UsageError("--with is for phrases")
    else:
        given["sound"] = _sound(what)
    done = administration.ask_bridge("conference.say", conference=conference, **given)
    if as_json:
        show_json(done)
        return
    heard = "1 person hears" if done["listeners"] == 1 else f"{done['listeners']} people hear"
    lasts = "" if done["seconds"] is None else f", {done['seconds']:.1f} s"
    click.echo(f"{printable(done['conference'])}: {heard} it{lasts}.")


def _typed(key: str, arguments: dict[str, str]) -> dict[str, int | str]:
    """Make numbers of what a phrase takes as one; all else is judged where it is said."""
    kinds = dict(CATALOGUE[PhraseKey(key)].arguments)
    return {
        name: int(value)
        if kinds.get(name) in _NUMBERS and re.fullmatch("[0-9]{1,7}", value)
        else value
        for name, value in arguments.items()
    }


def _sound(what: str) -> str:
    """Read a sound file, as it is sent."""
    from dialplan.prompts.sound_file import read_sound  # noqa: PLC0415 - soundfile loads a library

    file = Path(what)
    if not file.exists():
        raise DialplanError(
            f"there is neither a phrase {what!r} nor a file of that name;"
            " `dialin conference say --phrases` lists the phrases"
        )
    return base64.b64encode(read_sound(file).astype("<i2").tobytes()).decode()
