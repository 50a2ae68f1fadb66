"""What the recordings were made from, so that a stale one is found.

`voices.toml` says who speaks a language; a manifest beside the recordings says, for each, the text
and the fingerprint of everything that shaped it, and the hash of the file. `scripts/build-prompts`
records what is stale and writes the manifest; the tests compare all three.
"""

import hashlib
import json
import re
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final, NamedTuple

from dialplan.prompts.catalogue import load_catalogue
from dialplan.prompts.errors import CatalogueError

__all__ = [
    "MANIFEST",
    "PIPELINE",
    "Recording",
    "Voice",
    "audio_folder",
    "fingerprint",
    "load_voice",
    "read_manifest",
    "spoken_text",
    "stale_clips",
]

MANIFEST: Final = "manifest.json"
PIPELINE: Final = 1
"""Version of what scripts/build-prompts does to a take; a change makes every recording stale."""


class Voice(NamedTuple):
    """Who speaks a language.

    Attributes:
        engine: ``"piper"`` or ``"espeak-ng"``.
        model: The voice's name in that engine.
        say: Patterns and replacements that turn written text into what the voice is given.
        settings: The engine's own settings.
    """

    engine: str
    model: str
    say: tuple[tuple[str, str], ...]
    settings: dict[str, float]


class Recording(NamedTuple):
    """What a manifest says of one recording.

    Attributes:
        text: What is said.
        made_from: `fingerprint` of text and voice.
        sha256: Hash of the FLAC file, in hexadecimal digits.
    """

    text: str
    made_from: str
    sha256: str


def audio_folder(group: str) -> Traversable:
    """Return the folder of a language's recordings, or that of the music."""
    return resources.files("dialplan.prompts") / "audio" / group


def load_voice(language: str) -> Voice:
    """Return who speaks a language.

    Raises:
        CatalogueError: `voices.toml` has no such language, or its table is wrong.
    """
    file = resources.files("dialplan.prompts") / "voices.toml"
    table: dict[str, Any] = dict(tomllib.loads(file.read_text(encoding="utf-8")).get(language, {}))
    engine, model, say = table.pop("engine", ""), table.pop("model", ""), table.pop("say", [])
    if engine not in {"piper", "espeak-ng"} or not model:
        raise CatalogueError(
            f"voices.toml [{language}]: expected engine piper or espeak-ng and a model, got "
            f"{engine!r} and {model!r}"
        )
    return Voice(engine, model, tuple((pattern, instead) for pattern, instead in say), table)


def spoken_text(voice: Voice, text: str) -> str:
    """Return a text as the voice is given it."""
    for pattern, instead in voice.say:
        # TOML reads better with $1 than with \\1.
        text = re.sub(pattern, instead.replace("$", "\\"), text, flags=re.IGNORECASE)
    return text


def fingerprint(voice: Voice, text: str) -> str:
    """Return the hash of everything that shapes a recording: pipeline, voice and spoken text.

    A change of `say` makes only those recordings stale whose spoken text changes by it.
    """
    made_from = [PIPELINE, voice.engine, voice.model, voice.settings, spoken_text(voice, text)]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def read_manifest(language: str) -> dict[str, Recording]:
    """Return what the manifest of a language says, by clip; empty where there is none yet."""
    file = audio_folder(language) / MANIFEST
    if not file.is_file():
        return {}
    entries = json.loads(file.read_text(encoding="utf-8"))
    return {clip: Recording(**entry) for clip, entry in entries.items()}


def stale_clips(language: str) -> dict[str, str]:
    """Return the clips whose recording is missing or was made from something else, with texts."""
    voice = load_voice(language)
    manifest = read_manifest(language)
    folder = audio_folder(language)
    stale = {}
    for clip, text in load_catalogue(language).clips.items():
        recording = manifest.get(clip)
        file = folder / f"{clip}.flac"
        if (
            recording is None
            or recording.made_from != fingerprint(voice, text)
            or not file.is_file()
            or hashlib.sha256(file.read_bytes()).hexdigest() != recording.sha256
        ):
            stale[clip] = text
    return stale
