"""One call: a SIP session, a call flow and a media leg under one roof.

A digit's way through the house passes here: the media process says `DigitPressed`, the call hands
it to its `CallFlow`, and carries out the actions that come back, as commands to the media process,
as SIP commands and as rows of the call detail record. This shell decides nothing about the dial
plan; it knows when a leg is opened, asked whether it still lives, and closed.

Life of a call::

    IncomingCall ─► accept (200) ─► MediaNegotiated ─► CallConfirmed ─► CallEnded ─► LegClosed
                    flow: Answered  OpenLeg            MediaStarted     CloseLeg     row closed
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from bridge.media.messages import (
    ChangeLeg,
    DigitInfo,
    DigitPressed,
    FirstMedia,
    LegClosed,
    LegGuarded,
    LegMedia,
    LegStatistics,
    MediaQuiet,
    MediaResumed,
    OpenLeg,
    PlayFinished,
    QualityDropped,
    QualityRecovered,
    SetVolume,
    SourceLatched,
    StopPlay,
    TalkSpurt,
)
from bridge.media.messages import Place as PlaceLeg
from bridge.media.messages import Play as PlayClips
from bridge.media.name_messages import NameRecorded
from bridge.media.place_messages import PlaceAdded
from bridge.media_place import PLACE_TIMER, MediaPlace
from bridge.sip.errors import NotRunningError
from bridge.timers import Timers
from cdr.records import new_id
from dialplan import actions, events
from dialplan.call_flow import CallFlow
from dialplan.errors import UnexpectedEventError
from dialplan.phrases import Phrase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.conferences import RunningConference
    from bridge.media.messages import Event as MediaEvent
    from bridge.media.ports import MediaPair
    from bridge.port_sharing import SharedPlace
    from bridge.server import Bridge
    from bridge.sip.messages import CallEnded, IncomingCall, NegotiatedMedia
    from dialplan.outgoing_flow import OutgoingFlow
    from dialplan.store import NumberEntry

__all__ = ["Call"]

CLOSE_TIMER: Final = "bridge:closed"
"""Our own timers share the flow's `Timers`; a colon keeps the names apart."""

HANGUP_TIMER: Final = "bridge:hangup"

CNAME_OCTETS: Final = 12
"""96 random bits, 16 characters: a CNAME for one call, which names nobody (RFC 7022)."""

CLOSE_WAIT_S: Final = 3.0
"""How long the media process may take over `LegClosed` before the row is closed without it."""

HANGUP_WAIT_S: Final = 35.0
"""Past the SIP transaction's own 32 s: a BYE that nobody answers ends the call all the same."""


class Call:
    """One call, from the INVITE that was accepted to its closed record.

    Args:
        bridge: the house.
        incoming: what SIP said of the call.
        number: the number dialled.
        sockets: its own media sockets, or its place on a shared port.
        leg: our number for the leg, never used twice.
    """

    invited = False
    """A host or an administrator called them."""

    def __init__(
        self,
        bridge: Bridge,
        incoming: IncomingCall,
        number: NumberEntry,
        sockets: MediaPair | SharedPlace,
        leg: int,
    ) -> None:
        self.bridge = bridge
        self.incoming = incoming
        self.number = number
        self.leg = leg
        self.id = new_id()
        self.uid = bridge.vault.pseudonym("call", incoming.call_id)
        self.invited_at = datetime.now(UTC)
        self.call = incoming.call
        self.trunk = incoming.trunk
        self.caller_key = bridge.caller_key(incoming)
        self.on_hold = False
        self.conference: RunningConference | None = None
        self.role: str | None = None
        self.code: int | None = None
        self.end_cause: str | None = None
        self.ended: CallEnded | None = None
        self.closed = False
        self.statistics = LegStatistics(leg=leg)
        self.codec: str | None = None
        self.language = number.info.language
        trunk = bridge.directory.trunk(incoming.trunk)
        shares = trunk is not None and trunk.media == "shared" and incoming.media_source is None
        self.media_place = MediaPlace(self, sockets, shares=shares)
        self._opened = False
        self._confirmed = False
        self._leaving = False
        self._quiet_since: float | None = None
        self._probing = False
        self._last_at = 0.0
        self._plays: dict[int, tuple[str, int]] = {}
        self._early: dict[int, PlayClips] = {}
        self._music: int | None = None
        self._timers = Timers(bridge.loop, self._timer_fired)
        self._log = structlog.get_logger("bridge.call").bind(call=self.uid)
        self.flow: CallFlow | OutgoingFlow = bridge.new_flow()

    @property
    def cause(self) -> str:
        """Why the call ended, as one constant word: ours where we hung up, else what SIP saw."""
        return self.end_cause or (self.ended.reason if self.ended is not None else "stopped")

    # -- signalling -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Tell the flow that the call was answered; the 200 is on its way."""
        self._log.info(
            "call answered",
            trunk=self.trunk,
            transport=self.incoming.transport,
            number_kind=self.number.info.kind,
            asserted=self.incoming.asserted is not None,
        )
        self._tell(
            events.Answered(at=self._now(), number=self.number.info, caller_key=self.caller_key)
        )

    def negotiated(self, media: NegotiatedMedia) -> None:
        """Open the leg with what was agreed on, or change it."""
        self.on_hold = media.on_hold
        self.codec = media.codec
        description = LegMedia(
            codec=media.codec,
            payload_type=media.payload_type,
            dtmf_payload_type=media.dtmf_payload_type,
            cn_payload_type=media.cn_payload_type if media.cn_payload_type is not None else 13,
            tx_ptime_ms=media.ptime_ms,
            remote_rtp=_address(media.remote_ip, media.remote_port),
            remote_rtcp=_address(*media.remote_rtcp),
            tx=media.tx,
            # Who holds us with sendonly sends music: the others must not hear it.
            rx=media.rx and not media.on_hold,
        )
        if self._opened:
            self.media_place.follow(description.remote_rtp)
            self.bridge.media.send(ChangeLeg(leg=self.leg, media=description))
            self._log.debug("media changed", codec=media.codec, hold=media.on_hold)
            return
        self._opened = True
        self.media_place.follow(description.remote_rtp)
        opening = OpenLeg(
            leg=self.leg,
            media=description,
            ssrc=secrets.randbelow(2**32 - 1) + 1,
            cname=secrets.token_urlsafe(CNAME_OCTETS),
            shared_port=self.media_place.shared_port,
        )
        self.bridge.media.open_leg(opening, self.media_place.place)
        early, self._early = self._early, {}
        for play in early.values():
            self.bridge.media.send(play)

    @property
    def written(self) -> bool:
        """It has a leg in the records."""
        return True

    @property
    def talks(self) -> bool:
        """The call is up, and on hold at neither end."""
        return self._confirmed and not self.on_hold and self.ended is None and not self._leaving

    def start_timer(self, name: str, seconds: float) -> None:
        """Start one of our own timers, whose names have a colon."""
        self._timers.start(name, seconds)

    def confirmed(self) -> None:
        """Note the ACK: the way to the caller is cut through."""
        self._confirmed = True
        self.media_place.go_on()
        self._tell(events.MediaStarted(at=self._now()))

    def digit_by_info(self, digit: str, duration_ms: int) -> None:
        """Send an INFO digit through the media process, where all digits meet in one order."""
        if self._opened:
            self.bridge.media.send(DigitInfo(leg=self.leg, digit=digit, duration_ms=duration_ms))

    def probe_answered(self, *, alive: bool) -> None:
        """Take the answer to "are you still there?"."""
        self._probing = False
        if not alive and self.ended is None:
            self._log.info("silent caller is gone")
            self.hang_up("no_media")

    def sip_ended(self, event: CallEnded) -> None:
        """The SIP session is over: leave, close the leg, close the record."""
        if self.ended is not None:
            return
        self.ended = event
        self._tell(events.HungUp(at=self._now(), by=event.by))
        self.bridge.settle_code(self, used=False)
        self._timers.stop_all()
        if self._opened:
            self.statistics = self.bridge.media.closing(self.leg)
            self._timers.start(CLOSE_TIMER, CLOSE_WAIT_S)
            return
        self.media_place.close()
        self._close()

    def close_politely(self, reason: events.CloseReason) -> None:
        """Let the flow say goodbye and hang up."""
        self._tell(events.CloseRequested(at=self._now(), reason=reason))

    def hang_up(self, cause: str) -> None:
        """Send BYE now."""
        if self._leaving or self.ended is not None:
            return
        self._leaving = True
        self.end_cause = cause
        self._timers.start(HANGUP_TIMER, HANGUP_WAIT_S)
        try:
            self.bridge.sip.hangup(self.call)
        except NotRunningError:  # its thread has died: nobody will say that the call is over
            self.bridge.sip_silent(self)

    # -- media ----------------------------------------------------------------------------------

    def media(self, event: MediaEvent) -> None:  # noqa: C901, PLR0912 - one arm an event
        """Take an event of the media process about this leg."""
        match event:
            case DigitPressed(digit=digit, at=at):
                self._tell(events.Digit(at=self._now(at), digit=digit))
            case FirstMedia(at=at):
                self._tell(events.MediaStarted(at=self._now(at)))
            case PlayFinished(play=play):
                self._play_finished(play)
            case MediaQuiet(seconds=seconds):
                self._quiet(seconds)
            case MediaResumed():
                self._quiet_since = None
            case LegStatistics():
                self.statistics = event
            case QualityDropped() | QualityRecovered():
                self._sounds_otherwise(event)
            case TalkSpurt(talking=talking):
                self.bridge.talking(self, talking=talking)
            case LegGuarded():
                self._guarded(event)
            case SourceLatched(own_sdp=own_sdp):
                self._log.debug("media source latched", own_sdp=own_sdp)
                self.media_place.latched(own_sdp=own_sdp)
            case NameRecorded():
                self._name_recorded(event)
            case PlaceAdded(heard=heard):
                self.media_place.heard(heard=heard)
            case LegClosed(statistics=statistics):
                self.statistics = statistics
                self._close()
            case _:
                pass

    def _name_recorded(self, event: NameRecorded) -> None:
        speech_s = self.bridge.names.recorded(event)
        if speech_s is not None and self.conference is not None:
            self.conference.name_recorded(self, speech_s)

    def _quiet(self, seconds: float) -> None:
        """No RTP is only a reason to ask; a caller who muted a phone is still a caller.

        On hold silence is what was agreed: nobody is asked before the longest time allowed, and
        then only who does not know the call any more is let go, or a phone that vanished without
        session timers would hold its place for ever.
        """
        if self.ended is not None:
            return
        settings = self.bridge.settings.media
        ask_after_s = settings.quiet_limit_s if self.on_hold else settings.quiet_probe_s
        if seconds >= settings.quiet_limit_s and not self.on_hold:
            self._log.info("no media for the longest time allowed", seconds=round(seconds))
            self.hang_up("no_media")
        elif seconds >= ask_after_s and not self._probing and self._confirmed:
            self._probing = True
            self.bridge.sip.probe(self.call)

    def _guarded(self, event: LegGuarded) -> None:
        """Say that a guard holds the line down, or lets it go; `LegGuarded` explains the words."""
        if event.action == "released":
            self._log.info("line is held down no more", guard=event.guard)
        else:
            self.bridge.count("line_held_down")
            self._log.warning(
                "line is held down",
                guard=event.guard,
                action=event.action,
                sound=event.sound,
                delay_ms=event.delay_ms,
                return_loss_db=event.return_loss_db,
            )
        if self.conference is not None:
            self.conference.guarded(self, event.guard, event.action)

    def _sounds_otherwise(self, event: QualityDropped | QualityRecovered) -> None:
        """Say which way a line has become bad, or is good again."""
        if self.conference is not None:
            good = isinstance(event, QualityRecovered)
            self.conference.watcher.quality(self.leg, event.direction, event.mos, good=good)
        if isinstance(event, QualityRecovered):
            mos = round(event.mos, 2)
            self._log.info("line is good again", direction=event.direction, mos=mos)
            return
        self.bridge.count("quality_dropped")
        self._log.warning(
            "line has become bad",
            direction=event.direction,
            mos=round(event.mos, 2),
            lost_percent=round(event.lost_percent, 1),
            jitter_ms=_rounded(event.jitter_ms),
            rtt_ms=_rounded(event.rtt_ms),
        )

    # -- the conference's hand ------------------------------------------------------------------

    def deliver(self, event: events.CallEvent) -> None:
        """Deliver an event of the conference to the flow, after what is being handled."""
        self._tell(event)

    def say(
        self,
        play: int,
        phrases: tuple[Phrase, ...],
        names: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        """Play what the conference says to this leg alone, with names that callers have spoken."""
        self._play("conference", play, phrases, names)

    def stop_saying(self, play: int) -> None:
        """Stop what the conference says."""
        self._stop_play("conference", play)

    def out_of_conference(self) -> None:
        """Hear nothing of the conference any more, neither its words nor its music nor its room."""
        for play in [play for play, (owner, _) in self._plays.items() if owner == "conference"]:
            self.bridge.media.send(StopPlay(leg=self.leg, play=play))
        self.music(on=False)
        self.place(None, speaks=False, hears=False)

    def music(self, *, on: bool) -> None:
        """Start or stop hold music."""
        if not on:
            if self._music is not None:
                self.bridge.media.send(StopPlay(leg=self.leg, play=self._music))
                self._music = None
            return
        if self._music is not None:
            return
        self._music = self.bridge.next_play()
        self.bridge.media.send(
            PlayClips(
                play=self._music,
                clips=self.bridge.music_clips(),
                leg=self.leg,
                loop=True,
                mode="mix",  # who is alone in a room hears it there
            )
        )

    def place(
        self,
        room: int | None,
        *,
        speaks: bool,
        hears: bool,
        group: int = 0,
        whispers_to: int | None = None,
    ) -> None:
        """Put the leg into a room of the mixer, or alone."""
        self.bridge.media.send(
            PlaceLeg(
                leg=self.leg,
                room=room,
                speaks=speaks,
                hears=hears,
                group=group,
                whispers_to=whispers_to,
            )
        )

    def volume(self, gain_db: float) -> None:
        """Let the leg hear its room louder or softer than normal [dB]."""
        self.bridge.media.send(SetVolume(leg=self.leg, gain_db=gain_db))

    # -- the flow -------------------------------------------------------------------------------

    def _now(self, at: float | None = None) -> float:
        """Return a time that never runs backwards for this call's flow."""
        self._last_at = max(self._last_at, time.monotonic() if at is None else at)
        return self._last_at

    def _timer_fired(self, name: str) -> None:
        if name == CLOSE_TIMER:
            self._close()
        elif name == HANGUP_TIMER:
            self.bridge.sip_silent(self)
        elif name == PLACE_TIMER:
            self.media_place.left()
        else:
            self._tell(events.TimerFired(at=self._now(), timer=name))

    def _tell(self, event: events.CallEvent) -> None:
        self.bridge.dispatcher.post(lambda: self._handle(event))

    def _handle(self, event: events.CallEvent) -> None:
        try:
            wanted = self.flow.handle(event)
        except UnexpectedEventError as error:
            self.bridge.count("unexpected_event")
            self._log.warning(
                "event without a transition", machine=error.machine, state=error.state
            )
            return
        for action in wanted:
            self._carry_out(action)

    def _carry_out(self, action: actions.CallAction) -> None:  # noqa: C901 - one arm an action
        match action:
            case actions.Play(play=play, phrases=phrases):
                self._play("flow", play, phrases)
            case actions.StopPlay(play=play):
                self._stop_play("flow", play)
            case actions.StartTimer(timer=timer, seconds=seconds):
                self._timers.start(timer, seconds)
            case actions.StopTimer(timer=timer):
                self._timers.stop(timer)
            case actions.CheckPin():
                self._check_pin(action)
            case actions.Join():
                self._join(action)
            case actions.PassDigit(digit=digit):
                if self.conference is not None:
                    self.conference.digit(self, self._now(), digit)
            case actions.Leave():
                if self.conference is not None:
                    self.conference.leave(self)
            case actions.HangUp(cause=cause):
                self.hang_up(cause.value)
            case actions.RecordRefusal(reason=reason, conference=conference):
                self._log.info("attempt refused", reason=reason.value)
                self.bridge.meters.attempt_refused(reason.value)
                self.bridge.records.refused(self, reason.value, conference)

    def _check_pin(self, action: actions.CheckPin) -> None:
        result, delay_s = self.bridge.check_pin(self, action.pin)
        self._tell(
            events.PinChecked(at=self._now(), query=action.query, result=result, delay_s=delay_s)
        )

    def _join(self, action: actions.Join) -> None:
        conference = self.bridge.conference_for(action.conference)
        if conference is None:
            self.bridge.settle_code(self, used=False)
            drains = self.bridge.drain.active
            outcome = events.InMaintenance() if drains else events.JoinFailed()
            self._tell(events.JoinAnswered(at=self._now(), outcome=outcome))
            return
        self.role = action.role
        conference.enter(self, action.role)

    # -- plays ----------------------------------------------------------------------------------

    def _play(
        self,
        owner: str,
        number: int,
        phrases: tuple[Phrase, ...],
        names: Mapping[int, tuple[int, int]] | None = None,
    ) -> None:
        play = self.bridge.next_play()
        self._plays[play] = (owner, number)
        clips = self.bridge.clips(self.language, phrases, names)
        command = PlayClips(play=play, clips=clips, leg=self.leg)
        if not clips or self.ended is not None:
            self._play_finished(play)  # nothing to hear, or nobody to hear it
        elif self._opened:
            self.bridge.media.send(command)
        else:
            # The answer to our offer is still to come: who needs no PIN must not be let in unheard.
            self._early[play] = command

    def _stop_play(self, owner: str, number: int) -> None:
        for play, key in self._plays.items():
            if key == (owner, number):
                if self._early.pop(play, None) is not None:
                    self._play_finished(play)
                elif self._opened:
                    self.bridge.media.send(StopPlay(leg=self.leg, play=play))
                return

    def _play_finished(self, play: int) -> None:
        owner, number = self._plays.pop(play, (None, 0))
        if owner == "flow":
            self._tell(events.PromptDone(at=self._now(), play=number))
        elif owner == "conference" and self.conference is not None:
            self.conference.prompt_done(self, self._now(), number)

    # -- the end --------------------------------------------------------------------------------

    def _close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._timers.stop_all()
        if self.written:
            self.bridge.records.leg_closed(self)
        self.bridge.forget_call(self)
        ended = self.ended
        self._log.info(
            "call ended",
            by=ended.by if ended else "bridge",
            cause=self.cause,
            status=ended.status if ended else None,
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _address(ip: str, port: int) -> tuple[str, int] | None:
    """Return where to send, None for the null address and port of a hold (RFC 3264 8.4)."""
    return None if ip == "0.0.0.0" or port == 0 else (ip, port)  # noqa: S104 - compared, not bound
