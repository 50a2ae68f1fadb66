"""An endpoint with a scripted bridge behind it: answers calls, remembers events."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from bridge.sip._invites import InviteState
from bridge.sip.endpoint import SipEndpoint
from bridge.sip.messages import (
    CallConfirmed,
    CallEnded,
    IncomingCall,
    LocalMedia,
    MediaNegotiated,
    SipEvent,
    SipSettings,
    Trunk,
)
from bridge.sip.trunks import TrunkTable

__all__ = ["RTP_PORT", "Desk"]

RTP_PORT = 40000
"""Port in our descriptions; nothing listens there, nothing is sent."""

E = TypeVar("E")


class Desk:
    """Run one endpoint on 127.0.0.1 and play the bridge.

    Args:
        policy: called with each IncomingCall in the SIP thread; by default the call is accepted.
        trunks: trunks from the start on.
        settings: what differs from the defaults of ``SipSettings``.
    """

    def __init__(
        self,
        policy: Callable[[Desk, IncomingCall], None] | None = None,
        trunks: tuple[Trunk, ...] = (),
        nameservers: list[tuple[str, int]] | None = None,
        **settings: object,
    ) -> None:
        self.events: list[SipEvent] = []
        self._policy = policy or Desk.accept
        self._changed = threading.Condition()
        given: dict[str, Any] = {"bind_ip": "127.0.0.1", "port": 0, **settings}
        # Port 9 of loopback answers no query: a name is never resolved in these tests.
        self.endpoint = SipEndpoint(
            SipSettings(**given),
            self._take,
            TrunkTable(trunks),
            nameservers if nameservers is not None else [("127.0.0.1", 9)],
        )

    def __enter__(self) -> Self:
        self.endpoint.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.endpoint.stop(timeout=1.0)

    @property
    def address(self) -> tuple[str, int]:
        """Where the endpoint listens."""
        return ("127.0.0.1", self.endpoint.port)

    @contextlib.contextmanager
    def quick_timers(self) -> Iterator[None]:
        """Run with T1 at 50 ms, so that what waits for 64 T1 takes 3.2 s."""
        agent = self.endpoint._agent
        assert agent is not None
        set_timers = agent.library.lib.pjsip_tsx_set_timers
        set_timers(50, 400, 500, 3200)
        try:
            yield
        finally:
            set_timers(500, 4000, 5000, 32000)

    def accept(self, call: IncomingCall) -> None:
        """Answer a call as the bridge would."""
        self.endpoint.ring(call.call)
        self.endpoint.accept(call.call, LocalMedia(RTP_PORT))

    def _take(self, event: SipEvent) -> None:
        if isinstance(event, IncomingCall):
            self._policy(self, event)
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of a kind so far."""
        return [event for event in list(self.events) if isinstance(event, kind)]

    def wait(self, kind: type[E], count: int = 1, timeout: float = 5.0) -> list[E]:
        """Wait until there are ``count`` events of a kind, and return them."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(found := self.of(kind)) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    names = [type(item).__name__ for item in self.events]
                    raise AssertionError(f"{len(found)} of {count} {kind.__name__}; had {names}")
                self._changed.wait(left)
        return found

    def one(self, kind: type[E], timeout: float = 5.0) -> E:
        """Wait for the first event of a kind."""
        return self.wait(kind, 1, timeout)[0]

    def call_is_up(self) -> tuple[IncomingCall, MediaNegotiated]:
        """Wait until a call is confirmed with media."""
        self.one(CallConfirmed)
        return self.of(IncomingCall)[-1], self.one(MediaNegotiated)

    def ended(self, timeout: float = 5.0) -> CallEnded:
        """Wait for the first call's end."""
        return self.one(CallEnded, timeout)

    def count(self, name: str) -> int:
        """Return one of the endpoint's counters."""
        return self.endpoint.statistics().counters.get(name, 0)

    def until(self, holds: Callable[[], object], timeout: float = 5.0) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.01)

    def settle(self, timeout: float = 5.0) -> dict[str, int]:
        """Wait until no call and no session is left, and return the gauges."""
        deadline = time.monotonic() + timeout
        while True:
            gauges = dict(self.endpoint.statistics().gauges)
            if not gauges["sessions"] and not gauges["calls"]:
                return gauges
            if time.monotonic() > deadline:
                raise AssertionError(f"sessions are left: {gauges}, {self.left()}")
            time.sleep(0.02)

    def left(self) -> dict[str, str]:
        """Say for each session, by its Call-ID, what it is waiting for."""
        switchboard = self.endpoint._switchboard
        found = {}
        for session in list(switchboard._by_invite.values()):
            invite = switchboard._invites._session(session.invite)
            inviting = bool(invite.invite_tsx)
            found[session.call_id] = (
                f"{session.phase}, {InviteState(invite.state).name} by {invite.cause}, "
                f"{'an' if inviting else 'no'} INVITE under way"
            )
        return found
