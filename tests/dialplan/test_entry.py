"""Keying a number."""

from dialplan.entry import NumberEntry, Pressed
from dialplan.pins import Verdict


def judge(digits: str) -> Verdict:
    """Take numbers of three digits that do not end in 9."""
    if len(digits) < 3:
        return Verdict.INCOMPLETE
    return Verdict.MISTYPED if digits.endswith("9") else Verdict.COMPLETE


def pressed(entry: NumberEntry, keys: str, at: float = 0.0) -> Pressed:
    """Press keys and give back what the last one did."""
    outcome = Pressed.NOTHING
    for key in keys:
        outcome = entry.press(at, key)
    return outcome


def test_a_number_is_complete_at_its_last_digit() -> None:
    """No `#` is needed where the length is known."""
    entry = NumberEntry(judge)
    assert pressed(entry, "12") is Pressed.TAKEN
    assert pressed(entry, "3") is Pressed.COMPLETE
    assert entry.digits == "123"


def test_hash_ends_a_number_early_as_mistyped() -> None:
    """`#` before the length is reached is a slip."""
    assert pressed(NumberEntry(judge), "12#") is Pressed.MISTYPED


def test_hash_completes_a_number_whose_judge_leaves_the_end_open() -> None:
    """`#` decides where the judge would take more digits."""
    entry = NumberEntry(lambda digits: Verdict.COMPLETE if len(digits) > 1 else Verdict.INCOMPLETE)
    entry.press(0.0, "1")
    assert entry.press(0.0, "#") is Pressed.MISTYPED
    entry.clear()
    assert pressed(entry, "12") is Pressed.COMPLETE


def test_star_starts_over() -> None:
    """What was keyed is forgotten."""
    entry = NumberEntry(judge)
    assert pressed(entry, "12*") is Pressed.CLEARED
    assert entry.empty


def test_lone_keys_do_nothing() -> None:
    """`*`, `#` and the fourth column before the first digit have no effect."""
    entry = NumberEntry(judge)
    assert all(entry.press(0.0, key) is Pressed.NOTHING for key in "*#*#ABCD")
    assert entry.empty


def test_one_hash_after_a_complete_number_is_swallowed() -> None:
    """Within 3 s one `#` belongs to the number, a second one does not."""
    entry = NumberEntry(judge)
    pressed(entry, "123")
    assert entry.swallows(3.0, "#")
    assert not entry.swallows(3.0, "#")


def test_a_late_hash_is_not_swallowed() -> None:
    """After 3 s a `#` is a key of its own."""
    entry = NumberEntry(judge)
    pressed(entry, "123")
    assert not entry.swallows(3.01, "#")


def test_a_hash_after_another_key_is_not_swallowed() -> None:
    """`*#` right after a PIN is a command, and keeps its `#`."""
    entry = NumberEntry(judge)
    pressed(entry, "123")
    assert not entry.swallows(1.0, "*")
    assert not entry.swallows(1.2, "#")


def test_digits_that_run_on_are_swallowed() -> None:
    """A digit too many, or two hundred, are no new entry until the caller pauses."""
    entry = NumberEntry(judge)
    pressed(entry, "129")
    assert all(entry.swallows(0.5 + n / 2, "5") for n in range(200))
    assert entry.swallows(101.0, "5")
    assert not entry.swallows(102.1, "5")


def test_a_hash_ends_digits_that_run_on() -> None:
    """After `#` a digit is a new key even if it comes fast."""
    entry = NumberEntry(judge)
    pressed(entry, "123")
    assert entry.swallows(0.3, "#")
    assert not entry.swallows(0.6, "1")
