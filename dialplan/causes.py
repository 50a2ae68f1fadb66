"""Why the dial plan ends or refuses something; the values are what the records hold."""

from enum import StrEnum

__all__ = ["EndCause", "Refusal", "SessionEnd"]


class EndCause(StrEnum):
    """Why the bridge ended a call; the value goes into the call detail record."""

    TOO_MANY_TRIES = "too_many_tries"
    NO_PIN = "no_pin"
    FULL = "conference_full"
    CLOSED = "conference_closed"
    CONFERENCE_ENDED = "conference_ended"
    TIME_LIMIT = "time_limit"
    HOST_LEFT = "host_left"
    HOST_NEVER_CAME = "host_never_came"
    NOBODY_CAME = "nobody_came"
    TECHNICAL = "technical_problem"
    MAINTENANCE = "maintenance"
    SHUTDOWN = "shutdown"
    ADMINISTRATOR = "administrator"
    HOST_ENDED = "host_ended"
    REMOVED = "removed"
    NOT_ADMITTED = "not_admitted"
    NO_NAME = "no_name"
    NOT_ACCEPTED = "not_accepted"


class Refusal(StrEnum):
    """Why an attempt was refused; the value goes into the row of refused attempts."""

    PIN_MISTYPED = "pin_mistyped"
    PIN_UNKNOWN = "pin_unknown"
    PIN_REVOKED = "pin_revoked"
    PIN_THROTTLED = "pin_throttled"
    NO_PIN = "no_pin"
    FULL = "conference_full"
    CLOSED = "conference_closed"
    ENDED = "conference_ended"
    MAINTENANCE = "maintenance"
    TECHNICAL = "technical_problem"


class SessionEnd(StrEnum):
    """Why a conference session ended; the value goes into its record."""

    LAST_LEFT = "last_left"
    HOST_LEFT = "host_left"
    TIME_LIMIT = "time_limit"
    SHUTDOWN = "shutdown"
    ADMINISTRATOR = "administrator"
    HOST_ENDED = "host_ended"
