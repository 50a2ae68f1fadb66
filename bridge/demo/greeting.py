"""What the bridge says, as sound to compare with: prompts out of the bank, as they are played."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from bridge.demo.hearing import Samples
from dialplan.phrases import Phrase, PhraseKey, greeting_phrase, phrase
from dialplan.prompts.bank import Bank, load_bank

__all__ = ["Prompts"]


class Prompts:
    """Prompts in English.

    Args:
        cache_folder: where the bank's cache may be; that of the bridge saves a second.
    """

    def __init__(self, cache_folder: Path) -> None:
        self._bank = _bank(cache_folder)

    @property
    def greeting(self) -> Samples:
        """The greeting with the request for a PIN; int16, 8 kHz."""
        said = [greeting_phrase(None), phrase(PhraseKey.ENTER_PIN)]
        return self._sound(*(each for each in said if each is not None))

    @property
    def joining(self) -> Samples:
        """What is said on coming into the conference; int16, 8 kHz."""
        return self._sound(phrase(PhraseKey.JOINING))

    def _sound(self, *phrases: Phrase) -> Samples:
        parts = [
            np.zeros(length, np.int16) if start < 0 else self._bank.samples[start : start + length]
            for start, length in self._bank.clips("en", phrases)
        ]
        return np.concatenate(parts)


@cache
def _bank(cache_folder: Path) -> Bank:
    return load_bank(("en", "sv"), cache_folder)
