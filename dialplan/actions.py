"""Actions: everything that `CallFlow` and `Conference` ask the shell to do.

`handle(event)` returns them as a list; the shell carries them out in that order, at once, and
tells the results as events (`dialplan.events` says which, and what the shell promises).

Call flow:

=============== ==================================================================================
action          the shell
=============== ==================================================================================
Play            renders the phrases in the number's language, plays them to the leg, answers
                `PromptDone`. The flow never has two plays at once
StopPlay        stops that play; its `PromptDone` may still come
StartTimer      sets the named timer of this call (again)
StopTimer       forgets it; unknown names are fine
CheckPin        asks `GuessLimits.verdict`; on `Throttle` answers `PinThrottled` without a look-up,
                otherwise looks the PIN's hash up and calls `failed` or `succeeded` (`withdrawn`
                where the database did not answer). Answers `PinChecked` with the verdict's
                `delay_s` as soon as it knows: waiting is the flow's
Join            finds or makes the conference, sends it `Entered`, passes its `Answer` on as
                `JoinAnswered`
PassDigit       sends the conference `LegDigit`
Leave           sends the conference `Left` if it holds the leg; otherwise forgets the `Join`
HangUp          ends the SIP call (BYE, Q.850 16) and writes the cause into the leg's record;
                `HungUp` follows. The last action of a flow but for `Leave`
RecordRefusal   writes a row of refused attempts
=============== ==================================================================================

Conference (leg numbers as in `Entered`):

=============== ==================================================================================
action          the shell
=============== ==================================================================================
Answer          sends the leg's flow `JoinAnswered`; on a refusal the conference has forgotten it
Place           puts the leg in the conference's media room with these masks, or alone
                (`in_room` false: waiting, neither speaks nor hears); records the change
Volume          changes how loud the leg hears the room
RecordName      records what the leg says from now on, as its name, until `StopName` or the
                longest name; answers `NameRecorded`, once
StopName        ends that recording
CheckHostPin    looks the PIN up under the guess limits, answers `HostPinChecked`
DialOut         calls a number for a host, as far as an administrator allows it; answers
                `DialOutEnded` unless whoever was called comes in
RoleChanged     writes the change down
Say             renders the phrases in the language of that leg's number and plays them to that
                leg alone, "replace"; answers `LegPromptDone`. One at a time for a leg
StopSay         stops it
Chime           mixes the tone into the room for everyone who hears it
Music           starts or stops the leg's background loop of hold music
EndLeg          sends the leg's flow `Released`; the conference has forgotten the leg
StartTimer      sets the named timer of this conference (again)
StopTimer       forgets it
SessionStarted  opens the row of the conference session; `Place` actions with `in_room` follow
SessionEnded    closes it; nothing follows
=============== ==================================================================================
"""

from typing import Literal

from msgspec import Struct

from dialplan.causes import EndCause, Refusal, SessionEnd
from dialplan.events import JoinOutcome
from dialplan.phrases import Phrase
from dialplan.rules import Role

__all__ = [
    "Answer",
    "CallAction",
    "CheckHostPin",
    "CheckPin",
    "Chime",
    "ConferenceAction",
    "DialOut",
    "EndCause",
    "EndLeg",
    "HangUp",
    "Join",
    "Leave",
    "Music",
    "PassDigit",
    "Place",
    "Play",
    "Promotion",
    "RecordName",
    "RecordRefusal",
    "Refusal",
    "RoleChanged",
    "Say",
    "SessionEnd",
    "SessionEnded",
    "SessionStarted",
    "StartTimer",
    "StopName",
    "StopPlay",
    "StopSay",
    "StopTimer",
    "Volume",
]


Promotion = Literal["pin", "host", "administrator"]
"""By what somebody becomes host."""


# --- both --------------------------------------------------------------------------------------


class StartTimer(Struct, frozen=True):
    """Set a timer; one that runs under this name is moved.

    Attributes:
        timer: Its name, unique within the call or the conference.
        seconds: From the `at` of the event being handled.
    """

    timer: str
    seconds: float


class StopTimer(Struct, frozen=True):
    """Forget a timer."""

    timer: str


# --- actions of a call -------------------------------------------------------------------------


class Play(Struct, frozen=True):
    """Play phrases to the caller.

    Attributes:
        play: Number of this play within the call, from 1.
        phrases: What to say, in order.
        barge_in: Whether the flow will let a digit cut it; for information, the flow does it.
    """

    play: int
    phrases: tuple[Phrase, ...]
    barge_in: bool


class StopPlay(Struct, frozen=True):
    """Stop a play."""

    play: int


class CheckPin(Struct, frozen=True):
    """Look a check-valid PIN up, under the guess limits.

    Attributes:
        query: Number of this question within the call, from 1; never two at once.
        pin: The digits; shown in no `repr`.
    """

    query: int
    pin: str

    def __repr__(self) -> str:
        return f"CheckPin(query={self.query!r})"


class Join(Struct, frozen=True):
    """Bring the caller into a conference.

    Attributes:
        conference: Its id.
        role: From the PIN; always guest without one.
        name: From a single-use guest code; shown in no `repr`.
        pinless: Whether the caller came in on an asserted number alone.
    """

    conference: int
    role: Role
    name: str | None = None
    pinless: bool = False

    def __repr__(self) -> str:
        return f"Join(conference={self.conference!r}, role={self.role!r}, pinless={self.pinless!r})"


class PassDigit(Struct, frozen=True):
    """Give the digit to the conference; shown in no `repr`."""

    digit: str

    def __repr__(self) -> str:
        return "PassDigit()"


class Leave(Struct, frozen=True):
    """The caller is out of the conference, or no longer wants in."""


class HangUp(Struct, frozen=True):
    """End the call."""

    cause: EndCause


class RecordRefusal(Struct, frozen=True):
    """Record a refused attempt.

    Attributes:
        reason: Why.
        conference: Which conference refused, after a right PIN; None before.
    """

    reason: Refusal
    conference: int | None = None


CallAction = (
    Play
    | StopPlay
    | StartTimer
    | StopTimer
    | CheckPin
    | Join
    | PassDigit
    | Leave
    | HangUp
    | RecordRefusal
)


# --- actions of a conference -------------------------------------------------------------------


class Answer(Struct, frozen=True):
    """Tell a leg's flow what became of its `Join`."""

    leg: int
    outcome: JoinOutcome


class Place(Struct, frozen=True):
    """Say where a leg is and what it may do there.

    Attributes:
        leg: Which leg.
        in_room: In the conference's room, or alone.
        speaks: Whether the others hear it.
        hears: Whether it hears the others.
        group: Breakout room, 0 for the main room.
        whispers_to: The one leg that hears it in place of the others.
    """

    leg: int
    in_room: bool
    speaks: bool
    hears: bool
    group: int = 0
    whispers_to: int | None = None


class Volume(Struct, frozen=True):
    """Change how loud a leg hears the room, dB against normal."""

    leg: int
    gain_db: float


class RecordName(Struct, frozen=True):
    """Record a leg's spoken name."""

    leg: int


class StopName(Struct, frozen=True):
    """End the recording of a leg's name."""

    leg: int


class CheckHostPin(Struct, frozen=True):
    """Look up whether this is the conference's host PIN; the digits are shown in no `repr`.

    Attributes:
        leg: Who keyed it.
        query: Number of this question within the conference.
        pin: The digits, check-valid.
    """

    leg: int
    query: int
    pin: str

    def __repr__(self) -> str:
        return f"CheckHostPin(leg={self.leg!r}, query={self.query!r})"


class DialOut(Struct, frozen=True):
    """Call a number for a host; the digits are shown in no `repr`."""

    leg: int
    number: str

    def __repr__(self) -> str:
        return f"DialOut(leg={self.leg!r})"


class RoleChanged(Struct, frozen=True):
    """Somebody has become host.

    Attributes:
        leg: Who.
        how: By the host PIN, by another host, or by an administrator.
    """

    leg: int
    how: Promotion


class Say(Struct, frozen=True):
    """Say something to one leg, which nobody else hears.

    Attributes:
        leg: To whom.
        play: Number of this play within the conference, from 1.
        phrases: What to say, in order.
    """

    leg: int
    play: int
    phrases: tuple[Phrase, ...]


class StopSay(Struct, frozen=True):
    """Stop what is being said to a leg."""

    leg: int
    play: int


class Chime(Struct, frozen=True):
    """Sound a tone in the room."""

    sound: Literal["enter", "exit"]


class Music(Struct, frozen=True):
    """Start or stop a leg's hold music; somebody who is alone in the room hears it there."""

    leg: int
    on: bool


class EndLeg(Struct, frozen=True):
    """Let a leg go; its flow will hang up."""

    leg: int
    cause: EndCause


class SessionStarted(Struct, frozen=True):
    """The conference has started."""


class SessionEnded(Struct, frozen=True):
    """The conference is over; there was a `SessionStarted` before."""

    reason: SessionEnd


ConferenceAction = (
    Answer
    | Place
    | Volume
    | RecordName
    | StopName
    | CheckHostPin
    | DialOut
    | RoleChanged
    | Say
    | StopSay
    | Chime
    | Music
    | EndLeg
    | StartTimer
    | StopTimer
    | SessionStarted
    | SessionEnded
)
