"""The catalogue: what each phrase says in each language, as recorded clips.

A language's file (`en.toml`, `sv.toml`) holds a template for each key of
`dialplan.phrases.CATALOGUE`. Loading cuts the templates at their arguments: what stands between
two arguments is a clip of its own, recorded once; the arguments are spoken by the language's
rules. Clips are named for where they come from:

============================ =====================================================
``welcome``                  a phrase without arguments
``others_here.one``          a form of a phrase that counts
``others_here.7``            the same, recorded whole for a common count
``others_here.other.2``      the second recorded piece of a form with an argument
``number.21``, ``time.0930`` clips of the rules, the same names in every language
``pause.300``                a silence in milliseconds; nothing is recorded
``tone.enter``               a tone, the same in every language
``name.17``                  the name that the caller of leg 17 has spoken
============================ =====================================================
"""

import functools
import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from dialplan.phrases import CATALOGUE, ArgumentKind, Phrase, PhraseKey
from dialplan.prompts.english import English
from dialplan.prompts.errors import CatalogueError, PhraseArgumentError, UnknownPhraseError
from dialplan.prompts.spoken import Language, Spoken, checked_number, parse_date, parse_time
from dialplan.prompts.swedish import Swedish

__all__ = [
    "DEFAULT_LANGUAGE",
    "LANGUAGES",
    "NAME",
    "PHRASE_PAUSE",
    "Argument",
    "Catalogue",
    "closest_language",
    "load_catalogue",
    "parse_catalogue",
    "render",
    "render_all",
]

LANGUAGES: Final[tuple[str, ...]] = ("en", "sv")
DEFAULT_LANGUAGE: Final = "en"
PHRASE_PAUSE: Final = "pause.300"
"""Between two phrases of one prompt: a full stop's worth of breath."""

NAME: Final = "name."
"""Before the leg's number: the name that its caller has spoken, which no bank holds."""

_COMMA_PAUSE: Final = "pause.120"
_TONE: Final = "tone."
_RULES: Final[dict[str, Language]] = {"en": English(), "sv": Swedish()}
_ARGUMENT: Final = re.compile(r"\{([a-z_]+)(?::([a-z]+))?\}")
_COUNTED: Final = frozenset({"count", "minutes"})


class Argument(NamedTuple):
    """A place in a template that is spoken by rule.

    Attributes:
        name: Of the phrase's argument.
        kind: How it is spoken.
        gender: Of the noun that is counted, where the language asks.
        final: Whether the sentence ends with it.
    """

    name: str
    kind: ArgumentKind
    gender: str
    final: bool


class Catalogue(NamedTuple):
    """One language's phrases.

    Attributes:
        language: Its code.
        rules: How it speaks numbers and times.
        forms: For each phrase that is no tone, its forms (``""`` where there is but one,
            ``"one"``, ``"other"`` or a count) as clips, pauses and arguments.
        clips: Every clip of this language, as name and text to record.
    """

    language: str
    rules: Language
    forms: dict[PhraseKey, dict[str, tuple[str | Argument, ...]]]
    clips: dict[str, str]


def closest_language(tag: str) -> str:
    """Return the language of the catalogue that serves a language tag best.

    Args:
        tag: As in BCP 47, such as ``"sv-SE"``; the region is not looked at.

    Returns:
        Its code; the default language where the catalogue has none that fits.
    """
    code = tag.replace("_", "-").partition("-")[0].lower()
    return code if code in LANGUAGES else DEFAULT_LANGUAGE


@functools.cache
def load_catalogue(language: str) -> Catalogue:
    """Return the catalogue of one language, read from the package once.

    Raises:
        UnknownPhraseError: There is no such language.
        CatalogueError: Its file is wrong; the message lists every fault.
    """
    if language not in LANGUAGES:
        raise UnknownPhraseError(
            f"no prompts in language {language!r}: expected one of {', '.join(LANGUAGES)}"
        )
    file: Traversable = resources.files("dialplan.prompts") / f"{language}.toml"
    return parse_catalogue(language, file.read_text(encoding="utf-8"))


def parse_catalogue(language: str, text: str) -> Catalogue:
    """Read a catalogue file.

    Args:
        language: One of `LANGUAGES`.
        text: The file's content.

    Raises:
        CatalogueError: It is no TOML, lacks a phrase, has one too many, or a template does not
            use the phrase's arguments. The message lists every fault.
    """
    where = f"{language}.toml"
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{where}: {error}") from error
    faults = [f"unknown table {name!r}" for name in tables.keys() - {"phrases"}]
    phrases = tables.get("phrases", {})
    expected = {key.value for key, spec in CATALOGUE.items() if not spec.is_tone}
    faults += [f"phrase {key!r} is missing" for key in sorted(expected - phrases.keys())]
    faults += [f"no phrase is called {key!r}" for key in sorted(phrases.keys() - expected)]
    rules = _RULES[language]
    catalogue = Catalogue(language, rules, {}, dict(rules.clips()))
    for key in sorted(expected & phrases.keys()):
        try:
            _add_phrase(catalogue, key, phrases[key])
        except CatalogueError as error:
            faults.append(str(error))
    if faults:
        raise CatalogueError("\n".join(f"{where}: {fault}" for fault in faults))
    return catalogue


def render(language: str, phrase: Phrase) -> Spoken:
    """Return the clips of a phrase, in the order in which they are heard.

    Args:
        language: One of `LANGUAGES`.
        phrase: What to say.

    Raises:
        UnknownPhraseError: There is no such language or phrase.
        PhraseArgumentError: An argument is missing, superfluous or cannot be spoken.
    """
    catalogue = load_catalogue(language)
    spec = CATALOGUE.get(phrase.key)
    if spec is None:
        raise UnknownPhraseError(f"no phrase is called {phrase.key!r}")
    arguments = dict(phrase.arguments)
    if arguments.keys() != {name for name, _ in spec.arguments}:
        raise PhraseArgumentError(
            f"phrase {phrase.key.value!r}: expected the arguments "
            f"{[name for name, _ in spec.arguments]}, got {sorted(arguments)}"
        )
    if spec.is_tone:
        return [_TONE + phrase.key.value.removeprefix("tone_")]
    clips: Spoken = []
    for piece in _choose_form(catalogue, phrase.key, arguments):
        if isinstance(piece, Argument):
            clips += _speak(catalogue.rules, piece, arguments[piece.name])
        else:
            clips.append(piece)
    return clips


def render_all(language: str, phrases: Sequence[Phrase]) -> Spoken:
    """Return the clips of several phrases, with a pause between each two."""
    clips: Spoken = []
    for phrase in phrases:
        if clips:
            clips.append(PHRASE_PAUSE)
        clips += render(language, phrase)
    return clips


def _choose_form(
    catalogue: Catalogue, key: PhraseKey, arguments: dict[str, int | str]
) -> tuple[str | Argument, ...]:
    forms = catalogue.forms[key]
    if "" in forms:
        return forms[""]
    name = next(name for name, kind in CATALOGUE[key].arguments if kind in _COUNTED)
    count = checked_number(arguments[name])
    return forms.get(str(count)) or forms[catalogue.rules.plural(count)]


def _speak(rules: Language, argument: Argument, value: int | str) -> Spoken:
    match argument.kind:
        case "count" | "number":
            return rules.number(checked_number(value), argument.gender)
        case "name" if isinstance(value, int):
            return [f"{NAME}{value}"]
        case "minutes" if isinstance(value, int):
            return rules.minutes(value, final=argument.final)
        case "time":
            return rules.time(parse_time(value))
        case "date":
            return rules.date(parse_date(value))
        case "digits" if isinstance(value, str):
            return rules.digits(value)
    raise PhraseArgumentError(
        f"argument {argument.name!r}: cannot speak {type(value).__name__} as {argument.kind}"
    )


def _add_phrase(catalogue: Catalogue, key: str, entry: object) -> None:
    """Cut a phrase's templates into clips and add them."""
    phrase = PhraseKey(key)
    counted = [name for name, kind in CATALOGUE[phrase].arguments if kind in _COUNTED]
    if isinstance(entry, str):
        if counted:
            raise CatalogueError(f"phrase {key!r} counts: it needs the forms one and other")
        catalogue.forms[phrase] = {"": _cut(catalogue, phrase, key, entry)}
        return
    if not isinstance(entry, dict) or not counted:
        raise CatalogueError(f"phrase {key!r}: expected a text, and forms only where it counts")
    whole = entry.get("whole", [])
    texts = {form: text for form, text in entry.items() if form != "whole"}
    if not texts.keys() >= {"one", "other"} or not all(
        form in {"one", "other"} or form.isdecimal() for form in texts
    ):
        raise CatalogueError(
            f"phrase {key!r}: expected the forms one, other and counts, got {sorted(texts)}"
        )
    for count in whole:
        texts[str(count)] = _with_count(catalogue.rules, phrase, texts["other"], count)
    forms: dict[str, tuple[str | Argument, ...]] = {}
    for form, text in texts.items():
        forms[form] = _cut(catalogue, phrase, f"{key}.{form}", text, optional=form != "other")
    catalogue.forms[phrase] = forms


def _with_count(rules: Language, phrase: PhraseKey, template: str, count: int) -> str:
    """Return a template with its count written out, to be recorded whole."""
    kinds = dict(CATALOGUE[phrase].arguments)

    def words(match: re.Match[str]) -> str:
        if kinds.get(match[1]) == "minutes":
            return rules.minutes_text(count)
        return rules.number_text(count, match[2] or "")

    text = _ARGUMENT.sub(words, template)
    return text[:1].upper() + text[1:]


def _cut(
    catalogue: Catalogue, phrase: PhraseKey, name: str, template: str, *, optional: bool = False
) -> tuple[str | Argument, ...]:
    """Cut a template at its arguments, add the clips between them, and return the pieces.

    Args:
        catalogue: Gets the clips.
        phrase: Whose template it is.
        name: What the clips are called.
        template: Its text.
        optional: Whether the arguments may be left out, as in "one person".
    """
    kinds = dict(CATALOGUE[phrase].arguments)
    used = [match[1] for match in _ARGUMENT.finditer(template)]
    if sorted(used) != sorted(kinds) and not (optional and not used):
        raise CatalogueError(f"phrase {name!r}: expected the arguments {sorted(kinds)}, got {used}")
    if not used:
        catalogue.clips[name] = template
        return (name,)
    pieces: list[str | Argument] = []
    recorded = 0
    position = 0
    for match in [*_ARGUMENT.finditer(template), None]:
        text = template[position : match.start() if match else len(template)]
        if text.lstrip().startswith(","):
            pieces.append(_COMMA_PAUSE)
        if words := text.strip(" ,") if match else text.lstrip(" ,"):
            # The full stop that closes a sentence after its last argument is no clip.
            if words.strip(".?!"):
                recorded += 1
                pieces.append(f"{name}.{recorded}")
                # With a comma the voice stays up, as it does where a sentence goes on.
                catalogue.clips[f"{name}.{recorded}"] = f"{words}," if match else words
            elif pieces and isinstance(pieces[-1], Argument):
                pieces[-1] = pieces[-1]._replace(final=True)
        if match:
            argument = Argument(match[1], kinds[match[1]], match[2] or "", final=False)
            pieces.append(argument)
            position = match.end()
    return tuple(pieces)
