"""Topics: where things go, and what comes from where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.mqtt.topics import Topics

TOPICS = Topics("north-1")


def test_everything_lies_below_the_node() -> None:
    """Status, events, state and commands."""
    assert TOPICS.status == "dialin/north-1/status"
    assert TOPICS.of(17, "joined") == "dialin/north-1/conference/17/joined"
    assert TOPICS.commands == "dialin/north-1/conference/+/command"
    assert TOPICS.parse("dialin/north-1/conference/17/command") == (17, "command")


@pytest.mark.parametrize(
    "topic",
    [
        "dialin/south/conference/17/command",
        "dialin/north-1/conference/017/command",
        "dialin/north-1/conference/-1/command",
        "dialin/north-1/conference//command",
        "dialin/north-1/conference/17",
        "dialin/north-1/conference/x/command",
        "dialin/north-1/conference/99999999999999999999/command",
        "dialin/north-1/status",
    ],
)
def test_a_topic_of_nobody_s_conference_is_none(topic: str) -> None:
    """Another node, no number, no word."""
    assert TOPICS.parse(topic) is None


@given(st.text(max_size=60))
def test_replies_stay_below_the_reply_topic(tail: str) -> None:
    """However a command spells it, a reply goes nowhere that is not for replies."""
    for topic in (tail, f"dialin/north-1/{tail}", f"dialin/north-1/reply/{tail}"):
        allowed = TOPICS.reply(topic)
        if allowed is not None:
            assert allowed == topic
            assert topic.startswith("dialin/north-1/reply/")
            assert not set(topic) & set("+#\0 ")


def test_a_reply_topic_may_have_levels() -> None:
    """Up to four, of letters, digits, underscores and dashes."""
    assert TOPICS.reply("dialin/north-1/reply/desk_1/a-2") == "dialin/north-1/reply/desk_1/a-2"
    assert TOPICS.reply("dialin/north-1/reply/") is None
    assert TOPICS.reply("dialin/north-1/reply/a/b/c/d/e") is None
    assert TOPICS.reply("dialin/north-1/status") is None
    assert TOPICS.reply(None) is None
