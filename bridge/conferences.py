"""One running conference: the shell around the dial plan's `Conference`.

It maps legs to calls, the conference's room to a room of the mixer, and carries out what the
conference decides. It decides nothing itself.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from bridge.dialling import JOINED, outcome_for_host
from bridge.events.watching import Watcher
from bridge.media.messages import Play as PlayClips
from bridge.timers import Timers
from cdr.records import new_id
from dialplan import actions, events
from dialplan.conference import Conference
from dialplan.dial_out import DialRefusal
from dialplan.errors import UnexpectedEventError
from dialplan.phrases import PhraseKey, phrase

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bridge.calls import Call
    from bridge.server import Bridge
    from dialplan.phrases import Phrase
    from dialplan.rules import ConferenceRules, Role
    from dialplan.store import ConferenceEntry

__all__ = ["RunningConference"]

_CHANGE_NOTHING = (events.Speaking, events.LineGuarded, events.NameRecorded)
"""What people see of a conference is the same before and after these."""


class RunningConference:
    """One conference with people in it or on their way in.

    Args:
        bridge: the house.
        entry: the conference as the directory has it.
        room: the mixer's room for it.
    """

    def __init__(self, bridge: Bridge, entry: ConferenceEntry, room: int) -> None:
        self.bridge = bridge
        self.entry = entry
        self.room = room
        self.id = new_id()
        self.started = False
        self.started_at: datetime | None = None
        self.calls: dict[int, Call] = {}
        self.placed: set[int] = set()
        self.talkers: set[int] = set()
        self.peak = 0
        # Sounds by what plays them: a play of the room, or leg and prompt of one person.
        self._sounding: dict[int | tuple[int, int], int] = {}
        self._last_at = 0.0
        self._timers = Timers(bridge.loop, self._timer_fired)
        self._log = structlog.get_logger("bridge.conference").bind(conference=entry.id)
        self.rules: Conference = Conference(entry.rules, keys=bridge.keys)
        self.watcher = Watcher(self)

    # -- what calls say -------------------------------------------------------------------------

    def enter(self, call: Call, role: Role) -> None:
        """Ask the conference to let a call in."""
        self.calls[call.leg] = call
        call.conference = self
        self._tell(
            events.Entered(
                at=self._now(),
                leg=call.leg,
                role=role,
                wall=datetime.now(UTC),
                caller=call.caller_key,
                pin=role if call.code is None else f"code:{call.code}",
                invited=call.invited,
            )
        )
        self.bridge.drain.greet(self, call.leg)

    def leave(self, call: Call) -> None:
        """Take a call out that has left or is leaving."""
        if call.leg in self.calls:
            self._tell(events.Left(at=self._now(), leg=call.leg))
            self._release(call.leg, call.cause)

    def digit(self, call: Call, at: float, digit: str) -> None:
        """Hand a key press on."""
        self._tell(events.LegDigit(at=self._now(at), leg=call.leg, digit=digit))

    def speaking(self, call: Call, *, talking: bool) -> None:
        """Note that somebody's speech has begun or ended, heard by the others or not."""
        (self.talkers.add if talking else self.talkers.discard)(call.leg)
        self._tell(events.Speaking(at=self._now(), leg=call.leg, talking=talking))
        self.watcher.spoke()

    def name_recorded(self, call: Call, seconds: float) -> None:
        """Note that a name was recorded, with so much speech in it [s]."""
        event = events.NameRecorded(at=self._now(), leg=call.leg, seconds=seconds)
        self._if_there(event)

    def heard_talkers(self) -> set[int]:
        """Return who is speaking and heard by the others."""
        return {each.leg for each in self.rules.people() if each.speaks} & self.talkers

    def prompt_done(self, call: Call, at: float, play: int) -> None:
        """Note that something said to a leg is over."""
        self.sound_over((call.leg, play))
        self._if_there(events.LegPromptDone(at=self._now(at), leg=call.leg, play=play))

    def guarded(self, call: Call, guard: events.LineGuard, action: events.LineAction) -> None:
        """Note that a guard of the mixer holds a line down, or lets it go."""
        self._tell(events.LineGuarded(at=self._now(), leg=call.leg, guard=guard, action=action))

    # -- what administrators say ----------------------------------------------------------------

    def change(self, rules: ConferenceRules) -> None:
        """Apply changed rules while the conference runs."""
        self._tell(events.RulesChanged(at=self._now(), rules=rules))

    def maintenance(
        self, minutes: int | None, *, leg: int | None = None, everybody: bool = False
    ) -> None:
        """Tell hosts, one leg if it is a host's, or everybody that the bridge will stop."""
        self._tell(
            events.MaintenanceDue(at=self._now(), minutes=minutes, leg=leg, everybody=everybody)
        )

    def steer(self, order: events.Order, leg: int | None, mode: str | None) -> None:
        """Do what a host could."""
        self._tell(events.Steered(at=self._now(), order=order, leg=leg, mode=mode))

    def announce(self, phrases: tuple[Phrase, ...], leg: int | None = None) -> None:
        """Say something to everybody in the room, or to one, each in their own language."""
        self._tell(events.Announced(at=self._now(), phrases=phrases, leg=leg))

    def sound(self, samples: npt.NDArray[np.int16], leg: int | None = None) -> bool:
        """Play a sound: over the room's talk, or to one person, who hears nothing else meanwhile.

        Args:
            samples: int16, `(n,)`, 8 kHz, `bridge.sounds.LONGEST_SAMPLES` at most.
            leg: to whom; None for everybody in the room.

        Returns:
            Whether there was room for it.
        """
        number = self.bridge.sounds.hold(self.room, samples)
        if number is None:
            return False
        if leg is not None:
            self.announce((phrase(PhraseKey.CALLER_NAME, name=number),), leg)
            return True
        play = self.bridge.next_play()
        self._sounding[play] = number
        clips = [self.bridge.sounds.of(self.room)[number]]
        self.bridge.media.send(PlayClips(play=play, clips=clips, room=self.room, mode="mix"))
        return True

    def sound_over(self, play: int | tuple[int, int]) -> None:
        """Note that a play of the room, or leg and prompt, is over, which may have been a sound."""
        number = self._sounding.pop(play, None)
        if number is not None:
            self.bridge.sounds.let_go(number)

    def end(self, reason: events.EndReason) -> None:
        """End it politely."""
        self._tell(events.EndRequested(at=self._now(), reason=reason))

    # -- carrying out ---------------------------------------------------------------------------

    def _now(self, at: float | None = None) -> float:
        self._last_at = max(self._last_at, time.monotonic() if at is None else at)
        return self._last_at

    def _timer_fired(self, name: str) -> None:
        self._tell(events.TimerFired(at=self._now(), timer=name))

    def _tell(self, event: events.ConferenceEvent) -> None:
        self.bridge.dispatcher.post(lambda: self._handle(event))

    def _if_there(self, event: events.LegPromptDone | events.NameRecorded) -> None:
        """Hand on what a leg's media is done with, unless the leg has left by then."""

        def hand_on() -> None:
            if event.leg in self.calls:
                self._handle(event)

        self.bridge.dispatcher.post(hand_on)

    def _handle(self, event: events.ConferenceEvent) -> None:
        try:
            wanted = self.rules.handle(event)
        except UnexpectedEventError as error:
            self.bridge.count("unexpected_event")
            self._log.warning(
                "event without a transition", machine=error.machine, state=error.state
            )
            wanted = []
        for action in wanted:
            self._carry_out(action)
        if not isinstance(event, _CHANGE_NOTHING):
            self.watcher.changed()
        # Who is on the way in is in `calls` already, and must not come into a room that nobody
        # else will find.
        done = self.rules.over or (not self.started and self.rules.empty)
        if done and not self.calls:
            self._timers.stop_all()
            self.bridge.names.end(self.room)
            self.bridge.sounds.end(self.room)
            self.bridge.forget_conference(self)
            self.watcher.gone()

    def _carry_out(self, action: actions.ConferenceAction) -> None:  # noqa: C901, PLR0912 - arms
        match action:  # what comes by hundreds first
            case actions.Place():
                self._place(action)
            case actions.Say() | actions.StopSay() | actions.Music():
                self._tell_leg(action)
            case actions.StartTimer(timer=timer, seconds=seconds):
                self._timers.start(timer, seconds)
            case actions.StopTimer(timer=timer):
                self._timers.stop(timer)
            case actions.Answer(leg=leg, outcome=outcome):
                self._answer(leg, outcome)
            case actions.Volume(leg=leg, gain_db=gain_db):
                if (call := self.calls.get(leg)) is not None:
                    call.volume(gain_db)
            case actions.RecordName(leg=leg):
                self._record_name(leg)
            case actions.StopName(leg=leg):
                self.bridge.names.stop(leg)
            case actions.CheckHostPin():
                self._check_host_pin(action)
            case actions.RoleChanged():
                self._role_changed(action)
            case actions.DialOut():
                self._dial_out(action)
            case actions.Chime(sound=sound):
                self._chime(sound)
            case actions.EndLeg(leg=leg, cause=cause):
                call = self._release(leg, cause.value)
                if call is not None:
                    call.deliver(events.Released(at=self._now(), cause=cause))
            case actions.SessionStarted():
                self._session_started()
            case actions.SessionEnded(reason=reason):
                self._session_ended(reason.value)

    def _tell_leg(self, action: actions.Say | actions.StopSay | actions.Music) -> None:
        """Let one leg hear something, unless it has gone."""
        call = self.calls.get(action.leg)
        if call is None:
            return
        match action:
            case actions.Say(play=play, phrases=phrases):
                self._note_sound(action)
                names = self.bridge.names.of(self.room)
                call.say(play, phrases, {**names, **self.bridge.sounds.of(self.room)})
            case actions.StopSay(play=play):
                call.stop_saying(play)
            case actions.Music(on=on):
                call.music(on=on)

    def _note_sound(self, said: actions.Say) -> None:
        """Note which sound is over with a prompt: its number stands where a leg would."""
        for name, value in said.phrases[0].arguments if said.phrases else ():
            if name == "name" and isinstance(value, int) and value < 0:
                self._sounding[said.leg, said.play] = value

    def _answer(self, leg: int, outcome: events.JoinOutcome) -> None:
        call = self.calls.get(leg)
        if call is None:
            return
        joined = isinstance(outcome, events.Joined)
        self.bridge.settle_code(call, used=joined)
        if not joined:
            self._release(leg, "refused")
        call.deliver(events.JoinAnswered(at=self._now(), outcome=outcome))

    def _place(self, action: actions.Place) -> None:
        call = self.calls.get(action.leg)
        if call is None:
            return
        call.place(
            self.room if action.in_room else None,
            speaks=action.speaks,
            hears=action.hears,
            group=action.group,
            whispers_to=action.whispers_to,
        )
        if action.in_room and action.leg not in self.placed:
            self.placed.add(action.leg)
            self.peak = max(self.peak, len(self.placed))
            self.bridge.records.leg_joined(call, self)
            self.watcher.joined(call)
            self._log.info("leg joined", call=call.uid, role=call.role, count=len(self.placed))
        elif not action.in_room:
            self.placed.discard(action.leg)

    def _record_name(self, leg: int) -> None:
        call = self.calls.get(leg)
        if call is not None and not self.bridge.names.record(self.room, leg):
            self._log.warning("no place left for a spoken name", call=call.uid)
            self.name_recorded(call, 0.0)

    def _check_host_pin(self, action: actions.CheckHostPin) -> None:
        call = self.calls.get(action.leg)
        if call is None:
            return
        outcome, delay_s = self.bridge.check_host_pin(call, self.entry.id, action.pin)
        leg, query = action.leg, action.query

        def answer() -> None:
            checked = events.HostPinChecked(at=self._now(), leg=leg, query=query, outcome=outcome)
            self._tell(checked)

        self.bridge.loop.call_later(delay_s, answer)

    def _dial_out(self, action: actions.DialOut) -> None:
        """Call somebody for a host, who hears why where it comes to nothing."""
        leg = action.leg
        call = self.bridge.dialling.dial_out(self.entry.id, action.number, "host")
        if isinstance(call, DialRefusal):
            self._not_called(leg, call)
        else:
            call.outcome.add_done_callback(lambda done: self._not_called(leg, done.result()))

    def _not_called(self, leg: int, result: DialRefusal | str) -> None:
        if result != JOINED:
            outcome = outcome_for_host(result)
            self._tell(events.DialOutEnded(at=self._now(), leg=leg, outcome=outcome))

    def _role_changed(self, action: actions.RoleChanged) -> None:
        call = self.calls.get(action.leg)
        if call is not None:
            call.role = "host"
            self.bridge.records.leg_promoted(call)
            self.watcher.role_changed(call, action.how)
            self._log.info("role changed", call=call.uid, role="host", by=action.how)
            self.bridge.drain.greet(self, action.leg)

    def _chime(self, sound: str) -> None:
        clips = self.bridge.tone_clips(sound)
        play = self.bridge.next_play()
        self.bridge.media.send(PlayClips(play=play, clips=clips, room=self.room, mode="mix"))

    def _release(self, leg: int, reason: str) -> Call | None:
        """Forget a leg; its mixer row leaves the room."""
        call = self.calls.pop(leg, None)
        if call is None:
            return None
        if leg in self.placed:
            self.placed.discard(leg)
            self._log.info("leg left", call=call.uid, count=len(self.placed))
        self.talkers.discard(leg)
        self.watcher.left(call, reason)
        self.bridge.names.leg_left(leg)
        call.conference = None
        call.out_of_conference()
        return call

    def _session_started(self) -> None:
        self.started = True
        self.started_at = datetime.now(UTC)
        self._log.info("conference started", session=self.id.hex)
        self.bridge.records.session_opened(self)
        self.watcher.started()

    def _session_ended(self, reason: str) -> None:
        self._log.info("conference ended", session=self.id.hex, reason=reason, peak=self.peak)
        self.bridge.records.session_closed(self, reason)
        self.watcher.ended(reason)
