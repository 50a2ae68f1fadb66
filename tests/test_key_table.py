"""Every key of the map as it ships has a story: a test end to end of what each party hears.

The stories are listed here by key; a key that is new, or a test that was renamed, fails.
"""

import ast
from pathlib import Path
from typing import Final

import pytest

from dialplan.keypad import KEY_MAP, Command

E2E: Final = Path(__file__).parent / "e2e"

INNER: Final = {
    Command.LOCK: "12",
    Command.ROLL_CALL: "12345#*",
    Command.BREAKOUT: ("2 1", "2 2", "1", "1 1", "visit 2"),
    Command.DIAL_OUT: ("1", "no 1"),
    Command.END_ALL: "*",
}
"""What is keyed after some commands; of who is called, by the one called."""

STORIES: Final[dict[str, str]] = {
    "*6": "test_host_keys::own_mute_is_heard_by_nobody_and_undone_by_the_same_keys",
    "*2": "test_meeting_keys::everybody_is_told_of_keys_heads_and_hands_alone",
    "*1": "test_spoken_names::test_one_turns_the_room_up_and_down_for_oneself",
    "*#": "test_meeting_keys::everybody_is_told_of_keys_heads_and_hands_alone",
    "*3": "test_host_keys::the_host_pin_makes_host_and_its_hash_and_nought_end_nothing",
    "*4": "test_meeting_keys::everybody_is_told_of_keys_heads_and_hands_alone",
    "*5": "test_host_keys::a_locked_conference_is_entered_by_a_knock",
    "*5 1": "test_host_keys::a_locked_conference_is_entered_by_a_knock",
    "*5 2": "test_meeting_keys::a_knock_is_refused_the_lock_taken_back_and_sounds_changed",
    "*7": "test_meeting_keys::each_mode_silences_whom_it_should",
    "*8": "test_meeting_keys::a_knock_is_refused_the_lock_taken_back_and_sounds_changed",
    "*9": "test_meeting_keys::a_knock_is_refused_the_lock_taken_back_and_sounds_changed",
    "#9": "test_meeting_keys::a_knock_is_refused_the_lock_taken_back_and_sounds_changed",
    "#1": "test_meeting_keys::roll_call_opens_promotes_and_mutes_the_one_just_named",
    "#1 1": "test_meeting_keys::roll_call_opens_promotes_and_mutes_the_one_just_named",
    "#1 2": "test_meeting_keys::roll_call_opens_promotes_and_mutes_the_one_just_named",
    "#1 3": "test_host_keys::roll_call_removes_and_the_removed_waits_for_a_word",
    "#1 4": "test_meeting_keys::roll_call_opens_promotes_and_mutes_the_one_just_named",
    "#1 5": "test_meeting_keys::roll_call_opens_promotes_and_mutes_the_one_just_named",
    "#1 #": "test_meeting_keys::roll_call_opens_promotes_and_mutes_the_one_just_named",
    "#1 *": "test_meeting_keys::roll_call_opens_promotes_and_mutes_the_one_just_named",
    "#2": "test_meeting_keys::each_mode_silences_whom_it_should",
    "#3": "test_host_keys::breakout_rooms_part_and_come_together",
    "#3 2 1": "test_host_keys::breakout_rooms_part_and_come_together",
    "#3 2 2": "test_meeting_keys::people_choose_their_room_and_the_host_visits",
    "#3 1": "test_host_keys::breakout_rooms_part_and_come_together",
    "#3 1 1": "test_host_keys::breakout_rooms_part_and_come_together",
    "#3 visit 2": "test_meeting_keys::people_choose_their_room_and_the_host_visits",
    "#6": "test_host_keys::mute_all_silences_all_but_hosts_and_who_comes_later",
    "#7": "test_dial_out::test_a_host_calls_somebody_by_keys",
    "#7 1": "test_dial_out::test_a_host_calls_somebody_by_keys",
    "#7 no 1": "test_dial_out::test_voicemail_does_not_come_in",
    "#8": "test_host_keys::coaching_is_heard_by_one_alone",
    "#0": "test_host_keys::the_end_for_all_can_be_taken_back_and_comes",
    "#0 *": "test_host_keys::the_end_for_all_can_be_taken_back_and_comes",
}
"""By what is keyed, the test that hears it."""


def wanted() -> list[str]:
    """List every key of the map, with what is keyed after it."""
    found = list(KEY_MAP)
    for pair, key in KEY_MAP.items():
        found += [f"{pair} {inner}" for inner in INNER.get(key.command, ())]
    return found


@pytest.mark.parametrize("keys", wanted())
def test_every_key_has_a_story(keys: str) -> None:
    """A test end to end that is there, whose docstring names the key."""
    assert keys in STORIES, f"no test end to end is named for {keys}"
    module, name = STORIES[keys].split("::")
    tree = ast.parse((E2E / f"{module}.py").read_text())
    tests = {each.name: each for each in tree.body if isinstance(each, ast.FunctionDef)}
    assert name in tests, f"{STORIES[keys]} is not there"
    pair = keys.partition(" ")[0]
    told = ast.get_docstring(tests[name]) or ""
    assert f"`{pair}`" in told, f"{STORIES[keys]} does not say that it is of {pair}"


def test_no_story_is_told_of_keys_that_are_gone() -> None:
    """What is in the list is in the map."""
    assert set(STORIES) == set(wanted())
