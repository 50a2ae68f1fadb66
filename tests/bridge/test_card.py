"""The card of a started bridge."""

from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from bridge.card import CardFacts, card


def printed(facts: CardFacts) -> str:
    """Return the card as a terminal of 100 columns shows it."""
    console = Console(file=io.StringIO(), width=100)
    console.print(card(facts))
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_card_says_what_to_dial_and_key() -> None:
    """Address with port, number and both PINs are on it, ready to be copied."""
    text = printed(CardFacts("192.0.2.7", 5070, "1000", "234567890", "345678901", "/srv/d"))
    assert "sip:1000@192.0.2.7:5070" in text
    assert "234 567 890" in text
    assert "345 678 901" in text
    assert "dialin status --data /srv/d" in text


def test_default_port_and_folder_are_left_out() -> None:
    """What need not be typed is not shown."""
    text = printed(CardFacts("192.0.2.7", 5060, "1000", "234567890", "345678901", ""))
    assert "sip:1000@192.0.2.7 " in text
    assert "--data" not in text


def test_removed_demo_leaves_a_card_without_number_and_pins() -> None:
    """Where it listens is said all the same, and how to find the numbers."""
    text = printed(CardFacts("192.0.2.7", 5070, "", "", "", ""))
    assert "sip:NUMBER@192.0.2.7:5070" in text
    assert "dialin number list" in text
    assert "PIN  " not in text


def test_phones_are_invited_only_where_they_may_call() -> None:
    """After the first trunk, or with a public address, a phone of the house gets silence."""
    facts = CardFacts("192.0.2.7", 5060, "1000", "234567890", "345678901", "")
    assert "Any SIP phone of a private network" in printed(facts)
    shut = printed(dataclasses.replace(facts, is_open=False))
    assert "Any SIP phone" not in shut
    assert "trunks alone" in shut


def test_folder_with_a_space_is_quoted() -> None:
    """The line can be pasted."""
    text = printed(CardFacts("192.0.2.7", 5060, "1000", "234567890", "345678901", "/srv/my data"))
    assert "dialin status --data '/srv/my data'" in text
