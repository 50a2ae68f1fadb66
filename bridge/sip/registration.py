"""When to register again: states and back-off of one trunk's registration. Pure; time comes in.

PJSIP refreshes a registration that stands. What it does not do is try again after a failure; this
does, later each time, with some chance in it so that a carrier's restart does not bring everybody
back at once (RFC 5626 section 4.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.sip.messages import Register, RegistrationChanged, RegistrationState

__all__ = ["Registration"]

_FIRST_S = 5.0
_LONGEST_S = 600.0
_REFUSED_S = 300.0  # wrong password, unknown user: only a human helps, so do not hurry
_OK = 200
_REFUSALS = (401, 403, 404, 407, 410, 423, 484, 604)


@dataclass(slots=True)
class Registration:
    """The registration of one trunk.

    Attributes:
        trunk: name of the trunk.
        register: where and as whom.
        chance: returns a number in [0, 1).
        state: what was said last.
        due: monotonic time of the next attempt, None while one is under way or stands.
    """

    trunk: str
    register: Register
    chance: Callable[[], float] = field(repr=False)
    state: RegistrationState = "unregistered"
    due: float | None = 0.0
    _failures: int = 0
    _over: bool = False
    _said: tuple[RegistrationState, int | None] | None = None

    def is_due(self, now: float) -> bool:
        """Tell whether an attempt is to be made now."""
        return self.due is not None and now >= self.due

    def sent(self) -> RegistrationChanged | None:
        """Note an attempt; only the first one is news, later ones are by what comes of them."""
        self.due = None
        return self._say("trying", None, None) if self.state == "unregistered" else None

    def outcome(self, status: int, expires_s: int | None, now: float) -> RegistrationChanged | None:
        """Note what came of an attempt or of a refresh.

        Args:
            status: SIP status, 0 where nothing came back.
            expires_s: seconds until expiry.
            now: monotonic seconds.

        Returns:
            The change to report, None without one.
        """
        if self._over:
            return None  # the answer to our unregistering
        if _OK <= status < _OK + 100 and expires_s != 0:
            self._failures = 0
            self.due = None
            return self._say("registered", status, expires_s)
        self._failures += 1
        if status in _REFUSALS:
            wait, state = _REFUSED_S, "refused"
        else:
            wait, state = min(_FIRST_S * 2 ** min(self._failures - 1, 10), _LONGEST_S), "trying"
        self.due = now + wait * (0.75 + self.chance() / 2)
        return self._say("refused" if state == "refused" else "trying", status or None, None)

    def impossible(self) -> RegistrationChanged | None:
        """Note that its addresses are malformed: no attempt will be made until they are changed."""
        self.due = None
        return self._say("refused", None, None)

    def ended(self) -> RegistrationChanged | None:
        """Note that the trunk is gone or the endpoint stops."""
        self.due = None
        self._over = True
        return self._say("unregistered", None, None)

    def _say(
        self, state: RegistrationState, status: int | None, expires_s: int | None
    ) -> RegistrationChanged | None:
        self.state = state
        if self._said == (state, status):
            return None
        self._said = (state, status)
        return RegistrationChanged(self.trunk, state, status, expires_s)
