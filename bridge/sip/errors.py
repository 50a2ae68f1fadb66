"""What can go wrong in the SIP room.

::

    SipError                     base of all
    +-- LibraryError             PJSIP's extension module is missing or not the one we know
    |   +-- LayoutMismatchError  a struct does not lie where our declarations say
    +-- PjError                  a PJSIP function returned a status other than PJ_SUCCESS
    +-- PortTakenError           the SIP port cannot be bound
    +-- SettingsError            the settings cannot work
    +-- NotRunningError          a command for an endpoint that is not started
    +-- PeerError                the other side's fault; carries the SIP status to answer with
        +-- BadDescriptionError  a session description that we cannot use
"""

from __future__ import annotations

__all__ = [
    "BadDescriptionError",
    "LayoutMismatchError",
    "LibraryError",
    "NotRunningError",
    "PeerError",
    "PjError",
    "PortTakenError",
    "SettingsError",
    "SipError",
]


class SipError(Exception):
    """Base of every error of this package.

    Attributes:
        hint: what an administrator can do about it; empty where the message says it.
        exit_code: what the ``dialin`` command ends with (``config.errors.ExitCode``).
    """

    hint = ""
    exit_code = 1


class LibraryError(SipError):
    """PJSIP's extension module cannot be used."""

    hint = (
        "`scripts/run --install` installs the locked version; `dialin doctor` names the one here."
    )


class LayoutMismatchError(LibraryError):
    """A struct of PJSIP does not lie where ``declarations.py`` says it does."""


class PjError(SipError):
    """A PJSIP function failed.

    Attributes:
        function: its name.
        status: its ``pj_status_t``.
    """

    def __init__(self, function: str, status: int, text: str) -> None:
        """Keep what failed, and with which status."""
        super().__init__(f"{function} failed with status {status}: {text}")
        self.function = function
        self.status = status


class PortTakenError(SipError):
    """The SIP port cannot be bound."""

    def __init__(self, transport: str, bind_ip: str, port: int, why: str) -> None:
        """Name the port and say what to do."""
        super().__init__(f"cannot listen on {transport} {bind_ip}:{port}: {why}")
        self.hint = (
            f"Stop the program that holds the port (ss -lnp 'sport = :{port}'), or choose another"
            " with --port or sip.port."
        )
        self.port = port


class SettingsError(SipError):
    """The SIP settings cannot work here, or not together.

    Args:
        message: what was found and what was expected.
        hint: what to do about it; empty where the message says it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the message and the way out."""
        super().__init__(message)
        self.hint = hint


class NotRunningError(SipError):
    """The endpoint is not started, or is already stopped."""


class PeerError(SipError):
    """The other side sent something that we decline.

    Attributes:
        status: SIP status to answer with.
        reason: constant word for counters and logs.
    """

    def __init__(self, status: int, reason: str, text: str) -> None:
        """Keep the verdict where it arose."""
        super().__init__(text)
        self.status = status
        self.reason = reason


class BadDescriptionError(PeerError):
    """A session description that cannot be used; answered with 488 (RFC 3261 section 21.4.26)."""

    def __init__(self, reason: str, text: str) -> None:
        """Keep the reason; the status is always 488."""
        super().__init__(488, reason, text)
