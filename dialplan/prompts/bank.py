"""The bank: all sound that the bridge can play, in one array.

The recordings are FLAC files of 16 kHz, one to a clip, named for it: `audio/<language>/<clip>.flac`
and `audio/music/*.flac`. To decode hundreds of them and take them to 8 kHz takes over a second, so
the finished array is kept in a cache file whose key is the hash of what it was made from. A cache
that is stale, damaged or cannot be written costs time at the start and nothing else.
"""

import contextlib
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from dialplan.phrases import Phrase
from dialplan.prompts.catalogue import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    NAME,
    closest_language,
    load_catalogue,
    render_all,
)
from dialplan.prompts.errors import AudioError, UnknownPhraseError
from dialplan.prompts.resample import resample
from dialplan.prompts.tones import TONES, tone

__all__ = ["MUSIC", "SOURCE_RATE", "TONE", "Bank", "Piece", "load_bank"]

SOURCE_RATE: Final = 16_000
"""Rate of the recordings in samples a second."""
TONE: Final = "tone"
MUSIC: Final = "music"
_FORMAT: Final = 1
_SILENCE: Final = -1
_MOST_KNOWN: Final = 1000

Piece = tuple[int, int]
"""Start and length in samples of the bank; start -1 is a silence of that length."""

_Content = tuple[npt.NDArray[np.int16], dict[tuple[str, str], Piece]]


@dataclass(frozen=True, slots=True)
class Bank:
    """All sound of some languages.

    Attributes:
        samples: int16, `(n,)`, mono, not to be written to.
        index: Start and length in samples by group and name: a language and its clip, or
            ``("tone", "enter")``, ``("music", "hold")``.
        rate: In samples a second.
        languages: Those that it was loaded with.
    """

    samples: npt.NDArray[np.int16]
    index: dict[tuple[str, str], Piece]
    rate: int
    languages: tuple[str, ...]
    _known: dict[tuple[str, tuple[Phrase, ...]], list[Piece]] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Sentences that were said before: a conference of hundreds hears the same one."""

    def clips(
        self,
        language: str,
        phrases: Sequence[Phrase],
        names: Mapping[int, Piece] | None = None,
    ) -> list[Piece]:
        """Return the pieces that say phrases, one after the other.

        Args:
            language: The listener's, with a region or not. In place of one that the bank was
                loaded without, the default language is spoken, or the first that there is: a
                caller is not left in silence because a setting changed.
            phrases: What to say.
            names: Where the names that callers have spoken lie, by leg. One that is not there any
                more is left out of its sentence.

        Raises:
            UnknownPhraseError: There is no such phrase.
            PhraseArgumentError: An argument is missing or cannot be spoken.
        """
        spoken = closest_language(language)
        if spoken not in self.languages:
            spoken = DEFAULT_LANGUAGE if DEFAULT_LANGUAGE in self.languages else self.languages[0]
        sentence = (spoken, tuple(phrases))
        known = self._known.get(sentence)
        if known is not None:
            return known.copy()
        pieces: list[Piece] = []
        clips = render_all(spoken, phrases)
        for clip in clips:
            if not clip.startswith(NAME):
                pieces.append(self._piece(spoken, clip))
            elif names and (piece := names.get(int(clip.removeprefix(NAME)))) is not None:
                pieces.append(piece)
        # Where a name lies changes; it is nobody's business to keep it here, either.
        if not any(clip.startswith(NAME) for clip in clips):
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[sentence] = pieces.copy()
        return pieces

    def tone(self, name: str) -> Piece:
        """Return where a tone is: ``"enter"``, ``"exit"``, ``"beep"`` or ``"error"``."""
        return self.index[TONE, name]

    def music(self, name: str = "hold") -> Piece:
        """Return where a piece of music is; it is made to be looped."""
        return self.index[MUSIC, name]

    def _piece(self, language: str, name: str) -> Piece:
        group, _, rest = name.partition(".")
        if group == "pause":
            return _SILENCE, int(rest) * self.rate // 1000
        return self.index[(TONE, rest) if group == TONE else (language, name)]


def load_bank(
    languages: Iterable[str] = LANGUAGES,
    cache_dir: Path | None = None,
    *,
    rate: int = 8000,
    audio: Traversable | None = None,
) -> Bank:
    """Return the bank of some languages, with tones and music.

    Args:
        languages: Which; one or more of `LANGUAGES`.
        cache_dir: Where the finished bank is kept from start to start; None keeps none.
        rate: In samples a second; 8000 for G.711, 16000 for wideband.
        audio: Folder of the recordings; the package's own by default.

    Raises:
        UnknownPhraseError: There is no such language, or none is given.
        AudioError: A recording is missing or unreadable.
    """
    audio = audio or resources.files("dialplan.prompts") / "audio"
    chosen = tuple(dict.fromkeys(languages))
    if not chosen:
        raise UnknownPhraseError(f"a bank needs a language: one of {', '.join(LANGUAGES)}")
    sources = _read_sources(sorted(chosen), audio)
    tones = {name: tone(name, rate) for name in sorted(TONES)}
    key = _hash(sources, tones, rate)
    cache = cache_dir / f"prompts-{rate}.npz" if cache_dir else None
    found = _read_cache(cache, key) if cache else None
    samples, index = found or _build(sources, tones, rate)
    if cache and not found:
        # A full or read-only disk must not keep the bridge from starting.
        with contextlib.suppress(OSError):
            _write_cache(cache, key, samples, index)
    samples.flags.writeable = False
    return Bank(samples, index, rate, chosen)


def _read_sources(languages: Sequence[str], audio: Traversable) -> dict[tuple[str, str], bytes]:
    """Return every recording as a FLAC file's bytes, in the order of the bank."""
    sources: dict[tuple[str, str], bytes] = {}
    for language in languages:
        for clip in sorted(load_catalogue(language).clips):
            sources[language, clip] = _read(audio / language / f"{clip}.flac")
    folder = audio / MUSIC
    parts = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".flac"))
    for part in parts:
        sources[MUSIC, part.removesuffix(".flac")] = _read(folder / part)
    return sources


def _read(file: Traversable) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise AudioError(
            f"cannot read the recording {file.name}: {error.strerror}; run scripts/build-prompts"
        ) from error


def _hash(
    sources: dict[tuple[str, str], bytes], tones: dict[str, npt.NDArray[np.float64]], rate: int
) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {rate}".encode())
    for (group, name), data in sources.items():
        digest.update(f"\0{group}\0{name}\0{len(data)}\0".encode())
        digest.update(data)
    for name, samples in tones.items():
        digest.update(f"\0{name}\0{len(samples)}\0".encode())
        digest.update(np.round(samples * 32768).astype("<i2").tobytes())
    return digest.hexdigest()


def _build(
    sources: dict[tuple[str, str], bytes], tones: dict[str, npt.NDArray[np.float64]], rate: int
) -> _Content:
    parts: dict[tuple[str, str], npt.NDArray[np.int16]] = {}
    for (group, name), data in sources.items():
        parts[group, name] = _to_int16(resample(_decode(name, data), SOURCE_RATE, rate))
    for name, samples in tones.items():
        parts[TONE, name] = _to_int16(samples)
    index: dict[tuple[str, str], Piece] = {}
    start = 0
    for key, part in parts.items():
        index[key] = (start, len(part))
        start += len(part)
    return np.concatenate(list(parts.values())), index


def _decode(name: str, data: bytes) -> npt.NDArray[np.float64]:
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float64")
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{name}.flac cannot be decoded: {error}; reinstall the package"
        ) from error
    if rate != SOURCE_RATE or samples.ndim != 1:
        raise AudioError(
            f"{name}.flac: expected {SOURCE_RATE} Hz and one channel, got {rate} Hz and "
            f"{1 if samples.ndim == 1 else samples.shape[1]}"
        )
    return np.asarray(samples, dtype=np.float64)


def _to_int16(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def _read_cache(cache: Path, key: str) -> _Content | None:
    """Return the cached bank; None where it is absent, stale or damaged (each part has a CRC)."""
    try:
        # Opened here: np.load leaves a file of its own open when it is damaged.
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            table = json.loads(stored["table"].tobytes())
            if table["key"] != key:
                return None
            samples = stored["samples"]
        index = {(group, name): (start, length) for group, name, start, length in table["index"]}
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    fits = all(start >= 0 and start + length <= len(samples) for start, length in index.values())
    return (samples, index) if fits and samples.dtype == np.int16 else None


def _write_cache(
    cache: Path, key: str, samples: npt.NDArray[np.int16], index: dict[tuple[str, str], Piece]
) -> None:
    """Write the cache beside its place and move it there, so that no reader sees half of it."""
    table = {"key": key, "index": [[*name, *piece] for name, piece in index.items()]}
    cache.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=cache.parent, prefix=f".{cache.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file,
                samples=samples,
                table=np.frombuffer(json.dumps(table).encode(), dtype=np.uint8),
            )
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(cache)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
