"""What PJSIP must not be given, though its parser took it. Pure.

The wheel's PJSIP is compiled with assertions that end the process, and some can be reached by what
the other side writes. Each rule below names its reason. The rest are the semantic checks of
RFC 3261 that PJSIP leaves to the application (RFC 4475 sections 3.1.2 and 3.3).
"""

from __future__ import annotations

import re

from bridge.sip.wire import Message, parse_name_address, parse_uri, split_list, split_parameters

__all__ = ["Fault", "find_fault"]

_SINGLE = ("call-id", "cseq", "from", "to", "content-length", "content-type", "max-forwards")
_HIDE = re.compile(r";\s*hide\b", re.IGNORECASE)
_KNOWN_SCHEMES = ("sip", "sips", "tel")
_ROUTABLE_SCHEMES = ("sip", "sips")
_CSEQ_LIMIT = 2**31
_TARGET_METHODS = ("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER")
"""Whose Contact PJSIP takes for the dialog's remote target (``pjsip_method_creates_dialog``)."""

_METHOD = re.compile(r"^[A-Za-z0-9\-.!%*_+`'~]{1,64}$")


class Fault:
    """Why a message goes no further.

    Attributes:
        status: SIP status to answer a request with, 0 for silence.
        reason: constant word for the counter.
    """

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason


def find_fault(message: Message) -> Fault | None:
    """Return the first fault of a message, None where it may go on."""
    if message.version.upper() != "SIP/2.0":
        return Fault(505 if message.method else 0, "version")
    for name in _SINGLE:
        if len(message.all(name)) > 1:
            # Which of two values counts is where two parsers differ.
            return Fault(400, "repeated_header")
    # pjsip_routing_hdr_print asserts that "hide" comes with "lr" when it copies such a header.
    routes = message.all("record-route") + message.all("route")
    if any(_HIDE.search(value) for value in routes):
        return Fault(0, "hidden_route")
    if message.body_missing:
        return Fault(400 if message.method else 0, "content_length")  # RFC 3261 section 18.3
    return (_request_fault(message) if message.method else None) or _routing_fault(message, routes)


def _routing_fault(message: Message, routes: list[str]) -> Fault | None:
    """Return the fault of an address that requests of ours would be sent to.

    PJSIP asserts that an ACK can be sent; a BYE that cannot leaves its session behind.
    """
    for value in routes:
        for part in split_list(value):
            uri = parse_name_address(part).uri
            if uri.scheme not in _ROUTABLE_SCHEMES or not uri.host:
                return Fault(400, "route_scheme")
    # A redirection, which is no target of a dialog, may name any URI (RFC 3261 section 21.3).
    if message.cseq[1] not in _TARGET_METHODS or message.status >= 300:  # noqa: PLR2004 - as above
        return None
    for value in message.all("contact"):
        for part in split_list(value):
            if part.strip() != "*" and parse_name_address(part).uri.scheme not in _ROUTABLE_SCHEMES:
                return Fault(400, "contact_scheme")  # RFC 3261 section 8.1.1.8
    return None


def _request_fault(message: Message) -> Fault | None:  # noqa: PLR0911 - one return per fault
    number, method = message.cseq
    if not _METHOD.match(message.method) or method != message.method:
        return Fault(400, "cseq_method")
    if not 0 <= number < _CSEQ_LIMIT:
        return Fault(400, "cseq_number")
    vias = split_list(message.get("via") or "")
    if vias and "maddr" in split_parameters(vias[0])[1]:
        # The answer would go to a third party, by a name that has to be looked up.
        return Fault(0, "via_maddr")
    scheme = parse_uri(message.target).scheme
    if scheme not in _KNOWN_SCHEMES:
        return Fault(416, "target_scheme")  # RFC 3261 section 8.2.2.1
    forwards = (message.get("max-forwards") or "70").strip()
    if not (forwards.isascii() and forwards.isdigit() and int(forwards[:6]) <= 255):  # noqa: PLR2004
        return Fault(400, "max_forwards")
    if not message.from_tag and message.method != "REGISTER":
        return Fault(400, "from_tag")  # RFC 3261 section 8.1.1.3; dialogs are found by it
    return None
