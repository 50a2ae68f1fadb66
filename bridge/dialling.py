"""Calls that conferences make: from a number that somebody keyed to a person who pressed 1.

`dial_out` is the one way in, for a host's keys, the command line and programs alike. It asks the
policy (`dialplan.dial_out`), sets aside what the call may cost, and calls; the call is a `Call`
like any other, with the flow of who is called (`dialplan.outgoing_flow`). What came of it is told
once::

    refused ─► a `DialRefusal`, and nothing has happened
    called  ─► `outcome` of the `OutgoingCall`: "joined", or a constant word of SIP's or the flow's
               for why not: "busy", "no_answer", "declined", "not_accepted", ...
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Literal

import structlog

from bridge.calls import Call
from bridge.media.errors import DescriptorsExhausted, PortsExhausted
from bridge.sip.messages import Dial, IncomingCall
from dialplan.dial_out import Allowed, DialOutRules, DialRefusal, Ledger, Rate, judge
from dialplan.outgoing_flow import OutgoingFlow, OutgoingState, OutgoingTimes

if TYPE_CHECKING:
    from bridge.media.ports import MediaPair
    from bridge.server import Bridge
    from config.settings import DialOutSettings
    from dialplan import events
    from dialplan.events import DialOutOutcome
    from dialplan.store import NumberEntry

__all__ = ["JOINED", "AskedBy", "Dialling", "OutgoingCall", "outcome_for_host"]

AskedBy = Literal["host", "administrator", "program"]

JOINED: Final = "joined"

_TOLD: Final[dict[str, DialOutOutcome]] = {
    "busy": "busy",
    "declined": "busy",
    "no_answer": "no_answer",
    "not_accepted": "no_answer",
}


def outcome_for_host(result: DialRefusal | str) -> DialOutOutcome:
    """Return what a host is told of a refusal, or of a call that came to nothing."""
    if isinstance(result, DialRefusal):
        return "off" if result is DialRefusal.OFF else "refused"
    return _TOLD.get(result, "failed")


class OutgoingCall(Call):
    """One call that the bridge made; whoever is called neither knocks nor says a name.

    Args:
        bridge: the house.
        dialled: what SIP would say of it, had who is called called us.
        number: our number that is shown.
        sockets: its own media sockets.
        leg: our number for the leg.
        flow: its rules.
    """

    invited = True

    def __init__(
        self,
        bridge: Bridge,
        dialled: IncomingCall,
        number: NumberEntry,
        sockets: MediaPair,
        leg: int,
        flow: OutgoingFlow,
    ) -> None:
        super().__init__(bridge, dialled, number, sockets, leg)
        self.flow = flow
        self.outcome: asyncio.Future[str] = bridge.loop.create_future()
        self.answered_at: float | None = None

    def confirmed(self) -> None:
        """Note the answer: only now is there a leg to write down, and somebody to ask."""
        self.answered_at = time.monotonic()
        self.bridge.records.leg_opened(self)
        self.begin()
        super().confirmed()

    def _handle(self, event: events.CallEvent) -> None:
        super()._handle(event)
        if self.flow.state is OutgoingState.IN_CONFERENCE:
            self._settle(JOINED)

    def _close(self) -> None:
        self._settle(self.cause)
        talked = 0.0 if self.answered_at is None else time.monotonic() - self.answered_at
        self.bridge.dialling.ledger.ended(self.leg, talked)
        super()._close()

    @property
    def written(self) -> bool:
        """It has a leg in the records: it was answered."""
        return self.answered_at is not None

    def _settle(self, outcome: str) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Dialling:
    """The calls that all conferences make.

    Args:
        bridge: the house.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.ledger = Ledger()
        self._log = structlog.get_logger("bridge.dialling")

    def dial_out(
        self, conference: int, number: str, asked_by: AskedBy
    ) -> OutgoingCall | DialRefusal:
        """Call somebody for a conference.

        Args:
            conference: its id; who is called comes in as a guest, after pressing 1.
            number: as it was keyed or typed, with its country code.
            asked_by: who wants it, for the log.

        Returns:
            The call, whose `outcome` says once what came of it; or why nobody is called.
        """
        verdict = self._prepare(conference, number)
        if isinstance(verdict, DialRefusal):
            self._bridge.count(f"dial_out_{verdict.value}")
            self._log.info("dial-out refused", reason=verdict.value, by=asked_by)
            return verdict
        self._log.info("dial-out", call=verdict.uid, country=verdict.country, by=asked_by)
        return verdict.call

    def conference_over(self, conference: int) -> None:
        """Let go who was called for a conference that is over, and has not come into it.

        Args:
            conference: its id.
        """
        for call in list(self._bridge.calls.values()):
            if isinstance(call, OutgoingCall) and call.flow.conference == conference:
                call.close_politely("conference_ended")

    def _prepare(self, conference: int, number: str) -> _Placed | DialRefusal:
        bridge, settings = self._bridge, self._bridge.settings.dial_out
        allowed = judge(
            number,
            _rules(settings),
            own=bridge.directory.own_numbers(),
            ledger=self.ledger,
            conference=conference,
            now=time.monotonic(),
            region=bridge.settings.entry.default_region or None,
        )
        if isinstance(allowed, DialRefusal):
            return allowed
        if bridge.stopping or bridge.media.overloaded:
            return DialRefusal.OVERLOAD
        caller = bridge.directory.dialled((settings.caller,)) if settings.caller else None
        if caller is None:
            return DialRefusal.NO_CALLER_ID
        trunk = bridge.directory.trunk(settings.trunk)
        register = trunk.register if trunk is not None else None
        proxy = settings.proxy or (register[0] if register is not None else "")
        if not proxy:
            return DialRefusal.NO_TRUNK
        try:
            sockets = bridge.open_pair()
        except (PortsExhausted, DescriptorsExhausted, OSError):
            return DialRefusal.OVERLOAD
        dial = Dial(
            number=allowed.number,
            caller=caller.info.number,
            proxy=proxy,
            media=bridge.local_media(sockets.port),
            trunk=settings.trunk or None,
            transport="tcp" if register is not None and register[4] == "tcp" else "udp",
            asserts=settings.assert_caller,
            credentials=(register[1], register[2]) if register is not None else None,
            ring_s=settings.ring_s,
        )
        call = self._call(dial, caller, sockets, conference, allowed)
        return _Placed(call, allowed.country)

    def _call(
        self,
        dial: Dial,
        caller: NumberEntry,
        sockets: MediaPair,
        conference: int,
        allowed: Allowed,
    ) -> OutgoingCall:
        bridge = self._bridge
        number, leg = bridge.sip.dial(dial), bridge.next_play()
        dialled = IncomingCall(
            call=number,
            call_id=f"dial-out-{number}",
            trunk=dial.trunk,
            source=("", 0),
            transport=dial.transport,
            dialled=(dial.caller,),
            asserted=None,
            claimed=dial.number,
            privacy=False,
            has_offer=False,
            codecs_ok=True,
        )
        press_s = bridge.settings.dial_out.press_s
        times = OutgoingTimes(answer_s=press_s, longest_s=allowed.longest_s)
        flow = OutgoingFlow(conference, times)
        call = OutgoingCall(bridge, dialled, caller, sockets, leg, flow)
        self.ledger.began(leg, conference, allowed, time.monotonic())
        bridge.take_call(call)
        return call


class _Placed:
    """A call that was made, and what of it may be logged."""

    __slots__ = ("call", "country")

    def __init__(self, call: OutgoingCall, country: str) -> None:
        self.call = call
        self.country = country

    @property
    def uid(self) -> object:
        """The call's pseudonym."""
        return self.call.uid


def _rules(settings: DialOutSettings) -> DialOutRules:
    rates = (rate.partition("=") for rate in settings.rates)
    return DialOutRules(
        allowed=settings.allowed,
        countries=frozenset(settings.countries),
        rates=tuple(Rate(prefix, float(price)) for prefix, _, price in rates),
        conference_cap=settings.conference_cap,
        day_cap=settings.day_cap,
        conference_per_hour=settings.conference_per_hour,
        per_hour=settings.per_hour,
        longest_s=60.0 * settings.longest_min,
    )
