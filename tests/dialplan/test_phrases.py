"""The catalogue of phrases."""

import re

import pytest

from dialplan.errors import PhraseError
from dialplan.phrases import CATALOGUE, GREETINGS, Phrase, PhraseKey, greeting_phrase, phrase


@pytest.mark.parametrize("key", PhraseKey)
def test_text_and_arguments_agree(key: PhraseKey) -> None:
    """Every key is in the catalogue, and its text names its arguments and no others."""
    spec = CATALOGUE[key]
    named = set(re.findall(r"{(\w+)}", spec.english))
    assert named == {name for name, _ in spec.arguments}
    assert spec.is_tone is key.value.startswith("tone_")


def test_a_phrase_checks_its_arguments() -> None:
    """A missing, unknown or mistyped argument is our own misuse and says so."""
    assert phrase(PhraseKey.OTHERS_HERE, count=3).arguments == (("count", 3),)
    with pytest.raises(PhraseError, match="count"):
        phrase(PhraseKey.OTHERS_HERE)
    with pytest.raises(PhraseError, match="takes"):
        phrase(PhraseKey.GOODBYE, count=1)
    with pytest.raises(PhraseError, match="takes int"):
        phrase(PhraseKey.OTHERS_HERE, count="3")


def test_greetings() -> None:
    """Numbers choose from a list; an unknown name is the standard greeting."""
    assert set(GREETINGS) == {"standard", "short", "none"}
    assert greeting_phrase(None) == greeting_phrase("standard") == Phrase(PhraseKey.WELCOME)
    assert greeting_phrase("none") is None
    assert greeting_phrase("of another version") == Phrase(PhraseKey.WELCOME)
