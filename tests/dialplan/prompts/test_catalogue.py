"""Every phrase of the dial plan has words in every language, and renders to clips that exist."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import LANGUAGES as SETTINGS_LANGUAGES
from dialplan.phrases import CATALOGUE, ArgumentKind, Phrase, PhraseKey, phrase
from dialplan.prompts.catalogue import (
    LANGUAGES,
    PHRASE_PAUSE,
    closest_language,
    load_catalogue,
    parse_catalogue,
    render,
    render_all,
)
from dialplan.prompts.errors import CatalogueError, PhraseArgumentError, UnknownPhraseError
from dialplan.prompts.tones import TONES

_VALUES: dict[ArgumentKind, st.SearchStrategy[int | str]] = {
    "count": st.integers(0, 999_999),
    "number": st.integers(0, 999_999),
    "name": st.integers(1, 10**9),
    "minutes": st.integers(1, 1440),
    "time": st.times().map(lambda time: f"{time:%H:%M}"),
    "date": st.dates().map(lambda date: date.isoformat()),
    "digits": st.text("0123456789*#", min_size=1, max_size=20),
}


def any_phrase(key: PhraseKey) -> st.SearchStrategy[Phrase]:
    """Return a strategy of one phrase with any arguments that it may be given."""
    names = {name: _VALUES[kind] for name, kind in CATALOGUE[key].arguments}

    def make(arguments: dict[str, int | str]) -> Phrase:
        return phrase(key, **arguments)

    return st.fixed_dictionaries(names).map(make)


phrases = st.sampled_from(list(PhraseKey)).flatmap(any_phrase)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_language_lacks_a_phrase(language: str) -> None:
    """Each language has exactly the phrases that the dial plan uses, tones apart."""
    expected = {key for key, spec in CATALOGUE.items() if not spec.is_tone}
    assert load_catalogue(language).forms.keys() == expected


def test_settings_offer_the_languages_that_are_spoken() -> None:
    """What may be configured is what can be spoken; the settings know no dial plan to ask."""
    assert SETTINGS_LANGUAGES == LANGUAGES


def test_every_tone_of_the_dial_plan_is_made() -> None:
    """Each tone that the dial plan names is one that the bank computes."""
    tones = {key.value.removeprefix("tone_") for key, spec in CATALOGUE.items() if spec.is_tone}
    assert tones <= TONES.keys()


@pytest.mark.parametrize("language", LANGUAGES)
@given(said=phrases)
def test_every_phrase_renders_whatever_its_arguments(language: str, said: Phrase) -> None:
    """A phrase becomes clips that the language has, pauses of a sane length, and tones."""
    clips = load_catalogue(language).clips
    names = render(language, said)
    assert names
    for name in names:
        group, _, rest = name.partition(".")
        if group == "pause":
            assert 0 < int(rest) <= 1000
        elif group == "tone":
            assert rest in TONES
        elif group == "name":
            assert rest.isdecimal()
        else:
            assert name in clips


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_clip_is_used(language: str) -> None:
    """Nothing is recorded that no phrase and no rule would play."""
    catalogue = load_catalogue(language)
    pieces = {
        piece for forms in catalogue.forms.values() for form in forms.values() for piece in form
    }
    named = {piece for piece in pieces if isinstance(piece, str)}
    assert catalogue.clips.keys() - named == catalogue.rules.clips().keys()


def test_english_says_what_the_dial_plan_means() -> None:
    """The English texts are the reference that the dial plan gives with each phrase."""
    catalogue = load_catalogue("en")
    for key, spec in CATALOGUE.items():
        if "|" in spec.english or spec.is_tone or spec.arguments:
            continue
        assert catalogue.clips[key.value] == spec.english


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_clean(language: str) -> None:
    """A text has no stray braces, double spaces or characters that a voice would stumble on."""
    for clip, text in load_catalogue(language).clips.items():
        assert re.fullmatch(r"[A-Za-zÅÄÖåäö]+(?:[ .,:?-]{1,2}[A-Za-zÅÄÖåäö]+)*[.,?!]?", text), clip
        assert "  " not in text


def test_common_counts_are_whole_sentences() -> None:
    """A count that is often heard is one recording, in words."""
    assert render("en", phrase(PhraseKey.OTHERS_HERE, count=7)) == ["others_here.7"]
    text = load_catalogue("en").clips["others_here.7"]
    assert text == "There are seven other people in the conference."


def test_counts_agree_with_their_nouns() -> None:
    """One takes its own form, the rest another, and Swedish numbers the noun's gender."""
    one = phrase(PhraseKey.PEOPLE_WAITED, count=1)
    many = phrase(PhraseKey.PEOPLE_WAITED, count=21)
    assert render("en", one) == ["people_waited.one"]
    assert render("en", many) == ["number.21", "people_waited.other.1"]
    assert render("sv", one) == ["people_waited.one"]
    assert render("sv", many) == ["number.21.common", "people_waited.other.1"]
    assert load_catalogue("sv").clips["number.21.common"] == "tjugoen,"


def test_a_sentence_that_ends_in_an_argument_falls_there() -> None:
    """What closes a sentence is spoken as an end, the same inside a sentence is not."""
    ending = render("en", phrase(PhraseKey.ENDING_SOON, minutes=17))
    inside = render("en", phrase(PhraseKey.HOST_LEFT, minutes=17))
    assert ending == ["ending_soon.other.1", "number.17", "minutes.end"]
    assert inside == ["host_left.other.1", "number.17", "minutes", "host_left.other.2"]


def test_phrases_are_parted_by_a_pause() -> None:
    """Between two phrases there is a breath, before the first and after the last there is none."""
    two = [phrase(PhraseKey.WELCOME), phrase(PhraseKey.ENTER_PIN)]
    assert render_all("en", two) == ["welcome", PHRASE_PAUSE, "enter_pin"]
    assert render_all("en", []) == []


@pytest.mark.parametrize(
    ("tag", "language"),
    [("sv", "sv"), ("sv-SE", "sv"), ("SV_se", "sv"), ("en-GB", "en"), ("fi", "en"), ("", "en")],
)
def test_closest_language(tag: str, language: str) -> None:
    """A region is not looked at, and a language that is not spoken is answered in English."""
    assert closest_language(tag) == language


def test_unknown_language_is_refused() -> None:
    """A language without a catalogue is refused, and the message lists those that have one."""
    with pytest.raises(UnknownPhraseError, match="one of en, sv"):
        render("tlh", phrase(PhraseKey.WELCOME))


def test_wrong_arguments_are_refused() -> None:
    """A phrase that lacks its argument, or has a strange one, is refused by name."""
    with pytest.raises(PhraseArgumentError, match="'others_here'"):
        render("en", Phrase(PhraseKey.OTHERS_HERE))
    with pytest.raises(PhraseArgumentError, match="'welcome'"):
        render("en", Phrase(PhraseKey.WELCOME, (("count", 3),)))
    with pytest.raises(PhraseArgumentError, match="as a time"):
        render("en", Phrase(PhraseKey.OPENS_TODAY, (("time", "soon"),)))


def test_every_fault_of_a_catalogue_is_told_at_once() -> None:
    """A catalogue file with several faults is refused with all of them."""
    text = """
        [phrases]
        welcome = "Hi."
        wellcome = "Hi."
        opens_today = "Call again."
        others_here = "There are {count} people."
        [phrases.people_waited]
        one = "One."
        [sounds]
    """
    with pytest.raises(CatalogueError) as refusal:
        parse_catalogue("en", text)
    message = str(refusal.value)
    assert "unknown table 'sounds'" in message
    assert "no phrase is called 'wellcome'" in message
    assert "phrase 'goodbye' is missing" in message
    assert "phrase 'opens_today': expected the arguments ['time'], got []" in message
    assert "phrase 'others_here' counts" in message
    assert "phrase 'people_waited': expected the forms one, other and counts" in message
    assert all(line.startswith("en.toml: ") for line in message.splitlines())


def test_a_catalogue_that_is_no_toml_is_refused() -> None:
    """A syntax error names the file and the line."""
    with pytest.raises(CatalogueError, match=r"sv\.toml: .*line 2"):
        parse_catalogue("sv", "[phrases]\nwelcome = \n")
