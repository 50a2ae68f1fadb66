"""Events: everything that `CallFlow` and `Conference` are told, by whom and when.

Both objects are driven from the one asyncio loop by a shell that decides nothing. The shell calls
`handle(event)`, carries out the actions returned **in their order and at once**, and delivers the
next event only then. `at` is always `time.monotonic()` of the event itself, in seconds; it never
runs backwards for one object (the shell clamps a digit's time of arrival if it must).

What the shell promises:

* **Plays.** `play` numbers are given out by the object itself, counting from 1; the shell maps
  (object, play) to the media process's number. For each `Play`/`Say` it delivers exactly one
  `PromptDone`/`LegPromptDone` when the media process says `PlayFinished`, stopped ones included.
  A late or unknown one is ignored.
* **Timers.** A timer has a name and one setting: starting it again moves it. After `StopTimer`, or
  after it was started again, the old setting never fires.

Call flow, one per call, from the SIP 200 to the end of the call:

=============== ==================================================================================
event           sent when
=============== ==================================================================================
Answered        the 200 is sent; the first event, exactly once
MediaStarted    ACK (SIP `CallConfirmed`) and again at the first RTP (`FirstMedia`); the first of
                the two counts, others are ignored
Digit           media `DigitPressed`, at every moment of the call; the flow says `PassDigit` when
                it is for the conference
PromptDone      media `PlayFinished` of a play of this flow
TimerFired      a timer of this flow runs out
PinChecked      the answer to `CheckPin`; at once when known: the flow itself waits out `delay_s`
                and the equal time of all refusals
JoinAnswered    the answer to `Join`: `Answer` of the conference, or `JoinFailed`
Released        the conference let the leg go (`EndLeg`), everything having been said
CloseRequested  the bridge stops, or an administrator ends the call
HungUp          SIP `CallEnded`, whoever did it; the last event
=============== ==================================================================================

Conference, one per running conference, created by the shell at the first `Join` and dropped when
`conference.over` is true (or no `SessionStarted` came and `conference.empty` is true):

=============== ==================================================================================
event           sent when
=============== ==================================================================================
Entered         a flow said `Join`; the same batch of actions holds the `Answer` for it
Left            a flow said `Leave`; not after `Answer` with a refusal nor after `EndLeg`
LegDigit        a flow said `PassDigit`
LegPromptDone   media `PlayFinished` of a `Say` of this conference
TimerFired      a timer of this conference runs out
Speaking        media `TalkSpurt` of a leg in the conference
NameRecorded    the answer to `RecordName`
HostPinChecked  the answer to `CheckHostPin`
DialOutEnded    a `DialOut` came to nothing; who was called and comes in is `Entered`
Steered         an administrator, or a program that may, does what a host could
RulesChanged    an administrator changed the conference while it runs
LineGuarded     media `LegGuarded`: a guard of the mixer holds a line down, or lets it go
MaintenanceDue  the bridge drains; again for each host who comes in later, and to everybody when
                its time is nearly up
EndRequested    the bridge stops, or an administrator ends or removes the conference
=============== ==================================================================================
"""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from dialplan.causes import EndCause
from dialplan.phrases import Phrase
from dialplan.rules import ConferenceRules, Role

__all__ = [
    "Announced",
    "Answered",
    "CallEvent",
    "CloseReason",
    "CloseRequested",
    "Closed",
    "ConferenceEvent",
    "DialOutEnded",
    "DialOutOutcome",
    "Digit",
    "EndReason",
    "EndRequested",
    "Ended",
    "Entered",
    "Full",
    "HostPinChecked",
    "HostPinOutcome",
    "HungUp",
    "InMaintenance",
    "JoinAnswered",
    "JoinFailed",
    "JoinOutcome",
    "Joined",
    "Left",
    "LegDigit",
    "LegPromptDone",
    "LineGuarded",
    "MaintenanceDue",
    "MediaStarted",
    "NameRecorded",
    "NumberInfo",
    "Order",
    "PinChecked",
    "PinFound",
    "PinResult",
    "PinRevoked",
    "PinThrottled",
    "PinUnavailable",
    "PinUnknown",
    "PromptDone",
    "Released",
    "RulesChanged",
    "Speaking",
    "Steered",
    "TimerFired",
]


class NumberInfo(Struct, frozen=True):
    """The number dialled, as the inventory has it.

    Attributes:
        number: E.164 with `+`, or a bare extension such as `1000`.
        kind: `local`, `national`, `mobile`, `toll_free`, `shared_cost` or `extension`.
        country: ISO 3166-1 alpha-2, or an empty string for an extension.
        language: Language of the prompts, a key of the prompt bank.
        greeting: Key of `dialplan.phrases.GREETINGS`, None for the standard one.
        pinless_conference: The conference that this number is bound to, given only if that
            conference has opted in to entry without a PIN; None otherwise.
    """

    number: str
    kind: str = "local"
    country: str = ""
    language: str = "en"
    greeting: str | None = None
    pinless_conference: int | None = None


# --- answers to the flow's questions -----------------------------------------------------------


class PinFound(Struct, frozen=True):
    """The PIN opens a conference.

    Attributes:
        conference: Its id.
        role: What the PIN makes its holder.
        name: Whom a single-use guest code was made out to; shown in no `repr`.
    """

    conference: int
    role: Role
    name: str | None = None

    def __repr__(self) -> str:
        return f"PinFound(conference={self.conference}, role={self.role!r})"


class PinUnknown(Struct, frozen=True):
    """No conference has this PIN."""


class PinRevoked(Struct, frozen=True):
    """The PIN was reset, used up, or its conference removed; sounds exactly like `PinUnknown`."""


class PinThrottled(Struct, frozen=True):
    """`GuessLimits` said `Throttle`: nothing was looked up; sounds exactly like `PinUnknown`."""


class PinUnavailable(Struct, frozen=True):
    """The look-up itself failed, a database that does not answer: not the caller's fault."""


PinResult = PinFound | PinUnknown | PinRevoked | PinThrottled | PinUnavailable


class Joined(Struct, frozen=True):
    """The conference took the leg.

    Attributes:
        waiting: Whether the leg waits for the conference to start.
    """

    waiting: bool


class Full(Struct, frozen=True):
    """The conference's capacity is reached."""


class Closed(Struct, frozen=True):
    """The conference is outside its time window.

    Attributes:
        now: The moment of the attempt, aware, in the conference's time zone.
        opens_at: When it opens, in the same zone; None if never again. Some minutes before, the
            role is let in already.
    """

    now: datetime
    opens_at: datetime | None


class Ended(Struct, frozen=True):
    """The conference is just ending."""


class InMaintenance(Struct, frozen=True):
    """The bridge drains and starts no conference any more; this one does not run."""


class JoinFailed(Struct, frozen=True):
    """The bridge could not do it: no media process, no such conference any more."""


JoinOutcome = Joined | Full | Closed | Ended | InMaintenance | JoinFailed

CloseReason = Literal["shutdown", "administrator", "conference_ended"]
"""Why a call is to be closed: the bridge stops, or an administrator ends this call."""

EndReason = Literal["shutdown", "administrator"]

HostPinOutcome = Literal["right", "wrong", "unavailable"]

DialOutOutcome = Literal["off", "refused", "busy", "no_answer", "failed"]

Order = Literal[
    "mute",
    "unmute",
    "mute_all",
    "unmute_all",
    "lock",
    "unlock",
    "mode",
    "give_floor",
    "remove",
    "promote",
    "admit",
    "refuse",
    "volume",
    "recall",
]
"""What can be done to a conference from outside; `mute` to `volume` name a leg where it is one."""
"""Why a conference is to be ended from outside."""


LineGuard = Literal["over_loud", "leak", "echo"]
LineAction = Literal["ducked", "muted", "released"]
"""What guards of the mixer watch for, and what they do to a line."""


# --- events of a call --------------------------------------------------------------------------


class Answered(Struct, frozen=True):
    """The call was answered.

    Attributes:
        at: Monotonic time, s.
        number: The number dialled.
        caller_key: Opaque pseudonym of the caller's *asserted* number; None where it is only
            claimed, withheld or absent.
    """

    at: float
    number: NumberInfo
    caller_key: str | None = None


class MediaStarted(Struct, frozen=True):
    """The way to the caller is cut through: ACK or first RTP."""

    at: float


class Digit(Struct, frozen=True):
    """The caller pressed a key.

    Attributes:
        at: Monotonic time of the key's start, s.
        digit: One of `0-9*#A-D`; shown in no `repr`.
    """

    at: float
    digit: str

    def __repr__(self) -> str:
        return f"Digit(at={self.at!r})"


class PromptDone(Struct, frozen=True):
    """A play of the flow has ended, completed or stopped."""

    at: float
    play: int


class TimerFired(Struct, frozen=True):
    """A timer ran out."""

    at: float
    timer: str


class PinChecked(Struct, frozen=True):
    """The answer to `CheckPin`.

    Attributes:
        at: Monotonic time, s.
        query: Number of the `CheckPin` that this answers.
        result: What was found.
        delay_s: `delay_s` of the `GuessLimits` verdict, counted from the `CheckPin`.
    """

    at: float
    query: int
    result: PinResult
    delay_s: float = 0.0


class JoinAnswered(Struct, frozen=True):
    """The answer to `Join`."""

    at: float
    outcome: JoinOutcome


class Released(Struct, frozen=True):
    """The conference let the leg go; what was to be said has been said.

    Attributes:
        at: Monotonic time, s.
        cause: The `EndLeg` action's cause.
    """

    at: float
    cause: EndCause


class CloseRequested(Struct, frozen=True):
    """The call is to be ended politely."""

    at: float
    reason: CloseReason


class HungUp(Struct, frozen=True):
    """The SIP call is over.

    Attributes:
        at: Monotonic time, s.
        by: Who ended it.
    """

    at: float
    by: Literal["caller", "bridge", "network"] = "caller"


CallEvent = (
    Answered
    | MediaStarted
    | Digit
    | PromptDone
    | TimerFired
    | PinChecked
    | JoinAnswered
    | Released
    | CloseRequested
    | HungUp
)


# --- events of a conference --------------------------------------------------------------------


class Entered(Struct, frozen=True):
    """Somebody with a right PIN asks to come in.

    Attributes:
        at: Monotonic time, s.
        leg: The leg's number, never used twice.
        role: From the PIN.
        wall: The same moment as an aware date and time, for the time window.
        caller: Pseudonym of the caller's asserted number, None where there is none.
        pin: Which PIN was used, as a pseudonym; empty where none was.
        invited: A host called them: they neither knock nor say a name.
    """

    at: float
    leg: int
    role: Role
    wall: datetime
    caller: str | None = None
    pin: str = ""
    invited: bool = False


class Left(Struct, frozen=True):
    """A leg that was taken in is gone."""

    at: float
    leg: int


class LegDigit(Struct, frozen=True):
    """Somebody in the conference pressed a key; the digit is shown in no `repr`."""

    at: float
    leg: int
    digit: str

    def __repr__(self) -> str:
        return f"LegDigit(at={self.at!r}, leg={self.leg!r})"


class LegPromptDone(Struct, frozen=True):
    """A `Say` of the conference has ended, completed or stopped."""

    at: float
    leg: int
    play: int


class Speaking(Struct, frozen=True):
    """Somebody's speech has begun or ended, heard by others or not."""

    at: float
    leg: int
    talking: bool


class NameRecorded(Struct, frozen=True):
    """A `RecordName` is over.

    Attributes:
        at: Monotonic time, s.
        leg: Whose name.
        seconds: Of speech in it; 0 where nothing was said or it could not be kept.
    """

    at: float
    leg: int
    seconds: float


class HostPinChecked(Struct, frozen=True):
    """The answer to `CheckHostPin`.

    Attributes:
        at: Monotonic time, s.
        leg: Who keyed it.
        query: Number of the question.
        outcome: It opens this conference to a host, it does not, or nobody could say.
    """

    at: float
    leg: int
    query: int
    outcome: HostPinOutcome


class DialOutEnded(Struct, frozen=True):
    """A `DialOut` has come to nothing.

    Attributes:
        at: Monotonic time, s.
        leg: The host who asked for it.
        outcome: Why.
    """

    at: float
    leg: int
    outcome: DialOutOutcome


class Steered(Struct, frozen=True):
    """An administrator, or a program that may, does what a host could.

    Attributes:
        at: Monotonic time, s.
        order: What.
        leg: To whom, where it is about one person.
        mode: Which, for `mode`.
    """

    at: float
    order: Order
    leg: int | None = None
    mode: str | None = None


class Announced(Struct, frozen=True):
    """An administrator, or a program that may, has something said.

    Attributes:
        at: Monotonic time, s.
        phrases: What; each listener hears it in their own language.
        leg: To whom; None for everybody in the room.
    """

    at: float
    phrases: tuple[Phrase, ...]
    leg: int | None = None


class RulesChanged(Struct, frozen=True):
    """An administrator changed the conference."""

    at: float
    rules: ConferenceRules


class LineGuarded(Struct, frozen=True):
    """A guard of the mixer holds a person's line down, or lets it go.

    Attributes:
        at: Monotonic time, s.
        leg: Whose; one that has left in the meantime is ignored.
        guard: What is wrong: it is far too loud, has music or noise and no speech, or returns an
            echo.
        action: Heard softly, not at all, or as it is again.
    """

    at: float
    leg: int
    guard: LineGuard
    action: LineAction


class MaintenanceDue(Struct, frozen=True):
    """The bridge will stop when its conferences have ended.

    Attributes:
        at: Monotonic time, s.
        minutes: After which it stops in any case, 1 to 1,440; None where it waits for ever.
        leg: The only host to be told; None for all of them.
        everybody: Whether it is so near that everybody is to know, not only the hosts.
    """

    at: float
    minutes: int | None = None
    leg: int | None = None
    everybody: bool = False


class EndRequested(Struct, frozen=True):
    """The conference is to be ended politely."""

    at: float
    reason: EndReason


ConferenceEvent = (
    Entered
    | Left
    | LegDigit
    | LegPromptDone
    | Speaking
    | NameRecorded
    | HostPinChecked
    | DialOutEnded
    | Steered
    | Announced
    | TimerFired
    | RulesChanged
    | LineGuarded
    | MaintenanceDue
    | EndRequested
)
