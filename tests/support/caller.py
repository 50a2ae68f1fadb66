"""A person at a phone: dials, listens for prompts, keys a PIN, talks, and remembers what was heard.

`Caller` adds to the hand-made phone what people do; every wait is a wait for something heard, never
for a time that ought to be enough.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.support.ear import Said, ear
from tests.support.phone import Phone
from tests.support.rtp import Address, Digits
from tests.support.signals import RATE, Match, Samples, heard, voice

__all__ = ["Caller", "Heard", "all_at_once", "hears_each_other"]

_LOOK_EVERY_S = 0.15

T = TypeVar("T")


@dataclass(frozen=True)
class Heard:
    """What one caller heard of another's words.

    Attributes:
        match: Place, level and correlation.
        delay_ms: From mouth to ear, without a playout buffer of the listener's [ms].
    """

    match: Match
    delay_ms: float


class Caller(Phone):
    """A phone with a person at it.

    Args:
        bridge: Where it sends its SIP.
        caller: The user part of From.
        name: What tests call the person; seeds what they say.
        options: As of `Phone`.
    """

    language = "en"

    def __init__(self, bridge: Address, caller: str, *, name: str = "", **options: Any) -> None:  # noqa: ANN401 - as of `Phone`
        super().__init__(bridge, caller, **options)
        self.name = name or caller
        self._sentences = 0

    def hears(
        self, *clips: str, since: float | None = None, timeout: float = 12.0, for_s: float = 2.0
    ) -> Said:
        """Wait until one of some prompts has been heard, to its end or for a while.

        Args:
            clips: Names in the bank.
            since: What arrived before is not looked at (`time.monotonic()`); from the answer on
                when None.
            timeout: After which it is a failure [s].
            for_s: How much of it is enough [s].

        Returns:
            The prompt, `at_s` as a time of the monotonic clock.

        Raises:
            AssertionError: None of them was heard; says what was.
        """
        start = self.answered_at if since is None else since
        deadline = time.monotonic() + timeout
        while True:
            late = time.monotonic() > deadline
            recording = self.recording(start)
            for said in ear(self.language).said(recording.samples, only=clips):
                if said.whole or said.seconds >= for_s or late:
                    return Said(
                        said.clip,
                        recording.started + said.at_s,
                        said.seconds,
                        said.whole,
                        said.correlation,
                    )
            if late:
                found = [said.clip for said in ear(self.language).said(recording.samples)]
                message = (
                    f"{self.name} heard none of {clips} within {timeout:g} s; heard: {found}; "
                    f"ended by: {self.ended_by}"
                )
                raise AssertionError(message)
            time.sleep(_LOOK_EVERY_S)

    def prompts(self, since: float | None = None, until: float = float("inf")) -> list[str]:
        """Return the names of all prompts heard, in order.

        Args:
            since: From when (`time.monotonic()`); from the answer on when None.
            until: To when.

        Returns:
            Names in the bank; clips under half a second (tones, digits) are not looked for.
        """
        start = self.answered_at if since is None else since
        recording = self.recording(start, until)
        return [said.clip for said in ear(self.language).said(recording.samples)]

    def hears_tone(self, name: str, *, since: float, timeout: float = 5.0) -> Said:
        """Wait for a chime or a beep.

        Args:
            name: "enter", "exit", "beep" or "error".
            since: From when (`time.monotonic()`).
            timeout: After which it is a failure [s].

        Returns:
            The tone.
        """
        return self.hears(f"tone.{name}", since=since, timeout=timeout)

    def hears_music(self, *, since: float, timeout: float = 12.0) -> None:
        """Wait for two seconds of hold music.

        Args:
            since: From when (`time.monotonic()`).
            timeout: After which it is a failure [s].
        """
        deadline = time.monotonic() + timeout
        while not self.music_now(since):
            if time.monotonic() > deadline:
                message = f"{self.name} heard no music within {timeout:g} s"
                raise AssertionError(message)
            time.sleep(_LOOK_EVERY_S)

    def music_now(self, since: float) -> bool:
        """Say whether what was heard last is hold music.

        Args:
            since: What arrived before is not looked at (`time.monotonic()`).

        Returns:
            True where the last two seconds are a stretch of it.
        """
        last = self.recording(since).samples[-2 * RATE :]
        return last.size == 2 * RATE and ear(self.language).is_music(last)

    def silent_for(self, seconds: float, *, timeout: float = 20.0) -> None:
        """Wait until nothing has been heard for a while, e.g. until a prompt is over.

        Args:
            seconds: How long it must be silent [s].
            timeout: After which it is a failure [s].
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            now = time.monotonic()
            samples = self.recording(now - seconds - 1).between(now - seconds)
            if samples.size == 0 or abs(samples.astype(int)).max() < 100:
                return
            time.sleep(_LOOK_EVERY_S)
        message = f"{self.name}: no {seconds} s of silence within {timeout} s"
        raise AssertionError(message)

    def greeted(self) -> Said:
        """Wait for the prompt that asks for the PIN.

        Returns:
            The prompt.
        """
        return self.hears("enter_pin")

    def enter(
        self,
        number: str,
        pin: str,
        *,
        how: Digits | None = None,
        late: bool = False,
        settle: bool = True,
    ) -> "Caller":
        """Dial, listen to the greeting, key the PIN, and wait until inside.

        Args:
            number: To dial.
            pin: To key.
            how: How the keys are sent.
            late: Whether the bridge is to make the offer.
            settle: Whether to wait for the end of what is said on joining.

        Returns:
            The caller.
        """
        self.dial(number, late=late)
        self.greeted()
        began = self.press(pin, how)
        self.hears("joining", since=began)
        if settle:
            self.silent_for(0.6)
        return self

    def slip_in(
        self, number: str, pin: str, *, late: bool = False, settle: bool = True
    ) -> "Caller":
        """Come in as somebody who knows the way: key the PIN at once, cut what is said inside.

        Args:
            number: To dial.
            pin: To key.
            late: Whether the bridge is to make the offer.
            settle: Whether to wait until nothing is said any more.

        Returns:
            The caller, inside.
        """
        self.dial(number, late=late)
        began = self.press(pin, Digits(on_ms=60, off_ms=20, ends=1))
        self.hears("joining", since=began, for_s=0.5)
        # The listener's own key cuts a prompt; a digit would be taken for a PIN that runs on.
        self.press("*", Digits(on_ms=40, off_ms=0, ends=1))
        if settle:
            self.silent_for(0.6)
        return self

    def speak(self, seconds: float = 1.5) -> tuple[float, Samples]:
        """Say something, never the same twice, and wait until it is said.

        Args:
            seconds: How long [s].

        Returns:
            When it began (`time.monotonic()`), and what was said.
        """
        self._sentences += 1
        words = voice(f"{self.name}, sentence {self._sentences}", seconds)
        began = self.say(words)
        self.stream.drain()
        return began, words

    def heard_of(self, began: float, words: Samples, *, patience: float = 0.7) -> Heard:
        """Look for somebody's words in what this caller heard.

        Args:
            began: When they were said (`time.monotonic()`).
            words: What was said.
            patience: How much later they may end [s].

        Returns:
            What was heard of them.
        """
        end = began + words.size / RATE + patience
        time.sleep(max(0.0, end - time.monotonic()))
        recording = self.recording(began - 0.5, end)
        match = heard(recording.samples, words)
        at = recording.started + match.delay_ms / 1000
        return Heard(match, (at - began) * 1000)


def all_at_once(*actions: Callable[[], T]) -> list[T]:
    """Let several people do something at the same time.

    Args:
        actions: What each does.

    Returns:
        What each returned, once all are done; the first failure is raised.
    """
    with ThreadPoolExecutor(len(actions)) as threads:
        return [each.result() for each in [threads.submit(action) for action in actions]]


def hears_each_other(callers: Iterable[Caller], *, seconds: float = 1.5) -> dict[str, list[str]]:
    """Let callers talk in turn and find who heard whom.

    Args:
        callers: In a conference, all prompts over.
        seconds: How long each talks [s].

    Returns:
        For each caller's name the names of those heard, the own one too if it came back.
    """
    people = list(callers)
    words = {person.name: person.speak(seconds) for person in people}
    return {
        listener.name: [
            name
            for name, (began, said) in words.items()
            if listener.heard_of(began, said).match.heard
        ]
        for listener in people
    }
