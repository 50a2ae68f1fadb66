"""Session descriptions (RFC 8866, RFC 3264): read, judge, make canonical, build, compare. Pure.

PJSIP negotiates. It sees only text of ours: what the other side sent is read here, and PJSIP gets
a canonical description with the same media lines, in which every line that we cannot take has port
0 and the audio line that we take holds known formats only. (PJSIP 2.15.1 validates an offer once
leniently and once strictly with an assertion, so that a declined ``m=`` line without a ``c=`` would
end the process.)

``a=rtpmap``, ``a=fmtp``, ``a=ptime``, ``a=maxptime``, ``a=rtcp`` and the directions are read; the
rest is dropped.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from bridge.sip.errors import BadDescriptionError
from bridge.sip.messages import Codec, LocalMedia, NegotiatedMedia

__all__ = [
    "Description",
    "Format",
    "Media",
    "build_answer",
    "build_offer",
    "build_reoffer",
    "canonical",
    "common_codecs",
    "negotiated",
    "parse",
    "unusable",
]

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

# RFC 3551, table 4. G.722 is written with a clock of 8000 although it samples at 16 kHz: an erratum
# of RFC 1890 that stays for compatibility (section 4.5.2).
_STATIC: dict[int, str] = {0: "PCMU", 8: "PCMA", 9: "G722", 13: "CN"}
_CODECS: dict[str, Codec] = {name: name for name in get_args(Codec)}
_KNOWN = {*_CODECS, "TELEPHONE-EVENT", "CN"}
_PROFILES = {"RTP/AVP", "RTP/AVPF"}
_MEDIA_LINES = 16  # PJMEDIA_MAX_SDP_MEDIA
_LINES = 400
_CLOCK = 8000
_TOKEN = re.compile(r"^[A-Za-z0-9!#$%&'*+\-.^_`{|}~]{1,32}$")
_PROTOCOL = re.compile(r"^[A-Za-z0-9!#$%&'*+\-.^_`{|}~/]{1,32}$")
_RTPMAP = re.compile(r"^(\d{1,3})\s+([A-Za-z0-9_.\-]+)/(\d{1,6})(?:/(\d{1,2}))?\s*$")
_EVENTS = "0-16"  # RFC 4733 section 2.5.1: the sixteen keys and flash


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type of a media line, by the name it has there."""

    payload_type: int
    name: str
    clock_hz: int


@dataclass(frozen=True, slots=True)
class Media:
    """One ``m=`` line with what belongs to it.

    Attributes:
        kind: ``audio``, ``video``, ``image``, ...
        port: port, 0 for a declined line.
        protocol: transport protocol, ``RTP/AVP``.
        raw_formats: format tokens as written.
        formats: formats of ours among them, in order.
        address: address of its ``c=`` line or of the session's; "" without one.
        direction: direction, of the session where the line has none.
        ptime_ms: ``a=ptime``.
        maxptime_ms: ``a=maxptime``.
        rtcp: port and address of ``a=rtcp`` (RFC 3605).
    """

    kind: str
    port: int
    protocol: str
    raw_formats: tuple[str, ...]
    formats: tuple[Format, ...] = ()
    address: str = field(default="", repr=False)
    direction: Direction = "sendrecv"
    ptime_ms: int | None = None
    maxptime_ms: int | None = None
    rtcp: tuple[int, str] | None = field(default=None, repr=False)

    def codecs(self) -> list[Format]:
        """Return the audio codecs of ours on this line, in its order."""
        return [item for item in self.formats if item.name in _CODECS]

    def named(self, name: str) -> Format | None:
        """Return the first format of a name, None without one."""
        return next((item for item in self.formats if item.name == name), None)


@dataclass(frozen=True, slots=True)
class Description:
    """A session description, as far as it is read."""

    media: tuple[Media, ...]

    def audio(self) -> Media | None:
        """Return the audio line that we take: the first that :func:`unusable` lets pass."""
        return next((item for item in self.media if unusable(item) is None), None)


@dataclass(slots=True)
class _Section:
    """Attributes of the session or of one media line while reading."""

    address: str | None = None
    direction: Direction | None = None
    ptime: int | None = None
    maxptime: int | None = None
    rtcp: tuple[int, str] | None = None
    rtpmap: dict[int, tuple[str, int, int]] = field(default_factory=dict)


def parse(raw: bytes | str) -> Description:
    """Read a session description.

    Raises:
        BadDescriptionError: it is none, or one that no answer can be made for.
    """
    text = raw.decode("latin-1") if isinstance(raw, bytes) else raw
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > _LINES:
        raise BadDescriptionError("sdp_too_long", f"SDP has {len(lines)} lines, {_LINES} are read")
    if not lines[0].startswith("v="):
        raise BadDescriptionError("sdp_malformed", "SDP does not begin with v=")
    session = _Section()
    found: list[tuple[str, int, str, tuple[str, ...], _Section]] = []
    current = session
    for line in lines[1:]:
        kind, equals, value = line.partition("=")
        if not equals or len(kind) != 1:
            continue
        if kind == "m":
            current = _Section()
            found.append((*_media_line(value), current))
        elif kind == "c":
            current.address = _connection(value)
        elif kind == "a":
            _attribute(current, value.strip())
    if not found:
        raise BadDescriptionError("sdp_no_media", "SDP has no m= line")
    if len(found) > _MEDIA_LINES:
        raise BadDescriptionError("sdp_too_long", f"SDP has more than {_MEDIA_LINES} m= lines")
    return Description(tuple(_media(session, *item) for item in found))


def _media_line(value: str) -> tuple[str, int, str, tuple[str, ...]]:
    words = value.split()
    if len(words) < 4:  # noqa: PLR2004 - media, port, protocol, at least one format
        raise BadDescriptionError("sdp_malformed", "m= line has fewer than four words")
    kind, port, protocol, *formats = words
    number = port.partition("/")[0]
    if not (number.isascii() and number.isdigit() and int(number[:6]) <= 65535):  # noqa: PLR2004
        raise BadDescriptionError("sdp_bad_port", "m= line has no port between 0 and 65535")
    if not _TOKEN.match(kind) or not _PROTOCOL.match(protocol):
        raise BadDescriptionError(
            "sdp_malformed", "m= line has a media or protocol that is no token"
        )
    if not all(_TOKEN.match(item) for item in formats):
        raise BadDescriptionError("sdp_malformed", "m= line has a format that is no token")
    return kind.lower(), int(number), protocol, tuple(formats[:64])


def _connection(value: str) -> str:
    words = value.split()
    if len(words) < 3:  # noqa: PLR2004 - IN, IP4, address
        raise BadDescriptionError("sdp_malformed", "c= line has fewer than three words")
    # Without IP6 in this build of PJSIP, and without DNS on a media path, both are just unusable.
    return words[2] if words[0].upper() == "IN" and words[1].upper() == "IP4" else "unsupported"


def _attribute(section: _Section, text: str) -> None:
    name, _, value = text.partition(":")
    name = name.strip().lower()
    value = value.strip()
    if name in get_args(Direction):
        section.direction = name  # type: ignore[assignment]  # one of the four, just checked
    elif name == "ptime":
        section.ptime = _milliseconds(value)
    elif name == "maxptime":
        section.maxptime = _milliseconds(value)
    elif name == "rtcp":
        section.rtcp = _rtcp(value)
    elif name == "rtpmap" and (found := _RTPMAP.match(value)):
        section.rtpmap.setdefault(
            int(found[1]), (found[2].upper(), int(found[3]), int(found[4] or 1))
        )


def _milliseconds(value: str) -> int | None:
    digits = value.partition(".")[0]
    return int(digits[:6]) if digits.isascii() and digits.isdigit() else None


def _rtcp(value: str) -> tuple[int, str] | None:
    words = value.split()
    if not words or not (words[0].isascii() and words[0].isdigit()):
        return None
    address = words[3] if len(words) >= 4 and words[2].upper() == "IP4" else ""  # noqa: PLR2004
    if address and not _is_ipv4(address):
        return None
    port = int(words[0][:6])
    return (port, address) if 0 < port <= 65535 else None  # noqa: PLR2004


def _media(
    session: _Section, kind: str, port: int, protocol: str, raw: tuple[str, ...], own: _Section
) -> Media:
    formats = [known for token in raw if (known := _format(token, own.rtpmap)) is not None]
    address = own.address if own.address is not None else session.address
    return Media(
        kind=kind,
        port=port,
        protocol=protocol,
        raw_formats=raw,
        formats=tuple(dict.fromkeys(formats)),
        address=address or "",
        direction=own.direction or session.direction or "sendrecv",
        ptime_ms=own.ptime if own.ptime is not None else session.ptime,
        maxptime_ms=own.maxptime if own.maxptime is not None else session.maxptime,
        rtcp=own.rtcp,
    )


def _format(token: str, rtpmap: dict[int, tuple[str, int, int]]) -> Format | None:
    if not (token.isascii() and token.isdigit()) or int(token[:4]) > 127:  # noqa: PLR2004
        return None
    number = int(token)
    name, clock, channels = rtpmap.get(number, (_STATIC.get(number, ""), _CLOCK, 1))
    if number in _STATIC and name != _STATIC[number]:
        return None  # a static payload type by a name that is not its own
    if name not in _KNOWN or clock != _CLOCK or channels != 1:
        return None
    if number < 96 and number not in _STATIC:  # noqa: PLR2004 - RFC 3551: dynamic from 96
        return None
    return Format(number, name, clock)


# -- judging ---------------------------------------------------------------------------------------


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def unusable(media: Media) -> str | None:  # noqa: PLR0911 - one return per reason
    """Say why an ``m=`` line cannot be taken, None when it can.

    Returns:
        A constant word: ``not_audio``, ``declined``, ``profile``, ``no_codec``, ``address``.
    """
    if media.kind != "audio":
        return "not_audio"
    if media.port == 0:
        return "declined"
    if media.protocol.upper() not in _PROFILES:
        return "profile"
    if not media.codecs():
        return "no_codec"
    if not _is_ipv4(media.address):
        return "address"
    address = ipaddress.IPv4Address(media.address)
    if address.is_multicast or int(address) == 0xFFFFFFFF:  # noqa: PLR2004 - limited broadcast
        return "address"
    return None


def common_codecs(media: Media, codecs: Sequence[Codec]) -> list[Format]:
    """Return the line's codecs that are among ours, in the line's order."""
    return [item for item in media.codecs() if item.name in codecs]


def _chosen(media: Media, codecs: Sequence[Codec]) -> Format | None:
    """Return the codec that we answer with: G.722 where we prefer it, else the line's first."""
    common = common_codecs(media, codecs)
    wideband = media.named("G722")
    return wideband if wideband and codecs[0] == "G722" else next(iter(common), None)


# -- writing ---------------------------------------------------------------------------------------


def _head(address: str, session: int) -> list[str]:
    return [
        "v=0",
        f"o=- {session} {session} IN IP4 {address}",
        "s=-",
        f"c=IN IP4 {address}",
        "t=0 0",
    ]


def _formats(formats: Sequence[Format]) -> list[str]:
    lines = []
    for item in formats:
        name = item.name.lower() if item.name == "TELEPHONE-EVENT" else item.name
        lines.append(f"a=rtpmap:{item.payload_type} {name}/{item.clock_hz}")
        if item.name == "TELEPHONE-EVENT":
            lines.append(f"a=fmtp:{item.payload_type} {_EVENTS}")
    return lines


def _declined(media: Media) -> str:
    """Return an ``m=`` line with port 0 (RFC 3264 section 6)."""
    return f"m={media.kind} 0 {media.protocol} {media.raw_formats[0]}"


def canonical(description: Description) -> str:
    """Return what PJSIP is given of the other side's description: same lines, nothing unknown."""
    taken = description.audio()
    lines = _head(taken.address if taken else "0.0.0.0", 1)  # noqa: S104 - the null address of SDP
    for media in description.media:
        if media is not taken:
            lines.append(_declined(media))
            continue
        numbers = " ".join(str(item.payload_type) for item in media.formats)
        lines.append(f"m=audio {media.port} {media.protocol} {numbers}")
        lines.extend(_formats(media.formats))
        if media.ptime_ms is not None:
            lines.append(f"a=ptime:{media.ptime_ms}")
        if media.maxptime_ms is not None:
            lines.append(f"a=maxptime:{media.maxptime_ms}")
        if media.rtcp is not None:
            port, address = media.rtcp
            lines.append(f"a=rtcp:{port}" + (f" IN IP4 {address}" if address else ""))
        lines.append(f"a={media.direction}")
    return "\r\n".join(lines) + "\r\n"


_ANSWER_DIRECTION: dict[Direction, Direction] = {  # RFC 3264 section 6.1
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}


def _ours(media: LocalMedia, address: str, formats: Sequence[Format], protocol: str) -> list[str]:
    numbers = " ".join(str(item.payload_type) for item in formats)
    return [
        f"m=audio {media.rtp_port} {protocol} {numbers}",
        *_formats(formats),
        f"a=ptime:{media.ptime_ms}",
        f"a=rtcp:{media.rtp_port + 1} IN IP4 {address}",
    ]


def build_offer(media: LocalMedia, address: str, session: int) -> str:
    """Return our offer: every codec, telephone-event and comfort noise.

    Args:
        media: our side of the call.
        address: IPv4 address for ``c=`` and ``o=``.
        session: session identifier for ``o=``; PJSIP counts the version up from it.
    """
    numbers = {name: number for number, name in _STATIC.items()}
    formats = [Format(numbers[name], name, _CLOCK) for name in media.codecs]
    formats += [Format(101, "TELEPHONE-EVENT", _CLOCK), Format(13, "CN", _CLOCK)]
    lines = [*_head(address, session), *_ours(media, address, formats, "RTP/AVP"), "a=sendrecv"]
    return "\r\n".join(lines) + "\r\n"


def build_reoffer(media: LocalMedia, agreed: NegotiatedMedia, address: str, session: int) -> str:
    """Return an offer that changes where our media is, and nothing else.

    Payload types keep their meaning for the whole session (RFC 3264 section 8.3.2), so they are the
    ones that were agreed on.

    Args:
        media: our side of the call from now on.
        agreed: what both sides agreed on before.
        address: IPv4 address for ``c=``.
        session: session identifier for ``o=``; PJSIP counts the version up from it.
    """
    formats = [Format(agreed.payload_type, agreed.codec, _CLOCK)]
    if agreed.dtmf_payload_type is not None:
        formats.append(Format(agreed.dtmf_payload_type, "TELEPHONE-EVENT", _CLOCK))
    if agreed.cn_payload_type is not None:
        formats.append(Format(agreed.cn_payload_type, "CN", _CLOCK))
    lines = [*_head(address, session), *_ours(media, address, formats, "RTP/AVP"), "a=sendrecv"]
    return "\r\n".join(lines) + "\r\n"


def build_answer(offer: Description, media: LocalMedia, address: str, session: int) -> str:
    """Return our answer to an offer: one audio line, one codec, everything else declined.

    Args:
        offer: what the other side offers.
        media: our side of the call.
        address: IPv4 address for ``c=`` and ``o=``.
        session: session identifier for ``o=``.

    Raises:
        BadDescriptionError: no audio line that we can take.
    """
    taken = offer.audio()
    codec = _chosen(taken, media.codecs) if taken else None
    if taken is None or codec is None:
        raise BadDescriptionError(
            "no_common_codec", "the offer has no audio line with a codec of ours"
        )
    formats = [codec]
    extras = (taken.named("TELEPHONE-EVENT"), taken.named("CN"))
    formats += [extra for extra in extras if extra is not None]
    direction = _ANSWER_DIRECTION[taken.direction]
    if _is_null(taken.address) and direction == "sendrecv":
        direction = "recvonly"  # hold the way of RFC 2543: nowhere to send to
    lines = _head(address, session)
    for item in offer.media:
        if item is taken:
            lines += [*_ours(media, address, formats, item.protocol), f"a={direction}"]
        else:
            lines.append(_declined(item))
    return "\r\n".join(lines) + "\r\n"


def _is_null(address: str) -> bool:
    return address == "0.0.0.0"  # noqa: S104 - the null address of SDP


# -- outcome ---------------------------------------------------------------------------------------


def negotiated(local: str, remote: str) -> NegotiatedMedia:
    """Read what both sides agreed on from the two active descriptions.

    Args:
        local: our active description, as PJSIP prints it.
        remote: the other side's active description.

    Raises:
        BadDescriptionError: they share no audio codec, which PJSIP should not have let through.
    """
    ours, theirs = parse(local).audio(), parse(remote).audio()
    common = (
        [item for item in theirs.codecs() if ours.named(item.name) is not None]
        if ours is not None and theirs is not None
        else []
    )
    if ours is None or theirs is None or not common:
        raise BadDescriptionError(
            "no_common_codec", "the negotiated descriptions share no audio codec"
        )
    codec = common[0]
    events = ours.named("TELEPHONE-EVENT") if theirs.named("TELEPHONE-EVENT") else None
    noise = theirs.named("CN")
    null = _is_null(theirs.address)
    may_send = ours.direction in ("sendrecv", "sendonly") and not null
    may_receive = ours.direction in ("sendrecv", "recvonly")
    rtcp_port, rtcp_address = theirs.rtcp or (min(theirs.port + 1, 65535), "")
    return NegotiatedMedia(
        codec=_CODECS[codec.name],
        payload_type=codec.payload_type,
        dtmf_payload_type=events.payload_type if events else None,
        cn_payload_type=noise.payload_type if noise else None,
        ptime_ms=10 if (theirs.maxptime_ms or 20) < 20 else 20,  # noqa: PLR2004 - milliseconds
        remote_ip=theirs.address,
        remote_port=theirs.port,
        remote_rtcp=(rtcp_address or theirs.address, rtcp_port),
        tx=may_send,
        rx=may_receive,
        on_hold=not may_send,
    )


def without_loopback(description: Description) -> Description:
    """Take the audio address out where it is our own loopback; for callers from elsewhere."""
    return Description(
        tuple(
            replace(item, address="unsupported") if item.address.startswith("127.") else item
            for item in description.media
        )
    )
