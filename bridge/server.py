"""The bridge: everything that runs in the control process, and who is told what.

Three sources of events meet in one asyncio loop: the SIP thread (handed over with
`call_soon_threadsafe`), the media process (its channel is watched for reading) and the
administration socket. Each event goes to the call it is about; calls and conferences speak to each
other through the dispatcher only.

The numbers, PINs, conferences and trunks that a call needs are in the `Directory`, in memory: a
database that is locked or gone stops no call. Whatever is written goes through the records'
journal, which waits for the database instead of the call.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog

from bridge import admission
from bridge.calls import Call
from bridge.conferences import RunningConference
from bridge.dialling import Dialling
from bridge.dispatch import Dispatcher
from bridge.drain import Drain
from bridge.events.stream import EventStream
from bridge.media.errors import DescriptorsExhausted, PortsExhausted
from bridge.media.messages import EngineError, Heartbeat, LegClosed, PlayFinished, Traced
from bridge.media.ports import open_pair
from bridge.monitoring.meters import Meters
from bridge.names import SpokenNames
from bridge.sip.messages import (
    CallConfirmed,
    CallEnded,
    Codec,
    DigitByInfo,
    EndpointFailed,
    IncomingCall,
    LocalMedia,
    MediaNegotiated,
    ProbeAnswered,
    RegistrationChanged,
    ReofferAnswered,
    SipEvent,
)
from bridge.sounds import Sounds
from dialplan.call_flow import CallFlow
from dialplan.causes import EndCause
from dialplan.events import HostPinOutcome, PinFound, PinResult, PinThrottled
from dialplan.guesses import GuessLimits, Throttle
from dialplan.keypad import key_map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bridge.directory import Directory
    from bridge.events.messages import State
    from bridge.media.messages import Event as MediaEvent
    from bridge.media.ports import MediaPair
    from bridge.mqtt.service import Mqtt
    from bridge.port_sharing import SharedPlace
    from bridge.records import Records
    from bridge.sip.endpoint import SipEndpoint
    from bridge.supervisor import MediaSupervisor
    from bridge.traces import Traces
    from config.pseudonyms import Pseudonym
    from config.settings import Settings
    from dialplan.phrases import Phrase
    from dialplan.prompts.bank import Bank
    from privacy.vault import Vault

__all__ = ["Bridge"]

CODECS: Final[dict[str, tuple[Codec, ...]]] = {
    "prefer": ("G722", "PCMU", "PCMA"),
    "accept": ("PCMU", "PCMA", "G722"),
    "off": ("PCMU", "PCMA"),
}
"""Codecs by the setting `media.wideband`, best first."""

GOODBYE_S: Final = 6.0
"""How long callers may be told goodbye at the end of the bridge before they are cut."""

FAREWELL_S: Final = 4.0
"""How long the last BYEs and final counters may take: longer than a call waits for its counters."""


class Bridge:
    """The running bridge.

    Args:
        settings: all settings.
        directory: numbers, PINs, conferences and trunks in memory.
        vault: pseudonyms and PIN hashes.
        records: where calls are written down.
        bank: prompts and tones.
        loop: the event loop.
    """

    sip: SipEndpoint
    media: MediaSupervisor
    traces: Traces
    on_code_used: Callable[[int], None]
    metrics_port: int = 0
    mqtt: Mqtt | None = None

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        vault: Vault,
        records: Records,
        bank: Bank,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.settings = settings
        self.directory = directory
        self.vault = vault
        self.records = records
        self.bank = bank
        self.keys = key_map(settings.keys.sequences())
        self.loop = loop
        self.calls: dict[int, Call] = {}
        self.legs: dict[int, Call] = {}
        self.conferences: dict[int, RunningConference] = {}
        self.counters: Counter[str] = Counter()
        self.meters = Meters()
        self.registrations: dict[str, RegistrationChanged] = {}
        self.started_at = datetime.now(UTC)
        self.failed: asyncio.Future[str] = loop.create_future()
        self.dispatcher = Dispatcher(self._delivery_failed)
        self.names = SpokenNames(lambda command: self.media.send(command))  # noqa: PLW0108 - it comes later
        self.sounds = Sounds(self.names.area)
        self.guesses = GuessLimits()
        self.dialling = Dialling(self)
        self.drain = Drain(self)
        self.events = EventStream(self._states, self._delivery_failed)
        self.stopping = False
        self._empty = asyncio.Event()
        self._numbers = itertools.count(1)
        self._log = structlog.get_logger("bridge.server")

    # -- events from SIP ------------------------------------------------------------------------

    def on_sip(self, event: SipEvent) -> None:
        """Take an event in the SIP thread; it is handled in the event loop."""
        self.loop.call_soon_threadsafe(self._sip, event)

    def _sip(self, event: SipEvent) -> None:
        match event:
            case IncomingCall():
                self._incoming(event)
            case RegistrationChanged(trunk=trunk):
                self.registrations[trunk] = event
                self._log.info(
                    "registration changed", trunk=trunk, state=event.state, status=event.status
                )
            case EndpointFailed(message=message):
                self.fail(f"the SIP thread ended: {message}")
                for each in list(self.calls.values()):
                    self.sip_silent(each)  # no word of it, or to it, will come any more
            case _:
                call = self.calls.get(event.call)
                if call is not None:
                    self._sip_of_call(call, event)

    @staticmethod
    def _sip_of_call(call: Call, event: SipEvent) -> None:
        match event:
            case MediaNegotiated(media=media):
                call.negotiated(media)
            case ReofferAnswered():
                call.media_place.answered(event)
            case CallConfirmed():
                call.confirmed()
            case DigitByInfo(digit=digit, duration_ms=duration_ms):
                call.digit_by_info(digit, duration_ms)
            case ProbeAnswered(alive=alive):
                call.probe_answered(alive=alive)
            case CallEnded():
                call.sip_ended(event)
            case _:
                pass

    def _incoming(self, incoming: IncomingCall) -> None:
        """Answer or refuse a new call."""
        self.counters["calls_offered"] += 1
        verdict = admission.decide(incoming, self)
        if isinstance(verdict, admission.Refused):
            self._refuse(incoming, verdict)
            return
        try:
            sockets = self._sockets_for(incoming)
        except (PortsExhausted, DescriptorsExhausted, OSError) as error:
            self._log.error(
                "no media port", problem=type(error).__name__, call=self._call_name(incoming)
            )
            self._refuse(incoming, admission.overloaded(incoming, self, "no_media_port"))
            return
        self.counters["calls_answered"] += 1
        call = Call(self, incoming, verdict, sockets, next(self._numbers))
        self.take_call(call)
        self.records.leg_opened(call)
        self.traces.call_begun(call)
        self.sip.accept(call.call, self.local_media(sockets.port))
        call.begin()

    def take_call(self, call: Call) -> None:
        """Let events of SIP and media find a call."""
        self.calls[call.call] = call
        self.legs[call.leg] = call

    def _sockets_for(self, incoming: IncomingCall) -> MediaPair | SharedPlace:
        """Find a place on a shared port where the trunk allows it, else open a pair of sockets.

        Where we make the offer, nobody knows yet where media will come from: a pair of its own.

        Raises:
            PortsExhausted: no pair is free.
            DescriptorsExhausted: the process may not open more files.
            OSError: the address is not one of this machine.
        """
        trunk = self.directory.trunk(incoming.trunk)
        if trunk is not None and trunk.media == "shared" and incoming.media_source is not None:
            place = self.media.reserve(incoming.media_source)
            if place is not None:
                return place
            self.counters["shared_ports_full"] += 1
        return self.open_pair()

    def _refuse(self, incoming: IncomingCall, verdict: admission.Refused) -> None:
        self.counters[f"refused_{verdict.reason}"] += 1
        self._log.info(
            "call refused",
            reason=verdict.reason,
            status=verdict.status,
            trunk=incoming.trunk,
            call=self._call_name(incoming),
        )
        self.records.refused_call(incoming, verdict)
        self.sip.refuse(incoming.call, verdict.status, retry_after=verdict.retry_after)

    def _call_name(self, incoming: IncomingCall) -> Pseudonym:
        """Return what the log calls a call that is not, or not yet, one of ours."""
        return self.vault.pseudonym("call", incoming.call_id)

    # -- events from media ----------------------------------------------------------------------

    def on_media(self, event: MediaEvent) -> None:
        """Take an event of the media process."""
        self.meters.heard(event)
        match event:
            case EngineError():
                self._note_error(event)
            case Heartbeat() if event.jumped_ticks or event.rxq_overflow or event.send_errors:
                self._note_losses(event)
            case PlayFinished(room=int(room), play=play):
                for running in self.conferences.values():
                    if running.room == room:
                        running.sound_over(play)
            case Traced(leg=leg, lines=lines):
                call = self.legs.get(leg)
                if call is not None:
                    self.traces.media_lines(call, lines)
            case _:
                call = self.legs.get(getattr(event, "leg", None) or 0)
                if call is not None:
                    call.media(event)
                elif isinstance(event, LegClosed):
                    self.counters["late_leg_closed"] += 1

    def _note_error(self, error: EngineError) -> None:
        """Say what the media process could not do, and end a call that it has not opened.

        Who hears nothing and is not heard is not left to find out.
        """
        self.counters["media_errors"] += 1
        self._log.error("media command failed", what=error.what)
        call = self.legs.get(error.leg or 0)
        if error.unopened and call is not None:
            call.hang_up(EndCause.TECHNICAL)

    def _note_losses(self, beat: Heartbeat) -> None:
        """Say once what the media process has lost, and again only when it grows tenfold."""
        lost = beat.jumped_ticks + beat.rxq_overflow + beat.send_errors
        if lost >= max(1, 10 * self.counters["media_losses_said"]):
            self.counters["media_losses_said"] = lost
            self._log.warning(
                "media process lost packets or ticks",
                jumped_ticks=beat.jumped_ticks,
                rxq_overflow=beat.rxq_overflow,
                send_errors=beat.send_errors,
            )

    # -- what calls and conferences need --------------------------------------------------------

    def open_pair(self) -> MediaPair:
        """Open media sockets for one leg.

        Raises:
            PortsExhausted: no pair is free.
            DescriptorsExhausted: the process may not open more files.
            OSError: the address is not one of this machine.
        """
        media = self.settings.media
        ip = media.bind_ip or self.settings.sip.bind_ip
        return open_pair(ip, media.rtp_ports.low, media.rtp_ports.high)

    def local_media(self, port: int) -> LocalMedia:
        """Return our half of a session description."""
        return LocalMedia(port, codecs=CODECS[self.settings.media.wideband])

    def next_play(self) -> int:
        """Return a number for a play, never used twice."""
        return next(self._numbers)

    def clips(
        self,
        language: str,
        phrases: tuple[Phrase, ...],
        names: Mapping[int, tuple[int, int]] | None = None,
    ) -> list[tuple[int, int]]:
        """Return where phrases lie in the bank, in the order they are about to be said.

        Args:
            language: the listener's.
            phrases: what is said.
            names: where the names in them lie, by leg.
        """
        self.meters.prompt(language)
        return self.bank.clips(language, phrases, names)

    def tone_clips(self, name: str) -> list[tuple[int, int]]:
        """Return where a tone lies in the bank."""
        return [self.bank.tone(name)]

    def music_clips(self) -> list[tuple[int, int]]:
        """Return where the hold music lies in the bank."""
        return [self.bank.music()]

    def new_flow(self) -> CallFlow:
        """Return the flow of a new call."""
        return CallFlow(self.directory.flow_times)

    def caller_key(self, incoming: IncomingCall) -> str | None:
        """Return a pseudonym of the caller's asserted number."""
        if incoming.asserted is None:
            return None
        found = self.directory.normalise(incoming.asserted)
        return self.vault.pseudonym(
            "number", found.number if found is not None else incoming.asserted
        )

    def check_pin(self, call: Call, pin: str) -> tuple[PinResult, float]:
        """Look a PIN up, under the guess limits.

        Args:
            call: who asks.
            pin: the digits, check-valid.

        Returns:
            What was found, and the delay that the limits ask for [s].
        """
        pin_hash = self.vault.pin_hash(pin)
        result, delay_s = self._look_up(call, pin_hash, lambda _found: True)
        if isinstance(result, PinFound):
            call.code = self.directory.use_up(pin_hash)
        return result, delay_s

    def check_host_pin(self, call: Call, conference: int, pin: str) -> tuple[HostPinOutcome, float]:
        """Say whether a PIN makes its holder host of a conference, under the guess limits.

        Args:
            call: who asks, from inside.
            conference: its id.
            pin: the digits, check-valid.

        Returns:
            What it is, and the delay that the limits ask for [s].
        """

        def opens(found: PinFound) -> bool:
            return found.conference == conference and found.role == "host"

        result, delay_s = self._look_up(call, self.vault.pin_hash(pin), opens)
        return "right" if isinstance(result, PinFound) and opens(result) else "wrong", delay_s

    def _look_up(
        self, call: Call, pin_hash: bytes, opens: Callable[[PinFound], bool]
    ) -> tuple[PinResult, float]:
        """Look a PIN up, and count the guess: a good one only where it opens what was asked for."""
        now = time.monotonic()
        source = (call.caller_key, call.number.info.number, call.trunk)
        verdict = self.guesses.verdict(now, *source)
        if isinstance(verdict, Throttle):
            return PinThrottled(), verdict.delay_s
        result = self.directory.find_pin(pin_hash)
        good = isinstance(result, PinFound) and opens(result)
        (self.guesses.succeeded if good else self.guesses.failed)(now, *source)
        return result, verdict.delay_s

    def settle_code(self, call: Call, *, used: bool) -> None:
        """Use a call's single-use code up for good where it let the call in; else give it back."""
        row, call.code = call.code, None
        if row is None:
            return
        if used:
            self.on_code_used(row)
        else:
            self.directory.give_back(row)

    def conference_for(self, conference: int) -> RunningConference | None:
        """Return the running conference, a new one where none runs.

        Returns:
            None for one that is unknown, or that may not start because the bridge drains.
        """
        running = self.conferences.get(conference)
        if running is None:
            entry = self.directory.conference(conference)
            if entry is None or self.drain.active:
                return None
            running = RunningConference(self, entry, next(self._numbers))
            self.conferences[conference] = running
        return running

    def _states(self, conference: int | None) -> dict[int, State]:
        """Describe every conference that is there, or the one with an id."""
        return {
            number: running.watcher.state()
            for number, running in self.conferences.items()
            if conference in (None, number)
        }

    def forget_conference(self, conference: RunningConference) -> None:
        """Drop a conference that is over."""
        if self.conferences.get(conference.entry.id) is conference:
            del self.conferences[conference.entry.id]
            self.dialling.conference_over(conference.entry.id)
            self.drain.look()

    def forget_call(self, call: Call) -> None:
        """Drop a call whose record is closed."""
        self.calls.pop(call.call, None)
        self.legs.pop(call.leg, None)
        self.names.leg_closed(call.leg)
        lasted = datetime.now(UTC) - call.invited_at
        self.meters.call_ended(max(0.0, lasted.total_seconds()), call.statistics)
        if not self.calls:
            self._empty.set()
        self.traces.call_ended(call)

    def sip_silent(self, call: Call) -> None:
        """End a call whose BYE was answered by nobody, not even by the SIP thread's own timers."""
        self.counters["sip_silent"] += 1
        call.sip_ended(
            CallEnded(call=call.call, by="network", status=None, q850=None, reason="transport")
        )

    def talking(self, call: Call, *, talking: bool) -> None:
        """Note who speaks, for whoever watches."""
        if call.conference is not None:
            call.conference.speaking(call, talking=talking)

    def count(self, what: str) -> None:
        """Count an odd outcome."""
        self.counters[what] += 1

    def _delivery_failed(self, error: Exception) -> None:
        self.counters["delivery_failed"] += 1
        self._log.error("event handling failed", exc_info=error)

    # -- changes and the end --------------------------------------------------------------------

    def fail(self, why: str) -> None:
        """End the bridge because something it cannot live without is gone."""
        if not self.failed.done():
            self.failed.set_result(why)

    def directory_changed(self) -> None:
        """Apply changed numbers, conferences and trunks to what runs."""
        self.sip.set_trunks(self.directory.trunk_table())
        for name in [name for name in self.registrations if not self.directory.trunk(name)]:
            del self.registrations[name]
        for running in list(self.conferences.values()):
            entry = self.directory.conference(running.entry.id)
            if entry is None:
                running.end("administrator")
            elif entry.rules != running.entry.rules:
                running.entry = entry
                running.change(entry.rules)

    async def close_calls(self, impatient: asyncio.Event | None = None) -> None:
        """Say goodbye, hang up, and wait until every record is closed.

        Args:
            impatient: set when goodbye is not to be waited for any longer.
        """
        self.stopping = True
        for running in list(self.conferences.values()):
            running.end("shutdown")
        for call in list(self.calls.values()):
            if call.conference is None:
                call.close_politely("shutdown")
        await self._calls_gone(GOODBYE_S, impatient)
        for call in list(self.calls.values()):
            call.hang_up("shutdown")
        await self._calls_gone(FAREWELL_S)

    async def _calls_gone(self, seconds: float, impatient: asyncio.Event | None = None) -> None:
        """Wait until the last call is forgotten, but not for ever, nor against somebody's will."""
        if not self.calls:
            return
        self._empty.clear()
        waiting = [asyncio.ensure_future(self._empty.wait())]
        if impatient is not None:
            waiting.append(asyncio.ensure_future(impatient.wait()))
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
